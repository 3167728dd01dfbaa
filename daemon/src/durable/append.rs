//! Records at the end of a file.

use std::fs::{File, OpenOptions};
use std::io::Write;

use camino::{Utf8Path, Utf8PathBuf};

use super::DurableError;
use super::private::private;

/// A file that only grows. One `append` is one `write`, so that a reader sees a record whole or torn at its end.
#[derive(Debug)]
pub struct Appender {
    path: Utf8PathBuf,
    file: File,
}

impl Appender {
    /// Opens `path` for appending, making it (mode 0600) where there is none.
    ///
    /// # Errors
    /// [`DurableError::Write`].
    pub fn open(path: &Utf8Path) -> Result<Self, DurableError> {
        let file =
            private(OpenOptions::new().append(true).create(true)).open(path).map_err(DurableError::write(path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Writes `bytes` at the end. Not on disk before [`Self::sync`].
    ///
    /// # Errors
    /// [`DurableError::Write`]; a part may have been written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), DurableError> {
        self.file.write_all(bytes).map_err(DurableError::write(&self.path))
    }

    /// Returns once all that was appended is on disk.
    ///
    /// # Errors
    /// [`DurableError::Write`].
    pub fn sync(&mut self) -> Result<(), DurableError> {
        self.file.sync_data().map_err(DurableError::write(&self.path))
    }
}
