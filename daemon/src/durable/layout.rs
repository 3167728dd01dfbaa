//! Where things lie in the state directory. Names only: nothing here touches the disk.

use camino::{Utf8Path, Utf8PathBuf};

use crate::hex;

/// The state directory of one daemon.
#[derive(Clone, Debug)]
pub struct StateLayout {
    dir: Utf8PathBuf,
}

impl StateLayout {
    /// The layout below `dir`.
    #[must_use]
    pub const fn new(dir: Utf8PathBuf) -> Self {
        Self { dir }
    }

    /// The directory itself.
    #[must_use]
    pub fn dir(&self) -> &Utf8Path {
        &self.dir
    }

    /// Held for life by the one daemon of this directory.
    #[must_use]
    pub fn lock(&self) -> Utf8PathBuf {
        self.dir.join("lock")
    }

    /// The rendezvous: process, build, socket and protocol of the running daemon.
    #[must_use]
    pub fn rendezvous(&self) -> Utf8PathBuf {
        self.dir.join("daemon.json")
    }

    /// The daemon's own log.
    #[must_use]
    pub fn log(&self) -> Utf8PathBuf {
        self.dir.join("daemon.log")
    }

    /// There while the user wants the daemon stopped; its content is the container's start it counts for.
    #[must_use]
    pub fn stopped(&self) -> Utf8PathBuf {
        self.dir.join("stopped")
    }

    /// The container's identity.
    #[must_use]
    pub fn identity(&self) -> Utf8PathBuf {
        self.dir.join("identity.json")
    }

    /// One folder an open workspace.
    #[must_use]
    pub fn workspaces(&self) -> Utf8PathBuf {
        self.dir.join("workspaces")
    }

    /// One folder a lease.
    #[must_use]
    pub fn debug(&self) -> Utf8PathBuf {
        self.dir.join("debug")
    }

    /// One folder a reload, while it lasts.
    #[must_use]
    pub fn reload(&self) -> Utf8PathBuf {
        self.dir.join("reload")
    }

    /// One folder an operation on the tools that is under way.
    #[must_use]
    pub fn work(&self) -> Utf8PathBuf {
        self.dir.join("work")
    }

    /// Downloaded modules, in the layout of GOPROXY, for a repair without network.
    #[must_use]
    pub fn modules(&self) -> Utf8PathBuf {
        self.dir.join("modules")
    }

    /// A link to the active tools of the container's workspace folder.
    #[must_use]
    pub fn current(&self) -> Utf8PathBuf {
        self.dir.join("current")
    }

    /// The folder of the workspace at `path`.
    #[must_use]
    pub fn workspace(&self, path: &Utf8Path) -> WorkspaceLayout {
        WorkspaceLayout::new(self.workspaces().join(hex::short_digest(path.as_str())))
    }
}

/// The folder of one workspace in the state directory.
#[derive(Clone, Debug)]
pub struct WorkspaceLayout {
    dir: Utf8PathBuf,
}

impl WorkspaceLayout {
    /// The layout below `dir`, an entry of [`StateLayout::workspaces`].
    #[must_use]
    pub const fn new(dir: Utf8PathBuf) -> Self {
        Self { dir }
    }

    /// The folder itself.
    #[must_use]
    pub fn dir(&self) -> &Utf8Path {
        &self.dir
    }

    /// The workspace's path, for a daemon that starts.
    #[must_use]
    pub fn workspace_file(&self) -> Utf8PathBuf {
        self.dir.join("workspace.json")
    }

    /// What is done: one line a change.
    #[must_use]
    pub fn ledger(&self) -> Utf8PathBuf {
        self.dir.join("ledger.jsonl")
    }

    /// One folder a run.
    #[must_use]
    pub fn runs(&self) -> Utf8PathBuf {
        self.dir.join("runs")
    }

    /// One folder a generation of tools.
    #[must_use]
    pub fn generations(&self) -> Utf8PathBuf {
        self.dir.join("generations")
    }

    /// A link to the active generation.
    #[must_use]
    pub fn current(&self) -> Utf8PathBuf {
        self.dir.join("current")
    }

    /// The start of the container in which the active tools were last read as a whole.
    #[must_use]
    pub fn verified(&self) -> Utf8PathBuf {
        self.dir.join("verified.json")
    }

    /// What a rollback chose: `rollback.json`.
    #[must_use]
    pub fn rollback(&self) -> Utf8PathBuf {
        self.dir.join("rollback.json")
    }

    /// The lock file of a workspace that has no `.devcontainer` folder.
    #[must_use]
    pub fn lock_file(&self) -> Utf8PathBuf {
        self.dir.join("lock.json")
    }
}
