//! The LSP base framing (`Content-Length: N`, blank line, N bytes of JSON) and its limits.
//!
//! Pure: bytes in, a verdict out. The daemon's guard and the client both use it, so that both sides refuse the same frames.

/// The longest header block, its closing blank line included.
pub const MAX_HEADER_BYTES: usize = 4 * 1024;
/// The longest body.
pub const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// What the first bytes of a stream say about its next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The blank line has not come yet.
    Incomplete,
    /// A frame: `header` bytes of header, then `body` bytes of JSON.
    Complete {
        /// Bytes up to and with the blank line.
        header: usize,
        /// Bytes of JSON that follow.
        body: usize,
    },
}

/// Why a stream is no sequence of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// No blank line within [`MAX_HEADER_BYTES`].
    #[error("the header is longer than {MAX_HEADER_BYTES} bytes")]
    HeaderTooLong,
    /// A `Content-Length` greater than [`MAX_BODY_BYTES`].
    #[error("the frame has {announced} bytes; the limit is {MAX_BODY_BYTES}")]
    BodyTooLong {
        /// The length that the header announced.
        announced: u64,
    },
    /// No `Content-Length`, two of them, or one that is no number.
    #[error("the header has no valid `Content-Length`")]
    NoLength,
}

/// Reads the header at the start of `bytes`.
///
/// # Errors
/// [`FramingError`] as soon as the bytes cannot become a frame within the limits.
pub fn parse_header(bytes: &[u8]) -> Result<Header, FramingError> {
    let window = &bytes[..bytes.len().min(MAX_HEADER_BYTES)];
    let Some(end) = window.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() >= MAX_HEADER_BYTES { Err(FramingError::HeaderTooLong) } else { Ok(Header::Incomplete) };
    };
    let mut length = None;
    for line in window[..end].split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Err(FramingError::NoLength) };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.trim_ascii().eq_ignore_ascii_case(b"content-length") {
            let value = std::str::from_utf8(value.trim_ascii()).ok().and_then(|text| text.parse::<u64>().ok());
            let Some(value) = value else { return Err(FramingError::NoLength) };
            if length.replace(value).is_some() {
                return Err(FramingError::NoLength);
            }
        }
    }
    let announced = length.ok_or(FramingError::NoLength)?;
    let body = usize::try_from(announced).ok().filter(|body| *body <= MAX_BODY_BYTES);
    let body = body.ok_or(FramingError::BodyTooLong { announced })?;
    Ok(Header::Complete { header: end + 4, body })
}

/// The header of a body of `length` bytes.
#[must_use]
pub fn header(length: usize) -> String {
    format!("Content-Length: {length}\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::{FramingError, Header, MAX_BODY_BYTES, MAX_HEADER_BYTES, header, parse_header};

    #[test]
    fn header_forms() {
        let long = vec![b'a'; MAX_HEADER_BYTES];
        let too_much = header(MAX_BODY_BYTES + 1);
        for (bytes, expected, why) in [
            (&b"Content-Length: 2\r\n\r\n{}"[..], Ok(Header::Complete { header: 21, body: 2 }), "the plain form"),
            (
                b"content-length:2\r\nContent-Type: x\r\n\r\n",
                Ok(Header::Complete { header: 37, body: 2 }),
                "names fold case, others are ignored",
            ),
            (b"Content-Length: 2\r\n", Ok(Header::Incomplete), "no blank line yet"),
            (b"", Ok(Header::Incomplete), "nothing yet"),
            (b"Content-Length: -1\r\n\r\n", Err(FramingError::NoLength), "a length is not negative"),
            (b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", Err(FramingError::NoLength), "two lengths disagree"),
            (b"GET / HTTP/1.1\r\n\r\n", Err(FramingError::NoLength), "another protocol"),
            (&long, Err(FramingError::HeaderTooLong), "a header without end"),
            (
                too_much.as_bytes(),
                Err(FramingError::BodyTooLong { announced: MAX_BODY_BYTES as u64 + 1 }),
                "one byte too many",
            ),
        ] {
            assert_eq!(parse_header(bytes), expected, "{why}");
        }
    }
}
