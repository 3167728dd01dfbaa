//! Downloaded modules that are kept for a repair without network, in the layout of GOPROXY.
//!
//! Only what Go asks a proxy for is kept: the sums that its cache has beside the zips are claims, and are computed again by
//! the next `go`. All functions block.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::environment::go_setting;
use crate::durable::{self, DurableError};
use crate::process::Caller;

/// The most that is kept: the three standard tools need about 30 MB. Above that it begins anew.
const MAX_BYTES: u64 = 256 << 20;
/// How deep a module's path may go.
const MAX_DEPTH: usize = 32;

/// Moves what was downloaded to `from` to what is kept at `to`.
///
/// # Errors
/// [`DurableError`]; what was moved by then is whole.
pub(crate) fn keep(from: &Utf8Path, to: &Utf8Path) -> Result<(), DurableError> {
    let new = folders_of_versions(from);
    let size = |folders: &[Utf8PathBuf]| folders.iter().map(|folder| size_of(folder)).sum::<u64>();
    if size(&new) + size(&folders_of_versions(to)) > MAX_BYTES {
        durable::remove_dir(to)?;
    }
    for folder in new {
        let Ok(name) = folder.strip_prefix(from) else { continue };
        // A toolchain cannot be checked without the database, so it is of no use here; `@v` of the database is none.
        if name.starts_with("golang.org/toolchain") || name.starts_with("sumdb") {
            continue;
        }
        let target = to.join(name);
        durable::create_dir(&target)?;
        for file in files_of(&folder).filter(|file| is_content(file)) {
            let Some(name) = file.file_name() else { continue };
            if !target.join(name).exists() {
                durable::rename_for_now(&file, &target.join(name))?;
            }
        }
        // The list names what is there and nothing else: Go asks for each.
        let versions: BTreeSet<_> = files_of(&target)
            .filter(|file| file.extension() == Some("mod"))
            .filter_map(|file| file.file_stem().map(str::to_owned))
            .collect();
        let list: String = versions.into_iter().map(|version| version + "\n").collect();
        durable::replace_for_now_bytes(&target.join("list"), list.as_bytes())?;
    }
    Ok(())
}

/// Where modules may be had without network: what is kept, then the download cache of the caller's own Go.
pub(crate) fn at_hand(kept: Utf8PathBuf, caller: &Caller, goroot: &Utf8Path) -> Vec<Utf8PathBuf> {
    let setting = |name: &str| go_setting(&caller.env, goroot, name);
    let gopath = || setting("GOPATH").and_then(|path| path.split(':').next().map(str::to_owned));
    let home = || caller.env.get("HOME").map(|home| format!("{home}/go"));
    let cache = setting("GOMODCACHE").or_else(|| Some(gopath().or_else(home)? + "/pkg/mod"));
    let users = cache.map(|cache| Utf8PathBuf::from(cache).join("cache/download"));
    [Some(kept), users].into_iter().flatten().filter(|folder| folder.is_absolute() && folder.is_dir()).collect()
}

/// What a proxy serves: `VERSION.info`, `.mod` and `.zip`.
fn is_content(file: &Utf8Path) -> bool {
    matches!(file.extension(), Some("info" | "mod" | "zip"))
}

/// The folders `@v` below `root`.
fn folders_of_versions(root: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut found = Vec::new();
    let mut level = vec![root.to_owned()];
    for _ in 0..MAX_DEPTH {
        let folders = level.iter().filter_map(|folder| folder.read_dir_utf8().ok()).flatten().flatten();
        let folders = folders.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let (versions, others): (Vec<_>, Vec<_>) =
            folders.map(|entry| entry.into_path()).partition(|path| path.file_name() == Some("@v"));
        found.extend(versions);
        level = others;
    }
    found
}

fn files_of(folder: &Utf8Path) -> impl Iterator<Item = Utf8PathBuf> {
    let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())).map(|entry| entry.into_path())
}

fn size_of(folder: &Utf8Path) -> u64 {
    files_of(folder).filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        (folder, path)
    }

    fn write(path: &Utf8Path, text: &str) {
        durable::create_dir(path.parent().unwrap()).unwrap();
        durable::replace(path, text.as_bytes()).unwrap();
    }

    #[test]
    fn content_is_kept_and_claims_are_not() {
        let (_keep, root) = folder();
        let (from, to) = (root.join("from"), root.join("to"));
        for (file, text) in [
            ("a.example/m/@v/v1.1.0.mod", "module"),
            ("a.example/m/@v/v1.1.0.zip", "zip"),
            ("a.example/m/@v/v1.1.0.ziphash", "h1:claim"),
            ("a.example/m/@v/v1.1.0.lock", ""),
            ("golang.org/toolchain/@v/v0.0.1-go1.25.0.zip", "large"),
            ("sumdb/sum.golang.org/latest", "tree"),
        ] {
            write(&from.join(file), text);
        }
        write(&to.join("a.example/m/@v/v1.0.0.mod"), "module");
        keep(&from, &to).unwrap();
        let folder = to.join("a.example/m/@v");
        let mut names: Vec<_> = files_of(&folder).filter_map(|file| file.file_name().map(str::to_owned)).collect();
        names.sort();
        assert_eq!(names, ["list", "v1.0.0.mod", "v1.1.0.mod", "v1.1.0.zip"]);
        assert_eq!(std::fs::read_to_string(folder.join("list")).unwrap(), "v1.0.0\nv1.1.0\n");
        assert_eq!(to.read_dir_utf8().unwrap().count(), 1, "neither a toolchain nor the database");
    }

    #[test]
    fn the_callers_cache_is_found_where_go_would() {
        let (_keep, root) = folder();
        let kept = root.join("kept");
        durable::create_dir(&kept).unwrap();
        for (name, value, cache) in
            [("GOMODCACHE", "mod", "mod"), ("GOPATH", "gopath", "gopath/pkg/mod"), ("HOME", "home", "home/go/pkg/mod")]
        {
            let cache = root.join(cache).join("cache/download");
            durable::create_dir(&cache).unwrap();
            let env = [(name.to_owned(), root.join(value).into_string()), ("GOENV".to_owned(), "off".to_owned())];
            let caller = Caller { env: std::sync::Arc::new(env.into()), ..Caller::default() };
            assert_eq!(at_hand(kept.clone(), &caller, "/nowhere".into()), [kept.clone(), cache], "{name}");
        }
    }
}
