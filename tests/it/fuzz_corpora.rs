//! Replays the corpora of `fuzz/` through the targets, with the ordinary compiler: what a fuzzer once found stays found.

use std::collections::BTreeSet;
use std::fs;

use burrow::fuzzing::TARGETS;
use camino::{Utf8Path, Utf8PathBuf};

fn fuzz() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

#[test]
fn every_input_of_every_corpus_passes() {
    for (name, target) in TARGETS {
        let corpus = fuzz().join("corpus").join(name);
        let inputs: Vec<_> = corpus.read_dir_utf8().unwrap_or_else(|error| panic!("{corpus}: {error}")).collect();
        assert!(!inputs.is_empty(), "{corpus} has no input");
        for input in inputs {
            let input = input.unwrap();
            println!("{}", input.path());
            target(&fs::read(input.path()).unwrap());
        }
    }
}

/// A target that is missing in one of the places would never be fuzzed, or never be replayed.
#[test]
fn the_targets_are_the_same_everywhere() {
    let here: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let below = |folder: &str| -> BTreeSet<_> {
        let entries = fuzz().join(folder).read_dir_utf8().unwrap();
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned()).collect()
    };
    assert_eq!(below("corpus"), here, "the folders of fuzz/corpus");
    assert_eq!(below("fuzz_targets"), here, "the files of fuzz/fuzz_targets");
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    let bins = manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\""));
    assert_eq!(bins.map(str::to_owned).collect::<BTreeSet<_>>(), here, "the [[bin]]s of fuzz/Cargo.toml");
}
