//! Where a reload keeps its things: `reload/reload-N/` with one folder a command and the programs that it built. All of it
//! is removed at its end; what a killed daemon left, by the next one. All functions block.

use std::sync::atomic::{AtomicU32, Ordering};

use camino::{Utf8Path, Utf8PathBuf};

use crate::durable::{self, DurableError};

/// Folders of ended commands that are kept, so that what they printed can still be told.
const KEPT: u32 = 32;

/// A reload's number; its name is `reload-N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReloadId(pub(super) u32);

impl std::fmt::Display for ReloadId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "reload-{}", self.0)
    }
}

/// The reloads that have a folder, oldest first.
pub(super) fn list(dir: &Utf8Path) -> Vec<ReloadId> {
    let entries = dir.read_dir_utf8().into_iter().flatten().flatten();
    let mut ids: Vec<_> =
        entries.filter_map(|entry| entry.file_name().strip_prefix("reload-")?.parse().ok().map(ReloadId)).collect();
    ids.sort_unstable();
    ids
}

/// A reload's folder.
#[derive(Debug)]
pub(super) struct ReloadFolder {
    dir: Utf8PathBuf,
    next: AtomicU32,
}

impl ReloadFolder {
    /// Makes the folder of `id`.
    pub(super) fn create(dir: &Utf8Path, id: ReloadId) -> Result<Self, DurableError> {
        let folder = Self { dir: dir.join(id.to_string()), next: AtomicU32::new(1) };
        durable::create_dir_for_now(&folder.temporary())?;
        Ok(folder)
    }

    /// The folder itself, which is the beginning of every `BURROW_RUN` in it too: no two daemons share it.
    pub(super) fn dir(&self) -> &Utf8Path {
        &self.dir
    }

    /// Where `go` keeps what it builds with.
    pub(super) fn temporary(&self) -> Utf8PathBuf {
        self.dir.join("tmp")
    }

    /// A folder for the next command.
    pub(super) fn command(&self) -> Result<Utf8PathBuf, DurableError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some(old) = number.checked_sub(KEPT) {
            // A program that still runs keeps its folder.
            let old = self.dir.join(old.to_string());
            if old.join("outcome.json").exists() {
                durable::remove_dir(&old)?;
            }
        }
        let folder = self.dir.join(number.to_string());
        durable::create_dir_for_now(&folder)?;
        Ok(folder)
    }

    /// A folder for the next program that is built.
    pub(super) fn binary(&self) -> Result<Utf8PathBuf, DurableError> {
        let folder = self.dir.join(format!("bin-{}", self.next.fetch_add(1, Ordering::Relaxed)));
        durable::create_dir_for_now(&folder)?;
        Ok(folder)
    }
}
