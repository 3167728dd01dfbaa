//! Waiting for the end of a process that is not our child.

use std::io;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A process that somebody waits for. Its number may be given to another one meanwhile: this stays the same.
#[derive(Debug)]
pub struct Exit {
    /// `None`: it was gone already.
    pidfd: Option<OwnedFd>,
}

impl Exit {
    /// The process `pid`, as it is now.
    ///
    /// # Errors
    /// The kernel's refusal, as on one that knows no pidfd.
    pub fn of(pid: u32) -> io::Result<Self> {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(Self { pidfd: None }) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Self { pidfd: Some(pidfd) }),
            Err(Errno::SRCH) => Ok(Self { pidfd: None }),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns once the process has ended. Blocks: a command line has nothing else to do then.
    pub fn wait(&self) {
        let Some(pidfd) = &self.pidfd else { return };
        // It becomes readable at the end.
        while poll(&mut [PollFd::new(pidfd, PollFlags::IN)], None) == Err(Errno::INTR) {}
    }
}
