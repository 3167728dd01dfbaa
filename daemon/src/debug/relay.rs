//! A lease's port, and the debug adapter behind it: one client's, or many clients' in turn or at once.
//!
//! Invariants: the adapter is dialled only for a debug client (`door`); where it serves one client, the port refuses from
//! then on; a buffer a direction is all the memory there is, however slow a reader.
//! Not here: when a lease ends otherwise (`session`), who may connect (`admission`), a session that follows its program
//! (`follow`).

mod conversation; // one client and its dlv
mod copying; // bytes both ways
mod door; // where clients come in
mod peer; // whether the other end is still there
#[cfg(test)]
mod tests;

use std::future::pending;
use std::io;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::admission::Admission;
use super::follow;
use super::launch::Launches;
use super::ports::Listening;
use super::reload::{self, Reloads};
use super::upstream::{Adapter, Connection, Upstream};
use copying::{copy_both, one_way};
use door::Door;
use peer::{lost, watch_over};

pub(super) use conversation::Conversation;
pub(super) use copying::FAREWELL;
pub(super) use door::DebugClient;

/// Clients of one program at one time.
const MAX_CLIENTS: usize = 32;

/// What a relay serves.
#[derive(Debug)]
pub(super) struct Relay {
    /// The port.
    pub(super) listening: Listening,
    /// Who may connect.
    pub(super) admission: Admission,
    /// How the debug adapter is served.
    pub(super) mode: Mode,
    /// The debug adapter, once it is there; its sender is dropped where that never comes.
    pub(super) ready: watch::Receiver<Option<Adapter>>,
    /// How many clients are connected.
    pub(super) clients: watch::Sender<u32>,
    /// How long the port waits for its first client, once the debug adapter is there.
    pub(super) unclaimed: Duration,
}

/// How a debug adapter is served.
#[derive(Clone, Debug)]
pub(super) enum Mode {
    /// One client; what it asks to be launched is told first.
    One {
        /// Who is told.
        launches: Launches,
        /// dlv's folder, from which a client's paths count.
        cwd: Utf8PathBuf,
        /// Whether an attached program is attached to again when it starts anew.
        follow: bool,
        /// How a launched program is built and restarted when its files change.
        reloads: Option<Reloads>,
    },
    /// Clients come and go, in DAP or JSON-RPC.
    Many,
}

/// How a relay ended.
#[derive(Debug)]
pub(super) enum RelayEnd {
    /// No client came.
    Expired,
    /// The client hung up first.
    ClientLeft,
    /// The debug adapter hung up first, or was never there.
    DlvLeft,
    /// The port could not be served.
    Broken(io::Error),
}

impl Relay {
    /// Serves to the end. Runs on the runtime that it is spawned on; dropping it refuses and hangs up.
    pub(super) async fn serve(self) -> RelayEnd {
        let Self { listening, admission, mode, ready, clients, unclaimed } = self;
        let mut door = match Door::open(&listening, admission, matches!(mode, Mode::Many)) {
            Ok(door) => door,
            Err(error) => return RelayEnd::Broken(error),
        };
        // It waits from when there is something to wait for.
        let expired = async {
            match awaited(ready.clone()).await {
                Some(_) => sleep(unclaimed).await,
                None => pending().await,
            }
        };
        let client = tokio::select! {
            client = door.next() => client,
            () = expired => return RelayEnd::Expired,
        };
        match mode {
            Mode::One { launches, cwd, follow, reloads } => {
                drop(door);
                drop(listening);
                clients.send_replace(1);
                let lost = lost(&client.stream);
                let served = async {
                    let Some(adapter) = awaited(ready).await else { return RelayEnd::DlvLeft };
                    if follow {
                        follow::serve(client, adapter, &cwd, &launches).await
                    } else {
                        serve_one(client, adapter, &cwd, &launches, reloads.as_ref()).await
                    }
                };
                tokio::select! {
                    end = served => end,
                    () = lost => RelayEnd::ClientLeft,
                }
            }
            Mode::Many => {
                let Some(adapter) = awaited(ready).await else { return RelayEnd::DlvLeft };
                serve_many(door, client, &adapter.upstream, &clients).await
            }
        }
    }
}

async fn awaited(mut ready: watch::Receiver<Option<Adapter>>) -> Option<Adapter> {
    ready.wait_for(Option::is_some).await.ok().and_then(|adapter| adapter.clone())
}

async fn serve_one(
    client: DebugClient,
    adapter: Adapter,
    cwd: &Utf8Path,
    launches: &Launches,
    reloads: Option<&Reloads>,
) -> RelayEnd {
    let upstream = adapter.upstream.clone();
    let mut conversation = match Conversation::begin(client.stream, adapter).await {
        Ok(conversation) => conversation,
        Err(error) => {
            tracing::warn!(%error, %upstream, "dlv does not answer");
            return RelayEnd::DlvLeft;
        }
    };
    match conversation.before_launch(&client.opening, cwd, launches, reloads).await {
        Ok(None) => conversation.copy(launches).await,
        Ok(Some(held)) => match reloads {
            Some(reloads) => reload::serve(conversation, held, reloads).await,
            // Nothing is held back for nobody.
            None => RelayEnd::DlvLeft,
        },
        Err(end) => end,
    }
}

/// Serves clients until the debug adapter is gone.
async fn serve_many(mut door: Door, first: DebugClient, upstream: &Upstream, count: &watch::Sender<u32>) -> RelayEnd {
    let mut clients = JoinSet::new();
    let serve = |client: DebugClient, clients: &mut JoinSet<io::Result<()>>| {
        let upstream = upstream.clone();
        clients.spawn(serve_guest(client, upstream));
        count.send_replace(u32::try_from(clients.len()).unwrap_or(u32::MAX));
    };
    serve(first, &mut clients);
    loop {
        tokio::select! {
            client = door.next(), if clients.len() < MAX_CLIENTS => serve(client, &mut clients),
            Some(served) = clients.join_next() => {
                count.send_replace(u32::try_from(clients.len()).unwrap_or(u32::MAX));
                match served {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::info!(%error, %upstream, "a debug client found nobody");
                        let gone = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
                        if gone && upstream.is_local() {
                            return RelayEnd::DlvLeft;
                        }
                    }
                    Err(error) => tracing::error!(%error, "a debug client's relay failed"),
                }
            }
        }
    }
}

/// Serves one of many clients, to its end.
async fn serve_guest(client: DebugClient, upstream: Upstream) -> io::Result<()> {
    let lost_client = lost(&client.stream);
    let adapter = upstream.dial().await?;
    let lost_adapter = match &adapter {
        Connection::Unix(_) => None,
        Connection::Tcp(adapter) => {
            watch_over(adapter)?;
            Some(lost(adapter))
        }
    };
    let (from_client, to_client) = client.stream.into_split();
    let (from_adapter, mut to_adapter) = adapter.into_split();
    to_adapter.write_all(&client.opening).await?;
    let lost_adapter = async {
        match lost_adapter {
            Some(lost) => lost.await,
            None => pending().await,
        }
    };
    tokio::select! {
        _ = copy_both(one_way(from_client, to_adapter), one_way(from_adapter, to_client)) => {}
        () = lost_client => {}
        () = lost_adapter => {}
    }
    Ok(())
}
