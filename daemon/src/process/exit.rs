//! Waiting for the end of a process that is not our child.

use std::io;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;

/// A process that somebody waits for. Its number may be given to another one meanwhile: this stays the same.
#[derive(Debug)]
pub struct Exit {
    /// `None`: it was gone already.
    pidfd: Option<AsyncFd<rustix::fd::OwnedFd>>,
}

impl Exit {
    /// The process `pid`, as it is now.
    ///
    /// # Errors
    /// The kernel's refusal, as on one that knows no pidfd.
    pub fn of(pid: u32) -> io::Result<Self> {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(Self { pidfd: None }) };
        match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(pidfd) => Ok(Self { pidfd: Some(AsyncFd::register(pidfd)?) }),
            Err(rustix::io::Errno::SRCH) => Ok(Self { pidfd: None }),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns once the process has ended.
    pub async fn wait(&self) {
        if let Some(pidfd) = &self.pidfd {
            // It becomes readable at the end; an error could only come from the runtime's own end.
            let _ = pidfd.readable().await;
        }
    }
}
