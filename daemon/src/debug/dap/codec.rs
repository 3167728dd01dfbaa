//! Bytes to messages and back: LSP's base framing around JSON. Pure.

use burrow_protocol::framing::{self, FramingError, Header};
use serde::Serialize;
use tokio_util::bytes::{Bytes, BytesMut};

use super::types::Incoming;

/// Why a stream is no DAP.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The frames are broken or too long.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// A frame holds no message.
    #[error("the frame is no DAP message")]
    Message(#[source] serde_json::Error),
}

/// Takes the next message off the front of `buffer`; `None` while it is not all there.
///
/// # Errors
/// [`CodecError`], after which the stream is of no more use.
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Incoming>, CodecError> {
    let Some(frame) = take_frame(buffer)? else { return Ok(None) };
    serde_json::from_slice(frame.body()).map(Some).map_err(CodecError::Message)
}

/// One message, with its header.
#[derive(Clone, Debug)]
pub struct Frame {
    bytes: Bytes,
    header: usize,
}

impl Frame {
    /// The message as it came.
    #[must_use]
    pub fn whole(&self) -> &[u8] {
        &self.bytes
    }

    /// Its JSON.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.header..).unwrap_or_default()
    }
}

/// Takes the next message off the front of `buffer`, unread; `None` while it is not all there.
///
/// # Errors
/// [`FramingError`], after which the stream is of no more use.
pub fn take_frame(buffer: &mut BytesMut) -> Result<Option<Frame>, FramingError> {
    let Header::Complete { header, body } = framing::parse_header(buffer)? else { return Ok(None) };
    if buffer.len() < header + body {
        buffer.reserve(header + body - buffer.len());
        return Ok(None);
    }
    Ok(Some(Frame { bytes: buffer.split_to(header + body).freeze(), header }))
}

/// Whether `buffer` can no longer become a message.
#[must_use]
pub fn is_broken(buffer: &[u8]) -> bool {
    framing::parse_header(buffer).is_err()
}

/// `message` as one frame.
///
/// # Errors
/// It has no JSON form: a map with keys that are no text.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, CodecError> {
    let body = serde_json::to_vec(message).map_err(CodecError::Message)?;
    let mut frame = framing::header(body.len()).into_bytes();
    frame.extend_from_slice(&body);
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use burrow_protocol::framing::{FramingError, MAX_BODY_BYTES, MAX_HEADER_BYTES};
    use proptest::prelude::*;
    use serde_json::json;
    use tokio_util::bytes::BytesMut;

    use super::{CodecError, decode, encode};
    use crate::debug::dap::types::Incoming;

    fn event(text: &str) -> Vec<u8> {
        encode(&json!({ "seq": 1, "type": "event", "event": "output", "body": { "output": text } })).expect("frame")
    }

    #[test]
    fn broken_streams_are_refused() {
        for (bytes, expected, why) in [
            (&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], FramingError::NoLength, "a browser"),
            (b"Content-Length: 99999999999999999999\r\n\r\n", FramingError::NoLength, "a length past all integers"),
        ] {
            let error = decode(&mut BytesMut::from(bytes)).expect_err(why);
            assert!(matches!(error, CodecError::Framing(framing) if framing == expected), "{why}: {error}");
        }
        let not_json = decode(&mut BytesMut::from(&b"Content-Length: 2\r\n\r\n[}"[..]));
        assert!(matches!(not_json, Err(CodecError::Message(_))), "{not_json:?}");
    }

    #[test]
    fn frame_that_has_not_come_holds_no_more_than_it_announced() {
        let mut buffer = BytesMut::from(format!("Content-Length: {MAX_BODY_BYTES}\r\n\r\n").as_bytes());
        assert!(decode(&mut buffer).expect("within the limit").is_none());
        assert!(buffer.capacity() <= MAX_BODY_BYTES + MAX_HEADER_BYTES + 64, "{}", buffer.capacity());
    }

    proptest! {
        /// However a stream is cut into reads, the same messages come out.
        #[test]
        fn cuts_do_not_matter(texts in prop::collection::vec(".{0,40}", 1..5), cut in 1_usize..50) {
            let stream: Vec<u8> = texts.iter().flat_map(|text| event(text)).collect();
            let (mut buffer, mut seen) = (BytesMut::new(), Vec::new());
            for piece in stream.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some(message) = decode(&mut buffer).expect("whole frames") {
                    let Incoming::Event(event) = message else { panic!("{message:?}") };
                    seen.push(event.body["output"].as_str().expect("text").to_owned());
                }
            }
            prop_assert_eq!(seen, texts);
            prop_assert!(buffer.is_empty());
        }

        /// Hostile bytes end in an error or in waiting, and never make the buffer grow past the limits.
        #[test]
        fn hostile_bytes(head in "(Content-Length: ?)?[0-9-]{0,21}(\r\n){0,2}", tail in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut buffer = BytesMut::from(head.as_bytes());
            buffer.extend_from_slice(&tail);
            while let Ok(Some(_)) = decode(&mut buffer) {}
            prop_assert!(buffer.capacity() <= 2 * MAX_BODY_BYTES);
        }
    }
}
