//! Names the build: a hash over every source, so that two builds of one version can be told apart and the same sources
//! give the same name. And tells the linker what makes a static program start sooner.

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
    link();
    Ok(())
}

/// A daemon starts many shims, and each begins with relocations.
fn link() {
    let target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if target("OS") != "linux" || target("ENV") != "gnu" {
        return;
    }
    // A quarter of a megabyte of relocations, read at each start, becomes a few KiB.
    if glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg=-Wl,-z,pack-relative-relocs");
    }
}

/// The C library that is linked in, where it is this machine's: one before 2.36 cannot unpack those relocations.
#[expect(clippy::disallowed_methods, reason = "a build script asks the machine that it runs on")]
fn glibc() -> Option<(u32, u32)> {
    if std::env::var("HOST") != std::env::var("TARGET") {
        return None;
    }
    let output = std::process::Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
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
