//! Processes and their descendants, read from `/proc`: what a debug session has running.
//!
//! Invariants: only reads. Nobody is signalled by what is found here; ending a session's processes is its shim's work.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

/// All processes that can be seen.
#[must_use]
pub fn all_pids() -> Vec<u32> {
    let Ok(entries) = fs_err::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The processes below `root`, whatever their group or session; `root` itself is not among them.
#[must_use]
pub fn descendants(root: u32) -> HashSet<u32> {
    let parents: HashMap<u32, u32> = all_pids().into_iter().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    below(root, &parents)
}

/// The file that `pid` executes. One that was removed since still has its name here.
#[must_use]
pub fn executable(pid: u32) -> Option<PathBuf> {
    let link = fs_err::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(link.to_str().and_then(|text| text.strip_suffix(" (deleted)")).map_or_else(|| link.clone(), PathBuf::from))
}

/// The folder that `pid` works in.
#[must_use]
pub fn working_directory(pid: u32) -> Option<PathBuf> {
    fs_err::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// The arguments of `pid`, those that are UTF-8.
#[must_use]
pub fn arguments(pid: u32) -> Vec<String> {
    let line = fs_err::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).filter_map(|argument| String::from_utf8(argument.to_vec()).ok()).collect()
}

/// When `pid` started, in clock ticks since boot: with it, its number means one process. None where it has ended.
#[must_use]
pub fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    // A zombie still has its number.
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    // The 22nd field; the state is the third.
    fields.nth(18)?.parse().ok()
}

fn parent(pid: u32) -> Option<u32> {
    parent_in(&fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in parentheses may itself have spaces and parentheses: what follows the last one counts.
fn parent_in(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn below(root: u32, parents: &HashMap<u32, u32>) -> HashSet<u32> {
    let mut found = HashSet::new();
    let mut last = 0;
    loop {
        found.extend(
            parents
                .iter()
                .filter(|(_, parent)| **parent == root || found.contains(*parent))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
        if found.len() == last {
            return found;
        }
        last = found.len();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::{all_pids, below, executable, parent_in, start_ticks};

    #[test]
    fn parent_is_read_past_any_name() {
        assert_eq!(parent_in("12 (dlv) S 7 12 12 0"), Some(7));
        assert_eq!(parent_in("12 (a) S 1 (b)) T 8 12 12 0"), Some(8), "a name may look like the rest of the line");
        assert_eq!(parent_in("nonsense"), None);
    }

    #[test]
    fn descendants_at_any_depth() {
        let parents = HashMap::from([(2, 1), (3, 2), (4, 3), (5, 1), (9, 8)]);
        assert_eq!(below(2, &parents), HashSet::from([3, 4]));
        assert_eq!(below(1, &parents), HashSet::from([2, 3, 4, 5]));
        assert_eq!(below(4, &parents), HashSet::new());
    }

    #[test]
    fn this_process_is_seen() {
        let pid = std::process::id();
        assert!(all_pids().contains(&pid));
        assert_eq!(executable(pid), std::env::current_exe().ok());
        assert!(start_ticks(pid).is_some_and(|ticks| ticks > 0));
    }
}
