//! Why there is no daemon, or a workspace in it is not open.

use burrow_protocol::error::ErrorCode;
use camino::Utf8PathBuf;

use crate::coded::Coded;
use crate::container::IdentityError;
use crate::durable::DurableError;
use crate::rpc::ListenError;

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another daemon has the state directory.
    #[error("start the daemon: another one has {state_dir}")]
    Running {
        /// The directory.
        state_dir: Utf8PathBuf,
    },
    /// The state directory is not safe to use.
    #[error("use the state directory {path}: {why}")]
    Unsafe {
        /// The directory.
        path: Utf8PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// State cannot be read or written.
    #[error("prepare the state directory")]
    State {
        /// Why.
        #[from]
        source: DurableError,
    },
    /// The container's identity cannot be established.
    #[error("know the container")]
    Identity {
        /// Why.
        #[from]
        source: IdentityError,
    },
    /// Root cannot become the user whose daemon it is to start.
    #[error("become {user}")]
    Become {
        /// The user.
        user: String,
        /// Why.
        source: std::io::Error,
    },
    /// The operating system refuses what every process needs.
    #[error("set up the daemon's process")]
    Runtime {
        /// Why.
        source: std::io::Error,
    },
    /// The socket does not listen.
    #[error("open the daemon's socket")]
    Listen {
        /// Why.
        #[from]
        source: ListenError,
    },
}

impl Coded for StartError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Running { .. } => ErrorCode::DaemonRunning,
            Self::Become { .. } | Self::Runtime { .. } => ErrorCode::DaemonStart,
            Self::Unsafe { .. } => ErrorCode::StateUnsafe,
            Self::State { source } => source.code(),
            Self::Identity { source } => source.code(),
            Self::Listen { source } => source.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Running { .. } => Some("use the one that runs: `burrow status`".to_owned()),
            Self::Unsafe { path, .. } => {
                Some(format!("remove {path}, or set BURROW_STATE_DIR to a folder of your own"))
            }
            Self::Become { user, .. } => Some(format!(
                "give the container the capabilities SETUID and SETGID, or call Burrow as {user} (`docker exec --user {user}`)"
            )),
            Self::Runtime { .. } => None,
            Self::State { source } => source.hint(),
            Self::Identity { source } => source.hint(),
            Self::Listen { source } => source.hint(),
        }
    }
}

/// Why a workspace was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such folder.
    #[error("open {path}: it is no folder")]
    NoFolder {
        /// The path as asked for.
        path: Utf8PathBuf,
        /// The folder that it is here, where it is one of the host's.
        here: Option<String>,
    },
    /// Its state cannot be kept.
    #[error("open {path}")]
    State {
        /// The folder.
        path: Utf8PathBuf,
        /// Why.
        source: DurableError,
    },
}

impl Coded for OpenError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NoFolder { .. } => ErrorCode::NoFolder,
            Self::State { source, .. } => source.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoFolder { here: Some(here), .. } => Some(format!("that is its path on the host: name {here}")),
            Self::NoFolder { here: None, .. } => Some("name an existing folder with `--workspace`".to_owned()),
            Self::State { source, .. } => source.hint(),
        }
    }
}
