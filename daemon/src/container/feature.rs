//! What the Features leave in an image: whose daemon the container has, and the folders that are Burrow's own.

use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use crate::durable;
use crate::process::user::User;

/// Written by the Feature's install script, as root: whose daemon this container has.
const FILE: &str = "/etc/burrow/feature.json";
/// One state directory a uid, each named after it.
pub(super) const STATES: &str = "/var/lib/burrow";
/// What the Feature `burrow-caches` mounts: `mod`, `build` and `store`.
pub(super) const CACHES: &str = "/var/cache/burrow";
/// The folders in [`CACHES`].
pub(super) const CACHE_NAMES: [&str; 3] = ["mod", "build", "store"];
/// The fixed path of the tools, which leads to the state directory's `current`.
pub(super) const TOOLS: &str = "/usr/local/share/burrow/tools";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeatureFile {
    remote_user: String,
}

/// The account of the Feature's `remoteUser` as it is now: its uid may have changed since the image was built. `None`
/// where there is no Feature, where its file is not root's alone, and where the image has no such account. Blocks.
#[must_use]
pub fn remote_user() -> Option<User> {
    // A file that others may write proves nothing.
    let is_roots = std::fs::symlink_metadata(FILE)
        .is_ok_and(|metadata| metadata.is_file() && metadata.uid() == 0 && metadata.mode() & 0o022 == 0);
    if !is_roots {
        return None;
    }
    let file: FeatureFile = durable::read_json(FILE.into()).ok().flatten()?;
    User::by_name(&file.remote_user)
}

/// The folders that the user `uid` must have for itself, as far as they are there.
pub(super) fn own_folders(uid: u32) -> impl Iterator<Item = Utf8PathBuf> {
    let state = Utf8Path::new(STATES).join(uid.to_string());
    let caches = CACHE_NAMES.map(|name| Utf8Path::new(CACHES).join(name));
    std::iter::once(state).chain(caches).filter(|path| path.symlink_metadata().is_ok())
}
