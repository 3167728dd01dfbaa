//! Why a process could not be started, followed or ended.

use std::time::Duration;

use burrow_protocol::error::ErrorCode;
use camino::Utf8PathBuf;

use crate::coded::Coded;
use crate::durable::DurableError;

/// Why a process could not be started, followed or ended. To be read after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The operating system did not start the program.
    #[error("start {program}")]
    Spawn {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// The shim did not start the program. Its outcome says so on disk as well.
    #[error("start {program}: {message}")]
    NotStarted {
        /// The program.
        program: String,
        /// Why, in the shim's words.
        message: String,
    },
    /// The shim ended before it said that it was ready; [`super::find`] tells whether the command was started.
    #[error("start the shim in {folder}: it ended before it was ready")]
    ShimDied {
        /// The command's folder.
        folder: Utf8PathBuf,
    },
    /// The command was started, or given up, before: it is not started a second time.
    #[error("start the command in {folder}: it was started or given up before")]
    Claimed {
        /// The command's folder.
        folder: Utf8PathBuf,
    },
    /// The shim lives, but it cannot be spoken to.
    #[error("reach the shim in {folder}")]
    Unreachable {
        /// The command's folder.
        folder: Utf8PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is nobody to type for.
    #[error("reach the terminal of the command: it does not run")]
    NotRunning,
    /// The command runs without a terminal.
    #[error("reach the terminal of the command: it has none")]
    NoTerminal,
    /// A file of the command's folder could not be read or written.
    #[error(transparent)]
    State(#[from] DurableError),
    /// A log could not be read.
    #[error("read the log {path}")]
    Log {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The command took longer than it may, and was ended.
    #[error("finish {program} within {} s", deadline.as_secs())]
    Deadline {
        /// The program.
        program: String,
        /// How long it had.
        deadline: Duration,
    },
    /// What the command printed could not be read, or its end not awaited.
    #[error("follow {program}")]
    Follow {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
}

impl ProcessError {
    /// Whether the same may work a little later: a file that is damaged stays so, one that could not be read need not.
    pub(super) const fn may_pass(&self) -> bool {
        matches!(self, Self::State(DurableError::Read { .. } | DurableError::Write { .. }))
    }
}

impl Coded for ProcessError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Spawn { .. } | Self::NotStarted { .. } | Self::ShimDied { .. } => ErrorCode::SpawnFailed,
            Self::Claimed { .. } => ErrorCode::HookRunning,
            Self::State(error) => error.code(),
            Self::Log { .. } => ErrorCode::RunUnknown,
            Self::NotRunning | Self::NoTerminal => ErrorCode::NoTerminal,
            Self::Unreachable { .. } | Self::Deadline { .. } | Self::Follow { .. } => ErrorCode::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Spawn { program, source } if source.kind() == std::io::ErrorKind::NotFound => {
                Some(format!("install {program}, or put its folder on PATH"))
            }
            Self::State(error) => error.hint(),
            Self::NoTerminal => Some("give the command `\"tty\": true` in devcontainer.json".to_owned()),
            Self::NotRunning
            | Self::Spawn { .. }
            | Self::NotStarted { .. }
            | Self::ShimDied { .. }
            | Self::Claimed { .. }
            | Self::Unreachable { .. }
            | Self::Log { .. }
            | Self::Deadline { .. }
            | Self::Follow { .. } => None,
        }
    }
}
