//! Room for the outcome on a disk that the command, or its own log, has filled.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use camino::Utf8PathBuf;

use crate::process::Folder;

/// An outcome in its temporary file, and its directory's growth.
const RESERVED_BYTES: usize = 16 * 1024;

/// A file that takes the room, until it is dropped.
#[derive(Debug)]
pub(super) struct Reserve {
    path: Utf8PathBuf,
}

impl Reserve {
    /// Takes the room.
    ///
    /// # Errors
    /// Where there is none: then a command should not be started.
    pub(super) fn take(folder: &Folder) -> io::Result<Self> {
        let reserve = Self { path: folder.reserve_file() };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&reserve.path)?;
        file.write_all(&[0; RESERVED_BYTES])?;
        Ok(reserve)
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        // One that stays takes 16 KiB until the run's folder is removed.
        let _ = std::fs::remove_file(&self.path);
    }
}
