//! Hot reload without a debugger: programs that are built and started again when their files change (`burrow dev`).
//!
//! State: the reloads and their numbers, owned by [`ReloadActor`]; each has a task of its own that owns everything else.
//!
//! Invariants: a program is replaced only by one that was built without an error; a build whose sources changed meanwhile
//! replaces nothing; everything runs under a shim with a lifeline, in its caller's environment, and ends with the session
//! that asked for it; nothing runs for one who does not trust the folder.
//!
//! Not here: what a file system tells (`watch`), the texts of settings (`workspace/files`), debug sessions (`debug`).

mod actor; // the loop
mod command; // a step of a build, or a program, under its shim
mod engine; // one reload
mod error;
mod folder; // reload/reload-N
mod git; // whether it changes files
mod machine; // pure: what a change, a build's end, a program's end lead to
mod messages; // ReloadRequest
mod plan; // pure: settings, .air.toml and the call, put together
mod queue; // what happened, until it is told
mod rebuild; // builds for a debug session
mod settling; // pure: when a burst of changes is over
mod written; // pure: which files the builds write

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use burrow_protocol::reload::{ReloadPiece, StartedReload};
use burrow_protocol::settings::ReloadSettings;
use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

pub use actor::ReloadActor;
pub use error::ReloadError;
pub use messages::ReloadOrder;

use crate::rebuild::{RebuildOrder, Rebuilds};
use crate::watch::Watcher;
use messages::{ReloadRequest, Reply};

/// Requests that may wait; the loop answers each at once.
const MAILBOX: usize = 64;

/// Who knows which Go a workspace has.
pub trait GoSource: Send + Sync {
    /// The folder of the workspace's `go` for one who asks with `env`; none where it is the one on PATH.
    fn go_bin<'a>(&'a self, workspace: &'a Utf8Path, env: &'a BTreeMap<String, String>) -> Finding<'a>;
}

/// The answer of a [`GoSource`], when it comes.
pub type Finding<'a> = Pin<Box<dyn Future<Output = Option<Utf8PathBuf>> + Send + 'a>>;

/// What the service is built from.
pub struct ReloadContext {
    /// Where reloads keep their things.
    pub dir: Utf8PathBuf,
    /// Who watches files.
    pub watcher: Arc<Watcher>,
    /// Who knows where `go` is.
    pub source: Arc<dyn GoSource>,
}

/// Hot reload. Clones are one and the same.
#[derive(Clone, Debug)]
pub struct Reload {
    requests: mpsc::Sender<ReloadRequest>,
}

impl Reload {
    /// The handle, and the loop to be run.
    #[must_use]
    pub fn build(context: ReloadContext) -> (Self, ReloadActor) {
        let (sender, requests) = mpsc::channel(MAILBOX);
        let earlier = folder::list(&context.dir);
        let actor = ReloadActor {
            requests,
            next: earlier.last().map_or(1, |last| last.0 + 1),
            earlier,
            context: Arc::new(context),
            reloads: BTreeMap::new(),
            tasks: JoinSet::new(),
        };
        (Self { requests: sender }, actor)
    }

    /// Begins a reload. When the answer comes, everything is watched and the first build is under way.
    ///
    /// # Errors
    /// [`ReloadError`]; then nothing runs.
    pub async fn start(&self, order: ReloadOrder) -> Result<StartedReload, ReloadError> {
        self.ask(|reply| ReloadRequest::Start { order: Box::new(order), reply }).await
    }

    /// What has happened since the last question, waited for where there is nothing yet.
    ///
    /// # Errors
    /// [`ReloadError::Unknown`].
    pub async fn follow(&self, id: String, wait: Duration) -> Result<ReloadPiece, ReloadError> {
        let queue = self.ask(|reply| ReloadRequest::Queue { id, reply }).await?;
        Ok(queue.take(wait).await)
    }

    /// Begins to end a reload; [`Self::follow`] tells when it has.
    ///
    /// # Errors
    /// [`ReloadError::Unknown`].
    pub async fn stop(&self, id: String) -> Result<(), ReloadError> {
        self.ask(|reply| ReloadRequest::Stop { id, reply }).await
    }

    /// Begins to build a program for a debug session, now and whenever its files change. Called from any runtime.
    #[must_use]
    pub fn rebuild(&self, order: RebuildOrder, settings: ReloadSettings) -> Rebuilds {
        let (sender, builds) = mpsc::channel(1);
        // Where the service is ending, the builds end at once.
        let _ = self.requests.try_send(ReloadRequest::Rebuild { order: Box::new(order), settings, sender });
        builds
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> ReloadRequest) -> Result<T, ReloadError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| ReloadError::Stopping)?;
        answer.await.map_err(|_| ReloadError::Stopping)?
    }
}
