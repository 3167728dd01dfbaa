//! Where the Go modules of a folder lie that has none of its own and no go.work. Reads, and nothing else.

use camino::{Utf8Path, Utf8PathBuf};

/// How deep below the folder modules are looked for.
const DEPTH: usize = 4;
/// How many folders are looked into at most.
const FOLDERS: usize = 2000;

/// The folders below `root` that hold a go.mod, in order; the walk is bounded, follows no links, and leaves out what Go
/// leaves out.
#[must_use]
pub fn below(root: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut found = Vec::new();
    let mut level = vec![root.to_owned()];
    let mut left = FOLDERS;
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for folder in level {
            let Ok(entries) = folder.read_dir_utf8() else { continue };
            let folders = entries.flatten().filter(|entry| {
                entry.file_type().is_ok_and(|kind| kind.is_dir())
                    && !entry.file_name().starts_with(['.', '_'])
                    && !matches!(entry.file_name(), "node_modules" | "vendor" | "testdata")
            });
            for entry in folders.take(left) {
                left -= 1;
                let path = entry.into_path();
                if path.join("go.mod").is_file() {
                    found.push(path.clone());
                }
                next.push(path);
            }
        }
        level = next;
    }
    found.sort();
    found
}
