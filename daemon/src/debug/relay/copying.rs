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

/// Which side ended a copy.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The one that was read: all of this was copied, or reading failed.
    Reader(io::Result<u64>),
    /// The one that was written to.
    Writer(io::Error),
}

/// Copies both ways until both sides are done. When one has finished, the other has [`FAREWELL`] to do so.
pub(super) async fn copy_both(
    upward: impl Future<Output = Stopped>,
    downward: impl Future<Output = Stopped>,
) -> RelayEnd {
    tokio::pin!(upward, downward);
    let (stopped, end) = tokio::select! {
        stopped = &mut upward => {
            let end = if matches!(stopped, Stopped::Reader(_)) { RelayEnd::ClientLeft } else { RelayEnd::DlvLeft };
            let _ = timeout(FAREWELL, downward).await;
            (stopped, end)
        }
        stopped = &mut downward => {
            let end = if matches!(stopped, Stopped::Reader(_)) { RelayEnd::DlvLeft } else { RelayEnd::ClientLeft };
            let _ = timeout(FAREWELL, upward).await;
            (stopped, end)
        }
    };
    match stopped {
        Stopped::Reader(copied) => tracing::debug!(?copied, ?end, "one side of a debug conversation has finished"),
        Stopped::Writer(error) => tracing::debug!(%error, ?end, "one side of a debug conversation takes nothing more"),
    }
    end
}

/// Copies until one side ends; where it is `from`, `to` is told so. The next read waits for the write: a slow reader slows
/// the writer.
pub(super) async fn one_way(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> Stopped {
    let mut buffer = vec![0; BUFFER];
    let mut copied = 0;
    loop {
        let length = match from.read(&mut buffer).await {
            Ok(0) => {
                // One that has gone, too, needs not be told.
                let _ = to.shutdown().await;
                return Stopped::Reader(Ok(copied));
            }
            Ok(length) => length,
            Err(error) => return Stopped::Reader(Err(error)),
        };
        if let Err(error) = to.write_all(&buffer[..length]).await {
            return Stopped::Writer(error);
        }
        copied += length as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::io::{AsyncWriteExt, duplex};

    use super::super::RelayEnd;
    use super::{copy_both, one_way};

    /// A copy whose reader ends, or whose writer has gone.
    async fn copy(writer_has_gone: bool) -> super::Stopped {
        let (mut said, from) = duplex(64);
        let (to, heard) = duplex(64);
        said.write_all(b"hello").await.expect("room for it");
        drop(said);
        let heard = (!writer_has_gone).then_some(heard);
        let stopped = one_way(from, to).await;
        drop(heard);
        stopped
    }

    #[tokio::test(start_paused = true)]
    async fn who_ended_is_the_side_that_failed() {
        for (upward, gone, expected, why) in [
            (true, false, "ClientLeft", "the client said all that it had"),
            (true, true, "DlvLeft", "dlv takes nothing more"),
            (false, false, "DlvLeft", "dlv said all that it had"),
            (false, true, "ClientLeft", "the client takes nothing more"),
        ] {
            let end: RelayEnd = match upward {
                true => copy_both(copy(gone), pending()).await,
                false => copy_both(pending(), copy(gone)).await,
            };
            assert_eq!(format!("{end:?}"), expected, "{why}");
        }
    }
}
