//! Knowing that a client has hung up, at once: `tower-lsp` itself notices it only after its last long poll.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;

/// A reader that tells its end.
#[derive(Debug)]
pub(super) struct Hangup<R> {
    inner: R,
    closed: CancellationToken,
}

impl<R> Hangup<R> {
    /// `closed` is cancelled when `inner` has ended or failed.
    pub(super) const fn new(inner: R, closed: CancellationToken) -> Self {
        Self { inner, closed }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Hangup<R> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (before, room) = (out.filled().len(), out.remaining());
        let read = ready!(Pin::new(&mut self.inner).poll_read(context, out));
        if read.is_err() || (room > 0 && out.filled().len() == before) {
            self.closed.cancel();
        }
        Poll::Ready(read)
    }
}
