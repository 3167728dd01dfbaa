//! What the Features leave in an image: whose daemon the container has, and the folders that are Burrow's own.

use std::os::unix::fs::MetadataExt;

use burrow_protocol::error::ErrorCode;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use crate::coded::Coded;
use crate::durable::{self, DurableError};
use crate::process::user::User;

/// Written by the Feature's install script, as root: whose daemon this container has.
const FILE: &str = "/etc/burrow/feature.json";
/// One state directory a uid, each named after it.
const STATES: &str = "/var/lib/burrow";
/// What the Feature `burrow-caches` mounts: `mod`, `build` and `store`.
const CACHES: &str = "/var/cache/burrow";
/// The folders in [`CACHES`], and how far below each it is looked for what a command of root's left there. Go makes a folder
/// for each host and path of a module, and 256 for what it builds, with many files in them; a tool of the store is one folder.
const CACHE_LEVELS: [(&str, u32); 3] = [("mod", 4), ("build", 1), ("store", 2)];
/// The fixed path of the tools, which leads to the state directory's `current`.
pub(super) const TOOLS: &str = "/usr/local/share/burrow/tools";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeatureFile {
    remote_user: String,
}

/// The Feature is there, and does not tell whose daemon the container has.
#[derive(Debug, thiserror::Error)]
pub enum FeatureError {
    /// Its file cannot be read.
    #[error("know whose daemon this container has")]
    Unreadable {
        /// Why.
        source: DurableError,
    },
    /// Its file proves nothing.
    #[error("believe {FILE}: it is not root's alone")]
    NotRoots,
    /// The image has no such account.
    #[error("find the user `{name}`, whom {FILE} names, in /etc/passwd")]
    Nobody {
        /// As it is written there.
        name: String,
    },
}

impl Coded for FeatureError {
    fn code(&self) -> ErrorCode {
        ErrorCode::RemoteUserUnknown
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } => {
                format!(
                    "rebuild the container, or as root: echo '{{\"remoteUser\": \"NAME\"}}' >{FILE}; chmod 644 {FILE}"
                )
            }
            Self::NotRoots => format!("as root: chown root {FILE}; chmod go-w {FILE}"),
            Self::Nobody { .. } => format!("correct remoteUser and rebuild the container, or as root correct {FILE}"),
        })
    }
}

/// The account of the Feature's `remoteUser` as it is now: its uid may have changed since the image was built. `None`
/// where there is no Feature. Blocks.
///
/// # Errors
/// [`FeatureError`]: nothing should be done in root's name then, since nobody asked for that.
pub fn remote_user() -> Result<Option<User>, FeatureError> {
    let Ok(metadata) = std::fs::symlink_metadata(FILE) else { return Ok(None) };
    // A file that others may write proves nothing.
    if !metadata.is_file() || metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
        return Err(FeatureError::NotRoots);
    }
    let file: Option<FeatureFile> =
        durable::read_json(FILE.into()).map_err(|source| FeatureError::Unreadable { source })?;
    let Some(FeatureFile { remote_user: name }) = file else { return Ok(None) };
    User::named(&name).map(Some).ok_or(FeatureError::Nobody { name })
}

/// The state directory that the Feature gives to `uid`.
#[must_use]
pub fn state_of(uid: u32) -> Utf8PathBuf {
    Utf8Path::new(STATES).join(uid.to_string())
}

/// Whether [`state_of`] `uid` is that user's state directory, also while it is not there yet: the Feature is there for this
/// user, and the container starts as root, who makes it. Blocks.
#[must_use]
pub fn has_state(uid: u32) -> bool {
    let starts_as_root = || std::fs::metadata("/proc/1").is_ok_and(|first| first.uid() == 0);
    matches!(remote_user(), Ok(Some(user)) if user.uid == uid) && starts_as_root()
}

/// The folders that the user `uid` must have for itself, as far as they are there, each with the levels below it that may
/// have become another's.
pub(super) fn own_folders(uid: u32) -> impl Iterator<Item = (Utf8PathBuf, u32)> {
    std::iter::once((state_of(uid), 0)).filter(|(path, _)| path.symlink_metadata().is_ok()).chain(caches())
}

/// The caches, as far as they are there, each with the levels below it that may have become another's.
pub(super) fn caches() -> impl Iterator<Item = (Utf8PathBuf, u32)> {
    CACHE_LEVELS
        .into_iter()
        .map(|(name, levels)| (Utf8Path::new(CACHES).join(name), levels))
        .filter(|(path, _)| path.symlink_metadata().is_ok())
}
