//! Debug ports and sessions: `dlv dap` behind one of a few known ports, so that any editor finds it and nothing is left
//! of it afterwards.
//!
//! State: the ports, held from the start, and the leases on them; owned by [`DebugActor`] alone.
//!
//! Invariants: nobody but dlv and the relay ever connects to dlv; a lease's port listens before the lease is granted; a
//! lease is shown until its last process and file are gone, and only then is its port free; nothing here signals a
//! process by number, that is its shim's work.
//!
//! Not here: which dlv a workspace has ([`DlvSource`]), spawning (`process`), the wire (`rpc`).

mod actor; // the loop
mod entry; // one lease as the broker keeps it
pub mod lease; // pure: leased -> connected -> ended(why)
mod messages; // DebugRequest, SessionEvent
mod session; // one lease: dlv, relay, clearing up
mod slots; // which port is free, lent, foreign

mod admission; // who may connect
mod back; // where a dlv is waited for that knows no sockets
mod binaries; // what a killed dlv leaves in its folder
mod dlv; // starting it, and knowing when it listens
mod folder; // debug/lease-N
mod follow; // a client stays while its program starts anew
mod launch; // what a client asked dlv to build
mod log; // what dlv printed
mod printed; // that, as output events
mod relay; // bytes between a client and dlv
mod relays; // the runtime that relays run on
mod reload; // a session whose program is built and restarted when its files change
mod rules; // what the settings say of leases
mod sock_diag; // one socket, asked of the kernel
mod sweep; // what a killed daemon left

pub mod dap; // the protocol, as a client
pub mod go_processes; // what can be attached to
pub mod holder; // who has a foreign port
pub mod ports; // a port, held
pub mod process_tree; // descendants, from /proc
pub mod tcp_table; // sockets, from /proc
pub mod trial; // the self-test

mod tracing_rights; // why a process may not be traced
mod upstream; // where a debug adapter listens

mod error;

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use burrow_protocol::SafeInt;
use burrow_protocol::debug::LeaseStatus;
use burrow_protocol::hooks::LogPiece;
use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, timeout_at};

pub use actor::DebugActor;
pub use error::DebugError;
pub use messages::{LeaseOrder, ReloadRules, Service};
pub use relays::Relays;
pub use reload::Rebuilder;
pub use rules::Rules;
pub(crate) use tracing_rights::Tracing;
pub use upstream::Upstream;

use crate::model::Model;
use folder::LeaseId;
use messages::{DebugRequest, Reply};

/// Requests that may wait; the loop answers each within milliseconds.
const MAILBOX: usize = 64;

/// How long a log is waited for that cannot tell that it has grown.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Reads a message of a debug client as a relay does, for the fuzzer.
pub(crate) fn read_launch(frame: &[u8]) {
    let _ = launch::Launched::in_frame(frame, Utf8Path::new("/"));
}

/// Who knows which dlv debugs a workspace.
pub trait DlvSource: Send + Sync {
    /// The tools for `workspace` and one who asks with `env`, or why there are none.
    fn locate<'a>(&'a self, workspace: &'a Utf8Path, env: &'a BTreeMap<String, String>) -> Locating<'a>;
}

/// The answer of a [`DlvSource`], when it comes.
pub type Locating<'a> = Pin<Box<dyn Future<Output = Result<DlvTools, String>> + Send + 'a>>;

/// What debugs a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DlvTools {
    /// dlv.
    pub dlv: Utf8PathBuf,
    /// The folder of the workspace's `go`, where it is not the one on PATH.
    pub go_bin: Option<Utf8PathBuf>,
}

/// What the service is built from.
pub struct DebugContext {
    /// The debug ports.
    pub ports: RangeInclusive<u16>,
    /// Where leases keep their things.
    pub debug_dir: Utf8PathBuf,
    /// Where ports and leases are shown.
    pub model: Model,
    /// Who knows where dlv is.
    pub source: Arc<dyn DlvSource>,
    /// Who builds a program again when its files change.
    pub builder: Arc<dyn Rebuilder>,
    /// The runtime that relays run on: apart from the daemon's, so that neither slows the other.
    pub relays: tokio::runtime::Handle,
}

/// The port broker. Clones are one and the same.
#[derive(Clone, Debug)]
pub struct Debug {
    requests: mpsc::Sender<DebugRequest>,
    debug_dir: Utf8PathBuf,
}

impl Debug {
    /// Takes the ports at once; the rest is the actor's.
    #[must_use]
    pub fn build(context: DebugContext) -> (Self, DebugActor) {
        let DebugContext { ports, debug_dir, model, source, builder, relays } = context;
        let (requests_sender, requests) = mpsc::channel(MAILBOX);
        let (events_sender, events) = mpsc::channel(MAILBOX);
        let earlier = folder::list(&debug_dir);
        let actor = DebugActor {
            requests,
            events,
            around: session::Surroundings {
                debug_dir: debug_dir.clone(),
                source,
                builder,
                relays,
                workplaces: binaries::Workplaces::default(),
                events: events_sender,
            },
            model,
            slots: slots::Slots::hold(ports),
            leases: BTreeMap::new(),
            waiting: VecDeque::new(),
            next: LeaseId(earlier.last().map_or(1, |last| last.0 + 1)),
            earlier,
            sessions: JoinSet::new(),
        };
        (Self { requests: requests_sender, debug_dir }, actor)
    }

    /// Leases a port. When the answer comes, the port listens and dlv is there. Dropping the
    /// future before that gives the lease up.
    ///
    /// # Errors
    /// [`DebugError`]; then nothing is leased.
    pub async fn lease(&self, order: LeaseOrder) -> Result<LeaseStatus, DebugError> {
        self.ask(|reply| DebugRequest::Lease { order: Box::new(order), reply }).await
    }

    /// Ends a lease. When the answer comes, no process and no file of it is left. One that is ending already is waited
    /// for.
    ///
    /// # Errors
    /// [`DebugError::LeaseUnknown`], also where it has ended before.
    pub async fn release(&self, id: String) -> Result<LeaseStatus, DebugError> {
        self.ask(|reply| DebugRequest::Release { id, reply }).await
    }

    /// Ends the lease on a port, if there is one, as [`Self::release`] does; a foreign port is tried again.
    ///
    /// # Errors
    /// [`DebugError::PortForeign`] where it is still somebody else's, [`DebugError::PortOutside`].
    pub async fn reclaim(&self, port: u16) -> Result<Option<LeaseStatus>, DebugError> {
        self.ask(|reply| DebugRequest::Reclaim { port, reply }).await
    }

    /// What dlv and the program printed, from `offset` on, in dlv's start `attempt`, from 1; waited for, up to `wait`, where
    /// there is nothing yet. The logs of the last few leases are kept.
    ///
    /// # Errors
    /// [`DebugError::LeaseUnknown`] where there is no log.
    pub async fn read_log(
        &self,
        id: String,
        offset: SafeInt,
        attempt: u32,
        wait: Duration,
    ) -> Result<LogPiece, DebugError> {
        let deadline = Instant::now() + wait;
        loop {
            // Asked before reading: what is printed in between ends the wait.
            let printing = self.ask(|reply| DebugRequest::Printing { id: id.clone(), reply }).await;
            let is_live = !matches!(printing, Err(DebugError::LeaseUnknown { .. }));
            let (debug_dir, its) = (self.debug_dir.clone(), id.clone());
            let read = spawn_blocking(move || log::read(&debug_dir, its, attempt, offset));
            let piece = read.await.map_err(|_| DebugError::Stopping)??;
            let is_news = !piece.reads.is_empty() || piece.attempt > attempt.max(1);
            let ended = !is_news && !is_live;
            if is_news || ended || Instant::now() >= deadline {
                return Ok(LogPiece { ended, ..piece });
            }
            let grown = async {
                let has_grown = match printing {
                    Ok(Some(mut printing)) => printing.grown().await,
                    // It is being started, or is somebody else's and prints nothing here.
                    Ok(None) | Err(_) => false,
                };
                if !has_grown {
                    sleep(LOOK_AGAIN).await;
                }
            };
            // Whatever ends the wait, the next turn finds out what it was.
            let _ = timeout_at(deadline, grown).await;
        }
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> DebugRequest) -> Result<T, DebugError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| DebugError::Stopping)?;
        answer.await.map_err(|_| DebugError::Stopping)?
    }
}
