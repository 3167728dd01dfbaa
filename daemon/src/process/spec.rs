//! What a shim is told, and how it crosses the shim's standard input: one frame, a big-endian `u32` length and JSON.
//!
//! The specification never touches the disk: it holds the caller's environment and the secrets.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

/// The longest frame: far above what `execve` takes for arguments and environment.
const MAX_FRAME_BYTES: u32 = 16 * 1024 * 1024;

/// What a shim is told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShimSpec {
    /// The version of this contract: [`super::SCHEMA`].
    pub schema: u32,
    /// The value of `BURROW_RUN` in every process of the command.
    pub run: String,
    /// The command's folder: it exists, and it is the shim's alone.
    pub folder: Utf8PathBuf,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The command's environment, complete.
    pub env: BTreeMap<String, String>,
    /// Where the command runs.
    pub cwd: Utf8PathBuf,
    /// The command is ended after this long; `None`: never.
    pub timeout_ms: Option<u32>,
    /// How long the processes have between TERM and KILL.
    pub grace_ms: u32,
    /// The program has ended and its output is still open: read on for this long.
    pub leak_ms: u32,
    /// Values to mask in the output. Those shorter than 4 bytes are not masked.
    pub secrets: Vec<String>,
    /// What becomes of processes that are left when the program has succeeded.
    pub survivors: Survivors,
    /// Whether the command ends when the daemon dies or drops its [`super::Shim`].
    pub lifeline: bool,
    /// The command runs in a terminal of its own of this size: both its streams are one, and it can be typed into. Else
    /// there is nothing on its standard input.
    #[serde(default)]
    pub tty: Option<TerminalSize>,
    /// Whether the command is asked to end by INT instead of TERM.
    #[serde(default)]
    pub interrupt: bool,
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TerminalSize {
    /// Its height.
    pub rows: u16,
    /// Its width.
    pub cols: u16,
}

impl Default for TerminalSize {
    /// The size of terminals since the VT100.
    fn default() -> Self {
        Self { rows: 24, cols: 80 }
    }
}

/// What becomes of background processes that are left when the program has ended with exit code 0. After any other end
/// they are ended too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Survivors {
    /// They go on, and the outcome names them.
    KeepOnSuccess,
    /// They are ended.
    EndAlways,
}

impl fmt::Debug for ShimSpec {
    /// Leaves out the values of the environment and the secrets, and the arguments, which may hold secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ShimSpec")
            .field("run", &self.run)
            .field("folder", &self.folder)
            .field("program", &self.program())
            .field("cwd", &self.cwd)
            .field("timeout_ms", &self.timeout_ms)
            .field("survivors", &self.survivors)
            .field("lifeline", &self.lifeline)
            .field("tty", &self.tty)
            .finish_non_exhaustive()
    }
}

impl ShimSpec {
    /// The program, for messages.
    #[must_use]
    pub fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// The frame that a shim reads.
    ///
    /// # Errors
    /// `InvalidInput` where it is longer than a frame may be.
    pub(super) fn to_frame(&self) -> io::Result<Vec<u8>> {
        let body = serde_json::to_vec(self)?;
        let length = u32::try_from(body.len()).ok().filter(|length| *length <= MAX_FRAME_BYTES).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("the command has {} bytes of arguments", body.len()))
        })?;
        Ok([&length.to_be_bytes()[..], &body].concat())
    }

    /// Reads one frame and no byte more.
    ///
    /// # Errors
    /// `UnexpectedEof` where the stream ends within it, `InvalidData` where it is no specification of this contract.
    pub(super) fn read_frame(mut from: impl Read) -> io::Result<Self> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > MAX_FRAME_BYTES {
            return Err(invalid(format!("a frame of {length} bytes; the limit is {MAX_FRAME_BYTES}")));
        }
        let mut body = Vec::new();
        from.take(u64::from(length)).read_to_end(&mut body)?;
        if body.len() < length as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let spec: Self = serde_json::from_slice(&body)?;
        if spec.schema != super::SCHEMA {
            return Err(invalid(format!("schema {} is not known; this shim knows {}", spec.schema, super::SCHEMA)));
        }
        if spec.argv.is_empty() {
            return Err(invalid("there is no program to run".to_owned()));
        }
        Ok(spec)
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ShimSpec {
        ShimSpec {
            schema: 1,
            run: "7-postCreate".to_owned(),
            folder: "/state/runs/7".into(),
            argv: vec!["sh".to_owned(), "-c".to_owned(), "true".to_owned()],
            env: [("TOKEN".to_owned(), "hunter2".to_owned())].into(),
            cwd: "/work".into(),
            timeout_ms: Some(1000),
            grace_ms: 5000,
            leak_ms: 2000,
            secrets: vec!["hunter2".to_owned()],
            survivors: Survivors::KeepOnSuccess,
            lifeline: false,
            tty: None,
            interrupt: false,
        }
    }

    #[test]
    fn frame_is_read_back_and_leaves_what_follows() {
        let mut bytes = spec().to_frame().unwrap();
        bytes.extend_from_slice(b"rest");
        let mut from = &bytes[..];
        assert_eq!(ShimSpec::read_frame(&mut from).unwrap(), spec());
        assert_eq!(from, b"rest");
    }

    #[test]
    fn frame_that_is_cut_or_wrong_is_refused() {
        let whole = spec().to_frame().unwrap();
        let newer = ShimSpec { schema: 2, ..spec() }.to_frame().unwrap();
        let empty = ShimSpec { argv: vec![], ..spec() }.to_frame().unwrap();
        for (bytes, kind, why) in [
            (&b""[..], io::ErrorKind::UnexpectedEof, "the daemon died before it wrote"),
            (&whole[..2], io::ErrorKind::UnexpectedEof, "the daemon died within the length"),
            (&whole[..whole.len() - 1], io::ErrorKind::UnexpectedEof, "the daemon died within the body"),
            (&[0xff, 0xff, 0xff, 0xff, 0][..], io::ErrorKind::InvalidData, "no frame is that long"),
            (&newer[..], io::ErrorKind::InvalidData, "a newer contract may mean other things"),
            (&empty[..], io::ErrorKind::InvalidData, "there is nothing to run"),
        ] {
            assert_eq!(ShimSpec::read_frame(bytes).unwrap_err().kind(), kind, "{why}");
        }
    }

    #[test]
    fn debug_holds_no_secret() {
        assert!(!format!("{:?}", spec()).contains("hunter2"));
    }
}
