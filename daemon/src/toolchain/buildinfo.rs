//! What a Go binary says of its own build, read from the file: no process is started for it.
//!
//! Format: `debug/buildinfo` and `runtime/debug` of Go 1.18 and newer: the section `.go.buildinfo` holds a header of 32 bytes
//! and two strings, each with its length as a varint: the Go version and the module information between two marks of 16 bytes.
//! All of it is a claim of the binary: a sum in here is no proof.
//!
//! Invariants: no input makes it panic, and no length in the file makes it read more than [`MAX_INFO`].

use std::collections::BTreeMap;
use std::io;

use camino::Utf8Path;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, SectionHeader};
use object::{Endianness, ReadCache, ReadRef};

/// The most that the section may hold: gopls has 8 KiB.
const MAX_INFO: u64 = 1 << 20;
/// The most sections that are looked at: a Go binary has about 25.
const MAX_SECTIONS: u64 = 1024;
const MAGIC: &[u8] = b"\xff Go buildinf:";
const HEADER: usize = 32;
/// The flag of the header that says that the strings follow it.
const INLINE_STRINGS: u8 = 2;
const MARK: usize = 16;

/// What a binary says of its build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BuildInfo {
    /// The Go that built it: `go1.26.8`.
    pub(crate) go: String,
    /// The main package.
    pub(crate) path: String,
    /// The main module.
    pub(crate) module: Module,
    /// The modules that it was built from besides.
    pub(crate) dependencies: Vec<Module>,
    /// The build settings: `GOOS`, `CGO_ENABLED`, `-trimpath`, ...
    pub(crate) settings: BTreeMap<String, String>,
}

/// A module in a binary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Module {
    /// Its path.
    pub(crate) path: String,
    /// Its version.
    pub(crate) version: String,
    /// Its sum: `h1:...`; empty where Go had none.
    pub(crate) sum: String,
}

/// Why a file has no build information.
#[derive(Debug, thiserror::Error)]
pub enum BuildInfoError {
    /// It cannot be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: camino::Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no 64-bit ELF file.
    #[error("read {path}: it is no 64-bit ELF file")]
    NoElf {
        /// The file.
        path: camino::Utf8PathBuf,
        /// Where it ends to be one.
        source: object::Error,
    },
    /// It has no such section, or one that is damaged.
    #[error("read {path}: {problem}")]
    Damaged {
        /// The file.
        path: camino::Utf8PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
}

/// Reads the build information of the binary at `path`. Blocking; only the headers and one small section are read.
///
/// # Errors
/// [`BuildInfoError`]; also for binaries of Go before 1.18, which have another format.
pub(crate) fn read(path: &Utf8Path) -> Result<BuildInfo, BuildInfoError> {
    let file = fs_err::File::open(path).map_err(|source| BuildInfoError::Read { path: path.to_owned(), source })?;
    let cache = ReadCache::new(file);
    let section = match section(&cache) {
        Ok(Some(section)) => section,
        Ok(None) => return Err(BuildInfoError::Damaged { path: path.to_owned(), problem: "it has no .go.buildinfo" }),
        Err(source) => return Err(BuildInfoError::NoElf { path: path.to_owned(), source }),
    };
    parse(section).map_err(|problem| BuildInfoError::Damaged { path: path.to_owned(), problem })
}

/// The Go that built the program at `path`; nothing where none did. Blocking, as [`read`] is.
#[must_use]
pub fn built_with(path: &Utf8Path) -> Option<String> {
    read(path).ok().map(|info| info.go)
}

/// What a fuzzer runs: the reader of a whole file, and of a section alone.
pub(crate) fn fuzz(data: &[u8]) {
    let section = if data.starts_with(b"\x7fELF") { section(data).ok().flatten() } else { Some(data) };
    let Some(Ok(info)) = section.map(parse) else { return };
    let modules = std::iter::once(&info.module).chain(&info.dependencies);
    let read: usize = modules.map(|module| module.path.len() + module.version.len() + module.sum.len()).sum();
    assert!(read <= data.len(), "more was read than there is");
    assert!(info.settings.keys().all(|name| !name.contains(['=', '\n'])), "{:?}", info.settings);
}

/// The bytes of `.go.buildinfo`, cut at [`MAX_INFO`].
fn section<'data, R: ReadRef<'data>>(data: R) -> object::Result<Option<&'data [u8]>> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let count = u64::from(header.shnum(endian, data)?);
    if count > MAX_SECTIONS {
        return Ok(None);
    }
    let sections = header.sections(endian, data)?;
    let Some((_, section)) = sections.section_by_name(endian, b".go.buildinfo") else { return Ok(None) };
    let Some((offset, size)) = section.file_range(endian) else { return Ok(None) };
    let bytes = data.read_bytes_at(offset, size.min(MAX_INFO));
    Ok(bytes.ok())
}

fn parse(section: &[u8]) -> Result<BuildInfo, &'static str> {
    let header = section.get(..HEADER).ok_or("its .go.buildinfo is cut off")?;
    if !header.starts_with(MAGIC) {
        return Err("its .go.buildinfo is none");
    }
    if header[15] & INLINE_STRINGS == 0 {
        return Err("it was built by a Go before 1.18");
    }
    let (go, rest) = string(&section[HEADER..])?;
    let (modules, _) = string(rest)?;
    let modules = modules.get(MARK..modules.len().saturating_sub(MARK)).ok_or("it names no modules")?;
    let modules = std::str::from_utf8(modules).map_err(|_| "its modules are no UTF-8")?;
    let go = std::str::from_utf8(go).map_err(|_| "its Go version is no UTF-8")?;
    let mut info = BuildInfo { go: go.to_owned(), ..BuildInfo::default() };
    for line in modules.lines() {
        info.add(line);
    }
    Ok(info)
}

impl BuildInfo {
    fn add(&mut self, line: &str) {
        let mut fields = line.split('\t');
        let (kind, first) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        match kind {
            "path" => first.clone_into(&mut self.path),
            "mod" => self.module = Module::new(first, fields),
            "dep" => self.dependencies.push(Module::new(first, fields)),
            // The module that stands in for the one above.
            "=>" => {
                if let Some(last) = self.dependencies.last_mut() {
                    *last = Module::new(first, fields);
                }
            }
            "build" => {
                if let Some((key, value)) = first.split_once('=') {
                    self.settings.insert(key.to_owned(), value.to_owned());
                }
            }
            _ => {}
        }
    }
}

impl Module {
    fn new<'a>(path: &str, mut fields: impl Iterator<Item = &'a str>) -> Self {
        let mut next = || fields.next().unwrap_or_default().to_owned();
        Self { path: path.to_owned(), version: next(), sum: next() }
    }
}

/// The string that `bytes` begins with, and what follows it.
fn string(bytes: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let mut length = 0_u64;
    for (index, &byte) in bytes.iter().enumerate().take(5) {
        length |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let length = usize::try_from(length).map_err(|_| "a length in its .go.buildinfo is too great")?;
            return bytes[index + 1..].split_at_checked(length).ok_or("its .go.buildinfo is cut off");
        }
    }
    Err("a length in its .go.buildinfo does not end")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A real binary: Go's own `gofmt` or `go`, which are Go programs as any other.
    fn real() -> camino::Utf8PathBuf {
        let path = std::env::var("PATH").unwrap();
        let go = path.split(':').map(|dir| Utf8Path::new(dir).join("go")).find(|go| go.is_file());
        go.expect("the tests need Go on PATH").canonicalize_utf8().unwrap()
    }

    #[test]
    fn a_real_binary_tells_its_build() {
        let info = read(&real()).unwrap();
        assert!(info.go.starts_with("go1."), "{}", info.go);
        assert_eq!(info.path, "cmd/go");
        assert_eq!(info.settings["GOOS"], "linux");
        assert_eq!(info.settings["-trimpath"], "true");
    }

    #[test]
    fn what_is_no_go_binary_is_an_error() {
        let elf = std::env::current_exe().unwrap();
        assert!(
            matches!(read(Utf8Path::from_path(&elf).unwrap()), Err(BuildInfoError::Damaged { .. })),
            "Rust, not Go"
        );
        assert!(matches!(read("/etc/passwd".into()), Err(BuildInfoError::NoElf { .. })));
        assert!(matches!(read("/nonexistent".into()), Err(BuildInfoError::Read { .. })));
    }

    /// Cut off anywhere, or with any byte of its headers flipped, a file is read or refused, and nothing panics.
    #[test]
    fn damage_never_panics() {
        let bytes = std::fs::read(real()).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let path = camino::Utf8PathBuf::from_path_buf(file.path().to_owned()).unwrap();
        for cut in [0, 4, 16, 63, 64, 65, 1000, bytes.len() / 2, bytes.len() - 1] {
            file.as_file().set_len(0).unwrap();
            file.reopen().unwrap().write_all(&bytes[..cut]).unwrap();
            assert!(read(&path).is_err() || cut == bytes.len() - 1, "cut at {cut}");
        }
        file.write_all(&bytes).unwrap();
        for (at, byte) in bytes.iter().enumerate().take(64) {
            use std::os::unix::fs::FileExt;
            file.as_file().write_all_at(&[byte ^ 0xff], at as u64).unwrap();
            let _ = read(&path);
            file.as_file().write_all_at(&[*byte], at as u64).unwrap();
        }
        assert!(read(&path).is_ok(), "restored");
    }

    proptest::proptest! {
        #[test]
        fn no_section_panics(tail in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let mut section = MAGIC.to_vec();
            section.extend([8, INLINE_STRINGS]);
            section.resize(HEADER, 0);
            section.extend(tail);
            let _ = parse(&section);
        }
    }

    /// Appends a string as Go writes it.
    fn push(section: &mut Vec<u8>, text: &[u8]) {
        let mut length = text.len();
        while length > 0x7f {
            section.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        section.push(u8::try_from(length).unwrap());
        section.extend(text);
    }

    proptest::proptest! {
        #[test]
        fn whatever_go_writes_is_read(
            path in "[a-z./]{1,40}",
            modules in proptest::collection::vec(("[a-z./]{1,300}", "v[0-9.]{1,9}", "h1:[A-Za-z0-9+/]{43}="), 1..40),
            settings in proptest::collection::btree_map("[A-Z_]{1,12}", "[a-z0-9=,-]{0,20}", 0..20),
        ) {
            let mut text = format!("path\t{path}\n");
            for (number, (module, version, sum)) in modules.iter().enumerate() {
                let kind = if number == 0 { "mod" } else { "dep" };
                text += &format!("{kind}\t{module}\t{version}\t{sum}\n");
            }
            for (name, value) in &settings {
                text += &format!("build\t{name}={value}\n");
            }
            let mut section = MAGIC.to_vec();
            section.extend([8, INLINE_STRINGS]);
            section.resize(HEADER, 0);
            push(&mut section, b"go1.26.8");
            push(&mut section, format!("0123456789abcdef{text}0123456789abcdef").as_bytes());
            let info = parse(&section).unwrap();
            proptest::prop_assert_eq!(&info.path, &path);
            proptest::prop_assert_eq!(&info.settings, &settings);
            let read: Vec<_> = std::iter::once(&info.module).chain(&info.dependencies)
                .map(|module| (module.path.clone(), module.version.clone(), module.sum.clone())).collect();
            proptest::prop_assert_eq!(read, modules);
            // Cut anywhere, it is refused or read, and nothing panics.
            for cut in (0..section.len()).step_by(7) {
                let _ = parse(&section[..cut]);
            }
        }
    }

    #[test]
    fn modules_and_settings_are_read() {
        let mut section = MAGIC.to_vec();
        section.extend([8, INLINE_STRINGS]);
        section.resize(HEADER, 0);
        let info = format!(
            "{mark}path\ta/cmd\nmod\ta\tv1.2.3\th1:x\ndep\tb\tv1\th1:y\ndep\tc\tv1\n=>\td\tv2\th1:z\nbuild\tGOOS=linux\n{mark}",
            mark = "0123456789abcdef"
        );
        for text in ["go1.26.8", &info] {
            section.push(u8::try_from(text.len() & 0x7f).unwrap() | if text.len() > 127 { 0x80 } else { 0 });
            if text.len() > 127 {
                section.push(u8::try_from(text.len() >> 7).unwrap());
            }
            section.extend(text.bytes());
        }
        let info = parse(&section).unwrap();
        assert_eq!((info.go.as_str(), info.path.as_str()), ("go1.26.8", "a/cmd"));
        assert_eq!(info.module, Module { path: "a".into(), version: "v1.2.3".into(), sum: "h1:x".into() });
        assert_eq!(info.dependencies[1], Module { path: "d".into(), version: "v2".into(), sum: "h1:z".into() });
        assert_eq!(info.settings["GOOS"], "linux");
    }
}
