//! What of a sandbox is still alive: its processes and sockets, found by the sandbox's path.

use std::fmt;
use std::fs;
use std::time::Duration;

use camino::Utf8Path;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

/// A process that lives (a zombie does not).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its id.
    pub(crate) pid: u32,
    /// Program and arguments.
    pub(crate) command: String,
    marks: Vec<u8>,
}

impl Process {
    /// Reads `/proc/PID`; `None` when there is no such process, or only its zombie.
    pub(crate) fn read(pid: u32) -> Option<Self> {
        let folder = format!("/proc/{pid}");
        let status = fs::read_to_string(format!("{folder}/stat")).ok()?;
        let state = status[status.rfind(')')? + 1..].trim_start().chars().next()?;
        if matches!(state, 'Z' | 'X') {
            return None;
        }
        let mut marks = fs::read(format!("{folder}/cmdline")).ok()?;
        let command = String::from_utf8_lossy(&marks).replace('\0', " ").trim_end().to_owned();
        marks.extend(fs::read(format!("{folder}/environ")).unwrap_or_default());
        let cwd = fs::read_link(format!("{folder}/cwd"));
        marks.extend(cwd.into_iter().flat_map(|cwd| cwd.into_os_string().into_encoded_bytes()));
        Some(Self { pid, command, marks })
    }

    /// Whether its command line, environment or folder names `root`.
    pub(super) fn belongs_to(&self, root: &Utf8Path) -> bool {
        let root = root.as_str().as_bytes();
        self.marks.windows(root.len()).any(|window| window == root)
    }
}

impl fmt::Display for Process {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} `{}`", self.pid, self.command)
    }
}

/// Every living process but this one whose command line, environment or folder names `root`.
pub(super) fn processes_of(root: &Utf8Path) -> Vec<Process> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != std::process::id())
        .filter_map(Process::read)
        .filter(|process| process.belongs_to(root))
        .collect()
}

/// Every Unix socket that is bound to a path below `root`.
pub(super) fn sockets_of(root: &Utf8Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/net/unix").unwrap();
    let paths = table.lines().filter_map(|line| line.split_ascii_whitespace().nth(7));
    let mut paths: Vec<_> = paths.filter(|path| Utf8Path::new(path).starts_with(root)).map(ToOwned::to_owned).collect();
    paths.sort();
    paths.dedup();
    paths
}

/// Sends SIGKILL and waits for the end of the last thread: only then are the sockets closed and the locks free.
pub(super) fn kill_and_wait(pid: u32, limit: Duration) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
    let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&process, Signal::KILL).unwrap();
    let limit = Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: 0 };
    // A child of the test that ends meanwhile interrupts the wait.
    let ended = retry_on_intr(|| poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit))).unwrap();
    assert_eq!(ended, 1, "the killed process {pid} has ended");
}

/// Sends SIGKILL.
pub(super) fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, Signal::KILL);
    }
}
