//! What `/proc` says of processes. Everything read here may be out of date when it is used: a process is signalled
//! only through [`open`], which compares its start time.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::fd::OwnedFd;

use camino::Utf8Path;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// The part of `/proc/PID/stat` that we use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// The program's name, at most 15 bytes.
    pub(super) name: String,
    /// A zombie, or about to vanish.
    pub(super) dead: bool,
    /// Its parent's process id.
    pub(super) parent: u32,
    /// Its process group.
    pub(super) group: u32,
    /// Its start in clock ticks since boot. With the pid it names a process for good: a pid is used again, a pair is not.
    pub(super) start_ticks: u64,
}

impl Stat {
    /// Reads one line of proc(5)'s `stat`. The name is in parentheses and may itself hold any character.
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let mut fields = after.split_ascii_whitespace();
        let dead = matches!(fields.next()?, "Z" | "X" | "x");
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        // starttime is field 22, the group was field 5.
        let start_ticks = fields.nth(16)?.parse().ok()?;
        Some(Self { name: name.to_owned(), dead, parent, group, start_ticks })
    }
}

/// The process of that number, dead or alive.
pub(super) fn stat(pid: u32) -> Option<Stat> {
    // A name may be any bytes.
    let line = fs::read(format!("/proc/{pid}/stat")).ok()?;
    Stat::parse(&String::from_utf8_lossy(&line))
}

/// How long a process has computed, itself and in the kernel, in clock ticks.
pub(super) fn cpu_ticks(pid: u32) -> Option<u64> {
    let line = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let line = String::from_utf8_lossy(&line);
    // utime and stime are fields 14 and 15; the state behind the name is field 3.
    let mut fields = line.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// The start of a living process; `None`: there is none, or it is a zombie.
pub(super) fn start_ticks(pid: u32) -> Option<u64> {
    stat(pid).filter(|stat| !stat.dead).map(|stat| stat.start_ticks)
}

/// A handle on the very process that `pid` and `start_ticks` name; `None`: it is dead.
pub(super) fn open(pid: u32, start_ticks: u64) -> Option<OwnedFd> {
    let handle = pidfd_open(to_pid(pid)?, PidfdFlags::empty()).ok()?;
    // Compared after the handle is there: from here on it cannot become another process's.
    (self::start_ticks(pid) == Some(start_ticks)).then_some(handle)
}

/// The number as the kernel takes it.
pub(super) fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// The numbers of all processes.
pub(super) fn pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether a shim lives in `folder`: that is its working directory from its start on.
pub(super) fn has_shim(folder: &Utf8Path) -> bool {
    pids().any(|pid| {
        let is_there = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder.as_std_path());
        is_there && stat(pid).is_some_and(|stat| !stat.dead)
    })
}

/// The living processes below `root`, parents before children.
pub(super) fn descendants(root: u32) -> Vec<(u32, Stat)> {
    let mut children: HashMap<u32, Vec<(u32, Stat)>> = HashMap::new();
    for pid in pids() {
        if let Some(stat) = stat(pid) {
            children.entry(stat.parent).or_default().push((pid, stat));
        }
    }
    let mut found = Vec::new();
    // The snapshot is not of one moment: a pid that came back could make a circle.
    let mut seen = HashSet::from([root]);
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        for (pid, stat) in children.remove(&parent).unwrap_or_default() {
            if seen.insert(pid) {
                open.push(pid);
                if !stat.dead {
                    found.push((pid, stat));
                }
            }
        }
    }
    found
}

/// The children of the calling process, zombies included. The process must have one thread.
pub(super) fn own_children() -> Vec<u32> {
    let own = std::process::id();
    match fs::read_to_string(format!("/proc/{own}/task/{own}/children")) {
        Ok(list) => list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect(),
        // A kernel without CONFIG_PROC_CHILDREN.
        Err(_) => pids().filter(|pid| stat(*pid).is_some_and(|stat| stat.parent == own)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_whatever_the_name_is() {
        let rest = "S 7 8 9 0 -1 4194560 11 12 13 14 15 16 17 18 20 0 1 0 123456 21 22";
        let expected = Stat { name: "a) R (b".to_owned(), dead: false, parent: 7, group: 8, start_ticks: 123_456 };
        assert_eq!(Stat::parse(&format!("42 (a) R (b) {rest}")), Some(expected), "a name with parentheses");
        assert!(Stat::parse(&format!("42 (x) {}", rest.replacen('S', "Z", 1))).unwrap().dead, "a zombie");
        assert_eq!(Stat::parse("42 (x) S 7"), None, "a line that is cut");
    }

    #[test]
    fn own_process_is_found_and_no_other_start() {
        let own = std::process::id();
        let start = start_ticks(own).unwrap();
        assert!(open(own, start).is_some());
        assert!(open(own, start + 1).is_none(), "the same number with another start is another process");
    }
}
