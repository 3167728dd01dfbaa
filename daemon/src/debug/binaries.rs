//! The binaries that dlv builds: `__debug_bin` and a number, in dlv's working directory. dlv removes its own, unless it
//! is killed; then it is ours to do.
//!
//! State: [`Workplaces`], which folders have sessions, and what was there before the first of them.
//! Invariants: only what appeared while a session of ours was in the folder is removed, when none is there any more, and
//! nothing that a living process runs or builds, or that the dlv of somebody else in that folder may have made.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};

use super::process_tree;

const PREFIX: &str = "__debug_bin";

/// The folders in which sessions run. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Workplaces(Arc<Mutex<HashMap<Utf8PathBuf, Workplace>>>);

#[derive(Debug)]
struct Workplace {
    sessions: usize,
    before: BTreeSet<String>,
}

impl Workplaces {
    /// A session begins in `cwd`, which has `before` in it.
    pub(super) fn enter(&self, cwd: &Utf8Path, before: &BTreeSet<String>) {
        let mut places = self.lock();
        let place = places.entry(cwd.to_owned());
        place.or_insert_with(|| Workplace { sessions: 0, before: before.clone() }).sessions += 1;
    }

    /// A session in `cwd` has ended, dlv and all. The last one clears up. Blocks.
    pub(super) fn leave(&self, cwd: &Utf8Path) {
        let before = {
            let mut places = self.lock();
            match places.get_mut(cwd) {
                Some(place) if place.sessions > 1 => {
                    place.sessions -= 1;
                    None
                }
                _ => places.remove(cwd).map(|place| place.before),
            }
        };
        if let Some(before) = before {
            clear(cwd, &before);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Utf8PathBuf, Workplace>> {
        // Every change is one statement: the data is whole even where a thread has panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names of the debug binaries in `folder` that are ours: regular files of this uid.
pub(super) fn present(folder: &Utf8Path) -> BTreeSet<String> {
    let uid = rustix::process::getuid().as_raw();
    let Ok(entries) = fs_err::read_dir(folder) else { return BTreeSet::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()))
        .filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.uid() == uid))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Removes the debug binaries that appeared in `folder` since `before`, but for those that somebody uses. Blocks.
pub(super) fn clear(folder: &Utf8Path, before: &BTreeSet<String>) {
    let mut left = present(folder);
    left.retain(|name| !before.contains(name));
    if left.is_empty() {
        return;
    }
    let used = Use::of(folder);
    for name in left {
        let path = folder.join(&name);
        if used.dlv || used.names.contains(&name) {
            tracing::info!(%path, "a debug binary is left, since somebody may use it");
        } else if let Err(error) = fs_err::remove_file(&path) {
            tracing::warn!(%error, "a debug binary could not be removed");
        }
    }
}

/// A file as it is: what tells it from one that is written in its place. `None` where there is none.
pub(super) fn stamp(path: &Utf8Path) -> Option<String> {
    let file = fs_err::symlink_metadata(path).ok()?;
    Some(format!("{} {} {}.{}", file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
}

/// Removes the binary that a client had dlv build at `output`, if that is still the file that dlv wrote, a file of ours,
/// and nobody uses it. Blocks.
pub(super) fn clear_output(output: &Utf8Path, written: &str) {
    let Ok(file) = fs_err::symlink_metadata(output) else { return };
    let ours = file.is_file() && file.uid() == rustix::process::getuid().as_raw();
    if !ours || stamp(output).as_deref() != Some(written) {
        return;
    }
    let real = output.canonicalize_utf8().unwrap_or_else(|_| output.to_owned());
    let runs = |pid| process_tree::executable(pid).is_some_and(|executable| executable == real.as_std_path());
    if process_tree::all_pids().into_iter().any(runs) {
        tracing::info!(path = %output, "a debug binary is left, since somebody runs it");
    } else if let Err(error) = fs_err::remove_file(output) {
        tracing::warn!(%error, "a debug binary could not be removed");
    }
}

/// What living processes do with the debug binaries of a folder.
#[derive(Debug, Default)]
struct Use {
    /// Names that a process runs, or has among its arguments as `go build -o` does.
    names: BTreeSet<String>,
    /// Whether a dlv runs in the folder: between building and starting, nothing points at its binary.
    dlv: bool,
}

impl Use {
    fn of(folder: &Utf8Path) -> Self {
        let mut used = Self::default();
        for pid in process_tree::all_pids() {
            let executable = process_tree::executable(pid);
            let name = executable.as_deref().and_then(std::path::Path::file_name).and_then(std::ffi::OsStr::to_str);
            used.dlv |=
                name == Some("dlv") && process_tree::working_directory(pid).as_deref() == Some(folder.as_std_path());
            let arguments = process_tree::arguments(pid);
            let mentioned = arguments.iter().filter_map(|argument| Utf8Path::new(argument).file_name()).chain(name);
            used.names.extend(mentioned.filter(|name| name.starts_with(PREFIX)).map(str::to_owned));
        }
        used
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use camino::{Utf8Path, Utf8PathBuf};
    use tempfile::TempDir;

    use super::{Workplaces, clear_output, present, stamp};

    fn folder() -> (TempDir, Utf8PathBuf) {
        let temporary = tempfile::tempdir().expect("folder");
        let path = Utf8PathBuf::from_path_buf(temporary.path().canonicalize().expect("path")).expect("UTF-8");
        (temporary, path)
    }

    fn make(folder: &Utf8Path, name: &str) {
        std::os::unix::fs::symlink("nowhere", folder.join(format!("{name}.link"))).expect("link");
        tempfile::NamedTempFile::with_prefix_in(name, folder).expect("file").persist(folder.join(name)).expect("file");
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn only_what_appeared_meanwhile_is_removed() {
        let (_temporary, folder) = folder();
        make(&folder, "__debug_bin1");
        make(&folder, "main.go");
        let places = Workplaces::default();
        places.enter(&folder, &present(&folder));
        make(&folder, "__debug_bin2");
        places.leave(&folder);
        assert_eq!(present(&folder), names(&["__debug_bin1"]), "what was there before stays");
        assert!(folder.join("main.go").exists());
    }

    #[test]
    fn named_output_is_removed_while_it_is_what_dlv_wrote() {
        let (_temporary, folder) = folder();
        let output = folder.join("api");
        make(&folder, "api");
        let written = stamp(&output).expect("it is there");
        // Made while the old one is there, it cannot have that one's inode.
        tempfile::NamedTempFile::new_in(&folder).expect("file").persist(&output).expect("file");
        clear_output(&output, &written);
        assert!(output.exists(), "somebody has built there since");
        clear_output(&output, &stamp(&output).expect("it is there"));
        assert!(!output.exists(), "it is what dlv wrote");
        std::os::unix::fs::symlink(folder.join("elsewhere"), &output).expect("link");
        clear_output(&output, &stamp(&output).expect("it is there"));
        assert!(output.is_symlink(), "no file of dlv's");
    }

    #[test]
    fn last_session_of_a_folder_clears_up() {
        let (_temporary, folder) = folder();
        let places = Workplaces::default();
        places.enter(&folder, &present(&folder));
        make(&folder, "__debug_bin1");
        places.enter(&folder, &present(&folder));
        make(&folder, "__debug_bin2");
        places.leave(&folder);
        assert_eq!(present(&folder).len(), 2, "either may be the binary of the session that goes on");
        places.leave(&folder);
        assert_eq!(present(&folder), names(&[]), "the first session's too");
    }
}
