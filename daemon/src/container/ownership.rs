//! Mending the owner of Burrow's own folders at a start of the container. As root only.
//!
//! An image is built for the uid that remoteUser has then; `updateRemoteUserUID` changes it later, and a volume keeps the
//! uid of the container that filled it.
//!
//! Invariants: nothing but Burrow's own folders is touched; every step goes through a directory's handle, follows no link,
//! and stays on the mount it began on, so that what a user puts into a folder leads root nowhere else. A folder gets its
//! owner last: where the work was interrupted, the next start does it again.
//!
//! A folder of the right owner is looked into as well, some levels deep, where it is a volume: `go build` as root (a bare
//! `docker exec`) leaves folders there that the user may not write.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use burrow_protocol::error::ErrorCode;
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RawMode, Statx, StatxFlags, chownat, fchown, mkdirat, openat, statx,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use super::feature;
use crate::coded::Coded;
use crate::durable;

/// How deep a tree may be: each level is an open directory.
const DEPTH: u32 = 200;

/// One of Burrow's own folders is not the user's.
#[derive(Debug, thiserror::Error)]
pub enum MendError {
    /// Its owner could not be mended.
    #[error("give {path} to uid {uid}")]
    Owner {
        /// The folder.
        path: Utf8PathBuf,
        /// Whose it should be.
        uid: u32,
        /// Why.
        source: io::Error,
    },
    /// A folder above it could be replaced by others than root.
    #[error("give folders in {path} away: it is not root's alone")]
    NotRoots {
        /// The folder above.
        path: Utf8PathBuf,
    },
    /// The fixed path of the tools leads to another user's.
    #[error("lead {path} to the tools of uid {uid}")]
    Tools {
        /// The link.
        path: Utf8PathBuf,
        /// Whose they should be.
        uid: u32,
        /// Why.
        source: durable::DurableError,
    },
}

impl Coded for MendError {
    fn code(&self) -> ErrorCode {
        ErrorCode::OwnerWrong
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Owner { path, uid, .. } => format!("as root: chown -R {uid} {path}"),
            Self::NotRoots { path } => format!("as root: chown root {path}; chmod go-w {path}"),
            Self::Tools { path, .. } => {
                format!("make the folder of {path} writable for root, and start the container again")
            }
        })
    }
}

/// Makes the state directory that the Feature gives to `uid` where the container has none, and gives it to that user. Blocks.
///
/// # Errors
/// [`MendError`].
pub fn mend_state(uid: u32, gid: u32) -> Result<(), MendError> {
    let state = feature::state_of(uid);
    make_state(&state, uid)?;
    give(&state, 0, uid, gid)
}

/// The caches, as a start of the container finds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caches {
    /// There are none.
    None,
    /// Their folders are the user's; what is in them may not be.
    Own,
    /// A folder is another's, with all that is in it.
    Others,
}

/// How the caches are for `uid`. Blocks, for a few system calls.
#[must_use]
pub fn caches(uid: u32) -> Caches {
    feature::caches().fold(Caches::None, |found, (path, _)| match of_others(&path, 0, uid) {
        None if found == Caches::None => Caches::Own,
        None => found,
        Some(_) => Caches::Others,
    })
}

/// Gives the caches to `uid`, and what a command of root's left in their upper levels. What fails is returned; the rest is
/// done all the same. Blocks, for long where a large cache was another's.
#[must_use]
pub fn mend_caches(uid: u32, gid: u32) -> Vec<MendError> {
    feature::caches().filter_map(|(path, levels)| give(&path, levels, uid, gid).err()).collect()
}

/// Leads the tools' fixed path to those of the state directory `state`, where there is such a path. Blocks.
///
/// # Errors
/// [`MendError::Tools`].
pub fn lead_tools(state: &Utf8Path, uid: u32) -> Result<(), MendError> {
    let (link, target) = (Utf8Path::new(feature::TOOLS), state.join("current"));
    // Without it there is no Feature here, and no editor looks there.
    match link.read_link_utf8() {
        Ok(found) if found != target => durable::replace_link(&target, link).map_err(|source| MendError::Tools {
            path: link.to_owned(),
            uid,
            source,
        }),
        _ => Ok(()),
    }
}

/// What does not belong to `uid` of the folder `path` and the `levels` below it: one path, and whose it is. Blocks.
pub(super) fn of_others(path: &Utf8Path, levels: u32, uid: u32) -> Option<(Utf8PathBuf, u32)> {
    let metadata = path.symlink_metadata().ok()?;
    if metadata.uid() != uid {
        return Some((path.to_owned(), metadata.uid()));
    }
    let below = levels.checked_sub(1).filter(|_| metadata.is_dir())?;
    path.read_dir_utf8().ok()?.flatten().find_map(|entry| of_others(entry.path(), below, uid))
}

fn make_state(state: &Utf8Path, uid: u32) -> Result<(), MendError> {
    use std::os::unix::fs::DirBuilderExt;

    let failed = |source| MendError::Owner { path: state.to_owned(), uid, source };
    let (Some(parent), Some(name)) = (state.parent(), state.file_name()) else { return Ok(()) };
    // Every user's folder lies in it: others must be able to pass, whatever the umask is.
    if !parent.exists() {
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(failed)?;
    }
    match mkdirat(open_roots(parent, failed)?, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(failed(error.into())),
    }
}

/// Gives the folder at `path` with all that is in it to `uid`; where it has that owner, what has another one in the `levels`
/// below it.
fn give(path: &Utf8Path, levels: u32, uid: u32, gid: u32) -> Result<(), MendError> {
    let failed = |source| MendError::Owner { path: path.to_owned(), uid, source };
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let parent = open_roots(parent, failed)?;
    let owner = Owner { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid) };
    owner.give(&parent, name, levels).map_err(|errno| failed(errno.into()))
}

/// A handle of the folder `path`, which must be root's alone.
fn open_roots(path: &Utf8Path, failed: impl Fn(io::Error) -> MendError) -> Result<OwnedFd, MendError> {
    let open = || {
        let folder = openat(CWD, path.as_std_path(), folder_flags(), Mode::empty())?;
        look(&folder).map(|found| (folder, found))
    };
    let (folder, found) = open().map_err(|errno| failed(errno.into()))?;
    if found.stx_uid != 0 || found.stx_mode & 0o022 != 0 {
        return Err(MendError::NotRoots { path: path.to_owned() });
    }
    Ok(folder)
}

/// Whose things become.
#[derive(Clone, Copy)]
struct Owner {
    uid: Uid,
    gid: Gid,
}

/// What of a folder's entries becomes the owner's.
#[derive(Clone, Copy)]
enum Reach {
    /// All that lies below it, so many levels at most.
    All(u32),
    /// What is another's in so many levels, with all that is below that.
    Others(u32),
}

impl Reach {
    fn below(self) -> rustix::io::Result<Self> {
        match self {
            Self::All(levels) => levels.checked_sub(1).map(Self::All).ok_or(Errno::LOOP),
            Self::Others(levels) => Ok(Self::Others(levels.saturating_sub(1))),
        }
    }
}

/// Where a folder lies.
#[derive(Clone, Copy)]
struct Place {
    mount: Mount,
    /// In a volume of its own a second name of a file is Burrow's as well; in the container's layer it may be another's.
    is_own_mount: bool,
}

impl Owner {
    fn give(self, parent: &OwnedFd, name: &str, levels: u32) -> rustix::io::Result<()> {
        let folder = openat(parent, name, folder_flags(), Mode::empty())?;
        let found = look(&folder)?;
        let place = Place { mount: mount(&found), is_own_mount: mount(&found) != mount(&look(parent)?) };
        if found.stx_uid == self.uid.as_raw() {
            // What lies in the container's layer may have been moved there by the user, and been root's own before.
            let levels = if place.is_own_mount { levels } else { 0 };
            return self.give_entries(folder.as_fd(), place, Reach::Others(levels));
        }
        self.give_entries(folder.as_fd(), place, Reach::All(DEPTH))?;
        fchown(&folder, Some(self.uid), Some(self.gid))
    }

    fn give_entries(self, folder: BorrowedFd<'_>, place: Place, reach: Reach) -> rustix::io::Result<()> {
        if let Reach::Others(0) = reach {
            return Ok(());
        }
        let reach = reach.below()?;
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            match self.give_entry(folder, entry.file_name(), place, reach) {
                // It is gone since.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn give_entry(self, folder: BorrowedFd<'_>, name: &CStr, place: Place, reach: Reach) -> rustix::io::Result<()> {
        // What is looked at is what is changed: the handle stays the same, whatever the name becomes.
        let entry = openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let found = look(&entry)?;
        if mount(&found) != place.mount {
            return Ok(());
        }
        let is_folder = FileType::from_raw_mode(RawMode::from(found.stx_mode)) == FileType::Directory;
        let reach = match reach {
            Reach::Others(_) if found.stx_uid != self.uid.as_raw() => Reach::All(DEPTH),
            reach => reach,
        };
        if is_folder {
            if !matches!(reach, Reach::Others(0)) {
                let inner = openat(&entry, c".", folder_flags(), Mode::empty())?;
                self.give_entries(inner.as_fd(), place, reach)?;
            }
        } else if found.stx_nlink > 1 && !place.is_own_mount {
            return Ok(());
        }
        match reach {
            Reach::All(_) => chownat(&entry, c"", Some(self.uid), Some(self.gid), AtFlags::EMPTY_PATH),
            Reach::Others(_) => Ok(()),
        }
    }
}

/// The mount and the file system that something lies on; kernels before 5.8 do not tell the mount.
type Mount = (u64, u32, u32);

fn mount(found: &Statx) -> Mount {
    let known = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID);
    (if known { found.stx_mnt_id } else { 0 }, found.stx_dev_major, found.stx_dev_minor)
}

fn look(handle: &OwnedFd) -> rustix::io::Result<Statx> {
    statx(handle, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID)
}

const fn folder_flags() -> OFlags {
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC)
}
