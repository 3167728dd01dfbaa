//! `output.idx`: a text header of [`HEADER`]'s length, then records of 24 bytes, little-endian, by offset.

use crate::process::Stream;

/// The header: tells the schema and the shape of a record to whoever looks at the file.
pub(super) const HEADER: &[u8; 128] = b"burrow-output-index schema=1 record=24 \
time_us:u64le offset:u64le length:u32le stream:u8(1=stdout,2=stderr) unused:3           \n";

/// The length of a record.
pub(super) const RECORD_BYTES: usize = 24;

/// Reads that follow each other within this time are one record. It bounds the index by time where a program writes
/// byte by byte.
const MERGE_WITHIN_US: u64 = 10_000;
/// A record grows no further than this.
const MERGE_BYTES: u32 = 1024 * 1024;
/// From here on (24 MiB of index) reads of both streams are merged, under the stream of the first.
const COARSE_FROM: u64 = 1024 * 1024;

/// The bytes that one or a few reads brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// When the first was read, in microseconds since 1970.
    pub(super) time_us: u64,
    /// The offset of the first byte.
    pub(super) offset: u64,
    /// How many bytes.
    pub(super) length: u32,
    /// From which stream.
    pub(super) stream: Stream,
}

impl Record {
    /// The offset after the last byte.
    pub(super) const fn end(&self) -> u64 {
        self.offset + self.length as u64
    }

    /// This record with `next` added, where the two may be one. `count` is the number of records there are.
    pub(super) fn merged(&self, next: &Self, count: u64) -> Option<Self> {
        let length = self.length.checked_add(next.length).filter(|length| *length <= MERGE_BYTES)?;
        let near = next.offset == self.end() && next.time_us.saturating_sub(self.time_us) <= MERGE_WITHIN_US;
        let alike = next.stream == self.stream || count >= COARSE_FROM;
        (near && alike).then_some(Self { length, ..*self })
    }

    /// Where the record of that number lies in the file.
    pub(super) const fn position(number: u64) -> u64 {
        HEADER.len() as u64 + number * RECORD_BYTES as u64
    }

    /// How many whole records a file of `length` bytes has.
    pub(super) const fn count(length: u64) -> u64 {
        length.saturating_sub(HEADER.len() as u64) / RECORD_BYTES as u64
    }

    /// The record as it stands in the file.
    pub(super) fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..8].copy_from_slice(&self.time_us.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.length.to_le_bytes());
        bytes[20] = match self.stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        };
        bytes
    }

    /// The record that `bytes` hold; `None` where they hold none.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (time_us, rest) = bytes.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let stream = match rest.first()? {
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            _ => return None,
        };
        Some(Self {
            time_us: u64::from_le_bytes(*time_us),
            offset: u64::from_le_bytes(*offset),
            length: u32::from_le_bytes(*length),
            stream,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Record = Record { time_us: 1_000_000, offset: 100, length: 10, stream: Stream::Stdout };

    #[test]
    fn record_is_read_back() {
        let record = Record { stream: Stream::Stderr, ..FIRST };
        assert_eq!(Record::from_bytes(&record.to_bytes()), Some(record));
        assert_eq!(Record::from_bytes(&[0; RECORD_BYTES]), None, "a hole in the file is no record");
        assert_eq!(Record::from_bytes(&record.to_bytes()[..20]), None, "a torn record is none");
        assert_eq!(Record::count(128 + 24 + 23), 1, "a torn record does not count");
    }

    #[test]
    fn reads_are_merged() {
        let next = Record { time_us: 1_005_000, offset: 110, length: 5, stream: Stream::Stdout };
        let merged = Some(Record { length: 15, ..FIRST });
        for (next, count, expected, why) in [
            (next, 1, merged, "the same stream, soon after"),
            (Record { time_us: 1_010_001, ..next }, 1, None, "time is kept to 10 ms"),
            (Record { stream: Stream::Stderr, ..next }, 1, None, "streams are told apart"),
            (Record { stream: Stream::Stderr, ..next }, COARSE_FROM, merged, "until the index is too long for it"),
            (Record { offset: 111, ..next }, 1, None, "bytes lie between"),
            (Record { length: MERGE_BYTES, ..next }, 1, None, "a record has an end"),
        ] {
            assert_eq!(FIRST.merged(&next, count), expected, "{why}");
        }
    }
}
