//! A client of the daemon: finds it, starts it if need be, and calls its methods by type.
//!
//! State: one connection; the requests that wait for their answers. A client accepts a state directory only if it is safe,
//! and a server only if it runs as the user it looks for.

mod connection; // frames, answers, notifications
mod find; // the rendezvous
mod standing; // which of two builds gives way
mod start; // starting the daemon

pub use connection::{Client, Notification};
pub use find::{Finder, Identity};
pub use standing::Standing;

use burrow_protocol::error::{ErrorCode, ErrorData};
use camino::Utf8PathBuf;

use crate::coded::Coded;

/// Why the daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No daemon runs.
    #[error("reach the daemon: none runs in {state_dir}")]
    NotRunning {
        /// Where it would be.
        state_dir: Utf8PathBuf,
    },
    /// The user stopped it, and it stays stopped.
    #[error("reach the daemon: it was stopped by `burrow stop`")]
    Stopped,
    /// What is found is not to be trusted.
    #[error("trust {path}: {why}")]
    Untrusted {
        /// The directory or socket.
        path: Utf8PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The connection broke.
    #[error("speak with the daemon")]
    Connection {
        /// Why.
        source: std::io::Error,
    },
    /// The daemon could not be started.
    #[error("start the daemon: {why}")]
    Start {
        /// Why.
        why: String,
    },
    /// It was asked to end, and did not.
    #[error("end the daemon: process {pid} still runs")]
    StillRuns {
        /// Its process.
        pid: u32,
    },
    /// The daemon says no.
    #[error("{}", .0.message)]
    Refused(ErrorData),
}

impl ClientError {
    /// The error as it is told: a refusal keeps the daemon's own code and hint.
    #[must_use]
    pub fn data(&self) -> ErrorData {
        match self {
            Self::Refused(data) => data.clone(),
            other => other.to_data(),
        }
    }
}

impl Coded for ClientError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotRunning { .. } | Self::Connection { .. } => ErrorCode::DaemonUnreachable,
            Self::Stopped => ErrorCode::StoppedByUser,
            Self::Untrusted { .. } => ErrorCode::StateUnsafe,
            Self::Start { .. } => ErrorCode::DaemonStart,
            Self::StillRuns { .. } => ErrorCode::Internal,
            Self::Refused(data) => ErrorCode::from_code(&data.code).unwrap_or(ErrorCode::Internal),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotRunning { .. } | Self::Stopped => Some("start it with `burrow start`".to_owned()),
            Self::Untrusted { .. } => Some("set BURROW_STATE_DIR to a folder of your own".to_owned()),
            Self::Connection { .. } => Some("look at the end of `daemon.log` in the state directory".to_owned()),
            Self::StillRuns { pid } => {
                Some(format!("look at `daemon.log` in the state directory, then end it with `kill -9 {pid}`"))
            }
            Self::Start { .. } => Some("run `burrow daemon` to see it fail in the foreground".to_owned()),
            Self::Refused(data) => data.hint.clone(),
        }
    }
}
