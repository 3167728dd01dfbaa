//! Writing a log: segments, their cap, and the index.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::index::{HEADER, Record};
use super::{SEGMENT_BYTES, cut_by};
use crate::durable::open_private;
use crate::process::{Folder, Stream};

/// The one writer of a command's log.
#[derive(Debug)]
pub(in crate::process) struct LogWriter {
    folder: Folder,
    /// Open once something was written; its number and its file.
    segment: Option<(u64, File)>,
    index: Option<File>,
    /// The last record and how many there are with it.
    last: Option<(Record, u64)>,
    end: u64,
    lost: u64,
}

impl LogWriter {
    /// The log in `folder`, which has none yet. Files are made when something is written.
    pub(in crate::process) const fn new(folder: Folder) -> Self {
        Self { folder, segment: None, index: None, last: None, end: 0, lost: 0 }
    }

    /// Bytes written: the offset of the next byte.
    pub(in crate::process) const fn end(&self) -> u64 {
        self.end
    }

    /// Bytes that could not be written.
    pub(in crate::process) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Adds the bytes of one read. What cannot be written is lost and counted; later reads are tried again.
    pub(in crate::process) fn write(&mut self, time_us: u64, stream: Stream, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = SEGMENT_BYTES - self.end % SEGMENT_BYTES;
            let (piece, rest) = bytes.split_at(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            bytes = rest;
            if self.write_piece(time_us, stream, piece).is_err() {
                // The offset stays, so the next piece goes over what was half written and is in no record.
                self.lost += piece.len() as u64;
            }
        }
    }

    /// Writes within one segment: the bytes first, then the record that makes them part of the log.
    fn write_piece(&mut self, time_us: u64, stream: Stream, piece: &[u8]) -> io::Result<()> {
        let number = self.end / SEGMENT_BYTES;
        let position = self.end % SEGMENT_BYTES;
        self.segment(number)?.write_all_at(piece, position)?;

        // A piece is shorter than a segment.
        let length = u32::try_from(piece.len()).map_err(io::Error::other)?;
        let record = Record { time_us, offset: self.end, length, stream };
        let (record, count) = match self.last {
            None => (record, 1),
            Some((last, count)) => match last.merged(&record, count) {
                Some(merged) => (merged, count),
                None => (record, count + 1),
            },
        };
        self.index()?.write_all_at(&record.to_bytes(), Record::position(count - 1))?;
        self.last = Some((record, count));
        self.end += piece.len() as u64;
        Ok(())
    }

    fn segment(&mut self, number: u64) -> io::Result<&File> {
        let open = match self.segment.take() {
            Some(open) if open.0 == number => open,
            _ => {
                let file = open_private(&self.folder.segment_file(number))?;
                if let Some(cut) = cut_by(number) {
                    // One that stays is a little too much log and no error.
                    let _ = std::fs::remove_file(self.folder.segment_file(cut));
                }
                (number, file)
            }
        };
        Ok(&self.segment.insert(open).1)
    }

    fn index(&mut self) -> io::Result<&File> {
        let file = match self.index.take() {
            Some(file) => file,
            None => {
                let file = open_private(&self.folder.index_file())?;
                file.write_all_at(HEADER, 0)?;
                file
            }
        };
        Ok(self.index.insert(file))
    }
}
