//! Files that change under an open workspace: the only module that knows `notify`.
//!
//! State: one inotify instance (they are counted per uid across all containers of a host), who watches which folder with
//! it, the paths that each workspace depends on, and those that changed and were not asked about yet.
//!
//! Invariants: a burst of events is one change, and changes without end are told each second; what is pending is bounded
//! by what is depended on; where the kernel gives no inotify instance, that is told, and files are read again whenever a
//! client opens the workspace.

mod mounts; // which file systems do not tell
mod scope; // what of a tree matters
mod tree; // one watched tree

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use notify::event::{CreateKind, ModifyKind};
use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::workspace::files::modules;

pub use scope::{Rule, Scope};
pub use tree::{How, POLL_EVERY, Tree};

/// How long after its last event a burst is over: an editor's save is several events.
const QUIET: Duration = Duration::from_millis(50);
/// How long a burst is waited for at most: files that something writes without end are told all the same.
const LONGEST_BURST: Duration = Duration::from_secs(1);

/// The names that matter in a workspace's own folder and its `.devcontainer`.
const NAMES: [&str; 3] = ["devcontainer.json", ".devcontainer.json", ".devcontainer"];
/// The names that matter in each folder that a workspace depends on.
const MODULE_NAMES: [&str; 2] = ["go.mod", "go.work"];

/// How many folders are watched for the tools of one workspace: the kernel's limit counts all of a user's.
const MAX_FOLLOWED: usize = 512;

/// Watches the folders of the open workspaces.
#[derive(Debug)]
pub struct Watcher {
    folders: Mutex<Folders>,
    changes: Arc<Changes>,
    trees: Arc<Trees>,
    /// The folders that are watched for what each workspace depends on.
    followed: Mutex<BTreeMap<Utf8PathBuf, BTreeSet<Utf8PathBuf>>>,
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
    /// The paths that each workspace depends on.
    followed: RwLock<BTreeMap<Utf8PathBuf, BTreeSet<Utf8PathBuf>>>,
    changed: Mutex<BTreeSet<Utf8PathBuf>>,
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
        Self { folders: Mutex::new(folders), changes, trees, followed: Mutex::default() }
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

    /// Follows the paths that the workspace at `root` depends on, whether they are there or not, instead of those before.
    pub fn follow(&self, root: &Utf8Path, paths: BTreeSet<Utf8PathBuf>) {
        let mut folders = BTreeSet::new();
        for path in &paths {
            // A folder among them is one in which something may come to be.
            folders.extend(path.is_dir().then(|| path.clone()));
            folders.extend(path.parent().filter(|parent| parent.is_dir()).map(Utf8Path::to_owned));
        }
        if folders.len() > MAX_FOLLOWED {
            tracing::warn!(%root, folders = folders.len(), watched = MAX_FOLLOWED, "some folders are not watched");
        }
        let folders: BTreeSet<_> = folders.into_iter().take(MAX_FOLLOWED).collect();
        self.changes.followed.write().unwrap_or_else(PoisonError::into_inner).insert(root.to_owned(), paths);
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = followed.remove(root).unwrap_or_default();
        let mut watched = BTreeSet::new();
        for folder in folders {
            match self.add(&folder, !before.contains(&folder)) {
                Ok(()) => drop(watched.insert(folder)),
                Err(Refused::Gone) => {}
                Err(refused) => tracing::warn!(?refused, %folder, "not watched: it is read again at each call instead"),
            }
        }
        for folder in before.difference(&watched) {
            self.release(folder);
        }
        followed.insert(root.to_owned(), watched);
    }

    /// Whether the workspace at `root` depends on `path`.
    #[must_use]
    pub fn concerns(&self, root: &Utf8Path, path: &Utf8Path) -> bool {
        let followed = self.changes.followed.read().unwrap_or_else(PoisonError::into_inner);
        followed.get(root).is_some_and(|paths| {
            // A folder that is new may hold a module.
            let in_followed = || path.parent().is_some_and(|parent| paths.contains(parent));
            depends(paths, path) || in_followed() && path.is_dir()
        })
    }

    /// Whether `path` is one of those that say which settings the workspace at `root` has.
    #[must_use]
    pub fn is_of_settings(root: &Utf8Path, path: &Utf8Path) -> bool {
        let folder = path.parent();
        path.file_name().is_some_and(|name| NAMES.contains(&name))
            && (folder == Some(root) || folder == Some(root.join(".devcontainer").as_path()))
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

    /// The next paths that matter and changed, once they are quiet, or [`LONGEST_BURST`] after the first of them.
    pub async fn changed(&self) -> BTreeSet<Utf8PathBuf> {
        self.changes.arrived.notified().await;
        let quiet = async { while tokio::time::timeout(QUIET, self.changes.arrived.notified()).await.is_ok() {} };
        // Over either way.
        let _ = tokio::time::timeout(LONGEST_BURST, quiet).await;
        std::mem::take(&mut *self.changes.changed.lock().unwrap_or_else(PoisonError::into_inner))
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
        // A folder that is new may hold what is depended on; one that was moved here comes as a change of its name.
        let may_be_folder = matches!(
            event.kind,
            EventKind::Create(CreateKind::Folder | CreateKind::Any) | EventKind::Modify(ModifyKind::Name(_))
        );
        let followed = self.followed.read().unwrap_or_else(PoisonError::into_inner);
        let matters = |path: &&Utf8Path| {
            let Some(name) = path.file_name() else { return false };
            NAMES.contains(&name)
                || followed.values().any(|paths| {
                    depends(paths, path)
                        || may_be_folder
                            && path.parent().is_some_and(|parent| paths.contains(parent))
                            && modules::is_looked_into(name)
                            && path.is_dir()
                })
        };
        let paths = event.paths.iter().filter_map(|path| Utf8Path::from_path(path));
        let changed: Vec<_> = paths.filter(matters).map(Utf8Path::to_owned).collect();
        drop(followed);
        if !changed.is_empty() {
            self.changed.lock().unwrap_or_else(PoisonError::into_inner).extend(changed);
            self.arrived.notify_one();
        }
    }
}

/// Whether `path` is among `paths`, or is a file of a module in a folder among them.
fn depends(paths: &BTreeSet<Utf8PathBuf>, path: &Utf8Path) -> bool {
    let is_module = path.file_name().is_some_and(|name| MODULE_NAMES.contains(&name));
    paths.contains(path) || is_module && path.parent().is_some_and(|parent| paths.contains(parent))
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
    use std::sync::atomic::{AtomicBool, Ordering};
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
        assert_eq!(changed.into_iter().collect::<Vec<_>>(), [root.join(".devcontainer/devcontainer.json")]);
        let more = tokio::time::timeout(Duration::from_millis(200), watcher.changed()).await;
        assert!(more.is_err(), "one save is one change: {more:?}");
    }

    #[test]
    fn changes_without_end_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
        let file = root.join("go.mod");
        let watcher = Watcher::new();
        watcher.follow(&root, [file.clone()].into());
        let over = AtomicBool::new(false);
        let changed = std::thread::scope(|threads| {
            threads.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    crate::durable::replace(&file, b"module m\n").unwrap();
                }
            });
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let told =
                runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), watcher.changed()).await });
            over.store(true, Ordering::Relaxed);
            told
        });
        assert_eq!(changed.unwrap(), [file].into());
    }

    #[tokio::test]
    async fn what_a_workspace_depends_on_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
        std::fs::create_dir(root.join("api")).unwrap();
        let watcher = Watcher::new();
        let paths = ["go.mod", "mise.toml", "api", "api/go.mod", ".bingo"].map(|path| root.join(path));
        watcher.follow(&root, paths.into());
        let next = async |what: &str| {
            let changed = tokio::time::timeout(Duration::from_secs(20), watcher.changed()).await;
            changed.unwrap_or_else(|_| panic!("not told: {what}")).into_iter().collect::<Vec<_>>()
        };
        crate::durable::replace(&root.join("main.go"), b"").unwrap();
        crate::durable::replace(&root.join("mise.toml"), b"").unwrap();
        assert_eq!(next("a file that is new").await, [root.join("mise.toml")]);
        std::fs::remove_file(root.join("mise.toml")).unwrap();
        assert_eq!(next("a file that is gone").await, [root.join("mise.toml")]);
        std::fs::create_dir(root.join(".bingo")).unwrap();
        assert_eq!(next("a folder that is depended on").await, [root.join(".bingo")]);
        std::fs::create_dir(root.join("api/node_modules")).unwrap();
        std::fs::create_dir(root.join("api/v2")).unwrap();
        assert_eq!(next("a folder in which a module may lie").await, [root.join("api/v2")]);
        for (path, concerns) in [("api/go.mod", true), ("api/v2", true), ("main.go", false)] {
            assert_eq!(watcher.concerns(&root, &root.join(path)), concerns, "{path}");
        }
        watcher.follow(&root, [root.join("go.mod")].into());
        crate::durable::replace(&root.join("api/go.mod"), b"").unwrap();
        let more = tokio::time::timeout(Duration::from_millis(200), watcher.changed()).await;
        assert!(more.is_err(), "it is no longer depended on: {more:?}");
    }
}
