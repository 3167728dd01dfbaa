//! Where clients come in: connections that have not shown yet that a debug client is behind them.
//!
//! Invariant: given back are only peers that may be here and whose first bytes were a debug client's, so that a probe, a
//! web page or silence does not use the lease up.

use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::super::admission::{self, Admission, NotAdmitted};
use super::super::dap::OPENING;
use super::super::ports::Listening;
use super::super::tcp_table;
use super::peer::watch_over;

/// How long a peer has for its first bytes.
pub(super) const OPENING_DEADLINE: Duration = Duration::from_secs(5);
/// Connections that are looked at side by side; more wait in the kernel's queue.
const MAX_CANDIDATES: usize = 32;

/// A debug client, and the first bytes that it said.
#[derive(Debug)]
pub(in super::super) struct DebugClient {
    pub(in super::super) stream: TcpStream,
    pub(in super::super) opening: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
enum Turned {
    #[error(transparent)]
    Refused(#[from] NotAdmitted),
    #[error("it said nothing")]
    Silent,
    #[error("its first bytes are no debug client's")]
    NoDap,
    #[error("the connection failed")]
    Io(#[from] io::Error),
}

/// Where clients come in.
pub(super) struct Door {
    listeners: Vec<TcpListener>,
    admission: Admission,
    /// Whether JSON-RPC is spoken here, too.
    json_rpc: bool,
    candidates: JoinSet<Result<DebugClient, Turned>>,
}

impl Door {
    pub(super) fn open(listening: &Listening, admission: Admission, json_rpc: bool) -> io::Result<Self> {
        let listeners =
            listening.listeners()?.into_iter().map(TcpListener::from_std).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { listeners, admission, json_rpc, candidates: JoinSet::new() })
    }

    /// The next connection that a debug client is behind. May be dropped and called again.
    pub(super) async fn next(&mut self) -> DebugClient {
        loop {
            tokio::select! {
                accepted = accept(&self.listeners), if self.candidates.len() < MAX_CANDIDATES => match accepted {
                    Ok(client) => { self.candidates.spawn(vet(client, self.admission.clone(), self.json_rpc)); }
                    // The peer may have gone (ECONNABORTED), or descriptors are short (EMFILE): neither ends the lease.
                    Err(error) => {
                        tracing::warn!(%error, "a debug client could not be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(vetted) = self.candidates.join_next() => match vetted {
                    Ok(Ok(client)) => return client,
                    Ok(Err(turned)) => tracing::info!(reason = %turned, "a connection to a debug port was turned away"),
                    Err(error) => tracing::error!(%error, "a connection's check failed"),
                },
            }
        }
    }
}

async fn accept(listeners: &[TcpListener]) -> io::Result<TcpStream> {
    std::future::poll_fn(|context| {
        for listener in listeners {
            if let std::task::Poll::Ready(accepted) = listener.poll_accept(context) {
                return std::task::Poll::Ready(accepted.map(|(client, _)| client));
            }
        }
        std::task::Poll::Pending
    })
    .await
}

/// Gives the client back when it may be here and its first bytes are a debug client's.
async fn vet(mut stream: TcpStream, admission: Admission, json_rpc: bool) -> Result<DebugClient, Turned> {
    let (peer, ours) = (stream.peer_addr()?, stream.local_addr()?);
    let admitted = async {
        let known = spawn_blocking(move || tcp_table::other_end(peer, ours).map(|row| (row, admission::gateways())));
        let (row, gateways) = known.await.map_err(io::Error::other)??;
        Ok(admission.admit(row.as_ref(), &gateways, peer.ip())?)
    };
    let opening =
        async { timeout(OPENING_DEADLINE, take_opening(&mut stream, json_rpc)).await.map_err(|_| Turned::Silent)? };
    // One that is not admitted is not waited for.
    let ((), opening) = tokio::try_join!(admitted, opening)?;
    watch_over(&stream)?;
    Ok(DebugClient { stream, opening })
}

/// The first bytes: [`OPENING`], or the `{` of JSON-RPC where that is spoken.
async fn take_opening(stream: &mut TcpStream, json_rpc: bool) -> Result<Vec<u8>, Turned> {
    let mut seen = Vec::with_capacity(OPENING.len());
    while seen.len() < OPENING.len() {
        let left = OPENING.len() - seen.len();
        let length = (&mut *stream).take(left as u64).read_buf(&mut seen).await?;
        if json_rpc && seen.first() == Some(&b'{') {
            break;
        }
        if length == 0 || !OPENING.starts_with(&seen) {
            return Err(Turned::NoDap);
        }
    }
    Ok(seen)
}
