//! Where the Go modules of a folder lie that has none of its own and no go.work. Reads, and nothing else.

use camino::{Utf8Path, Utf8PathBuf};

/// How deep below the folder modules are looked for.
const DEPTH: usize = 4;
/// How many folders are looked into at most.
const FOLDERS: usize = 2000;

/// Whether a module may lie in a folder of that name, or below it: Go leaves out the same.
#[must_use]
pub fn is_looked_into(name: &str) -> bool {
    !name.starts_with(['.', '_']) && !matches!(name, "node_modules" | "vendor" | "testdata")
}

/// The folders below `root` that hold a go.mod, in order; the walk is bounded, follows no links, and leaves out what Go
/// leaves out.
#[must_use]
pub fn below(root: &Utf8Path) -> Vec<Utf8PathBuf> {
    walk(root).0
}

/// As [`below`], with all folders that were looked into.
#[must_use]
pub fn walk(root: &Utf8Path) -> (Vec<Utf8PathBuf>, Vec<Utf8PathBuf>) {
    let (mut found, mut looked_into) = (Vec::new(), Vec::new());
    let mut level = vec![root.to_owned()];
    let mut left = FOLDERS;
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for folder in &level {
            let Ok(entries) = folder.read_dir_utf8() else { continue };
            let folders = entries
                .flatten()
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()) && is_looked_into(entry.file_name()));
            for entry in folders.take(left) {
                left -= 1;
                let path = entry.into_path();
                if path.join("go.mod").is_file() {
                    found.push(path.clone());
                }
                next.push(path);
            }
        }
        looked_into.extend(std::mem::replace(&mut level, next));
    }
    looked_into.extend(level);
    found.sort();
    (found, looked_into)
}
