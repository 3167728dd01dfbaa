//! The store: binaries by the SHA-256 of their content, `tools/<sha256>/<tool>`.
//!
//! It may be a volume that containers share, so nothing in it is trusted: whoever uses a binary compares its content, or a
//! fingerprint that he recorded when he did. A binary comes in whole: copied beside its place, synced, renamed, compared.
//!
//! Who shares a store says what he uses: `holds/<holder>.json`, one a workspace of a container, and removes what nobody
//! holds under the store's own lock. It says so again at each start of the daemon, at each operation, and from time to time. A
//! hold that was not renewed for [`HOLD_LASTS`] is that of a container that is gone.
//! All functions block.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::dirhash::sha256_of_file;
use super::error::ToolchainError;
use crate::coded::with_causes;
use crate::durable::{self, Lock};

const SCHEMA: u32 = 1;
/// How long a container may be away without losing what it uses.
const HOLD_LASTS: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long a hold needs no renewal.
const HOLD_IS_NEW: Duration = Duration::from_secs(60 * 60);
/// What came in since then stays, held or not: its container may be about to say that it uses it.
const NEW_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the store's lock is waited for. Whoever has it copies one binary, or removes some.
const LOCK_WAIT: Duration = Duration::from_secs(60);

/// The store of one workspace of a container.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    dir: Utf8PathBuf,
    /// The name of this workspace's hold: no other workspace of any container has it.
    holder: String,
    /// Whether others may write there.
    shared: bool,
}

/// What a file had when its content was last compared. The inode's change time cannot be set back, so a byte that was changed
/// shows, also where size and modification time were restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    size: u64,
    /// Nanoseconds since 1970.
    mtime: i64,
    /// Nanoseconds since 1970.
    ctime: i64,
    inode: u64,
}

impl Fingerprint {
    /// The fingerprint of the file at `path`; none where there is no such plain file.
    pub(crate) fn of(path: &Utf8Path) -> Option<Self> {
        let metadata = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Some(Self {
            size: metadata.size(),
            mtime: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        })
    }
}

/// What a workspace of a container uses.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Hold {
    schema: u32,
    /// The digests of its binaries.
    tools: BTreeSet<String>,
}

impl Store {
    /// The store in `dir`. `holder` names the workspace; `shared` says whether anybody but this user's own daemon writes there.
    pub(crate) fn new(dir: Utf8PathBuf, holder: String, shared: bool) -> Self {
        Self { dir, holder, shared }
    }

    /// Whether somebody else may have put binaries there.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }

    /// Where the binary with this content lies, or would lie.
    pub(crate) fn path(&self, sha256: &str, tool: &str) -> Utf8PathBuf {
        self.tools().join(sha256).join(tool)
    }

    /// The fingerprint of a binary whose content was compared just now; none where it is not there or is another.
    pub(crate) fn compare(&self, sha256: &str, tool: &str) -> Option<Fingerprint> {
        let path = self.path(sha256, tool);
        // Taken before the content is read: a change meanwhile is seen by the next comparison.
        let fingerprint = Fingerprint::of(&path).filter(|_| is_digest(sha256))?;
        (sha256_of_file(&path).ok()? == sha256).then_some(fingerprint)
    }

    /// Takes in a copy of the binary at `built`, whose digest is `sha256`, and holds it; its fingerprint.
    ///
    /// # Errors
    /// [`ToolchainError`] `Store`, `StoreFile`, `StoreBusy`; nothing that is incomplete stays under the binary's name.
    pub(crate) fn add(&self, built: &Utf8Path, sha256: &str, tool: &str) -> Result<Fingerprint, ToolchainError> {
        let _lock = self.lock()?;
        self.change_hold(|tools| tools.insert(sha256.to_owned()))?;
        if let Some(fingerprint) = self.compare(sha256, tool) {
            return Ok(fingerprint);
        }
        let path = self.path(sha256, tool);
        let folder = self.tools().join(sha256);
        durable::create_dir(&folder).map_err(ToolchainError::Store)?;
        if path.is_dir() {
            // A folder in the binary's place is in nobody's interest, and a rename does not replace it.
            durable::remove_dir(&path).map_err(ToolchainError::Store)?;
        }
        durable::copy(built, &path, 0o555).map_err(ToolchainError::Store)?;
        let other = || io::Error::new(io::ErrorKind::InvalidData, "it is not what was written there");
        self.compare(sha256, tool).ok_or_else(other).map_err(|source| ToolchainError::StoreFile { path, source })
    }

    /// Says whether binaries can be taken in at all, before minutes go into one.
    ///
    /// # Errors
    /// [`ToolchainError`] `Store`, `StoreBusy`.
    pub(crate) fn check_writable(&self) -> Result<(), ToolchainError> {
        self.lock().map(drop)
    }

    /// Holds these binaries besides those that are held already. A store that cannot be written holds nothing, and loses
    /// nothing either: then only others can remove what is in it, and the loss is seen.
    pub(crate) fn hold(&self, digests: impl IntoIterator<Item = String>) {
        let digests: Vec<_> = digests.into_iter().collect();
        let held = self.lock().and_then(|_lock| {
            self.change_hold(|tools| {
                let before = tools.len();
                tools.extend(digests);
                tools.len() > before
            })
        });
        if let Err(error) = held {
            tracing::warn!(error = with_causes(&error), "what is used cannot be held in the store");
        }
    }

    /// Says that this container is still there and uses these binaries, unless it said so within the last hour.
    /// What they are takes reading, so it is asked only then.
    pub(crate) fn renew(&self, used: impl FnOnce() -> BTreeSet<String>) {
        if age_of(&self.hold_file()).is_some_and(|age| age <= HOLD_IS_NEW) {
            return;
        }
        let used = used();
        if !used.is_empty() {
            self.hold(used);
        }
    }

    /// From here on this workspace holds `used` and nothing else; what nobody holds is removed. Gives the number of binaries
    /// that were removed.
    ///
    /// # Errors
    /// [`ToolchainError`] `Store`, `StoreBusy`.
    pub(crate) fn collect(&self, used: &BTreeSet<String>) -> Result<usize, ToolchainError> {
        let Ok(entries) = self.tools().read_dir_utf8() else { return Ok(0) };
        let _lock = self.lock()?;
        self.change_hold(|tools| {
            let changed = tools != used;
            tools.clone_from(used);
            changed
        })?;
        let held = self.held_by_anybody()?;
        let mut removed = 0;
        for entry in entries.flatten() {
            let is_old = age_of(entry.path()).is_some_and(|age| age > NEW_FOR);
            if is_digest(entry.file_name()) && is_old && !held.contains(entry.file_name()) {
                durable::remove_dir(entry.path()).map_err(ToolchainError::Store)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// What all holders hold together; the holds of containers that are gone are removed.
    fn held_by_anybody(&self) -> Result<BTreeSet<String>, ToolchainError> {
        let mut held = BTreeSet::new();
        for entry in self.holds().read_dir_utf8().into_iter().flatten().flatten() {
            if age_of(entry.path()).is_some_and(|age| age > HOLD_LASTS) {
                durable::remove_file(entry.path()).map_err(ToolchainError::Store)?;
                continue;
            }
            // Damaged, or of a newer Burrow: then it is not known what is used, and nothing is removed.
            let hold = durable::read_json::<Hold>(entry.path()).map_err(ToolchainError::Store)?;
            held.extend(hold.unwrap_or_default().tools);
        }
        Ok(held)
    }

    /// Changes the hold of this workspace; under the store's lock. `change` says whether it has to be written. Its time is what
    /// says that this container is still there, so that is new in any case.
    fn change_hold(&self, change: impl FnOnce(&mut BTreeSet<String>) -> bool) -> Result<(), ToolchainError> {
        let path = self.hold_file();
        // A damaged one is replaced: what is used is written anew with the next generation.
        let mut hold = durable::read_json::<Hold>(&path).ok().flatten().unwrap_or_default();
        let is_new = File::open(&path).is_ok_and(|file| file.set_modified(SystemTime::now()).is_ok());
        if change(&mut hold.tools) || !is_new {
            hold.schema = SCHEMA;
            durable::create_dir(&self.holds()).map_err(ToolchainError::Store)?;
            durable::replace_json(&path, &hold).map_err(ToolchainError::Store)?;
        }
        Ok(())
    }

    /// The lock of the whole store, which other containers' daemons take as well.
    fn lock(&self) -> Result<Lock, ToolchainError> {
        durable::create_dir(&self.dir).map_err(ToolchainError::Store)?;
        let path = self.dir.join("lock");
        let until = Instant::now() + LOCK_WAIT;
        loop {
            if let Some(lock) = Lock::try_take(&path).map_err(ToolchainError::Store)? {
                return Ok(lock);
            }
            if Instant::now() >= until {
                return Err(ToolchainError::StoreBusy { path });
            }
            // There is no event for a lock that another container's daemon lets go.
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn tools(&self) -> Utf8PathBuf {
        self.dir.join("tools")
    }

    fn hold_file(&self) -> Utf8PathBuf {
        self.holds().join(format!("{}.json", self.holder))
    }

    fn holds(&self) -> Utf8PathBuf {
        self.dir.join("holds")
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// How long ago the file or folder was last written; none where that cannot be known.
fn age_of(path: &Utf8Path) -> Option<Duration> {
    let written = path.symlink_metadata().ok()?.modified().ok()?;
    SystemTime::now().duration_since(written).ok()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::super::dirhash;
    use super::*;

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        (folder, path)
    }

    fn store(root: &Utf8Path, holder: &str) -> Store {
        Store::new(root.join("store"), holder.to_owned(), true)
    }

    /// A binary with this content comes into the store; its digest and fingerprint.
    fn add(store: &Store, root: &Utf8Path, content: &str) -> (String, Fingerprint) {
        let built = root.join("built");
        durable::replace(&built, content.as_bytes()).unwrap();
        let sha256 = dirhash::sha256_of_file(&built).unwrap();
        let fingerprint = store.add(&built, &sha256, "gopls").unwrap();
        (sha256, fingerprint)
    }

    /// As if it had been written that long ago.
    fn age(path: &Utf8Path, by: Duration) {
        let file = std::fs::File::open(path).unwrap();
        file.set_modified(SystemTime::now() - by).unwrap();
    }

    #[test]
    fn a_binary_lies_under_its_digest_and_cannot_be_written() {
        let (_keep, root) = folder();
        let store = store(&root, "a");
        let (sha256, fingerprint) = add(&store, &root, "tool");
        let path = store.path(&sha256, "gopls");
        assert_eq!(std::fs::read(&path).unwrap(), b"tool");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o555);
        assert_eq!(store.compare(&sha256, "gopls"), Some(fingerprint));
    }

    #[test]
    fn a_changed_byte_shows_also_with_size_and_time_restored() {
        let (_keep, root) = folder();
        let store = store(&root, "a");
        let (sha256, before) = add(&store, &root, "tool");
        let path = store.path(&sha256, "gopls");
        let modified = path.metadata().unwrap().modified().unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"T", 0).unwrap();
        file.set_modified(modified).unwrap();
        assert_ne!(Fingerprint::of(&path), Some(before), "the change time cannot be set back");
        assert_eq!(store.compare(&sha256, "gopls"), None);
        // The same content again mends it in place.
        add(&store, &root, "tool");
        assert!(store.compare(&sha256, "gopls").is_some());
        // So it does where somebody put a folder.
        std::fs::remove_file(&path).unwrap();
        durable::create_dir(&path.join("in the way")).unwrap();
        add(&store, &root, "tool");
        assert!(store.compare(&sha256, "gopls").is_some());
    }

    #[test]
    fn what_another_container_holds_is_kept() {
        let (_keep, root) = folder();
        let (one, other) = (store(&root, "one"), store(&root, "other"));
        let (ours, _) = add(&one, &root, "ours");
        let (theirs, _) = add(&other, &root, "theirs");
        let (both, _) = add(&one, &root, "both");
        add(&other, &root, "both");
        let there = |digest: &String| one.path(digest, "gopls").exists();
        let none = BTreeSet::new();
        assert_eq!(one.collect(&none).unwrap(), 0, "all of it is new");
        for digest in [&ours, &theirs, &both] {
            age(one.path(digest, "gopls").parent().unwrap(), NEW_FOR * 2);
        }
        assert_eq!(one.collect(&none).unwrap(), 1);
        assert!(!there(&ours) && there(&theirs) && there(&both));
        // The other container has not been there for long.
        age(&one.holds().join("other.json"), HOLD_LASTS * 2);
        assert_eq!(one.collect(&[both.clone()].into()).unwrap(), 1);
        assert!(!there(&theirs) && there(&both));
        // What was held long ago is held anew by saying so again, whether the hold is still there or not.
        let hold = other.holds().join("other.json");
        other.renew(|| [both.clone()].into());
        age(&hold, HOLD_LASTS * 2);
        other.renew(|| [both.clone()].into());
        assert!(age_of(&hold).unwrap() < HOLD_LASTS);
        // What cannot be read may say anything.
        durable::replace(&one.holds().join("third.json"), b"{").unwrap();
        assert!(one.collect(&none).is_err());
        assert!(there(&both));
    }
}
