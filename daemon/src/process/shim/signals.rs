//! Signals as bytes in a pipe, so that the loop waits for everything in one place.
//!
//! CHLD tells that a process may have ended. TERM, INT, HUP and QUIT mean "end the command", as a request to cancel does.
//! A signal that is handled is at its default again in the program that `exec` starts, even one that our own parent had
//! ignored.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::low_level::pipe;

/// The pipes.
#[derive(Debug)]
pub(super) struct Signals {
    child: UnixStream,
    end: UnixStream,
}

impl Signals {
    /// From here on, signals come through the pipes.
    ///
    /// # Errors
    /// Where there are no descriptors left.
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self { child: pipe_of(&[SIGCHLD])?, end: pipe_of(&[SIGTERM, SIGINT, SIGHUP, SIGQUIT])? })
    }

    /// Readable when a process may have ended.
    pub(super) fn child_fd(&self) -> BorrowedFd<'_> {
        self.child.as_fd()
    }

    /// Readable when the command is to be ended.
    pub(super) fn end_fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }

    /// Forgets the CHLD signals so far.
    pub(super) fn clear_child(&self) {
        count(&self.child);
    }

    /// How often the end was asked for since the last call.
    pub(super) fn take_end(&self) -> usize {
        count(&self.end)
    }
}

fn pipe_of(signals: &[i32]) -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    read.set_nonblocking(true)?;
    for signal in signals {
        pipe::register(*signal, write.try_clone()?)?;
    }
    Ok(read)
}

fn count(pipe: &UnixStream) -> usize {
    let mut bytes = [0; 64];
    let mut total = 0;
    while let Ok(length @ 1..) = rustix::io::read(pipe, &mut bytes) {
        total += length;
    }
    total
}
