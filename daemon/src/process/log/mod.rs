//! A command's output on disk: masked bytes in segments of 4 MiB, and an index of the reads that brought them.
//!
//! A byte's logical offset counts all output of both streams, in the order in which it was read, after masking.
//! Segment `n` (`output.00000n`) holds the offsets from `n * SEGMENT_BYTES` on. Kept are the first [`HEAD_SEGMENTS`],
//! the one being written, and the [`TAIL_SEGMENTS`] before it; what lay between is cut, and the reader tells.
//!
//! Invariants: a byte is in the index only after it is in its segment; offsets only grow; nothing here ever fails the
//! command whose output it is: what cannot be written is counted as lost.
//!
//! Not here: fsync (a log is no state), and when something is read (`shim`).

mod index; // output.idx: header and records
mod mask; // secrets, also across reads
mod reader; // LogReader: pieces by offset
mod userinfo; // who logs in, in URLs
mod writer; // LogWriter: segments and cap

pub use reader::{LogChunk, LogReader, Read};

pub use mask::masked;
pub(super) use mask::{Mask, StreamMask};
pub(super) use writer::LogWriter;

/// The length of a segment.
const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// How many segments of the beginning are kept: 32 MiB.
const HEAD_SEGMENTS: u64 = 8;
/// How many segments before the one being written are kept: 32 MiB.
const TAIL_SEGMENTS: u64 = 8;

/// The segment that is cut when `current` is begun.
const fn cut_by(current: u64) -> Option<u64> {
    match current.checked_sub(TAIL_SEGMENTS + 1) {
        Some(segment) if segment >= HEAD_SEGMENTS => Some(segment),
        _ => None,
    }
}

/// The first offset from `offset` on that is kept in a log of `end` bytes.
const fn first_kept(offset: u64, end: u64) -> u64 {
    let segment = offset / SEGMENT_BYTES;
    let tail = (end.saturating_sub(1) / SEGMENT_BYTES).saturating_sub(TAIL_SEGMENTS);
    if segment < HEAD_SEGMENTS || segment >= tail { offset } else { tail * SEGMENT_BYTES }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cap_keeps_head_and_tail() {
        for (current, expected, why) in [
            (0, None, "the first segment cuts nothing"),
            (8, None, "the head is full, the tail begins"),
            (16, None, "eight of the head, eight of the tail, and this one"),
            (17, Some(8), "the oldest of the tail goes"),
            (1000, Some(991), "the tail moves on, the head stays"),
        ] {
            assert_eq!(cut_by(current), expected, "{why}");
        }
    }

    #[test]
    fn reader_and_writer_agree_on_what_is_kept() {
        for current in 0..100 {
            let cut: Vec<u64> = (0..=current).filter_map(cut_by).collect();
            let end = current * SEGMENT_BYTES + 1;
            for segment in 0..=current {
                let offset = segment * SEGMENT_BYTES + 7;
                let kept = first_kept(offset, end.max(offset + 1));
                assert_eq!(kept != offset, cut.contains(&segment), "segment {segment} while {current} is written");
                assert!(!cut.contains(&(kept / SEGMENT_BYTES)), "what is offered instead is there");
            }
        }
    }
}
