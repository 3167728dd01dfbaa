//! What crosses `ctl.sock` between a shim and whoever follows it: one JSON object a line. Messages that a side does not
//! know are passed over, so that daemons and shims of neighbouring versions understand each other.

use camino::Utf8PathBuf;
use rustix::fs::{Mode, OFlags};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::{Folder, TerminalSize};

/// No line is longer.
pub(super) const MAX_LINE_BYTES: usize = 4096;

/// From a daemon to a shim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ToShim {
    /// End the command; the second one kills at once.
    Cancel {},
    /// Type this into the command's terminal.
    Input {
        /// At most [`MAX_INPUT_BYTES`].
        text: String,
    },
    /// The command's terminal has another size.
    Resize(TerminalSize),
    /// Put into the log what the command has written until now, and answer [`FromShim::Flushed`].
    Flush {},
}

/// No input is longer: escaped in JSON it fits a line.
pub(super) const MAX_INPUT_BYTES: usize = 512;

/// From a shim to each of its followers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum FromShim {
    /// The first message: the version of this contract, and the command's process.
    Hello {
        /// [`super::SCHEMA`] of the shim.
        schema: u32,
        /// The command's process.
        pid: u32,
        /// Whether it has a terminal.
        #[serde(default)]
        tty: bool,
    },
    /// So many bytes of output are in the log. Sent when the number has grown, not for each write.
    Output(u64),
    /// What was written when [`ToShim::Flush`] came is among so many bytes in the log. To the one who asked.
    Flushed(u64),
    /// The outcome is on disk. The last message.
    Ended {},
}

/// A message as a line.
pub(super) fn to_line<T: Serialize>(message: &T) -> Vec<u8> {
    // These enums have no map with other keys than text: they always serialize.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// The message on a line, if it is one that this side knows.
pub(super) fn from_line<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    serde_json::from_slice(line).ok()
}

/// A path to the folder's `ctl.sock` that fits into a socket address, whatever the folder's own length (the limit is
/// 107 bytes). Good as long as the handle is held.
pub(super) fn socket_path(folder: &Folder) -> io::Result<(OwnedFd, Utf8PathBuf)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle = rustix::fs::open(folder.dir().as_std_path(), flags, Mode::empty())?;
    let path = Utf8PathBuf::from(format!("/proc/self/fd/{}/ctl.sock", handle.as_raw_fd()));
    Ok((handle, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_form() {
        for (message, line) in [
            (
                FromShim::Hello { schema: 1, pid: 42, tty: false },
                "{\"hello\":{\"schema\":1,\"pid\":42,\"tty\":false}}\n",
            ),
            (FromShim::Output(123), "{\"output\":123}\n"),
            (FromShim::Flushed(123), "{\"flushed\":123}\n"),
            (FromShim::Ended {}, "{\"ended\":{}}\n"),
        ] {
            assert_eq!(String::from_utf8(to_line(&message)).unwrap(), line);
            assert_eq!(from_line(line.as_bytes()), Some(message));
        }
        assert_eq!(to_line(&ToShim::Cancel {}), b"{\"cancel\":{}}\n");
        assert_eq!(from_line(b"{\"cancel\":{\"why\":\"new\"}}"), Some(ToShim::Cancel {}), "a newer daemon says more");
        assert_eq!(from_line::<ToShim>(b"{\"rename\":{}}"), None, "a newer daemon knows more");
        let hello = FromShim::Hello { schema: 1, pid: 42, tty: false };
        assert_eq!(from_line(b"{\"hello\":{\"schema\":1,\"pid\":42}}"), Some(hello), "an older shim has no terminals");
    }

    #[test]
    fn input_fits_a_line_however_it_is_escaped() {
        let message = ToShim::Input { text: "\u{1}".repeat(MAX_INPUT_BYTES) };
        let line = to_line(&message);
        assert!(line.len() < MAX_LINE_BYTES, "{} bytes", line.len());
        assert_eq!(from_line(&line), Some(message));
    }
}
