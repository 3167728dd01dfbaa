//! What is asked of the reload service.

use std::sync::Arc;

use burrow_protocol::reload::{ReloadProgram, StartedReload};
use burrow_protocol::settings::ReloadSettings;
use camino::Utf8PathBuf;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::error::ReloadError;
use super::queue::Queue;
use crate::process::Caller;
use crate::rebuild::{Rebuild, RebuildOrder};

/// What is to be built, run and watched.
#[derive(Clone, Debug)]
pub struct ReloadOrder {
    /// The workspace.
    pub workspace: Utf8PathBuf,
    /// The programs; none: the one that the `.air.toml` names.
    pub programs: Vec<ReloadProgram>,
    /// A `.air.toml`.
    pub config: Option<Utf8PathBuf>,
    /// The program's arguments.
    pub args: Vec<String>,
    /// `customizations.burrow.reload`.
    pub settings: ReloadSettings,
    /// Names of variables whose values are masked.
    pub secrets: Vec<String>,
    /// In whose name it runs.
    pub caller: Caller,
    /// Cancelled when the session that asked is over.
    pub closed: CancellationToken,
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, ReloadError>>;

/// A request to the service.
#[derive(Debug)]
pub(super) enum ReloadRequest {
    /// Begin; answered when everything is watched.
    Start { order: Box<ReloadOrder>, reply: Reply<StartedReload> },
    /// Build for a debug session until it drops its end.
    Rebuild { order: Box<RebuildOrder>, settings: ReloadSettings, sender: mpsc::Sender<Rebuild> },
    /// Where the events of a reload are.
    Queue { id: String, reply: Reply<Arc<Queue>> },
    /// End one.
    Stop { id: String, reply: Reply<()> },
}
