//! Bytes, both ways: a read and a write for each message, and the wait for it.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::RelayEnd;

/// How long one side may go on after the other has finished.
pub(in super::super) const FAREWELL: Duration = Duration::from_secs(5);
/// The buffer of each direction.
const BUFFER: usize = 64 * 1024;

/// Copies both ways until both sides are done. When one has finished, the other has [`FAREWELL`] to do so.
pub(super) async fn copy_both(
    upward: impl Future<Output = io::Result<u64>>,
    downward: impl Future<Output = io::Result<u64>>,
) -> RelayEnd {
    tokio::pin!(upward, downward);
    tokio::select! {
        result = &mut upward => {
            tracing::debug!(?result, "the debug client hung up");
            let _ = timeout(FAREWELL, downward).await;
            RelayEnd::ClientLeft
        }
        result = &mut downward => {
            tracing::debug!(?result, "the debug adapter hung up");
            let _ = timeout(FAREWELL, upward).await;
            RelayEnd::DlvLeft
        }
    }
}

/// Copies until `from` ends, then tells `to` so. The next read waits for the write: a slow reader slows the writer.
pub(super) async fn one_way(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut copied = 0;
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            to.shutdown().await?;
            return Ok(copied);
        }
        to.write_all(&buffer[..length]).await?;
        copied += length as u64;
    }
}
