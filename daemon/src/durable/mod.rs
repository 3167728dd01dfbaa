//! The only module that writes state: whole files, appended lines, links, locks.
//!
//! Invariants: a file that is replaced is written beside itself under a random name (`O_EXCL`, mode 0600), fsynced,
//! renamed, and its directory fsynced, so that a reader sees the old or the new one (what is called `for_now` leaves out
//! the syncs: it outlives every process, and not a crash of the machine); nothing follows a link at the last
//! step of a path. All functions block: the callers are `spawn_blocking`, the start of the process, and the shim.
//!
//! Not here: what the files mean.

mod append; // Appender: lines at the end of a file
mod layout; // where things lie in the state directory
mod lock; // Lock: flock for as long as it lives
mod private; // what is the user's alone
mod replace; // whole files, links, directories
mod reserved; // room that is taken before it is needed

pub use append::Appender;
pub use layout::{StateLayout, WorkspaceLayout};
pub use lock::Lock;
pub(crate) use private::{open_private, why_not_private};
pub use replace::{
    copy, create_dir, create_dir_for_now, create_new_for_now, read, read_json, remove_dir, remove_file, rename,
    rename_for_now, replace, replace_for_now, replace_for_now_bytes, replace_json, replace_link, replace_with_mode,
};
pub use reserved::Reserved;

use burrow_protocol::error::ErrorCode;
use camino::Utf8PathBuf;

use crate::coded::Coded;

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DurableError {
    /// Reading failed.
    #[error("read {path}")]
    Read {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Writing, renaming, linking or removing failed.
    #[error("write {path}")]
    Write {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The content is not what was written there.
    #[error("read {path}: it is damaged")]
    Damaged {
        /// The file.
        path: Utf8PathBuf,
        /// Where.
        source: serde_json::Error,
    },
}

impl DurableError {
    fn read(path: &camino::Utf8Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    fn write(path: &camino::Utf8Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }

    /// Whether the file system has no room left.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        let (Self::Read { source, .. } | Self::Write { source, .. }) = self else { return false };
        matches!(source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
    }
}

impl Coded for DurableError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Write { .. } if self.is_disk_full() => ErrorCode::DiskFull,
            Self::Write { .. } | Self::Read { .. } | Self::Damaged { .. } => ErrorCode::StateUnwritable,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Write { .. } if self.is_disk_full() => {
                "free some space on that file system, then try again".to_owned()
            }
            Self::Write { path, .. } => {
                format!("make {path} writable for this user, or set BURROW_STATE_DIR to a folder that is")
            }
            Self::Read { path, .. } => format!("make {path} readable for this user"),
            Self::Damaged { path, .. } => format!("move {path} away: it is written anew"),
        })
    }
}
