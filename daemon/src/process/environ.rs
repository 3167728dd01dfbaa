//! The environment with which a living process was started.

use std::collections::BTreeMap;
use std::fs;

use super::RUN_VARIABLE;

/// The environment of the process `pid`, without the mark of its run; none where it is gone or another user's. What is no
/// UTF-8 is left out. Blocks.
#[must_use]
pub fn environment_of(pid: u32) -> Option<BTreeMap<String, String>> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut env = parse(&bytes);
    env.remove(RUN_VARIABLE);
    // A zombie has none, and so has a process that is about to become another program.
    (!env.is_empty()).then_some(env)
}

fn parse(bytes: &[u8]) -> BTreeMap<String, String> {
    let entries = bytes.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok()?.split_once('='));
    entries.filter(|(name, _)| !name.is_empty()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::{environment_of, parse};

    #[test]
    fn variables_are_read_as_they_were_given() {
        let env = parse(b"A=1\0EMPTY=\0B=x=y\0\xff=z\0=n\0torn");
        let found: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, [("A", "1"), ("B", "x=y"), ("EMPTY", "")]);
    }

    #[test]
    fn the_own_process_has_one() {
        assert!(environment_of(std::process::id()).unwrap().contains_key("PATH"));
        assert_eq!(environment_of(0), None);
    }
}
