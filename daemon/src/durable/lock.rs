//! A lock that lasts as long as the value does, and no longer than the process.

use std::fs::File;

use camino::Utf8Path;
use rustix::fs::{FlockOperation, flock};

use super::DurableError;
use super::private::open_private;

/// An exclusive `flock` on a file. The kernel drops it with the process, so it never outlives its holder.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock if nobody has it.
    ///
    /// # Errors
    /// [`DurableError::Write`] where the file cannot be opened.
    pub fn try_take(path: &Utf8Path) -> Result<Option<Self>, DurableError> {
        let file = open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
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
                Ok(()) => return Ok(Self { _file: file }),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(DurableError::write(path)(error.into())),
            }
        }
    }
}

fn open(path: &Utf8Path) -> Result<File, DurableError> {
    open_private(path).map_err(DurableError::write(path))
}
