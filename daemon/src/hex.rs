//! Bytes as hexadecimal text, and the digests that are shown that way.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// `bytes` in lower-case hexadecimal.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The SHA-256 of `bytes`, in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    encode(&Sha256::digest(bytes))
}

/// The first 16 digits of [`sha256`]: a name for what `text` says, where nobody chooses texts to collide.
#[must_use]
pub fn short_digest(text: &str) -> String {
    encode(&Sha256::digest(text.as_bytes())[..8])
}

#[cfg(test)]
mod tests {
    #[test]
    fn known_digest() {
        assert_eq!(super::sha256(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(super::short_digest(""), "e3b0c44298fc1c14");
    }
}
