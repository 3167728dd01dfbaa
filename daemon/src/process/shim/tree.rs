//! The processes of the command: the program, and all that came of it.
//!
//! The shim is a subreaper, so whatever the program starts stays below it, in any group or session. The program's group
//! is signalled before the program is reaped (until then nobody else can have its number); the others are signalled
//! through pidfds.

use burrow_protocol::SafeInt;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, pidfd_send_signal, waitid, waitpid,
};

use super::ending::Status;
use crate::process::outcome::Survivor;
use crate::process::procfs;

/// The processes of the command.
#[derive(Debug)]
pub(super) struct Tree {
    /// `None` once it is reaped.
    program: Option<Pid>,
}

impl Tree {
    /// The tree of a program that was just started as a group of its own.
    pub(super) const fn new(program: Pid) -> Self {
        Self { program: Some(program) }
    }

    /// How the program ended, if it has. It is not reaped.
    pub(super) fn look(&self) -> Option<Status> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(self.program?), options).ok()??;
        status.exit_status().map(Status::Exited).or_else(|| status.terminating_signal().map(Status::Signaled))
    }

    /// Reaps the program; to be called when it has ended and its group was told what it should be told.
    pub(super) fn reap_program(&mut self) {
        if let Some(program) = self.program.take() {
            // It is a zombie of ours: there is nothing to wait for.
            let _ = waitpid(Some(program), WaitOptions::NOHANG);
        }
    }

    /// Reaps what was orphaned, came to us and ended.
    pub(super) fn reap_orphans(&self) {
        for pid in procfs::own_children().into_iter().filter_map(procfs::to_pid) {
            if Some(pid) != self.program {
                let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
    }

    /// Whether no process is left, not even one to be reaped.
    pub(super) fn is_empty(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        matches!(waitid(WaitId::All, options), Err(Errno::CHILD))
    }

    /// Sends `signals` to every process. The program, where it has ended, is reaped.
    pub(super) fn signal(&mut self, signals: &[Signal]) {
        let group = self.program;
        if let Some(program) = group {
            for signal in signals {
                // No such group: its last process has moved to another one, and is found below.
                let _ = kill_process_group(program, *signal);
            }
            if self.look().is_some() {
                self.reap_program();
            }
        }
        if self.is_empty() {
            return;
        }
        let group = group.map(|pid| pid.as_raw_nonzero().get().cast_unsigned());
        for (pid, stat) in procfs::descendants(std::process::id()) {
            if Some(stat.group) != group
                && let Some(process) = procfs::open(pid, stat.start_ticks)
            {
                for signal in signals {
                    // It has just ended, or is not ours to signal: then it is told as left.
                    let _ = pidfd_send_signal(&process, *signal);
                }
            }
        }
    }

    /// The processes that live.
    pub(super) fn survivors(&self) -> Vec<Survivor> {
        if self.is_empty() {
            return Vec::new();
        }
        procfs::descendants(std::process::id())
            .into_iter()
            .map(|(pid, stat)| Survivor { pid, start_ticks: SafeInt::saturating(stat.start_ticks), name: stat.name })
            .collect()
    }
}
