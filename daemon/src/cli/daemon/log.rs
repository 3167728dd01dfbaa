//! The daemon's own log: a file that grows to a limit, and the one before it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use camino::{Utf8Path, Utf8PathBuf};

use crate::durable::{self, Appender, DurableError};

/// Bytes of one file; there are two.
const LIMIT: u64 = 4 * 1024 * 1024;

/// Appends, and begins a new file where this one is full. What cannot be rotated goes on growing: a log that ends says less.
pub(super) struct Log {
    path: Utf8PathBuf,
    file: File,
    size: u64,
    limit: u64,
}

impl Log {
    /// Opens the file at `path`, private, making it where there is none.
    pub(super) fn open(path: &Utf8Path) -> Result<Self, DurableError> {
        Self::with_limit(path, LIMIT)
    }

    fn with_limit(path: &Utf8Path, limit: u64) -> Result<Self, DurableError> {
        let (file, size) = open(path)?;
        Ok(Self { path: path.to_owned(), file, size, limit })
    }

    fn rotate(&mut self) {
        let before = Utf8PathBuf::from(format!("{}.1", self.path));
        if durable::rename_for_now(&self.path, &before).is_ok()
            && let Ok((file, size)) = open(&self.path)
        {
            (self.file, self.size) = (file, size);
        } else {
            // Not at each line.
            self.size = 0;
        }
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.size >= self.limit {
            self.rotate();
        }
        let written = self.file.write(bytes)?;
        self.size += u64::try_from(written).unwrap_or(0);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn open(path: &Utf8Path) -> Result<(File, u64), DurableError> {
    // Opened once more by its name, to be written directly; an Appender makes it private and follows no link.
    Appender::open(path)?;
    let read = |source| DurableError::Read { path: path.to_owned(), source };
    let file = OpenOptions::new().append(true).open(path).map_err(read)?;
    let size = file.metadata().map_err(read)?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use camino::Utf8PathBuf;

    use super::Log;

    #[test]
    fn a_log_stays_within_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("daemon.log")).unwrap();
        let mut log = Log::with_limit(&path, 20).unwrap();
        for line in 0..10 {
            // One write, as a log's line is.
            log.write_all(format!("line {line}!!\n").as_bytes()).unwrap();
        }
        let text = |path: &str| std::fs::read_to_string(path).unwrap();
        assert_eq!(text(&format!("{path}.1")), "line 6!!\nline 7!!\nline 8!!\n");
        assert_eq!(text(path.as_str()), "line 9!!\n");
        drop(log);
        let mut log = Log::with_limit(&path, 20).unwrap();
        log.write_all(b"after\n").unwrap();
        assert_eq!(text(path.as_str()), "line 9!!\nafter\n", "the next daemon goes on in it");
    }
}
