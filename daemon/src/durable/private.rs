//! What is the user's alone: files that no link leads elsewhere, directories that no other user could have prepared.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use camino::Utf8Path;
use rustix::fs::OFlags;

/// Has `options` make a file with mode 0600, and follow no link at the last step of its path.
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
}

/// Opens a private file for writing, making it where there is none; what is in it stays.
pub(crate) fn open_private(path: &Utf8Path) -> io::Result<File> {
    private(OpenOptions::new().write(true).create(true).truncate(false)).open(path)
}

/// Why a directory is not the user `uid`'s alone; `None` where it is. `metadata` is of the path itself, no link followed.
pub(crate) fn why_not_private(metadata: &Metadata, uid: u32) -> Option<String> {
    if !metadata.is_dir() {
        Some("it is a link, or no directory".to_owned())
    } else if metadata.uid() != uid {
        Some(format!("it belongs to uid {}, not {uid}", metadata.uid()))
    } else if metadata.mode() & 0o077 != 0 {
        Some("others may enter it (its mode should be 0700)".to_owned())
    } else {
        None
    }
}
