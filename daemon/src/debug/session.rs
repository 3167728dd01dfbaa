//! One lease from its port to its last process: starts dlv, runs the relay, waits for an end, clears up.
//!
//! Invariants: [`SessionEvent::Cleared`] comes last and always; by then dlv and every descendant has ended, what dlv left
//! is removed, and the port is held again.
//! Not here: which port (`slots`), what the end means for the lease (`lease`).

use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::binaries::Workplaces;
use super::error::DebugError;
use super::folder::{self, LeaseFolder, LeaseId};
use super::lease::Input;
use super::messages::{LeaseOrder, SessionEvent};
use super::ports::Listening;
use super::relay::{FAREWELL, Relay, RelayEnd};
use super::{DlvSource, dlv};
use crate::process::{Ended, Shim};

/// How long an unclaimed lease lives.
const UNCLAIMED: Duration = Duration::from_secs(10 * 60);
/// The shim ends dlv after its grace, and its descendants after theirs.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// What all sessions share.
#[derive(Clone)]
pub(super) struct Surroundings {
    /// Where leases keep their things.
    pub(super) debug_dir: Utf8PathBuf,
    /// Who knows where dlv is.
    pub(super) source: Arc<dyn DlvSource>,
    /// Where relays run.
    pub(super) relays: tokio::runtime::Handle,
    /// The folders in which sessions run.
    pub(super) workplaces: Workplaces,
    /// Where sessions tell what happens.
    pub(super) events: mpsc::Sender<(LeaseId, SessionEvent)>,
}

/// One lease's session.
pub(super) struct Session {
    pub(super) id: LeaseId,
    pub(super) order: LeaseOrder,
    pub(super) around: Surroundings,
    /// Cancelled when the lease has ended for a reason of the broker's.
    pub(super) stop: CancellationToken,
}

/// What a session has begun, and so has to end.
#[derive(Default)]
struct Begun {
    /// The folder that it entered.
    workplace: Option<Utf8PathBuf>,
    shim: Option<Shim>,
}

impl Session {
    /// Serves the lease until it ends, then clears up.
    pub(super) async fn run(self, listening: Listening) {
        let folder = LeaseFolder::new(&self.around.debug_dir, self.id);
        let (ready_sender, ready) = watch::channel(false);
        let (spoke_sender, spoke) = oneshot::channel();
        let (end_sender, end) = oneshot::channel();
        let relay = Relay {
            listening,
            uid: rustix::process::getuid().as_raw(),
            dlv: folder.socket(),
            ready,
            spoke: spoke_sender,
            unclaimed: UNCLAIMED,
        };
        let relay = self.around.relays.spawn(async move {
            // Nobody listens where the session ends for another reason.
            let _ = end_sender.send(relay.serve().await);
        });

        let mut begun = Begun::default();
        match self.begin(&folder, &mut begun).await {
            Ok(pid) => {
                self.tell(SessionEvent::Ready { pid }).await;
                // The relay is gone where the port could not be served: then `serve` sees its end.
                let _ = ready_sender.send(true);
                if let Some(shim) = &mut begun.shim {
                    self.serve(shim, end, spoke).await;
                }
            }
            Err(error) => self.tell(SessionEvent::Failed(error)).await,
        }
        relay.abort();
        // An error says that it was aborted: either way its port is held again.
        let _ = relay.await;
        self.clear(folder, begun).await;
        self.tell(SessionEvent::Cleared).await;
    }

    /// Starts dlv; its pid, once it listens. What was begun when this fails stands in `begun`.
    async fn begin(&self, folder: &LeaseFolder, begun: &mut Begun) -> Result<u32, DebugError> {
        let order = &self.order;
        let tools = self.around.source.locate(&order.workspace, &order.env).await;
        let tools = tools.map_err(|why| DebugError::NoDlv { workspace: order.workspace.clone(), why })?;
        let (create_in, cwd) = (folder.clone(), order.cwd.clone());
        let record = spawn_blocking(move || create_in.create(&cwd)).await.map_err(|_| DebugError::Stopping)??;
        self.around.workplaces.enter(&record.cwd, &record.before);
        begun.workplace = Some(record.cwd.clone());
        let env = dlv::environment(order.env.clone(), tools.go_bin.as_deref());
        let dlv = order.dlv.as_ref().unwrap_or(&tools.dlv);
        let shim = begun.shim.insert(dlv::start(folder, dlv, &order.flags, env, &record.cwd).await?);
        dlv::wait_until_it_listens(shim, dlv, &self.stop).await?;
        Ok(shim.pid())
    }

    /// Waits for the end and tells it, unless the broker knows already.
    async fn serve(&self, shim: &mut Shim, mut end: oneshot::Receiver<RelayEnd>, mut spoke: oneshot::Receiver<()>) {
        let mut connected = false;
        let end = loop {
            tokio::select! {
                Ok(()) = &mut spoke, if !connected => {
                    connected = true;
                    self.tell(SessionEvent::Spoke).await;
                }
                end = &mut end => break end.ok(),
                ended = shim.ended() => {
                    tracing::debug!(lease = %self.id, ?ended, "dlv ended");
                    // dlv ends when its client leaves, too: who was first, the relay knows.
                    let last_words = if connected { FAREWELL } else { Duration::ZERO };
                    break timeout(last_words, end).await.ok().and_then(Result::ok);
                }
                () = self.stop.cancelled() => return,
            }
        };
        self.tell(SessionEvent::Over(over(end))).await;
    }

    async fn clear(&self, folder: LeaseFolder, begun: Begun) {
        let Begun { workplace, shim } = begun;
        if let Some(mut shim) = shim {
            if let Err(error) = shim.cancel().await {
                tracing::warn!(lease = %self.id, %error, "dlv's shim could not be told to end");
            }
            match timeout(END_DEADLINE, shim.ended()).await {
                Ok(Ok(Ended::Outcome(outcome))) => tracing::debug!(lease = %self.id, ?outcome, "dlv has ended"),
                other => tracing::warn!(lease = %self.id, ?other, "how dlv ended is not known"),
            }
        }
        let (workplaces, debug_dir) = (self.around.workplaces.clone(), self.around.debug_dir.clone());
        let cleared = spawn_blocking(move || {
            if let Some(cwd) = workplace {
                workplaces.leave(&cwd);
            }
            folder.close()?;
            folder::prune(&debug_dir)
        });
        match cleared.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(lease = %self.id, %error, "the lease's files could not be cleared"),
            Err(error) => tracing::error!(lease = %self.id, %error, "clearing up failed"),
        }
    }

    async fn tell(&self, event: SessionEvent) {
        // The broker outlives its sessions; where it does not, nobody is left to be told.
        let _ = self.around.events.send((self.id, event)).await;
    }
}

/// What a relay's end means; `None`: it did not end by itself.
fn over(end: Option<RelayEnd>) -> Input {
    match end {
        Some(RelayEnd::Expired) => Input::Expired,
        Some(RelayEnd::ClientLeft) => Input::ClientLeft,
        Some(RelayEnd::Broken(error)) => {
            tracing::error!(%error, "a debug port could not be served");
            Input::DlvEnded
        }
        Some(RelayEnd::DlvLeft) | None => Input::DlvEnded,
    }
}
