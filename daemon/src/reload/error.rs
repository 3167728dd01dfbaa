//! Why a reload does not begin.

use burrow_protocol::error::ErrorCode;
use camino::Utf8PathBuf;

use crate::coded::Coded;
use crate::durable::DurableError;

/// Why a reload does not begin. To be read after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// There is no such reload.
    #[error("find {id}: there is no such reload")]
    Unknown {
        /// The name that was given.
        id: String,
    },
    /// A settings file cannot be read.
    #[error("read {path}: {why}")]
    Config {
        /// The file.
        path: Utf8PathBuf,
        /// Why, with line and column where it is its text.
        why: String,
    },
    /// A setting makes no sense.
    #[error("reload: {why}")]
    Settings {
        /// What is wrong.
        why: String,
    },
    /// State cannot be written.
    #[error(transparent)]
    State(#[from] DurableError),
    /// The daemon is ending.
    #[error("reload: the daemon is stopping")]
    Stopping,
}

impl Coded for ReloadError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown { .. } => ErrorCode::ReloadUnknown,
            Self::Config { .. } | Self::Settings { .. } => ErrorCode::ReloadSettings,
            Self::State(error) => error.code(),
            Self::Stopping => ErrorCode::DaemonUnreachable,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } => Some("start it again with `burrow dev`".to_owned()),
            Self::Config { .. } => Some("correct the file, or name another one with `burrow dev --config`".to_owned()),
            Self::Settings { .. } => {
                Some("correct `customizations.burrow.reload` in devcontainer.json, or `.air.toml`".to_owned())
            }
            Self::State(error) => error.hint(),
            Self::Stopping => Some("start it again with `burrow start`".to_owned()),
        }
    }
}
