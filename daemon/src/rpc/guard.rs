//! Limits on what a peer may send, before `tower-lsp`, which has none of its own.
//!
//! The guard passes bytes on only once the header that they belong to is whole and within the limits. A peer that breaks
//! them, or that sends no whole frame within [`FIRST_FRAME`], gets its connection closed; no other connection is touched.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use burrow_protocol::framing::{Header, MAX_HEADER_BYTES, parse_header};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long a peer may take for its first frame.
const FIRST_FRAME: Duration = Duration::from_secs(10);

/// A reader that ends with an error where its peer breaks the limits.
#[derive(Debug)]
pub(super) struct Guard<R> {
    inner: R,
    /// Read, and not passed on yet.
    pending: Vec<u8>,
    /// How many bytes of the current frame are still to be passed on; 0 between frames.
    allowed: usize,
    /// Ends a peer that sends no first frame.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<R> Guard<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, pending: Vec::new(), allowed: 0, deadline: Some(Box::pin(sleep(FIRST_FRAME))) }
    }

    fn passed(&mut self, bytes: usize) {
        self.allowed -= bytes;
        if self.allowed == 0 {
            self.deadline = None;
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Guard<R> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(deadline) = &mut this.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            return refuse("it sent no whole frame in time");
        }
        loop {
            if this.allowed > 0 && !this.pending.is_empty() {
                let length = this.pending.len().min(this.allowed).min(out.remaining());
                out.put_slice(&this.pending[..length]);
                this.pending.drain(..length);
                this.passed(length);
                return Poll::Ready(Ok(()));
            }
            if this.allowed > 0 {
                let length = this.allowed.min(out.remaining());
                let mut direct = ReadBuf::new(out.initialize_unfilled_to(length));
                ready!(Pin::new(&mut this.inner).poll_read(context, &mut direct))?;
                let read = direct.filled().len();
                out.advance(read);
                this.passed(read);
                return Poll::Ready(Ok(()));
            }
            match parse_header(&this.pending) {
                Ok(Header::Complete { header, body }) => this.allowed = header + body,
                Ok(Header::Incomplete) => {
                    let mut chunk = [0; MAX_HEADER_BYTES];
                    let room = MAX_HEADER_BYTES - this.pending.len();
                    let mut buffer = ReadBuf::new(&mut chunk[..room]);
                    ready!(Pin::new(&mut this.inner).poll_read(context, &mut buffer))?;
                    if buffer.filled().is_empty() {
                        // The peer is gone; half a header is nobody's.
                        return Poll::Ready(Ok(()));
                    }
                    this.pending.extend_from_slice(buffer.filled());
                }
                Err(error) => return refuse(&error.to_string()),
            }
        }
    }
}

fn refuse(why: &str) -> Poll<io::Result<()>> {
    tracing::warn!(why, "closed a connection");
    Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop, proptest};
    use tokio::io::AsyncReadExt;

    use super::Guard;

    fn through(chunks: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut builder = tokio_test_reader(chunks);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut bytes = Vec::new();
            let ended = Guard::new(&mut builder).read_to_end(&mut bytes).await.is_ok();
            (bytes, ended)
        })
    }

    /// A reader that gives one chunk a read.
    fn tokio_test_reader(chunks: &[&[u8]]) -> impl tokio::io::AsyncRead + Unpin + use<> {
        let chunks: Vec<_> = chunks.iter().map(|chunk| chunk.to_vec()).collect();
        chunks
            .into_iter()
            .fold(Box::new(tokio::io::empty()) as Box<dyn tokio::io::AsyncRead + Unpin>, |before, chunk| {
                Box::new(before.chain(std::io::Cursor::new(chunk)))
            })
    }

    fn frames() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5).prop_map(|bodies| {
            let frame =
                |body: &Vec<u8>| [burrow_protocol::framing::header(body.len()).into_bytes(), body.clone()].concat();
            bodies.iter().flat_map(frame).collect()
        })
    }

    proptest! {
        /// Whole frames pass unchanged, however the stream is cut.
        #[test]
        fn frames_pass_unchanged((stream, size) in (frames(), 1_usize..64).prop_flat_map(|(stream, size)| (Just(stream), Just(size)))) {
            let chunks: Vec<_> = stream.chunks(size).collect();
            let (passed, ended) = through(&chunks);
            assert!(ended);
            assert_eq!(passed, stream);
        }

        /// Nonsense ends the stream, and nothing panics.
        #[test]
        fn nonsense_does_no_harm(stream in prop::collection::vec(any::<u8>(), 0..9000)) {
            through(&[&stream]);
        }
    }

    #[test]
    fn what_breaks_the_limits_is_not_passed_on() {
        for (stream, why) in [
            (b"Content-Length: 300000000\r\n\r\n{".to_vec(), "a frame that is too long"),
            (vec![b'x'; 5000], "a header without end"),
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "another protocol"),
        ] {
            assert_eq!(through(&[&stream]), (Vec::new(), false), "{why}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_closed() {
        let (_peer, ours) = tokio::io::duplex(64);
        let mut bytes = Vec::new();
        assert!(Guard::new(ours).read_to_end(&mut bytes).await.is_err(), "nothing came in time");
    }
}
