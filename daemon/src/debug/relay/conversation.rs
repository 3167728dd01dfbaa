//! One client and its dlv: bytes are copied; parsed is only what the client asks to be launched (`launch`). What the
//! session prints comes between dlv's messages (`printed`).
//!
//! Invariant: nothing comes into the middle of a message, however it is cut.
//! Not here: a session that reloads (`reload`).

use std::io;

use camino::Utf8Path;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::bytes::BytesMut;

use super::super::dap::stream::Stream;
use super::super::launch::{Launches, Passing, pass_launch, tell};
use super::super::printed::Printed;
use super::super::reload::{Held, Reloads};
use super::super::upstream::{Adapter, FromAdapter, ToAdapter};
use super::RelayEnd;
use super::copying::{Stopped, copy_both, one_way};

/// A client and its debug adapter.
pub(in super::super) struct Conversation {
    pub(in super::super) from_client: OwnedReadHalf,
    pub(in super::super) to_client: OwnedWriteHalf,
    pub(in super::super) from_dlv: Stream<FromAdapter>,
    pub(in super::super) to_dlv: ToAdapter,
    pub(in super::super) printed: Printed,
}

impl Conversation {
    /// Between a client and its dlv, which counts this as its one client.
    pub(super) async fn begin(client: TcpStream, adapter: Adapter) -> io::Result<Self> {
        let (from_dlv, to_dlv) = adapter.dial().await?.into_split();
        let (from_client, to_client) = client.into_split();
        let from_dlv = Stream::new(from_dlv, BytesMut::new());
        Ok(Self { from_client, to_client, from_dlv, to_dlv, printed: Printed::of(adapter.printing) })
    }

    /// Passes what comes before the launch, both ways, and the launch itself; one that is to reload is given back.
    pub(super) async fn before_launch(
        &mut self,
        opening: &[u8],
        cwd: &Utf8Path,
        launches: &Launches,
        reloads: Option<&Reloads>,
    ) -> Result<Option<Held>, RelayEnd> {
        let Self { from_client, to_client, from_dlv, to_dlv, .. } = self;
        let upward = pass_launch(from_client, to_dlv, opening, cwd, launches, reloads);
        tokio::pin!(upward);
        loop {
            tokio::select! {
                passed = &mut upward => return passed.map_err(|error| {
                    tracing::debug!(%error, "a debug client was lost before it launched");
                    RelayEnd::ClientLeft
                }),
                piece = from_dlv.piece() => match piece {
                    Ok(Some(piece)) => to_client.write_all(&piece.bytes).await.map_err(|_| RelayEnd::ClientLeft)?,
                    Ok(None) | Err(_) => return Err(RelayEnd::DlvLeft),
                },
            }
        }
    }

    /// Passes everything, to the end.
    pub(super) async fn copy(self, launches: &Launches) -> RelayEnd {
        let Self { from_client, to_client, from_dlv, to_dlv, printed } = self;
        let downward = async {
            let mut from_dlv = from_dlv;
            match with_printed(&mut from_dlv, to_client, printed, launches).await {
                Ok(read) => Stopped::Reader(read),
                Err(error) => Stopped::Writer(error),
            }
        };
        copy_both(one_way(from_client, to_dlv), downward).await
    }
}

/// Passes what dlv says, and between it what is printed: what was printed before a stop or an end comes before that.
/// Returns how reading ended, or why writing failed.
async fn with_printed(
    from: &mut Stream<FromAdapter>,
    mut to: OwnedWriteHalf,
    mut printed: Printed,
    launches: &Launches,
) -> io::Result<io::Result<u64>> {
    let mut copied = 0;
    loop {
        let between = from.is_between();
        tokio::select! {
            piece = from.piece() => match piece {
                Ok(Some(piece)) => {
                    match piece.event() {
                        Some(b"stopped" | b"exited" | b"terminated") => printed.catch_up(&mut to).await?,
                        // Also after a restart.
                        Some(b"initialized") => tell(launches, Passing::Ready).await,
                        _ => {}
                    }
                    to.write_all(&piece.bytes).await?;
                    copied += piece.bytes.len() as u64;
                }
                Ok(None) => {
                    if between {
                        printed.catch_up(&mut to).await?;
                    }
                    // One that has gone, too, needs not be told.
                    let _ = to.shutdown().await;
                    return Ok(Ok(copied));
                }
                Err(error) => return Ok(Err(error)),
            },
            () = printed.grown(), if between => {
                printed.pass(&mut to).await?;
            }
        }
    }
}
