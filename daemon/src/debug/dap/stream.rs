//! One side of a conversation as it comes: whole messages, or pieces to be passed on, however long a message is.
//!
//! State: bytes that were read and not given yet.
//! Invariant: what is no DAP is passed on as it is, in pieces.

use std::io;

use burrow_protocol::framing::{self, FramingError, Header};
use memchr::{memchr, memmem};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::yield_now;
use tokio_util::bytes::{Bytes, BytesMut};

use super::codec::{self, Frame};

/// What is read at a time.
const READ_BYTES: usize = 64 * 1024;
/// How often it is looked for the rest of a message before that is slept over: dlv writes a message's header and its body
/// apart, and to be woken twice takes longer than that takes it.
const LOOKS: u32 = 8;
/// An event names itself within so many bytes.
const NAMED_WITHIN: usize = 100;
/// What stands before the name.
const NAME: &[u8] = b"\"event\":\"";
/// What stands before the number of the request that a message answers.
const ANSWERS: &[u8] = b"\"request_seq\":";

/// A stream of messages that is read.
#[derive(Debug)]
pub struct Stream<R> {
    reader: R,
    buffer: BytesMut,
    /// Bytes of a message whose beginning was given as a piece.
    left: usize,
    /// Whether it is no DAP.
    broken: bool,
}

/// A message as it comes.
#[derive(Debug)]
pub enum Message {
    /// All of it.
    Whole(Frame),
    /// The beginning of one that is longer than is kept; [`Stream::pass`] takes the rest.
    Long(Piece),
}

/// Bytes to be passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The bytes as they came.
    pub bytes: Bytes,
    /// Where a message begins with them: how long its header is.
    header: Option<usize>,
}

impl Piece {
    /// The name of the event that it begins with.
    #[must_use]
    pub fn event(&self) -> Option<&[u8]> {
        let name = self.after(NAME)?;
        Some(&name[..memchr(b'"', name)?])
    }

    /// The number of the request that it begins to answer.
    #[must_use]
    pub fn answers(&self) -> Option<i64> {
        let number = self.after(ANSWERS)?;
        let end = number.iter().position(|byte| !byte.is_ascii_digit())?;
        std::str::from_utf8(&number[..end]).ok()?.parse().ok()
    }

    /// What follows `key` in the front of the message that begins with it.
    fn after(&self, key: &[u8]) -> Option<&[u8]> {
        let body = self.header.and_then(|header| self.bytes.get(header..))?;
        let front = &body[..body.len().min(NAMED_WITHIN)];
        Some(&front[memmem::find(front, key)? + key.len()..])
    }
}

impl<R: AsyncRead + Unpin> Stream<R> {
    /// What `reader` brings, after what came of it already.
    pub const fn new(reader: R, buffer: BytesMut) -> Self {
        Self { reader, buffer, left: 0, broken: false }
    }

    /// The next message; `None` at the end. May be dropped and called again.
    ///
    /// # Errors
    /// What comes is no message, or longer than the limit; or reading fails.
    pub async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = codec::take_frame(&mut self.buffer).map_err(io::Error::other)? {
                return Ok(Some(frame));
            }
            if self.read().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// The next message, or the beginning of one that is too long to be kept; `None` at the end. May be dropped and called
    /// again.
    ///
    /// # Errors
    /// What comes is no message; or reading fails.
    pub async fn message(&mut self) -> io::Result<Option<Message>> {
        loop {
            match codec::take_frame(&mut self.buffer) {
                Ok(Some(frame)) => return Ok(Some(Message::Whole(frame))),
                Ok(None) => {}
                Err(FramingError::BodyTooLong { .. }) => return Ok(self.piece().await?.map(Message::Long)),
                Err(error) => return Err(io::Error::other(error)),
            }
            if self.read().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Passes on a long message, from its beginning to its end.
    ///
    /// # Errors
    /// Reading or writing fails.
    pub async fn pass(&mut self, beginning: &Piece, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        to.write_all(&beginning.bytes).await?;
        while self.left > 0 {
            let Some(piece) = self.piece().await? else { return Ok(()) };
            to.write_all(&piece.bytes).await?;
        }
        Ok(())
    }

    /// Whether a message of somebody else may be put before the next piece.
    #[must_use]
    pub const fn is_between(&self) -> bool {
        self.left == 0 && !self.broken
    }

    /// The next bytes to be passed on: a message, or a part of a long one; `None` at the end. May be dropped and called
    /// again.
    ///
    /// # Errors
    /// Reading fails.
    pub async fn piece(&mut self) -> io::Result<Option<Piece>> {
        loop {
            if let Some(piece) = self.take_piece() {
                return Ok(Some(piece));
            }
            if self.read().await? == 0 {
                // A message that was cut off.
                let rest = self.buffer.split().freeze();
                return Ok((!rest.is_empty()).then_some(Piece { bytes: rest, header: None }));
            }
        }
    }

    fn take_piece(&mut self) -> Option<Piece> {
        if self.buffer.is_empty() {
            return None;
        }
        if self.broken || self.left > 0 {
            let length = if self.broken { self.buffer.len() } else { self.left.min(self.buffer.len()) };
            self.left = self.left.saturating_sub(length);
            return Some(Piece { bytes: self.buffer.split_to(length).freeze(), header: None });
        }
        let (header, body) = match framing::parse_header(&self.buffer) {
            Ok(Header::Incomplete) => return None,
            Ok(Header::Complete { header, body }) => (header, body),
            // It is passed on, not kept: nobody's memory is filled.
            Err(FramingError::BodyTooLong { announced }) => {
                let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_default() + 4;
                (end, usize::try_from(announced).unwrap_or(usize::MAX))
            }
            Err(_) => {
                self.broken = true;
                return self.take_piece();
            }
        };
        let whole = header.saturating_add(body);
        if self.buffer.len() < whole.min(header + READ_BYTES) {
            return None;
        }
        let length = whole.min(self.buffer.len());
        self.left = whole - length;
        Some(Piece { bytes: self.buffer.split_to(length).freeze(), header: Some(header) })
    }

    async fn read(&mut self) -> io::Result<usize> {
        self.buffer.reserve(READ_BYTES);
        let is_begun = !self.buffer.is_empty();
        for _ in 0..if is_begun { LOOKS } else { 0 } {
            tokio::select! {
                biased;
                read = self.reader.read_buf(&mut self.buffer) => return read,
                () = yield_now() => {}
            }
        }
        self.reader.read_buf(&mut self.buffer).await
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_util::bytes::BytesMut;

    use super::{Message, READ_BYTES, Stream};

    fn message(body: &str) -> Vec<u8> {
        format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    /// All pieces of `bytes`, which come `cut` at a time, and where others may come between them.
    fn pieces(bytes: &[u8], cut: usize) -> (Vec<u8>, Vec<usize>, Vec<bool>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        runtime.block_on(async {
            let (mut passed, mut between, mut ended) = (Vec::new(), Vec::new(), Vec::new());
            let reader = tokio_test_reader(bytes, cut);
            let mut stream = Stream::new(reader, BytesMut::new());
            while let Some(piece) = stream.piece().await.expect("read") {
                passed.extend_from_slice(&piece.bytes);
                ended.push(piece.event() == Some(b"terminated"));
                if stream.is_between() {
                    between.push(passed.len());
                }
            }
            (passed, between, ended)
        })
    }

    /// Reads no more than `cut` bytes at a time.
    fn tokio_test_reader(bytes: &[u8], cut: usize) -> impl tokio::io::AsyncRead + Unpin + '_ {
        struct Cut<'a>(&'a [u8], usize);
        impl tokio::io::AsyncRead for Cut<'_> {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
                into: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                let length = self.1.min(self.0.len()).min(into.remaining());
                let (now, later) = self.0.split_at(length);
                into.put_slice(now);
                self.0 = later;
                std::task::Poll::Ready(Ok(()))
            }
        }
        Cut(bytes, cut)
    }

    #[test]
    fn long_messages_and_other_protocols_are_passed_on() {
        let long = message(&"x".repeat(9 << 20));
        let end = message(r#"{"seq":7,"type":"event","event":"terminated"}"#);
        let cases: [(Vec<u8>, Vec<usize>, bool, &str); 4] = [
            (end.clone(), vec![end.len()], true, "a message"),
            (
                [long.clone(), end.clone()].concat(),
                vec![long.len(), long.len() + end.len()],
                true,
                "one longer than we take",
            ),
            (b"HTTP/1.1 200 OK\r\n\r\nhello".to_vec(), vec![], false, "another protocol"),
            (b"Content-Length: 90\r\n\r\n{".to_vec(), vec![22], false, "cut off"),
        ];
        for (bytes, expected, ends, why) in cases {
            let (passed, between, ended) = pieces(&bytes, READ_BYTES);
            assert!(passed == bytes, "{why}");
            if why != "cut off" {
                assert_eq!(between, expected, "{why}");
            }
            assert_eq!(ended.contains(&true), ends, "{why}");
        }
    }

    #[tokio::test]
    async fn a_long_answer_is_passed_between_messages() {
        let short = message(r#"{"seq":7,"type":"event","event":"stopped"}"#);
        let long = format!(r#"{{"seq":0,"type":"response","request_seq":41,"body":"{}"}}"#, "x".repeat(9 << 20));
        let long = message(&long);
        let all = [short.clone(), long.clone(), short.clone()].concat();
        let mut stream = Stream::new(tokio_test_reader(&all, READ_BYTES), BytesMut::new());
        let mut passed = Vec::new();
        let mut kinds = Vec::new();
        while let Some(message) = stream.message().await.expect("read") {
            match message {
                Message::Whole(frame) => {
                    kinds.push(None);
                    passed.extend_from_slice(frame.whole());
                }
                Message::Long(piece) => {
                    kinds.push(piece.answers());
                    stream.pass(&piece, &mut passed).await.expect("passed");
                    assert!(stream.is_between(), "it was all of it");
                }
            }
        }
        assert_eq!(kinds, [None, Some(41), None]);
        assert!(passed == all, "byte for byte");
    }

    proptest! {
        /// However a stream is cut into reads, it is passed on as it came, and nobody comes into the middle of a message.
        #[test]
        fn cuts_do_not_matter(bodies in prop::collection::vec("[a-z]{0,40}", 1..5), cut in 1_usize..50) {
            let messages: Vec<Vec<u8>> = bodies.iter().map(|body| message(body)).collect();
            let ends: Vec<usize> = messages.iter().scan(0, |end, message| { *end += message.len(); Some(*end) }).collect();
            let (passed, between, _) = pieces(&messages.concat(), cut);
            prop_assert_eq!(passed, messages.concat());
            prop_assert!(between.iter().all(|place| ends.contains(place)), "{:?} in {:?}", between, ends);
        }

        /// Whatever is said, however it is cut, all of it is passed on, and nothing else.
        #[test]
        fn hostile_bytes(
            heads in prop::collection::vec("(Content-Length: ?)?[0-9-]{0,21}(\r\n){0,2}[a-z]{0,30}", 1..4),
            tail in prop::collection::vec(any::<u8>(), 0..64),
            cut in 1_usize..50,
        ) {
            let bytes = [heads.concat().into_bytes(), tail].concat();
            let (passed, _, _) = pieces(&bytes, cut);
            prop_assert_eq!(passed, bytes);
        }
    }
}
