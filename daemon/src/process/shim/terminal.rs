//! A terminal for the command: a pseudo terminal whose other end is ours.
//!
//! Invariants: typing never blocks the shim; what the command does not read is kept up to [`MOST_TYPED`] bytes.
#![expect(unsafe_code, reason = "only the child itself can make a terminal its own, between fork and exec")]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::process::TerminalSize;

/// What is typed ahead beyond this is dropped.
const MOST_TYPED: usize = 64 * 1024;

/// Our end.
#[derive(Debug)]
pub(super) struct Terminal {
    end: OwnedFd,
    /// Typed, and not taken by the terminal yet.
    typed: Vec<u8>,
}

impl Terminal {
    /// A new terminal, and the end for the command.
    ///
    /// # Errors
    /// Where there are no terminals or descriptors left.
    pub(super) fn open(size: TerminalSize) -> io::Result<(Self, OwnedFd)> {
        let end = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&end)?;
        unlockpt(&end)?;
        let name = ptsname(&end, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let other = rustix::fs::open(&name, flags, Mode::empty())?;
        fcntl_setfl(&end, fcntl_getfl(&end)? | OFlags::NONBLOCK)?;
        let terminal = Self { end, typed: Vec::new() };
        terminal.resize(size)?;
        Ok((terminal, other))
    }

    /// A second handle on our end, to read from.
    pub(super) fn reader(&self) -> io::Result<OwnedFd> {
        self.end.try_clone()
    }

    /// Tells the terminal's size; its programs get WINCH.
    pub(super) fn resize(&self, TerminalSize { rows, cols }: TerminalSize) -> io::Result<()> {
        Ok(tcsetwinsize(&self.end, Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 })?)
    }

    /// Types `text`.
    pub(super) fn type_in(&mut self, text: &str) {
        let room = MOST_TYPED.saturating_sub(self.typed.len());
        self.typed.extend_from_slice(&text.as_bytes()[..text.len().min(room)]);
        self.flush();
    }

    /// Our end, while something waits to be written to it.
    pub(super) fn waiting(&self) -> Option<BorrowedFd<'_>> {
        (!self.typed.is_empty()).then(|| self.end.as_fd())
    }

    /// Writes what the terminal takes now.
    pub(super) fn flush(&mut self) {
        while !self.typed.is_empty() {
            match rustix::io::write(&self.end, &self.typed) {
                Ok(length) => drop(self.typed.drain(..length)),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                // Nobody reads any more.
                Err(_) => self.typed.clear(),
            }
        }
    }
}

/// Has `command` lead a session of its own, with its standard input as the session's terminal.
pub(super) fn lead_session(command: &mut Command) {
    let lead = || {
        rustix::process::setsid()?;
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        Ok(())
    };
    // SAFETY: the closure makes two system calls and nothing else; it takes no lock and no memory.
    unsafe { command.pre_exec(lead) };
}
