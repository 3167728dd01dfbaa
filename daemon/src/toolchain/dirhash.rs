//! The `h1:` checksum of a module's zip: Go's dirhash Hash1, computed by ourselves.
//!
//! Source: golang.org/x/mod/sumdb/dirhash: the SHA-256 of each file, a line `HEX  NAME` for each in the order of the names,
//! the SHA-256 of those lines in base64. What Go itself wrote beside the zip is a claim and is not read.

use std::io::{self, Read};

use camino::Utf8Path;
use sha2::{Digest, Sha256};

use crate::hex;

/// The most that the files of one zip may hold together: Go refuses modules over 500 MiB.
const MAX_UNPACKED: u64 = 500 << 20;
/// The most of a go.sum that is read.
const MAX_GO_SUM: u64 = 4 << 20;

/// The `h1:` sum of the module zip at `path`. Blocking.
///
/// # Errors
/// The zip cannot be read, has a file name that Go would refuse, or unpacks to more than a module may hold.
pub(crate) fn hash_zip(path: &Utf8Path) -> io::Result<String> {
    let mut archive = zip::ZipArchive::new(io::BufReader::new(fs_err::File::open(path)?)).map_err(io::Error::other)?;
    let mut lines = Vec::with_capacity(archive.len());
    let mut left = MAX_UNPACKED;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(io::Error::other)?;
        let name = entry.name().to_owned();
        if name.contains('\n') {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a file name in the zip holds a line end"));
        }
        // One byte more than allowed is asked for, so that a zip which is too large is told from one that just fits.
        let mut content = entry.take(left + 1);
        let digest = sha256_of(&mut content)?;
        left = left.checked_sub(left + 1 - content.limit()).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the zip unpacks to more than a module may hold")
        })?;
        lines.push((name, digest));
    }
    lines.sort();
    let mut sum = Sha256::new();
    for (name, digest) in lines {
        sum.update(format!("{digest}  {name}\n"));
    }
    Ok(format!("h1:{}", base64(&sum.finalize())))
}

/// The text of go.sum in the module zip at `path`: what the module's own authors saw its dependencies to be. Empty where
/// there is none. Blocking.
///
/// # Errors
/// The zip cannot be read, or its go.sum is no text of a sensible size.
pub(crate) fn go_sum_in(path: &Utf8Path) -> io::Result<String> {
    let mut archive = zip::ZipArchive::new(io::BufReader::new(fs_err::File::open(path)?)).map_err(io::Error::other)?;
    // `MODULE@VERSION/go.sum`: a module's path has no `@`, and a go.sum further down is test data.
    let is_own = |name: &str| {
        name.split_once('@').and_then(|(_, rest)| rest.split_once('/')).is_some_and(|(_, file)| file == "go.sum")
    };
    let Some(name) = archive.file_names().find(|name| is_own(name)).map(str::to_owned) else {
        return Ok(String::new());
    };
    let mut text = String::new();
    archive.by_name(&name).map_err(io::Error::other)?.take(MAX_GO_SUM).read_to_string(&mut text)?;
    Ok(text)
}

/// The SHA-256 of all that `reader` gives, in hexadecimal. Blocking.
pub(crate) fn sha256_of(reader: &mut impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = [0; 64 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hex::encode(&hasher.finalize())),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The SHA-256 of the file at `path`, in hexadecimal. Blocking.
pub(crate) fn sha256_of_file(path: &Utf8Path) -> io::Result<String> {
    sha256_of(&mut fs_err::File::open(path)?)
}

/// Standard base64 with padding (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, &byte| group << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let digit = (group >> (18 - 6 * index)) & 63;
            text.push(if index > chunk.len() { '=' } else { char::from(ALPHABET[digit as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn base64_has_the_vectors_of_the_rfc() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    /// A module zip with these files, whose names begin after `example.test/tiny@v1.0.0/`.
    fn module(files: &[(&str, &str)]) -> (tempfile::TempDir, camino::Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("tiny.zip");
        let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path).unwrap();
        let mut zip = zip::ZipWriter::new(file);
        for (name, content) in files {
            let options = zip::write::SimpleFileOptions::default();
            zip.start_file(format!("example.test/tiny@v1.0.0/{name}"), options).unwrap();
            zip.write_all(content.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        (dir, path)
    }

    /// The sum that Go 1.26.8 printed for this very module: `go mod download -json example.test/tiny@v1.0.0`.
    #[test]
    fn the_sum_is_the_one_that_go_prints() {
        let go_mod = ("go.mod", "module example.test/tiny\n\ngo 1.18\n");
        // Not in the order of their names: the sum must not depend on the zip's own order.
        let (_keep, path) = module(&[("main.go", "package main\n\nfunc main() {}\n"), go_mod]);
        assert_eq!(hash_zip(&path).unwrap(), "h1:22Sawkp1i92H03fL7UsxWdvHRlxMwUAiRPiqdE7dNi4=");
    }

    #[test]
    fn the_modules_own_go_sum_is_found() {
        let (_keep, path) = module(&[("testdata/x@v2/go.sum", "evil"), ("go.sum", "b v1 h1:x")]);
        assert_eq!(go_sum_in(&path).unwrap(), "b v1 h1:x");
        let (_keep, path) = module(&[("testdata/x@v2/go.sum", "evil")]);
        assert_eq!(go_sum_in(&path).unwrap(), "", "one further down is not the module's");
    }

    #[test]
    fn a_zip_that_is_cut_off_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("cut.zip");
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path).unwrap();
        file.write_all(b"PK\x03\x04 and then nothing").unwrap();
        assert!(hash_zip(&path).is_err());
    }
}
