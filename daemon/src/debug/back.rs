//! A port of our own on which a dlv is waited for that knows no Unix sockets: Delve before 1.22.1 is told to dial it.
//!
//! Invariant: nobody but that very dlv is taken for it: whoever else dials is hung up on.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use camino::Utf8Path;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::error::DebugError;
use super::holder;
use super::tcp_table;
use crate::process::{LogReader, Shim};

/// How long dlv has to dial.
const WITHIN: Duration = Duration::from_secs(20);
/// How much of dlv's output an error quotes.
const QUOTED: usize = 4 * 1024;

/// The port.
#[derive(Debug)]
pub(super) struct Back {
    listener: TcpListener,
    address: SocketAddr,
}

impl Back {
    /// Listens.
    pub(super) fn listen() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener: TcpListener::from_std(listener)?, address })
    }

    /// Where.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the command of `shim` has dialled.
    pub(super) async fn wait_for(
        &self,
        shim: &mut Shim,
        dlv: &Utf8Path,
        stop: &CancellationToken,
    ) -> Result<std::net::TcpStream, DebugError> {
        let (deadline, pid) = (Instant::now() + WITHIN, shim.pid());
        loop {
            let accepted = tokio::select! {
                accepted = timeout_at(deadline, self.listener.accept()) => accepted,
                _ = shim.ended() => {
                    return Err(DebugError::DlvEnded { dlv: dlv.to_owned(), said: said(shim).await });
                }
                () = stop.cancelled() => return Err(DebugError::Stopping),
            };
            let Ok(accepted) = accepted else {
                return Err(DebugError::DlvSilent { dlv: dlv.to_owned(), said: said(shim).await, within: WITHIN });
            };
            let stream = accepted.map_err(|source| DebugError::Back { source })?.0;
            if belongs_to(&stream, pid).await {
                return stream.into_std().map_err(|source| DebugError::Back { source });
            }
            tracing::warn!("somebody else dialled the port on which dlv is waited for");
        }
    }
}

/// Whether the other end of `stream` is a socket of the process `pid`.
async fn belongs_to(stream: &TcpStream, pid: u32) -> bool {
    let (Ok(ours), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else { return false };
    let look = move || {
        let Ok(Some(row)) = tcp_table::other_end(peer, ours) else { return false };
        row.inode != 0 && holder::sockets_of(pid).contains(&row.inode)
    };
    // A look that panics has seen nobody.
    spawn_blocking(look).await.unwrap_or(false)
}

async fn said(shim: &Shim) -> String {
    let folder = shim.folder().dir().to_owned();
    let read = spawn_blocking(move || LogReader::open(&folder)?.read(0, QUOTED)).await;
    let Ok(Ok(chunk)) = read else { return String::new() };
    let bytes: Vec<u8> = chunk.reads.into_iter().flat_map(|read| read.bytes).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
