//! Room on the disk that is taken before it is needed, for a file that must be written even when the disk is full.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use camino::{Utf8Path, Utf8PathBuf};

use super::DurableError;
use super::private::private;
use super::replace::fs_rename;

/// A file of blanks that becomes another one. It stays where it is dropped before that.
#[derive(Debug)]
pub struct Reserved {
    path: Utf8PathBuf,
    file: File,
}

impl Reserved {
    /// Takes `length` bytes at `path`, which must not exist yet.
    ///
    /// # Errors
    /// [`DurableError::Write`] where there is no room.
    pub fn take(path: &Utf8Path, length: usize) -> Result<Self, DurableError> {
        let take = || {
            let file = private(OpenOptions::new().write(true).create_new(true)).open(path)?;
            file.write_all_at(&vec![b' '; length], 0)?;
            Ok(file)
        };
        Ok(Self { path: path.to_owned(), file: take().map_err(DurableError::write(path))? })
    }

    /// Becomes the file `name` with the content `bytes`. That is on disk when this returns; after a crash of the machine
    /// it may stand under its old name. May be tried again.
    ///
    /// # Errors
    /// [`DurableError::Write`].
    pub fn become_file(&self, name: &Utf8Path, bytes: &[u8]) -> Result<(), DurableError> {
        let write = || {
            self.file.write_all_at(bytes, 0)?;
            self.file.set_len(bytes.len() as u64)?;
            // All of it: a file that is new has its name on disk with that as well.
            self.file.sync_all()?;
            fs_rename(self.path.as_std_path(), name.as_std_path())
        };
        write().map_err(DurableError::write(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::read_json;

    #[test]
    fn reserved_room_becomes_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let (room, name) = (folder.join("room"), folder.join("outcome"));
        let reserved = Reserved::take(&room, 4096).unwrap();
        assert_eq!(std::fs::metadata(&room).unwrap().len(), 4096);
        assert!(read_json::<u32>(&room).is_err(), "blanks are no content");
        reserved.become_file(&name, b"7\n").unwrap();
        assert_eq!((std::fs::read(&name).unwrap(), room.exists()), (b"7\n".to_vec(), false));
        let long = vec![b'1'; 10_000];
        Reserved::take(&room, 10).unwrap().become_file(&name, &long).unwrap();
        assert_eq!(std::fs::read(&name).unwrap(), long, "more than was reserved");
    }
}
