//! The store: binaries by the SHA-256 of their content, `tools/<sha256>/<tool>`.
//!
//! It may be a volume that containers share, so nothing in it is trusted: whoever uses a binary compares its content, or a
//! fingerprint that he recorded when he did. A binary comes in whole: made elsewhere, synced, renamed. All functions block.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::dirhash::sha256_of_file;
use super::error::ToolchainError;
use crate::durable::{self, Lock};

/// The store of one machine.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    dir: Utf8PathBuf,
}

/// What a file had when its content was last compared. The inode's change time cannot be set back, so a byte that was changed
/// shows, also where size and modification time were restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    size: u64,
    /// Nanoseconds since 1970.
    mtime: i64,
    /// Nanoseconds since 1970.
    ctime: i64,
    inode: u64,
}

impl Fingerprint {
    /// The fingerprint of the file at `path`; none where there is no such plain file.
    pub(crate) fn of(path: &Utf8Path) -> Option<Self> {
        let metadata = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Some(Self {
            size: metadata.size(),
            mtime: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        })
    }
}

impl Store {
    pub(crate) fn new(dir: Utf8PathBuf) -> Self {
        Self { dir }
    }

    /// Where the binary with this content lies, or would lie.
    pub(crate) fn path(&self, sha256: &str, tool: &str) -> Utf8PathBuf {
        self.dir.join("tools").join(sha256).join(tool)
    }

    /// The fingerprint of a binary whose content was compared just now; none where it is not there or is another.
    pub(crate) fn compare(&self, sha256: &str, tool: &str) -> Option<Fingerprint> {
        let is_digest = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        let path = self.path(sha256, tool);
        // Taken before the content is read: a change meanwhile is seen by the next comparison.
        let fingerprint = Fingerprint::of(&path).filter(|_| is_digest)?;
        (sha256_of_file(&path).ok()? == sha256).then_some(fingerprint)
    }

    /// Takes in the binary at `built`, which is moved; its SHA-256 and fingerprint.
    ///
    /// # Errors
    /// [`ToolchainError::Store`] or [`ToolchainError::StoreFile`].
    pub(crate) fn add(&self, built: &Utf8Path, tool: &str) -> Result<(String, Fingerprint), ToolchainError> {
        let io = |path: &Utf8Path| {
            let path = path.to_owned();
            move |source| ToolchainError::StoreFile { path, source }
        };
        let sha256 = sha256_of_file(built).map_err(io(built))?;
        if let Some(fingerprint) = self.compare(&sha256, tool) {
            return Ok((sha256, fingerprint));
        }
        let file = fs_err::File::open(built).map_err(io(built))?;
        file.set_permissions(Permissions::from_mode(0o555)).map_err(io(built))?;
        file.sync_all().map_err(io(built))?;
        let path = self.path(&sha256, tool);
        if let Some(folder) = path.parent() {
            durable::create_dir(folder).map_err(ToolchainError::Store)?;
        }
        durable::rename(built, &path).map_err(ToolchainError::Store)?;
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let fingerprint = Fingerprint::of(&path).ok_or_else(missing).map_err(io(&path))?;
        Ok((sha256, fingerprint))
    }

    /// Removes the folders of repairs whose daemons are gone.
    pub(crate) fn sweep(&self) {
        let Ok(entries) = self.dir.join("tmp").read_dir_utf8() else { return };
        for entry in entries.flatten() {
            let Some(folder) = entry.path().as_str().strip_suffix(LOCK_SUFFIX).map(Utf8Path::new) else { continue };
            if matches!(Lock::try_take(entry.path()), Ok(Some(_))) {
                remove(folder);
            }
        }
    }

    /// Makes a folder for one repair. What repairs of dead daemons left is removed first.
    ///
    /// # Errors
    /// [`ToolchainError::Store`] or [`ToolchainError::StoreFile`].
    pub(crate) fn work_folder(&self) -> Result<WorkFolder, ToolchainError> {
        let tmp = self.dir.join("tmp");
        durable::create_dir(&tmp).map_err(ToolchainError::Store)?;
        self.sweep();
        // The lock comes first: a folder is never there without its lock being held.
        let lock_file = tempfile::Builder::new().prefix("repair-").suffix(LOCK_SUFFIX).tempfile_in(&tmp);
        let failed = |source| ToolchainError::StoreFile { path: tmp.clone(), source };
        let (_, lock_file) = lock_file.map_err(failed)?.keep().map_err(|error| failed(error.error))?;
        let lock_file = Utf8PathBuf::from_path_buf(lock_file)
            .map_err(|_| failed(std::io::Error::from(std::io::ErrorKind::InvalidFilename)))?;
        let lock = Lock::take(&lock_file).map_err(ToolchainError::Store)?;
        let path = Utf8PathBuf::from(lock_file.as_str().trim_end_matches(LOCK_SUFFIX));
        durable::create_dir(&path).map_err(ToolchainError::Store)?;
        Ok(WorkFolder { path, _lock: lock })
    }
}

/// The folder of one repair. Its lock tells other daemons that somebody works here.
#[derive(Debug)]
pub(crate) struct WorkFolder {
    pub(crate) path: Utf8PathBuf,
    _lock: Lock,
}

impl WorkFolder {
    /// Removes it with all that is in it.
    pub(crate) fn remove(self) {
        remove(&self.path);
    }
}

const LOCK_SUFFIX: &str = ".lock";

/// The lock lies beside the folder, so that the folder can go while the lock is held.
fn lock_of(folder: &Utf8Path) -> Utf8PathBuf {
    Utf8PathBuf::from(format!("{folder}{LOCK_SUFFIX}"))
}

fn remove(folder: &Utf8Path) {
    // The lock goes last: while it is there, the next sweep tries again.
    if let Err(error) = durable::remove_dir(folder).and_then(|()| durable::remove_file(&lock_of(folder))) {
        tracing::warn!(%folder, error = crate::coded::with_causes(&error), "a repair's folder stays behind");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Utf8PathBuf, Store) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        let store = Store::new(path.join("store"));
        (folder, path, store)
    }

    #[test]
    fn a_binary_lies_under_its_digest_and_cannot_be_written() {
        let (_keep, root, store) = store();
        let built = root.join("built");
        durable::replace(&built, b"tool").unwrap();
        let (sha256, fingerprint) = store.add(&built, "gopls").unwrap();
        let path = store.path(&sha256, "gopls");
        assert_eq!(std::fs::read(&path).unwrap(), b"tool");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o555);
        assert!(!built.exists(), "it was moved");
        assert_eq!(store.compare(&sha256, "gopls"), Some(fingerprint));
    }

    #[test]
    fn a_changed_byte_shows_also_with_size_and_time_restored() {
        let (_keep, root, store) = store();
        durable::replace(&root.join("built"), b"tool").unwrap();
        let (sha256, before) = store.add(&root.join("built"), "gopls").unwrap();
        let path = store.path(&sha256, "gopls");
        let modified = path.metadata().unwrap().modified().unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"T", 0).unwrap();
        file.set_modified(modified).unwrap();
        assert_ne!(Fingerprint::of(&path), Some(before), "the change time cannot be set back");
        assert_eq!(store.compare(&sha256, "gopls"), None);
        // The same content again mends it in place.
        durable::replace(&root.join("again"), b"tool").unwrap();
        assert_eq!(store.add(&root.join("again"), "gopls").unwrap().0, sha256);
        assert!(store.compare(&sha256, "gopls").is_some());
    }

    #[test]
    fn the_work_of_dead_daemons_is_removed_and_that_of_others_stays() {
        let (_keep, _, store) = store();
        let living = store.work_folder().unwrap();
        let dead = store.work_folder().unwrap();
        let left = dead.path.clone();
        drop(dead);
        let next = store.work_folder().unwrap();
        assert!(living.path.exists() && next.path.exists());
        assert!(!left.exists());
        let path = next.path.clone();
        next.remove();
        assert!(!path.exists() && !lock_of(&path).exists());
    }
}
