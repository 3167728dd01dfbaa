//! Reading a file of a workspace that nobody vouches for: a pipe does not hold us up, and a huge one is not taken in.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;

use camino::Utf8Path;

/// What a file of settings may have at most. A go.mod of a thousand modules has 100 KiB.
const MAX_BYTES: u64 = 1 << 20;

/// The text of the file at `path`; none where there is no such file.
///
/// # Errors
/// Where it is no regular file, larger than 1 MiB, not UTF-8, or cannot be read.
pub fn read(path: &Utf8Path) -> io::Result<Option<String>> {
    // Without it, opening a pipe waits for somebody to write.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(nonblocking).open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        // A folder of that name is no such file: `.bingo` and `go.mod` occur as folders in the wild.
        return Ok(None);
    }
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::read;

    #[test]
    fn only_regular_files_of_a_sane_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        assert_eq!(read(&root.join("none")).unwrap(), None);
        assert_eq!(read(&root).unwrap(), None, "a folder is no such file");
        crate::durable::replace(&root.join("a"), b"text").unwrap();
        assert_eq!(read(&root.join("a")).unwrap().as_deref(), Some("text"));
        crate::durable::replace(&root.join("large"), &vec![b'a'; 2 << 20]).unwrap();
        assert!(read(&root.join("large")).is_err(), "2 MiB");
        crate::durable::replace(&root.join("binary"), &[0xff, 0xfe]).unwrap();
        assert!(read(&root.join("binary")).is_err(), "not UTF-8");
        let pipe = root.join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, pipe.as_std_path(), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(read(&pipe).is_err(), "a pipe that nobody writes to holds nobody up");
    }
}
