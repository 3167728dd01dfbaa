//! Waiting for the end of a process that is not our child.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
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

    /// Returns once the process has ended.
    ///
    /// # Errors
    /// The runtime cannot wait for it.
    pub async fn ended(self) -> io::Result<()> {
        let Some(pidfd) = self.pidfd else { return Ok(()) };
        // It becomes readable at the end.
        super::run::watch(pidfd)?.readable().await.map(drop)
    }

    /// Returns once the process has ended, or `deadline` has passed: then `false`. Blocks: a command line has nothing else to
    /// do then.
    #[must_use]
    pub fn wait(&self, deadline: Duration) -> bool {
        let Some(pidfd) = &self.pidfd else { return true };
        let until = Instant::now() + deadline;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
            // It becomes readable at the end.
            match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&timeout)) {
                Ok(ready) => return ready > 0,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
}
