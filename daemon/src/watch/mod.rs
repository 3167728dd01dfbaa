//! Files that change under an open workspace: the only module that knows `notify`.
//!
//! State: one inotify instance (they are counted per uid across all containers of a host), and the roots that changed and
//! were not asked about yet.
//!
//! Invariants: a burst of events is one change; what is pending is bounded by the number of workspaces; where the kernel
//! gives no inotify instance, that is told, and files are read again whenever a client opens the workspace.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// How long after its last event a burst is over: an editor's save is several events.
const QUIET: Duration = Duration::from_millis(50);

/// The names that matter in a watched folder.
const NAMES: [&str; 3] = ["devcontainer.json", ".devcontainer.json", ".devcontainer"];

/// Watches the folders of the open workspaces.
#[derive(Debug)]
pub struct Watcher {
    inner: Mutex<Option<RecommendedWatcher>>,
    changes: Arc<Changes>,
}

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
        let sink = Arc::clone(&changes);
        let inner = notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
            Ok(event) => sink.take(&event),
            Err(error) => tracing::warn!(%error, "could not follow changes of files"),
        });
        let inner = inner
            .inspect_err(
                |error| tracing::warn!(%error, "no inotify instance: files are read again at each call instead"),
            )
            .ok();
        Self { inner: Mutex::new(inner), changes }
    }

    /// Watches the workspace at `root`: the files in it and in its `.devcontainer` that say what is due. Calling it again
    /// picks up a `.devcontainer` that is new.
    pub fn watch(&self, root: &Utf8Path) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(inner) = inner.as_mut() else { return };
        for folder in [root.to_owned(), root.join(".devcontainer")] {
            if folder.is_dir()
                && let Err(error) = inner.watch(folder.as_std_path(), RecursiveMode::NonRecursive)
            {
                tracing::warn!(%error, %folder, "not watched: it is read again at each call instead");
            }
        }
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
