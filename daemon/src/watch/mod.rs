//! Files that change under an open workspace: the only module that knows `notify`.
//!
//! State: one inotify instance (they are counted per uid across all containers of a host), the paths that each workspace
//! depends on, and those that changed and were not asked about yet.
//!
//! Invariants: a burst of events is one change; folders are watched and never what lies below them, a bounded number for
//! each workspace; where the kernel gives no inotify instance, that is told, and files are read again whenever a client
//! opens the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use notify::event::{CreateKind, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::workspace::files::modules;

/// How long after its last event a burst is over: an editor's save is several events.
const QUIET: Duration = Duration::from_millis(50);

/// The names that matter in a workspace's own folder and its `.devcontainer`.
const NAMES: [&str; 3] = ["devcontainer.json", ".devcontainer.json", ".devcontainer"];
/// The names that matter in each folder that a workspace depends on.
const MODULE_NAMES: [&str; 2] = ["go.mod", "go.work"];

/// How many folders are watched for one workspace: the kernel's limit counts all of a user's.
const MAX_FOLDERS: usize = 512;

/// Watches the folders of the open workspaces.
#[derive(Debug)]
pub struct Watcher {
    inner: Mutex<Inner>,
    changes: Arc<Changes>,
}

#[derive(Debug, Default)]
struct Inner {
    watcher: Option<RecommendedWatcher>,
    /// The folders that are watched for each workspace; those of its settings are not among them.
    followed: BTreeMap<Utf8PathBuf, BTreeSet<Utf8PathBuf>>,
    /// The folders of settings, which stay watched.
    settings: BTreeSet<Utf8PathBuf>,
}

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
        let sink = Arc::clone(&changes);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
            Ok(event) => sink.take(&event),
            Err(error) => tracing::warn!(%error, "could not follow changes of files"),
        });
        let watcher = watcher
            .inspect_err(
                |error| tracing::warn!(%error, "no inotify instance: files are read again at each call instead"),
            )
            .ok();
        Self { inner: Mutex::new(Inner { watcher, ..Inner::default() }), changes }
    }

    /// Watches the workspace at `root`: the files in it and in its `.devcontainer` that say what is due. Calling it again
    /// picks up a `.devcontainer` that is new.
    pub fn watch(&self, root: &Utf8Path) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for folder in [root.to_owned(), root.join(".devcontainer")] {
            if folder.is_dir() {
                // Watched already or not: a folder that was made anew needs a new watch.
                inner.add(&folder);
                inner.settings.insert(folder);
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
        if folders.len() > MAX_FOLDERS {
            tracing::warn!(%root, folders = folders.len(), watched = MAX_FOLDERS, "some folders are not watched");
        }
        let folders: BTreeSet<_> = folders.into_iter().take(MAX_FOLDERS).collect();
        self.changes.followed.write().unwrap_or_else(PoisonError::into_inner).insert(root.to_owned(), paths);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let before = inner.followed.insert(root.to_owned(), folders.clone()).unwrap_or_default();
        for folder in &folders {
            inner.add(folder);
        }
        for folder in before.difference(&folders) {
            inner.drop_unless_needed(folder);
        }
    }

    /// Whether the workspace at `root` depends on `path`.
    #[must_use]
    pub fn concerns(&self, root: &Utf8Path, path: &Utf8Path) -> bool {
        let followed = self.changes.followed.read().unwrap_or_else(PoisonError::into_inner);
        followed.get(root).is_some_and(|paths| depends(paths, path))
    }

    /// Whether `path` is one of those that say which settings the workspace at `root` has.
    #[must_use]
    pub fn is_of_settings(root: &Utf8Path, path: &Utf8Path) -> bool {
        let folder = path.parent();
        path.file_name().is_some_and(|name| NAMES.contains(&name))
            && (folder == Some(root) || folder == Some(root.join(".devcontainer").as_path()))
    }

    /// The next paths that matter and changed, once they are quiet.
    pub async fn changed(&self) -> BTreeSet<Utf8PathBuf> {
        self.changes.arrived.notified().await;
        loop {
            tokio::select! {
                () = self.changes.arrived.notified() => {}
                () = tokio::time::sleep(QUIET) => {
                    return std::mem::take(&mut *self.changes.changed.lock().unwrap_or_else(PoisonError::into_inner));
                }
            }
        }
    }
}

impl Inner {
    fn add(&mut self, folder: &Utf8Path) {
        let Some(watcher) = &mut self.watcher else { return };
        if let Err(error) = watcher.watch(folder.as_std_path(), RecursiveMode::NonRecursive) {
            tracing::warn!(%error, %folder, "not watched: it is read again at each call instead");
        }
    }

    fn drop_unless_needed(&mut self, folder: &Utf8PathBuf) {
        if self.settings.contains(folder) || self.followed.values().any(|folders| folders.contains(folder)) {
            return;
        }
        if let Some(watcher) = &mut self.watcher {
            // One that is gone is not watched any more.
            let _ = watcher.unwatch(folder.as_std_path());
        }
    }
}

impl Default for Watcher {
    fn default() -> Self {
        Self::new()
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
        assert_eq!(changed.into_iter().collect::<Vec<_>>(), [root.join(".devcontainer/devcontainer.json")]);
        let more = tokio::time::timeout(Duration::from_millis(200), watcher.changed()).await;
        assert!(more.is_err(), "one save is one change: {more:?}");
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
        assert!(watcher.concerns(&root, &root.join("api/go.mod")) && !watcher.concerns(&root, &root.join("main.go")));
        watcher.follow(&root, [root.join("go.mod")].into());
        crate::durable::replace(&root.join("api/go.mod"), b"").unwrap();
        let more = tokio::time::timeout(Duration::from_millis(200), watcher.changed()).await;
        assert!(more.is_err(), "it is no longer depended on: {more:?}");
    }
}
