//! Names the build: a hash over every source, so that two builds of one version can be told apart and the same sources
//! give the same name.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

fn main() -> std::io::Result<()> {
    let mut hasher = DefaultHasher::new();
    for source in ["src", "data", "../protocol/src", "../Cargo.lock"] {
        println!("cargo::rerun-if-changed={source}");
        hash(Path::new(source), &mut hasher)?;
    }
    std::env::var("PROFILE").ok().hash(&mut hasher);
    println!("cargo::rustc-env=BURROW_BUILD={:016x}", hasher.finish());
    Ok(())
}

fn hash(path: &Path, hasher: &mut DefaultHasher) -> std::io::Result<()> {
    if path.is_dir() {
        let mut entries: Vec<_> =
            std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        entries.sort();
        return entries.iter().try_for_each(|entry| hash(entry, hasher));
    }
    if path.exists() {
        path.hash(hasher);
        std::fs::read(path)?.hash(hasher);
    }
    Ok(())
}
