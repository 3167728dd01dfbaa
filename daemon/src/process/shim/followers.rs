//! `ctl.sock`: who follows the command. A follower never slows the command: what it does not read is not sent.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use crate::process::control::{self, FromShim, ToShim};
use crate::process::{Folder, SCHEMA};

/// The output's growth is told no more often than this.
const OUTPUT_EVERY: Duration = Duration::from_millis(20);
/// A follower has this long to take the last message.
const LAST_WORD: Duration = Duration::from_secs(1);
/// More connections than any daemon has use for are not taken.
const MAX_FOLLOWERS: usize = 16;

/// The socket and its connections.
#[derive(Debug)]
pub(super) struct Followers {
    listener: UnixListener,
    /// Whether the command has a terminal.
    tty: bool,
    followers: Vec<Follower>,
    /// Bytes of output, and when the number may be told again.
    output: u64,
    tell_at: Duration,
}

#[derive(Debug)]
struct Follower {
    stream: UnixStream,
    /// The beginning of a line that is not complete.
    received: Vec<u8>,
    unsent: Vec<u8>,
    /// The output that it was told of; all there can ever be where it does not listen any more.
    told: u64,
    gone: bool,
}

impl Followers {
    /// Listens in `folder`.
    ///
    /// # Errors
    /// Where the socket cannot be made.
    pub(super) fn listen(folder: &Folder, tty: bool) -> io::Result<Self> {
        let (_handle, path) = control::socket_path(folder)?;
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, tty, followers: Vec::new(), output: 0, tell_at: Duration::ZERO })
    }

    /// Readable when somebody connects.
    pub(super) fn listener_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Each connection, and whether it waits for room to send.
    pub(super) fn fds(&self) -> impl Iterator<Item = (BorrowedFd<'_>, bool)> {
        self.followers.iter().map(|follower| (follower.stream.as_fd(), !follower.unsent.is_empty()))
    }

    /// Takes all who wait to connect, and greets them.
    pub(super) fn accept(&mut self, pid: u32) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.followers.len() < MAX_FOLLOWERS && stream.set_nonblocking(true).is_ok() {
                let unsent = control::to_line(&FromShim::Hello { schema: SCHEMA, pid, tty: self.tty });
                let mut follower = Follower { stream, received: Vec::new(), unsent, told: 0, gone: false };
                follower.send();
                self.followers.push(follower);
            }
        }
    }

    /// Reads and writes what there is on the connection of that number in [`Self::fds`]. Returns what was asked.
    pub(super) fn serve(&mut self, number: usize) -> Vec<ToShim> {
        let Some(follower) = self.followers.get_mut(number) else { return Vec::new() };
        follower.send();
        follower.receive()
    }

    /// Tells the connection of that number in [`Self::fds`] that the log has all that it asked for.
    pub(super) fn flushed(&mut self, number: usize, output: u64) {
        let Some(follower) = self.followers.get_mut(number) else { return };
        follower.unsent.extend(control::to_line(&FromShim::Flushed(output)));
        follower.told = follower.told.max(output);
        follower.send();
    }

    /// Tells how much output there is, if it has grown and not just been told. Forgets connections that are gone: their
    /// numbers have changed afterwards.
    pub(super) fn tell_output(&mut self, now: Duration, output: u64) {
        self.followers.retain(|follower| !follower.gone);
        self.output = output;
        if now >= self.tell_at && self.followers.iter().any(|follower| follower.told < output) {
            self.tell_at = now + OUTPUT_EVERY;
            self.send_output();
        }
    }

    /// When [`Self::tell_output`] has something to tell.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.followers.iter().any(|follower| follower.told < self.output).then_some(self.tell_at)
    }

    /// Tells the end: nothing of the folder changes after that. The socket's file stays until the folder goes, and refuses
    /// connections, which is as good as none. To remove it would cost more than it is worth: for minutes ext4 passes over
    /// each number of a removed file, one by one, whenever it makes a new file.
    pub(super) fn end(mut self) {
        self.send_output();
        for follower in &mut self.followers {
            follower.unsent.extend(control::to_line(&FromShim::Ended {}));
            // One that does not read sees the end of the connection.
            let _ = follower.stream.set_nonblocking(false);
            let _ = follower.stream.set_write_timeout(Some(LAST_WORD));
            let _ = follower.stream.write_all(&follower.unsent);
        }
    }

    fn send_output(&mut self) {
        for follower in &mut self.followers {
            if follower.told < self.output && follower.unsent.is_empty() {
                follower.unsent = control::to_line(&FromShim::Output(self.output));
                follower.told = self.output;
                follower.send();
            }
        }
    }
}

impl Follower {
    /// Reads what there is and returns what was asked.
    fn receive(&mut self) -> Vec<ToShim> {
        let mut bytes = [0; 1024];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => self.gone = true,
                Ok(length) => {
                    self.received.extend_from_slice(&bytes[..length]);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.gone = true,
            }
            break;
        }
        let mut asked = Vec::new();
        while let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.received.drain(..=end).collect();
            asked.extend(control::from_line::<ToShim>(&line));
        }
        self.gone |= self.received.len() > control::MAX_LINE_BYTES;
        asked
    }

    /// Sends what the connection takes now.
    fn send(&mut self) {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(length) => drop(self.unsent.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // What it said before it went is still to be read: the end of that tells that it is gone.
                Err(_) => {
                    self.unsent.clear();
                    self.told = u64::MAX;
                }
            }
        }
    }
}
