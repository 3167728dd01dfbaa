//! The running programs that Go has built: what a debugger can attach to.
//!
//! Invariants: only reads, and only processes of our own user: dlv may attach to no other.

use std::os::unix::fs::MetadataExt;

use burrow_protocol::debug::GoProcess;
use camino::Utf8Path;

use super::process_tree;

/// All of them, the newest first. `built_with` says which Go built a file, where Go did. Blocks.
pub fn list(built_with: impl Fn(&Utf8Path) -> Option<String>) -> Vec<GoProcess> {
    let mut pids = process_tree::all_pids();
    pids.sort_unstable_by(|a, b| b.cmp(a));
    pids.into_iter().filter_map(|pid| describe(pid, &built_with)).collect()
}

fn describe(pid: u32, built_with: impl Fn(&Utf8Path) -> Option<String>) -> Option<GoProcess> {
    let owner = fs_err::metadata(format!("/proc/{pid}")).ok()?.uid();
    if owner != rustix::process::getuid().as_raw() {
        return None;
    }
    // The link itself is read, so that a file counts that was replaced since.
    let go = built_with(Utf8Path::new(&format!("/proc/{pid}/exe")))?;
    let name = process_tree::executable(pid)?.file_name()?.to_str()?.to_owned();
    Some(GoProcess { pid, name, command_line: process_tree::arguments(pid).join(" "), go })
}

#[cfg(test)]
mod tests {
    use super::list;

    #[test]
    fn only_what_go_has_built_is_listed() {
        let pid = std::process::id();
        let exe = format!("/proc/{pid}/exe");
        let all = list(|path| (path.as_str() == exe).then(|| "go1.26.8".to_owned()));
        let [process] = all.as_slice() else { panic!("one process is expected: {all:?}") };
        let own = std::env::current_exe().expect("this program");
        assert_eq!((process.pid, process.go.as_str()), (pid, "go1.26.8"));
        assert_eq!(Some(process.name.as_str()), own.file_name().and_then(|name| name.to_str()));
        assert!(process.command_line.contains(&process.name), "{}", process.command_line);
        let none = list(|_| None);
        assert_eq!(none, []);
    }
}
