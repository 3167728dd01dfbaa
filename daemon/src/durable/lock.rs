//! A lock that lasts as long as the value does, and no longer than the process.

use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use camino::Utf8Path;
use rustix::fs::{FlockOperation, flock};

use super::DurableError;
use super::private::open_private;

/// An exclusive `flock` on a file. The kernel drops it with the process, so it never outlives its holder.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock if nobody has it.
    ///
    /// # Errors
    /// [`DurableError::Write`] where the file cannot be opened.
    pub fn try_take(path: &Utf8Path) -> Result<Option<Self>, DurableError> {
        let file = open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(DurableError::write(path)(error.into())),
        }
    }

    /// Takes the lock, waiting for it as long as it takes.
    ///
    /// # Errors
    /// [`DurableError::Write`].
    pub fn take(path: &Utf8Path) -> Result<Self, DurableError> {
        let file = open(path)?;
        loop {
            match flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Self { file }),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(DurableError::write(path)(error.into())),
            }
        }
    }

    /// Whether it still is the file at `path`: where that was removed, somebody else may take another one there.
    #[must_use]
    pub fn is_at(&self, path: &Utf8Path) -> bool {
        let key = |metadata: Metadata| (metadata.dev(), metadata.ino());
        match (self.file.metadata().map(key), std::fs::symlink_metadata(path).map(key)) {
            (Ok(own), Ok(there)) => own == there,
            (_, Err(error)) if error.kind() == ErrorKind::NotFound => false,
            // What cannot be looked at just now is not gone.
            _ => true,
        }
    }
}

fn open(path: &Utf8Path) -> Result<File, DurableError> {
    open_private(path).map_err(DurableError::write(path))
}
