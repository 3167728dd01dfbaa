//! Whole files, links and directories: made, replaced, claimed, removed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};

use camino::Utf8Path;
use rustix::fs::OFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::DurableError;
use super::private::private;

/// Makes a directory and its missing parents, each with mode 0700; the names of those that were missing are on disk when
/// this returns.
///
/// # Errors
/// [`DurableError::Write`].
pub fn create_dir(path: &Utf8Path) -> Result<(), DurableError> {
    let missing: Vec<_> =
        path.ancestors().take_while(|folder| !folder.as_str().is_empty() && !folder.exists()).collect();
    create_dir_for_now(path)?;
    missing.into_iter().try_for_each(|folder| sync_dir(parent(folder))).map_err(DurableError::write(path))
}

/// [`create_dir`] without waiting for the disk.
///
/// # Errors
/// [`DurableError::Write`].
pub fn create_dir_for_now(path: &Utf8Path) -> Result<(), DurableError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(DurableError::write(path))
}

/// Replaces a file as a whole; mode 0600.
///
/// # Errors
/// [`DurableError::Write`]; the old file stays as it was.
pub fn replace(path: &Utf8Path, bytes: &[u8]) -> Result<(), DurableError> {
    replace_with_mode(path, bytes, 0o600)
}

/// Replaces a file as a whole, with the permissions `mode`.
///
/// # Errors
/// [`DurableError::Write`]; the old file stays as it was.
pub fn replace_with_mode(path: &Utf8Path, bytes: &[u8], mode: u32) -> Result<(), DurableError> {
    let write = || {
        write_beside(path, bytes, mode, File::sync_all)?;
        sync_dir(parent(path))
    };
    write().map_err(DurableError::write(path))
}

/// Replaces a file that means nothing once the machine has stopped: readers see the old or the new one, and nobody waits
/// for the disk.
///
/// # Errors
/// [`DurableError::Write`]; the old file stays as it was.
pub fn replace_for_now<T: Serialize>(path: &Utf8Path, value: &T) -> Result<(), DurableError> {
    let bytes = serde_json::to_vec(value).map_err(|error| DurableError::write(path)(error.into()))?;
    replace_for_now_bytes(path, &bytes)
}

/// As [`replace_for_now`], with the bytes as they are.
///
/// # Errors
/// [`DurableError::Write`]; the old file stays as it was.
pub fn replace_for_now_bytes(path: &Utf8Path, bytes: &[u8]) -> Result<(), DurableError> {
    write_beside(path, bytes, 0o600, |_| Ok(())).map_err(DurableError::write(path))
}

/// Moves a file that can be had again, on one file system; nobody waits for the disk.
///
/// # Errors
/// [`DurableError::Write`]; nothing has moved.
pub fn rename_for_now(from: &Utf8Path, to: &Utf8Path) -> Result<(), DurableError> {
    fs_rename(from.as_std_path(), to.as_std_path()).map_err(DurableError::write(to))
}

fn write_beside(
    path: &Utf8Path,
    bytes: &[u8],
    mode: u32,
    sync: impl FnOnce(&File) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".burrow-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
        .tempfile_in(parent(path))?;
    file.write_all(bytes)?;
    sync(file.as_file())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Replaces `to` by a copy of `from`, with the permissions `mode`.
///
/// # Errors
/// [`DurableError::Write`]; what was at `to` stays as it was.
pub fn copy(from: &Utf8Path, to: &Utf8Path, mode: u32) -> Result<(), DurableError> {
    let write = || {
        let mut source = File::open(from)?;
        let mut file = tempfile::Builder::new().prefix(".burrow-").tempfile_in(parent(to))?;
        std::io::copy(&mut source, file.as_file_mut())?;
        file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        file.as_file().sync_all()?;
        file.persist(to).map_err(|error| error.error)?;
        sync_dir(parent(to))
    };
    write().map_err(DurableError::write(to))
}

/// Replaces a file by `value` as JSON on one line.
///
/// # Errors
/// [`DurableError::Write`]; the old file stays as it was.
pub fn replace_json<T: Serialize>(path: &Utf8Path, value: &T) -> Result<(), DurableError> {
    let mut bytes = serde_json::to_vec(value).map_err(|error| DurableError::write(path)(error.into()))?;
    bytes.push(b'\n');
    replace(path, &bytes)
}

/// Reads a file of JSON; `None` where there is none.
///
/// # Errors
/// [`DurableError::Read`], or [`DurableError::Damaged`] where it is no such JSON.
pub fn read_json<T: DeserializeOwned>(path: &Utf8Path) -> Result<Option<T>, DurableError> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| DurableError::Damaged { path: path.to_owned(), source })
}

/// Reads a file; `None` where there is none. What is no regular file is not waited for: root reads what another user may
/// have left there.
///
/// # Errors
/// [`DurableError::Read`].
pub fn read(path: &Utf8Path) -> Result<Option<Vec<u8>>, DurableError> {
    // A FIFO opens at once then; the flag means nothing to a file.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DurableError::read(path)(error)),
    };
    let mut bytes = Vec::new();
    let mut read = || {
        if file.metadata()?.is_file() {
            file.read_to_end(&mut bytes)
        } else {
            Err(std::io::Error::other("it is no regular file"))
        }
    };
    read().map_err(DurableError::read(path))?;
    Ok(Some(bytes))
}

/// Makes a file that does not exist yet: of all processes that try, one gets `true`. Nobody waits for the disk.
///
/// # Errors
/// [`DurableError::Write`]; then the file may exist without its content.
pub fn create_new_for_now(path: &Utf8Path, bytes: &[u8]) -> Result<bool, DurableError> {
    let open = private(OpenOptions::new().write(true).create_new(true)).open(path);
    let mut file = match open {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(DurableError::write(path)(error)),
    };
    file.write_all(bytes).map(|()| true).map_err(DurableError::write(path))
}

/// Points the link `link` at `target`, whether or not there was one.
///
/// # Errors
/// [`DurableError::Write`]; the old link stays as it was.
pub fn replace_link(target: &Utf8Path, link: &Utf8Path) -> Result<(), DurableError> {
    let write = || {
        let beside = tempfile::Builder::new().prefix(".burrow-").make_in(parent(link), |path| symlink(target, path))?;
        fs_rename(beside.path(), link.as_std_path())?;
        // The name is gone already: there is nothing left to remove.
        let _ = beside.into_temp_path().keep();
        sync_dir(parent(link))
    };
    write().map_err(DurableError::write(link))
}

/// Moves `from` to `to`, on one file system, and syncs the directory of `to`.
///
/// # Errors
/// [`DurableError::Write`]; nothing has moved.
pub fn rename(from: &Utf8Path, to: &Utf8Path) -> Result<(), DurableError> {
    fs_rename(from.as_std_path(), to.as_std_path()).and_then(|()| sync_dir(parent(to))).map_err(DurableError::write(to))
}

/// Removes a file or link; one that is not there is removed already.
///
/// # Errors
/// [`DurableError::Write`].
pub fn remove_file(path: &Utf8Path) -> Result<(), DurableError> {
    gone_is_removed(fs::remove_file(path)).map_err(DurableError::write(path))
}

/// Removes a directory with all that is in it; one that is not there is removed already.
///
/// # Errors
/// [`DurableError::Write`]; part of it may be gone.
pub fn remove_dir(path: &Utf8Path) -> Result<(), DurableError> {
    gone_is_removed(fs::remove_dir_all(path)).map_err(DurableError::write(path))
}

fn gone_is_removed(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the module that renames")]
pub(super) fn fs_rename(from: &std::path::Path, to: &std::path::Path) -> std::io::Result<()> {
    fs::rename(from, to)
}

fn parent(path: &Utf8Path) -> &Utf8Path {
    path.parent().filter(|parent| !parent.as_str().is_empty()).unwrap_or(Utf8Path::new("."))
}

fn sync_dir(path: &Utf8Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;
    use rustix::fs::{CWD, FileType, Mode};

    use super::{
        DurableError, create_dir, create_new_for_now, read, read_json, remove_dir, remove_file, replace, replace_json,
        replace_link,
    };

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        (folder, path)
    }

    #[test]
    fn a_replaced_file_leaves_nothing_beside_it() {
        let (_keep, folder) = folder();
        let path = folder.join("a");
        replace(&path, b"1").unwrap();
        replace(&path, b"2").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"2");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays() {
        let (_keep, folder) = folder();
        let path = folder.join("a");
        std::fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"2").is_err(), "a folder is not replaced by a file");
        assert!(path.is_dir());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn missing_folders_are_made_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let (_keep, folder) = folder();
        let path = folder.join("a/b");
        create_dir(&path).unwrap();
        create_dir(&path).expect("one that is there is made already");
        for made in [&folder.join("a"), &path] {
            assert_eq!(std::fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700, "{made}");
        }
    }

    #[test]
    fn one_of_two_claims_wins() {
        let (_keep, folder) = folder();
        assert!(create_new_for_now(&folder.join("claim"), b"a").unwrap());
        assert!(!create_new_for_now(&folder.join("claim"), b"b").unwrap());
        assert_eq!(std::fs::read(folder.join("claim")).unwrap(), b"a");
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let (_keep, folder) = folder();
        let link = folder.join("current");
        replace_link("one".into(), &link).unwrap();
        replace_link("two".into(), &link).unwrap();
        assert_eq!(link.read_link_utf8().unwrap(), "two");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn json_that_is_missing_or_damaged() {
        let (_keep, folder) = folder();
        let path = folder.join("a.json");
        assert_eq!(read_json::<u32>(&path).unwrap(), None);
        replace_json(&path, &7).unwrap();
        assert_eq!(read_json::<u32>(&path).unwrap(), Some(7));
        replace(&path, b"{").unwrap();
        assert!(read_json::<u32>(&path).is_err());
    }

    /// To open a FIFO for reading waits for a writer.
    #[test]
    fn what_is_no_file_is_not_read() {
        let (_keep, folder) = folder();
        let fifo = folder.join("fifo");
        rustix::fs::mknodat(CWD, fifo.as_std_path(), FileType::Fifo, Mode::RUSR, 0).unwrap();
        replace_json(&folder.join("file"), &7).unwrap();
        std::os::unix::fs::symlink("file", folder.join("link")).unwrap();
        for name in ["fifo", "link", "."] {
            assert!(matches!(read(&folder.join(name)), Err(DurableError::Read { .. })), "{name}");
        }
    }

    #[test]
    fn what_is_gone_is_removed_already() {
        let (_keep, folder) = folder();
        remove_file(&folder.join("none")).unwrap();
        remove_dir(&folder.join("none")).unwrap();
    }
}
