//! The work folder of one operation: caches, what is being built, and the mark of every process that works in it.
//!
//! It lies in the state directory, never in the store, which may be a volume that others write to. A lock beside it tells a
//! living operation from one whose daemon died: the next daemon ends what `go` that one left, and removes the folder.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::error::ToolchainError;
use super::install::blocking;
use crate::coded::with_causes;
use crate::durable::{self, Lock};
use crate::process::sweep;

const LOCK_SUFFIX: &str = ".lock";
/// Between TERM and KILL: long enough for `go` to remove its temporary folder.
const GRACE: Duration = Duration::from_secs(2);

/// The folder of one operation.
#[derive(Debug)]
pub(crate) struct WorkFolder {
    pub(crate) path: Utf8PathBuf,
    _lock: Lock,
}

impl WorkFolder {
    /// Makes a folder below `parent`. Blocks.
    ///
    /// # Errors
    /// [`ToolchainError::State`] or [`ToolchainError::WorkFile`].
    pub(crate) fn make(parent: &Utf8Path) -> Result<Self, ToolchainError> {
        durable::create_dir(parent)?;
        loop {
            // Another workspace's sweep may have taken it for a dead one's before it was locked.
            if let Some(made) = Self::try_make(parent)? {
                return Ok(made);
            }
        }
    }

    fn try_make(parent: &Utf8Path) -> Result<Option<Self>, ToolchainError> {
        // The lock comes first: a folder is never there without its lock being held.
        let lock_file = tempfile::Builder::new().prefix("build-").suffix(LOCK_SUFFIX).tempfile_in(parent);
        let failed = |source| ToolchainError::WorkFile { path: parent.to_owned(), source };
        let (_, lock_file) = lock_file.map_err(failed)?.keep().map_err(|error| failed(error.error))?;
        let lock_file = Utf8PathBuf::from_path_buf(lock_file)
            .map_err(|_| failed(std::io::Error::from(std::io::ErrorKind::InvalidFilename)))?;
        let lock = Lock::take(&lock_file)?;
        if !lock_file.exists() {
            return Ok(None);
        }
        let path = Utf8PathBuf::from(lock_file.as_str().trim_end_matches(LOCK_SUFFIX));
        durable::create_dir(&path)?;
        Ok(Some(Self { path, _lock: lock }))
    }

    /// The value of `BURROW_RUN` in every process that works here: the path, which no other daemon has.
    pub(crate) fn mark(&self) -> String {
        mark(&self.path)
    }

    /// Ends what still works here, and removes the folder with all that is in it.
    pub(crate) async fn close(self) {
        end_marked(self.mark()).await;
        let removed = blocking(move || {
            remove(&self.path);
            Ok(())
        });
        // It only says that the runtime is ending: then the next daemon removes the folder.
        let _ = removed.await;
    }
}

/// Ends what the operations of dead daemons left working below `parent`, and removes their folders.
pub(crate) async fn sweep_dead(parent: Utf8PathBuf) {
    let look = parent.clone();
    let Ok(dead) = blocking(move || Ok(dead_below(&look))).await else { return };
    for work in dead {
        tracing::info!(folder = %work.path, "an operation on the tools was cut off; what it left is removed");
        work.close().await;
    }
}

fn mark(path: &Utf8Path) -> String {
    format!("tools:{path}")
}

async fn end_marked(mark: String) {
    let left = sweep::end(move |run| run == mark, GRACE).await;
    for process in left {
        tracing::warn!(
            pid = process.pid,
            name = process.name,
            "a process of an operation on the tools cannot be ended"
        );
    }
}

/// The folders whose operations are gone, each with its lock, so that one daemon removes it.
fn dead_below(parent: &Utf8Path) -> Vec<WorkFolder> {
    let Ok(entries) = parent.read_dir_utf8() else { return Vec::new() };
    let dead = entries.flatten().filter_map(|entry| {
        let path = Utf8PathBuf::from(entry.path().as_str().strip_suffix(LOCK_SUFFIX)?);
        let lock = Lock::try_take(entry.path()).ok()??;
        Some(WorkFolder { path, _lock: lock })
    });
    dead.collect()
}

/// The lock lies beside the folder, so that the folder can go while the lock is held.
fn lock_of(folder: &Utf8Path) -> Utf8PathBuf {
    Utf8PathBuf::from(format!("{folder}{LOCK_SUFFIX}"))
}

fn remove(folder: &Utf8Path) {
    // The lock goes last: while it is there, the next sweep tries again.
    if let Err(error) = durable::remove_dir(folder).and_then(|()| durable::remove_file(&lock_of(folder))) {
        tracing::warn!(%folder, error = with_causes(&error), "the folder of an operation on the tools stays behind");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_work_of_dead_daemons_is_removed_and_that_of_others_stays() {
        let folder = tempfile::tempdir().unwrap();
        let parent = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap().join("work");
        let living = WorkFolder::make(&parent).unwrap();
        let dead = WorkFolder::make(&parent).unwrap();
        let left = dead.path.clone();
        // A process of a dead daemon's: it has the mark, and nothing else tells of it.
        let mark = dead.mark();
        #[expect(clippy::disallowed_methods, reason = "a test starts what a dead daemon would have left")]
        let mut process = std::process::Command::new("sleep").arg("600").env("BURROW_RUN", mark).spawn().unwrap();
        drop(dead);
        // What another test starts at this moment has the lock open until its exec.
        let swept = async {
            while left.exists() || lock_of(&left).exists() {
                sweep_dead(parent.clone()).await;
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), swept).await.unwrap();
        assert!(living.path.exists());
        assert!(!process.wait().unwrap().success(), "what worked there was ended");
        let path = living.path.clone();
        living.close().await;
        assert!(!path.exists() && !lock_of(&path).exists());
    }
}
