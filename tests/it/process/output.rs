//! What the shim keeps of a command's output: masked, cut in the middle, and on a disk that is full.

use super::*;

/// Secrets are masked in both streams, also where a program writes them piece by piece, and so is who logs in to a URL.
#[test]
fn secrets_are_masked() {
    let stage = Stage::new();
    let script = "printf 'token hun'; sleep 0.05; printf 'ter2.\\n'; echo err hunter2 >&2; \
                  printf 'https://me:p'; sleep 0.05; printf 'w@host/x\\n'; printf 'open hunt'";
    let secrets = vec!["hunter2".to_owned(), "abc".to_owned()];
    let outcome = stage.run(ShimSpec { secrets, ..stage.script(script) });
    assert_eq!(stage.output(Stream::Stdout), "token ***.\nhttps://***@host/x\nopen hunt");
    assert_eq!(stage.output(Stream::Stderr), "err ***\n");
    assert_eq!(outcome.output_bytes.get(), 47);
    let files = std::fs::read_dir(stage.folder().dir()).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|path| path.is_file()) {
        let bytes = std::fs::read(file).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "no file holds it");
    }
}

/// Much output is kept up to the cap, and writing it is not slow.
#[test]
fn much_output_is_cut_in_the_middle() {
    let stage = Stage::new();
    let begin = Instant::now();
    let outcome = stage.run(stage.script("head -c 200000000 /dev/zero; echo end"));
    assert_eq!((outcome.output_bytes.get(), outcome.output_lost.get()), (200_000_004, 0));
    assert!(begin.elapsed() < SOON);
    let reader = LogReader::open(stage.folder().dir()).unwrap();
    let (mut offset, mut cut, mut seen, mut last) = (0, 0, 0, Vec::new());
    while offset < 200_000_004 {
        let chunk = reader.read(offset, 1 << 20).unwrap();
        cut += chunk.cut;
        seen += chunk.reads.iter().map(|read| read.bytes.len() as u64).sum::<u64>();
        last = chunk.reads.last().unwrap().bytes.clone();
        offset = chunk.next;
    }
    assert_eq!(cut + seen, 200_000_004);
    assert!((64 << 20..=68 << 20).contains(&seen), "{seen} bytes are kept");
    assert!(last.ends_with(b"end\n"));
}

/// A full disk costs a command its log, which is told, and neither its run nor its outcome.
#[test]
fn full_disk_ends_no_command() {
    let stage = Stage::new();
    let disk = SmallDisk::mount(stage.path("command"));
    let script = "head -c 3000000 /dev/zero; echo ran > ran; exit 5";
    let outcome = stage.run(stage.script(script));
    assert_eq!(outcome.end, End::Exited { code: 5 });
    assert_eq!(outcome.output_bytes.get() + outcome.output_lost.get(), 3_000_000);
    assert!(outcome.output_lost.get() > 2_000_000, "{outcome:?}");
    assert_eq!(stage.folder().outcome().unwrap(), Some(outcome));
    stage.wait_for("ran");
    stage.nothing_is_left();
    drop(disk);
}

/// A file system of 256 KiB. Needs root.
struct SmallDisk {
    path: Utf8PathBuf,
}

impl SmallDisk {
    fn mount(path: Utf8PathBuf) -> Self {
        system("mount", &["-t", "tmpfs", "-o", "size=256k", "none", path.as_str()]);
        Self { path }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A shim stays in its folder until it has exited.
        system("umount", &["--lazy", self.path.as_str()]);
    }
}

#[expect(clippy::disallowed_methods, reason = "a tool of the machine")]
fn system(program: &str, args: &[&str]) {
    assert!(Command::new(program).args(args).status().unwrap().success(), "{program} {args:?}");
}
