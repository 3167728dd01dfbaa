//! The Go tools of one workspace: which versions it is to have, whether it has them, and how it gets them.
//!
//! State: per workspace, the generations and the operation in flight; owned by [`ToolchainActor`] alone. On disk: the store,
//! the generations, the lock file.
//!
//! Invariants: one operation at a time; nothing counts as installed before its content was compared; a look never touches the
//! network, and starts no process but, for a trusted caller, a `go` that is a shim; only an operation that somebody asked for runs `go`, in its caller's name.
//!
//! Not here: spawning (`process`), the wire (`rpc`), reading go.mod and devcontainer.json (`workspace/files`).

mod error; // ToolchainError
mod messages; // ToolchainRequest

mod buildinfo; // what a binary says of its build
mod dirhash; // h1 sums and digests
mod version; // versions of Go and of modules

mod asked_go; // a `go` that has to be asked for its Go
mod compat; // data/compat.toml: which version works with which Go
mod environment; // the environment of a build
mod go; // the effective Go
mod lock; // the lock file
mod pins; // pure: pins + lock + table -> what is wanted
mod sources; // the files in which a project pins tools
mod sumdb; // pure: whether the checksum database vouches for a module

mod generations; // the sets of tools, and which is active
mod store; // binaries by digest
mod verify; // whether a binary is still what was recorded

mod go_command; // running `go`
mod install; // download and build
mod lookup; // versions that only the module proxy knows
mod modules; // downloads that are kept
mod observe; // what is asked for and what is there
mod operation; // repair, update, rollback
mod problems; // what is wrong with the lock file, at its place
mod queue; // pure: which operation runs
mod repair; // pure: observation -> plan
mod update; // pure: what an update does to the lock file
mod view; // pure: observation -> what is shown
mod work; // the folder of an operation

mod first_look; // what is compared when a daemon starts
mod tried; // pure: repairs that nobody asked for

mod actor; // the loop

use std::collections::BTreeSet;
use std::sync::Arc;

use burrow_protocol::model::ContainerStatus;
use burrow_protocol::toolchain::{OperationResult, RepairPlan, StartedOperation, ToolsReport};
use camino::Utf8PathBuf;
use tokio::sync::{mpsc, oneshot, watch};

pub use actor::ToolchainActor;
pub use asked_go::AskedGo;
pub(crate) use buildinfo::fuzz as fuzz_buildinfo;
pub use buildinfo::{BuildInfoError, built_with};
pub use error::ToolchainError;
pub use go::{EffectiveGo, GoInstall};
pub(crate) use lock::parse as parse_lock;
pub use version::{GoVersion, ModuleVersion, VersionError};

use crate::durable::{self, DurableError, StateLayout, WorkspaceLayout};
use crate::hex;
use crate::model::WorkspacePublisher;
use crate::process::Caller;
use crate::workspace::files::devcontainer::Settings;
use generations::Generations;
use messages::ToolchainRequest;
use operation::Kind;
use store::Store;
use verify::{Condition, Depth};

/// How many requests may wait in the mailbox.
const MAILBOX: usize = 32;

/// What a toolchain works with.
#[derive(Clone, Debug)]
pub struct ToolchainContext {
    /// The workspace folder.
    pub workspace: Utf8PathBuf,
    /// The state directory.
    pub state: StateLayout,
    /// The store's folder.
    pub store_dir: Utf8PathBuf,
    /// The container and this start of it.
    pub container: ContainerStatus,
    /// The workspace's settings, as they change.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// Where tools and progress are shown.
    pub publisher: WorkspacePublisher,
    /// Told which files the last look depended on, whether they are there or not.
    pub looked_at: watch::Sender<BTreeSet<Utf8PathBuf>>,
    /// What a `go` said that had to be asked.
    pub asked_go: AskedGo,
}

impl ToolchainContext {
    fn layout(&self) -> WorkspaceLayout {
        self.state.workspace(&self.workspace)
    }

    /// The store, as this workspace uses it.
    fn store(&self) -> Store {
        // A container that was copied has another identity, and two workspaces have two folders.
        let holder = hex::short_digest(&format!("{} {}", self.container.id, self.layout().dir()));
        let shared = !self.store_dir.starts_with(self.state.dir());
        Store::new(self.store_dir.clone(), holder, shared)
    }

    /// Says in the store that what this workspace has is still used. Blocks.
    fn renew_hold(&self) {
        self.store().renew(|| Generations::new(self.layout()).digests());
    }

    /// Makes the state directory's `current` lead to this workspace's tools, unless it leads to those of another one that is
    /// still known. Blocks.
    fn link_current(&self) -> Result<(), DurableError> {
        let link = self.state.current();
        let target = Generations::new(self.layout()).active_bin();
        // `WORKSPACE/current/bin`: the workspace's own folder is two above.
        let holder = link.read_link_utf8().ok().and_then(|path| Some(path.parent()?.parent()?.to_owned()));
        match holder {
            Some(holder) if holder.is_dir() => Ok(()),
            _ => durable::replace_link(&target, &link),
        }
    }
}

/// The handle of a workspace's tools. Clones are one and the same.
#[derive(Clone, Debug)]
pub struct Toolchain {
    mailbox: mpsc::Sender<ToolchainRequest>,
    context: Arc<ToolchainContext>,
}

impl Toolchain {
    /// Makes the handle, and the actor that has to run for it to answer. What is installed is shown at once, by a glance at
    /// the records. Blocks for about as long as reading three small files.
    #[must_use]
    pub fn build(context: ToolchainContext) -> (Self, ToolchainActor) {
        let context = Arc::new(context);
        let (mailbox, requests) = mpsc::channel(MAILBOX);
        let actor = ToolchainActor::new(Arc::clone(&context), requests);
        (Self { mailbox, context }, actor)
    }

    /// The tools as they stand, each with why it has its version.
    ///
    /// # Errors
    /// Why nobody can say what the workspace is to have: no Go, no module, a damaged lock file.
    pub async fn list(&self, caller: Caller) -> Result<ToolsReport, ToolchainError> {
        self.ask(|reply| ToolchainRequest::List { caller, reply }).await?
    }

    /// What a repair would do now, with the same words as for [`Self::repair`]. Starts nothing.
    ///
    /// # Errors
    /// As [`Self::list`]; with `locked`, [`ToolchainError::Drifted`] where the lock file is not all that is asked for.
    pub async fn plan(&self, caller: Caller, locked: bool, keep_rollback: bool) -> Result<RepairPlan, ToolchainError> {
        self.ask(|reply| ToolchainRequest::Plan { caller, locked, keep_rollback, reply }).await?
    }

    /// Compares the installed tools with their records; with `full`, every byte and what the binaries say of their build.
    ///
    /// # Errors
    /// [`ToolchainError::Ending`].
    pub async fn verify(&self, caller: Caller, full: bool) -> Result<ToolsReport, ToolchainError> {
        self.ask(|reply| ToolchainRequest::Verify { caller, full, reply }).await
    }

    /// Queues a repair; with `locked`, one that installs nothing that the lock file does not name; with `keep_rollback`, one
    /// that leaves a set as it is that somebody rolled back to. The answer means queued.
    ///
    /// # Errors
    /// [`ToolchainError::Untrusted`] or [`ToolchainError::Ending`].
    pub async fn repair(
        &self,
        caller: Caller,
        locked: bool,
        keep_rollback: bool,
    ) -> Result<StartedOperation, ToolchainError> {
        self.start(Kind::Repair { locked, keep_rollback }, caller).await
    }

    /// Queues an update of the locked version of one tool, else of all. The answer means queued.
    ///
    /// # Errors
    /// [`ToolchainError::Untrusted`] or [`ToolchainError::Ending`].
    pub async fn update(
        &self,
        caller: Caller,
        name: Option<String>,
        create_folder: bool,
    ) -> Result<StartedOperation, ToolchainError> {
        self.start(Kind::Update { name, create_folder }, caller).await
    }

    /// Queues a build of the installed tools in empty caches, which must give the same binaries. The answer means queued.
    ///
    /// # Errors
    /// [`ToolchainError::Untrusted`] or [`ToolchainError::Ending`].
    pub async fn rebuild(&self, caller: Caller) -> Result<StartedOperation, ToolchainError> {
        self.start(Kind::Rebuild, caller).await
    }

    /// Queues a question to the checksum database about the installed tools that the compatibility table does not know. The
    /// answer means queued.
    ///
    /// # Errors
    /// [`ToolchainError::Untrusted`] or [`ToolchainError::Ending`].
    pub async fn check_sums(&self, caller: Caller) -> Result<StartedOperation, ToolchainError> {
        self.start(Kind::CheckSums, caller).await
    }

    /// Ends an operation that waits or runs; one that is about to switch does so. The answer means asked.
    ///
    /// # Errors
    /// [`ToolchainError::OperationUnknown`] or [`ToolchainError::Ending`].
    pub async fn cancel(&self, operation: String) -> Result<(), ToolchainError> {
        self.ask(|reply| ToolchainRequest::Cancel { operation, reply }).await?
    }

    /// Looks at the tools in the name of a window that opened the workspace. With `may_repair`, and where the settings have
    /// `autoRepair`, what is not in order is brought in order.
    pub async fn notice(&self, caller: Caller, may_repair: bool) {
        // An error only says that the daemon is ending.
        let _ = self.mailbox.send(ToolchainRequest::Notice { caller, may_repair }).await;
    }

    /// Looks at the tools again, since files changed that they depend on; `may_repair` as for [`Self::notice`].
    pub async fn files_changed(&self, may_repair: bool) {
        let _ = self.mailbox.send(ToolchainRequest::FilesChanged { may_repair }).await;
    }

    /// Waits for the end of an operation. Dropping the future ends the waiting, not the operation.
    ///
    /// # Errors
    /// The operation's own error, or [`ToolchainError::OperationUnknown`]: the last few that ended are remembered.
    pub async fn wait(&self, operation: String) -> Result<OperationResult, Arc<ToolchainError>> {
        self.ask(|reply| ToolchainRequest::Wait { operation, reply }).await.map_err(Arc::new)?
    }

    /// Makes the newest whole generation before the active one active, once the operations before it have ended. That holds
    /// until the next repair that was asked for, or until something else is asked for.
    ///
    /// # Errors
    /// [`ToolchainError::NoGeneration`].
    pub async fn rollback(&self, caller: Caller) -> Result<ToolsReport, Arc<ToolchainError>> {
        let started = self.start(Kind::Rollback, caller).await.map_err(Arc::new)?;
        Ok(self.wait(started.operation).await?.report)
    }

    /// The binary of an installed tool in the active generation, its fingerprint compared now.
    ///
    /// # Errors
    /// [`ToolchainError::NotInstalled`].
    pub async fn tool_path(&self, name: &str) -> Result<Utf8PathBuf, ToolchainError> {
        let (context, name) = (Arc::clone(&self.context), name.to_owned());
        install::blocking(move || {
            let store = context.store();
            let generations = Generations::new(context.layout());
            let not_installed = |why| ToolchainError::NotInstalled { tool: name.clone(), why };
            let (number, manifest) = generations.active().ok_or_else(|| not_installed("no tools are installed"))?;
            let tool = manifest.tools.get(&name).ok_or_else(|| not_installed("it is not installed"))?;
            match verify::condition(&store, &generations.bin(number), &name, tool, Depth::Quick) {
                Condition::Sound | Condition::Unlinked | Condition::Touched(_) => Ok(store.path(&tool.sha256, &name)),
                Condition::Changed => Err(not_installed("its binary was changed")),
                Condition::Missing => Err(not_installed("its binary is gone")),
            }
        })
        .await
    }

    /// The Go that works in the workspace for `caller`.
    ///
    /// # Errors
    /// [`ToolchainError`] `NoGo`, `NoModule`, `GoTooOld`, or a file that cannot be read.
    pub async fn go(&self, caller: &Caller) -> Result<EffectiveGo, ToolchainError> {
        let (context, caller) = (Arc::clone(&self.context), caller.clone());
        install::blocking(move || go::effective(&context.workspace, &caller, &context.asked_go)).await
    }

    async fn start(&self, kind: Kind, caller: Caller) -> Result<StartedOperation, ToolchainError> {
        // A rollback runs nothing, and what it goes back to was installed with trust.
        if !caller.trusted && kind != Kind::Rollback {
            return Err(ToolchainError::Untrusted { workspace: self.context.workspace.clone() });
        }
        let operation = self.ask(|reply| ToolchainRequest::Start { kind, caller, reply }).await?;
        Ok(StartedOperation { operation })
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> ToolchainRequest) -> Result<T, ToolchainError> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.send(request(reply)).await.map_err(|_| ToolchainError::Ending)?;
        answer.await.map_err(|_| ToolchainError::Ending)
    }
}

#[cfg(test)]
mod tests {
    use burrow_protocol::model::{ContainerKind, ContainerStatus};

    use super::*;
    use crate::model::Model;

    /// A window that has not been trusted may look, and may not have anything built that the folder names.
    #[tokio::test]
    async fn without_trust_nothing_is_installed() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        let container = ContainerStatus { kind: ContainerKind::Host, id: String::new(), start_id: String::new() };
        let (_sender, settings) = watch::channel(Arc::new(Settings::default()));
        let (toolchain, actor) = Toolchain::build(ToolchainContext {
            workspace: path.clone(),
            state: StateLayout::new(path.join("state")),
            store_dir: path.join("store"),
            container: container.clone(),
            settings,
            publisher: Model::new(container).workspace(&path),
            looked_at: watch::Sender::default(),
            asked_go: AskedGo::default(),
        });
        tokio::spawn(actor.run(tokio_util::sync::CancellationToken::new()));
        let caller = Caller { trusted: false, ..Caller::default() };
        let refused = |error| matches!(error, ToolchainError::Untrusted { .. });
        assert!(toolchain.repair(caller.clone(), false, false).await.is_err_and(refused));
        assert!(toolchain.update(caller.clone(), None, false).await.is_err_and(refused));
        assert!(matches!(toolchain.list(caller.clone()).await, Err(ToolchainError::NoGo)), "a look is an answer");
        let rollback = toolchain.rollback(caller).await;
        assert!(rollback.is_err_and(|error| matches!(*error, ToolchainError::NoGeneration)));
    }
}
