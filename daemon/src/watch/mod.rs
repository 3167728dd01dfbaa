//! Files that change under an open workspace: the only module that knows `notify`.
//!
//! State: one inotify instance (they are counted per uid across all containers of a host), who watches which folder with
//! it, and the roots that changed and were not asked about yet.
//!
//! Invariants: a burst of events is one change; what is pending is bounded by the number of workspaces; where the kernel
//! gives no inotify instance, that is told, and files are read again whenever a client opens the workspace.

mod mounts; // which file systems do not tell
mod scope; // what of a tree matters
mod tree; // one watched tree

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

pub use scope::{Rule, Scope};
pub use tree::{How, POLL_EVERY, Tree};

/// How long after its last event a burst is over: an editor's save is several events.
const QUIET: Duration = Duration::from_millis(50);

/// The names that matter in a watched folder.
const NAMES: [&str; 3] = ["devcontainer.json", ".devcontainer.json", ".devcontainer"];

/// Watches the folders of the open workspaces.
#[derive(Debug)]
pub struct Watcher {
    folders: Mutex<Folders>,
    changes: Arc<Changes>,
    trees: Arc<Trees>,
}

/// Who watches what. One folder has one watch, however many want to know.
#[derive(Debug)]
struct Folders {
    inner: Option<RecommendedWatcher>,
    /// Watched for good.
    own: BTreeSet<Utf8PathBuf>,
    /// How many trees watch a folder.
    trees: BTreeMap<Utf8PathBuf, usize>,
}

/// Why a folder is not watched.
#[derive(Debug)]
enum Refused {
    /// It is not there any more.
    Gone,
    /// There is no instance, or no watch left; in words.
    Limit(String),
}

/// The trees that hear of events.
#[derive(Debug, Default)]
struct Trees(Mutex<Vec<Weak<tree::Inbox>>>);

#[derive(Debug, Default)]
struct Changes {
    folders: Mutex<BTreeSet<Utf8PathBuf>>,
    arrived: Notify,
}

impl Watcher {
    /// A watcher of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let changes = Arc::new(Changes::default());
        let trees = Arc::new(Trees::default());
        let (sink, tree_sink) = (Arc::clone(&changes), Arc::clone(&trees));
        let inner = notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
            Ok(event) => {
                sink.take(&event);
                tree_sink.take(&event);
            }
            Err(error) => tracing::warn!(%error, "could not follow changes of files"),
        });
        let inner = inner
            .inspect_err(
                |error| tracing::warn!(%error, "no inotify instance: files are read again at each call instead"),
            )
            .ok();
        let folders = Folders { inner, own: BTreeSet::new(), trees: BTreeMap::new() };
        Self { folders: Mutex::new(folders), changes, trees }
    }

    /// Watches the workspace at `root`: the files in it and in its `.devcontainer` that say what is due. Calling it again
    /// picks up a `.devcontainer` that is new.
    pub fn watch(&self, root: &Utf8Path) {
        let mut folders = self.lock();
        for folder in [root.to_owned(), root.join(".devcontainer")] {
            if !folder.is_dir() {
                continue;
            }
            match folders.watch(&folder) {
                Ok(()) => {
                    folders.own.insert(folder);
                }
                Err(refused) => tracing::warn!(?refused, %folder, "not watched: it is read again at each call instead"),
            }
        }
    }

    /// Watches `folder` for a tree; `new`: which did not watch it yet. What was watched before is watched anew: the folder
    /// may be another one of that name.
    fn add(&self, folder: &Utf8Path, new: bool) -> Result<(), Refused> {
        let mut folders = self.lock();
        folders.watch(folder)?;
        if new {
            *folders.trees.entry(folder.to_owned()).or_default() += 1;
        }
        Ok(())
    }

    /// One tree less watches `folder`.
    fn release(&self, folder: &Utf8Path) {
        let mut folders = self.lock();
        let left = folders.trees.get_mut(folder).map(|trees| {
            *trees = trees.saturating_sub(1);
            *trees
        });
        if left == Some(0) {
            folders.trees.remove(folder);
            if !folders.own.contains(folder)
                && let Some(inner) = &mut folders.inner
            {
                // It may be gone, and its watch with it.
                let _ = inner.unwatch(folder.as_std_path());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Folders> {
        // Every change is one statement: the data is whole even where a thread has panicked.
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next folders in which something that matters changed, once they are quiet.
    pub async fn changed(&self) -> BTreeSet<Utf8PathBuf> {
        self.changes.arrived.notified().await;
        loop {
            tokio::select! {
                () = self.changes.arrived.notified() => {}
                () = tokio::time::sleep(QUIET) => {
                    return std::mem::take(&mut *self.changes.folders.lock().unwrap_or_else(PoisonError::into_inner));
                }
            }
        }
    }
}

impl Default for Watcher {
    fn default() -> Self {
        Self::new()
    }
}

impl Folders {
    fn watch(&mut self, folder: &Utf8Path) -> Result<(), Refused> {
        let Some(inner) = &mut self.inner else {
            return Err(Refused::Limit("there is no inotify instance left for this user".to_owned()));
        };
        inner.watch(folder.as_std_path(), RecursiveMode::NonRecursive).map_err(|error| match error.kind {
            ErrorKind::PathNotFound => Refused::Gone,
            ErrorKind::MaxFilesWatch => Refused::Limit(format!(
                "inotify has no watch left after {}; raise fs.inotify.max_user_watches on the host",
                self.trees.len()
            )),
            _ => Refused::Limit(format!("inotify refused {folder}: {error}")),
        })
    }
}

impl Trees {
    fn add(&self, inbox: &Arc<tree::Inbox>) {
        let mut trees = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trees.retain(|tree| tree.strong_count() > 0);
        trees.push(Arc::downgrade(inbox));
    }

    fn take(&self, event: &notify::Event) {
        let trees = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trees.iter().filter_map(Weak::upgrade).for_each(|tree| tree.take(event));
    }
}

impl Changes {
    fn take(&self, event: &notify::Event) {
        if matches!(event.kind, EventKind::Access(_)) {
            return;
        }
        let matters = |path: &&Utf8Path| path.file_name().is_some_and(|name| NAMES.contains(&name));
        let folders: Vec<_> = event
            .paths
            .iter()
            .filter_map(|path| Utf8Path::from_path(path))
            .filter(matters)
            .filter_map(|path| path.parent().map(Utf8Path::to_owned))
            .collect();
        if !folders.is_empty() {
            self.folders.lock().unwrap_or_else(PoisonError::into_inner).extend(folders);
            self.arrived.notify_one();
        }
    }
}

#[cfg(test)]
impl Watcher {
    /// One that the kernel gave no instance.
    fn refused() -> Self {
        let watcher = Self::new();
        watcher.lock().inner = None;
        watcher
    }

    /// How many trees watch `folder`.
    fn users(&self, folder: &Utf8Path) -> usize {
        self.lock().trees.get(folder).copied().unwrap_or_default()
    }

    /// Loses the watch of `folder`, as when events are lost.
    fn lose(&self, folder: &Utf8Path) {
        self.lock().inner.as_mut().unwrap().unwatch(folder.as_std_path()).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use camino::Utf8PathBuf;

    use super::Watcher;

    #[tokio::test]
    async fn a_save_is_one_change_and_other_files_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
        std::fs::create_dir(root.join(".devcontainer")).unwrap();
        let watcher = Watcher::new();
        watcher.watch(&root);
        crate::durable::replace(&root.join("main.go"), b"").unwrap();
        crate::durable::replace(&root.join(".devcontainer/devcontainer.json"), b"{}").unwrap();
        let changed = tokio::time::timeout(Duration::from_secs(20), watcher.changed()).await.unwrap();
        assert_eq!(changed.into_iter().collect::<Vec<_>>(), [root.join(".devcontainer")]);
        let more = tokio::time::timeout(Duration::from_millis(200), watcher.changed()).await;
        assert!(more.is_err(), "one save is one change: {more:?}");
    }
}
