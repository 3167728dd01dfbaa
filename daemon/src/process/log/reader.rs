//! Reading a log by byte offset, while it is written or long after.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

use camino::{Utf8Path, Utf8PathBuf};

use super::index::{RECORD_BYTES, Record};
use super::{HEAD_SEGMENTS, SEGMENT_BYTES, first_kept};
use crate::process::{Folder, ProcessError, Stream};

/// How many records are read from the index at a time.
const BATCH: usize = 256;

/// Reads the log of one command. All methods block.
#[derive(Clone, Debug)]
pub struct LogReader {
    folder: Folder,
}

/// A piece of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogChunk {
    /// Reads in the order in which they were made.
    pub reads: Vec<Read>,
    /// The offset to ask for next.
    pub next: u64,
    /// Bytes between the offset asked for and the first read that the cap has cut out.
    pub cut: u64,
}

/// The bytes that one or a few reads of the shim brought, or the part of them that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// When, in microseconds since 1970.
    pub time_us: u64,
    /// From which stream.
    pub stream: Stream,
    /// The offset of the first byte.
    pub offset: u64,
    /// The bytes, masked.
    pub bytes: Vec<u8>,
}

impl LogReader {
    /// The log of the command in `folder`. There may be nothing in it yet.
    ///
    /// # Errors
    /// [`ProcessError::Log`] where the folder is gone.
    pub fn open(folder: &Utf8Path) -> Result<Self, ProcessError> {
        match std::fs::metadata(folder) {
            Ok(_) => Ok(Self { folder: Folder::new(folder) }),
            Err(source) => Err(ProcessError::Log { path: folder.to_owned(), source }),
        }
    }

    /// The reads from `offset` on, `max` bytes of them at most. No reads and `next` equal to `offset`: nothing is there
    /// yet. A chunk ends before a part that was cut; the next one tells it.
    ///
    /// # Errors
    /// [`ProcessError::Log`].
    pub fn read(&self, offset: u64, max: usize) -> Result<LogChunk, ProcessError> {
        let nothing = LogChunk { next: offset, ..LogChunk::default() };
        let Some(index) = Index::open(self.folder.index_file())? else { return Ok(nothing) };
        let Some(end) = index.end()? else { return Ok(nothing) };
        if offset >= end {
            return Ok(nothing);
        }
        let mut bytes = Segments { folder: &self.folder, open: None };
        let start = bytes.skip_cut(first_kept(offset, end), end)?;
        let mut chunk = LogChunk { reads: Vec::new(), next: start, cut: start - offset };
        let stop = end.min(start.saturating_add(max as u64));
        let mut number = index.first_ending_after(start)?;
        while chunk.next < stop {
            let records = index.batch(number)?;
            if records.is_empty() {
                break;
            }
            number += records.len() as u64;
            for record in records {
                let (from, to) = (record.offset.max(chunk.next), record.end().min(stop));
                if from >= to {
                    continue;
                }
                let read = bytes.read(from, to)?;
                let complete = read.len() as u64 == to - from;
                chunk.next = from + read.len() as u64;
                if !read.is_empty() {
                    chunk.reads.push(Read {
                        time_us: record.time_us,
                        stream: record.stream,
                        offset: from,
                        bytes: read,
                    });
                }
                if !complete {
                    return Ok(chunk);
                }
            }
        }
        Ok(chunk)
    }
}

/// The index, opened for one call.
struct Index {
    path: Utf8PathBuf,
    file: File,
    count: u64,
}

impl Index {
    fn open(path: Utf8PathBuf) -> Result<Option<Self>, ProcessError> {
        let open = || File::open(&path).and_then(|file| file.metadata().map(|meta| (file, meta.len())));
        match open() {
            Ok((file, length)) => Ok(Some(Self { path, file, count: Record::count(length) })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ProcessError::Log { path, source }),
        }
    }

    /// The offset after the last byte of the log.
    fn end(&self) -> Result<Option<u64>, ProcessError> {
        match self.count.checked_sub(1) {
            Some(last) => Ok(self.batch(last)?.first().map(Record::end)),
            None => Ok(None),
        }
    }

    /// The number of the first record with bytes after `offset`.
    fn first_ending_after(&self, offset: u64) -> Result<u64, ProcessError> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.batch_of(middle, 1)?.first() {
                Some(record) if record.end() <= offset => low = middle + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    fn batch(&self, number: u64) -> Result<Vec<Record>, ProcessError> {
        self.batch_of(number, BATCH)
    }

    fn batch_of(&self, number: u64, count: usize) -> Result<Vec<Record>, ProcessError> {
        let mut bytes = vec![0; count * RECORD_BYTES];
        let length = read_full(&self.file, &mut bytes, Record::position(number))
            .map_err(|source| ProcessError::Log { path: self.path.clone(), source })?;
        Ok(bytes[..length].chunks_exact(RECORD_BYTES).map_while(Record::from_bytes).collect())
    }
}

/// The segments, one of them open.
struct Segments<'a> {
    folder: &'a Folder,
    open: Option<(u64, File)>,
}

impl Segments<'_> {
    /// The first offset from `offset` on whose segment is there: the writer may have cut more since the index was read.
    fn skip_cut(&mut self, mut offset: u64, end: u64) -> Result<u64, ProcessError> {
        while offset < end && self.segment(offset / SEGMENT_BYTES)?.is_none() {
            offset = (offset / SEGMENT_BYTES + 1) * SEGMENT_BYTES;
        }
        Ok(offset.min(end))
    }

    /// The bytes from `from` to `to`, or as many of them as come before the first that is not there.
    fn read(&mut self, from: u64, to: u64) -> Result<Vec<u8>, ProcessError> {
        let mut bytes = vec![0; usize::try_from(to - from).unwrap_or(usize::MAX)];
        let mut done = 0;
        while done < bytes.len() {
            let at = from + done as u64;
            let number = at / SEGMENT_BYTES;
            let Some(file) = self.segment(number)? else { break };
            let room = usize::try_from(SEGMENT_BYTES - at % SEGMENT_BYTES).unwrap_or(usize::MAX);
            let until = bytes.len().min(done.saturating_add(room));
            let length = read_full(file, &mut bytes[done..until], at % SEGMENT_BYTES)
                .map_err(|source| ProcessError::Log { path: self.folder.segment_file(number), source })?;
            if length == 0 {
                break;
            }
            done += length;
        }
        bytes.truncate(done);
        Ok(bytes)
    }

    /// The segment; `None` where it was cut.
    fn segment(&mut self, number: u64) -> Result<Option<&File>, ProcessError> {
        if self.open.as_ref().is_none_or(|open| open.0 != number) {
            let path = self.folder.segment_file(number);
            match File::open(&path) {
                Ok(file) => self.open = Some((number, file)),
                Err(error) if error.kind() == ErrorKind::NotFound && number >= HEAD_SEGMENTS => return Ok(None),
                Err(source) => return Err(ProcessError::Log { path, source }),
            }
        }
        Ok(self.open.as_ref().map(|open| &open.1))
    }
}

/// Reads until `buffer` is full or the file ends.
fn read_full(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(length) => done += length,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::super::LogWriter;
    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(Utf8Path::from_path(dir.path()).unwrap());
        (dir, folder)
    }

    #[test]
    fn streams_keep_their_order_and_names() {
        let (_dir, folder) = folder();
        let reader = LogReader::open(folder.dir()).unwrap();
        assert_eq!(reader.read(0, 100).unwrap(), LogChunk::default(), "nothing yet");
        let mut writer = LogWriter::new(folder);
        writer.write(1, Stream::Stdout, b"one ");
        writer.write(2, Stream::Stdout, b"two ");
        writer.write(3, Stream::Stderr, b"three ");
        writer.write(4, Stream::Stdout, b"four");
        let chunk = reader.read(0, 100).unwrap();
        let reads: Vec<_> = chunk.reads.iter().map(|read| (read.offset, read.stream, &read.bytes[..])).collect();
        assert_eq!(
            reads,
            [
                (0, Stream::Stdout, &b"one two "[..]),
                (8, Stream::Stderr, &b"three "[..]),
                (14, Stream::Stdout, &b"four"[..])
            ]
        );
        assert_eq!((chunk.next, chunk.cut), (18, 0));
        let chunk = reader.read(5, 6).unwrap();
        let bytes: Vec<u8> = chunk.reads.iter().flat_map(|read| read.bytes.clone()).collect();
        assert_eq!((bytes, chunk.next), (b"wo thr".to_vec(), 11), "any piece can be had");
        assert_eq!(reader.read(18, 100).unwrap(), LogChunk { next: 18, ..LogChunk::default() }, "no more yet");
        writer.write(5, Stream::Stdout, b"!");
        let chunk = reader.read(18, 100).unwrap();
        assert_eq!((&chunk.reads[0].bytes[..], chunk.next), (&b"!"[..], 19), "the last read has grown");
    }

    #[test]
    fn middle_is_cut_and_told() {
        let (_dir, folder) = folder();
        let reader = LogReader::open(folder.dir()).unwrap();
        let mut writer = LogWriter::new(folder.clone());
        let block = vec![b'x'; 1024 * 1024];
        for number in 0..100_u64 {
            writer.write(number * 1_000_000, Stream::Stdout, &block);
        }
        let mib = 1024 * 1024;
        let on_disk = (0..30).filter(|number| folder.segment_file(*number).exists()).count();
        assert_eq!(on_disk, 17, "64 MiB and the segment being written");
        let (mut offset, mut seen, mut cuts) = (0, 0, Vec::new());
        while offset < writer.end() {
            let chunk = reader.read(offset, 3 * 1024 * 1024 + 5).unwrap();
            assert!(chunk.next > offset, "it goes on");
            if chunk.cut > 0 {
                cuts.push((offset / mib, chunk.cut / mib));
            }
            let length: u64 = chunk.reads.iter().map(|read| read.bytes.len() as u64).sum();
            assert_eq!(chunk.next, offset + chunk.cut + length);
            seen += length;
            offset = chunk.next;
        }
        assert_eq!(cuts, [(32, 32)], "cut once, after the head");
        assert_eq!(seen / mib, 68);
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let (dir, folder) = folder();
        let mut writer = LogWriter::new(folder.clone());
        writer.write(1, Stream::Stdout, b"kept");
        // A directory in the place of the next segment.
        std::fs::create_dir(folder.segment_file(1)).unwrap();
        writer.write(2, Stream::Stdout, &vec![b'x'; 4 * 1024 * 1024 - 4]);
        writer.write(3, Stream::Stdout, b"lost");
        assert_eq!((writer.end(), writer.lost()), (4 * 1024 * 1024, 4));
        std::fs::remove_dir(folder.segment_file(1)).unwrap();
        writer.write(4, Stream::Stdout, b"again");
        let chunk = LogReader::open(folder.dir()).unwrap().read(4 * 1024 * 1024, 100).unwrap();
        assert_eq!(chunk.reads[0].bytes, b"again", "the log goes on where it can");
        drop(dir);
    }
}
