//! One watched tree: a task that turns raw events, or what polling finds, into files whose content changed.
//!
//! State: what is known of each file that matters, and the folders that are watched for it.
//!
//! Invariants: a folder is watched before it is read, so nothing is missed in between; a file counts as changed only if
//! its content did, so that a file that is generated again with the same content is none; a writer is waited for until it
//! closes the file; where inotify cannot tell (the mount's type, no instance, no watch left) the tree is polled, and that
//! is told; nothing is watched any more once the handle is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Event, EventKind};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::mounts::silent_type;
use super::{Refused, Scope, Watcher};

/// How often a polled tree is looked at, where nobody says otherwise.
pub const POLL_EVERY: Duration = Duration::from_millis(500);
/// An editor that saves by moving the old file away puts the new one in its place within this time.
const RETURN_WITHIN: Duration = Duration::from_millis(50);
/// Larger files are told apart by size and time.
const MAX_HASHED: u64 = 8 * 1024 * 1024;
/// Paths that may wait; more are found by walking the tree.
const MAX_PENDING: usize = 10_000;
/// Answers that may wait.
const CHANGES: usize = 4;

/// A watched tree. Dropping it ends the watching.
#[derive(Debug)]
pub struct Tree {
    changes: mpsc::Receiver<BTreeSet<Utf8PathBuf>>,
    inbox: Arc<Inbox>,
    /// How it is watched.
    pub how: How,
    _stop: DropGuard,
}

/// How a tree is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct How {
    /// The folders in it.
    pub folders: usize,
    /// The files that matter.
    pub files: usize,
    /// Why it is polled; `None`: inotify tells.
    pub polled: Option<String>,
}

impl Tree {
    /// Watches what `scope` says. When this returns, every later change is told. `poll`: so often, instead of by inotify.
    pub async fn watch(watcher: Arc<Watcher>, scope: Scope, poll: Option<Duration>) -> Self {
        let inbox = Arc::new(Inbox { scope: scope.clone(), ..Inbox::default() });
        let mut walker = Walker::new(watcher, scope, poll.map(|_| "it was asked for".to_owned()));
        walker.watcher.trees.add(&inbox);
        let (walker, how) = blocking(move || {
            walker.begin();
            let how = walker.how();
            (walker, how)
        })
        .await;
        let stop = CancellationToken::new();
        let (sender, changes) = mpsc::channel(CHANGES);
        tokio::spawn(follow(walker, Arc::clone(&inbox), poll.unwrap_or(POLL_EVERY), sender, stop.clone()));
        Self { changes, inbox, how, _stop: stop.drop_guard() }
    }

    /// Whether events are being looked at: more changes may come of them.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.inbox.looking.load(Ordering::Acquire) || self.inbox.has_more()
    }

    /// The next files that changed, appeared or went. May be dropped and called again.
    pub async fn changed(&mut self) -> BTreeSet<Utf8PathBuf> {
        match self.changes.recv().await {
            Some(changed) => changed,
            // The task ends only with the handle, or with the runtime.
            None => std::future::pending().await,
        }
    }
}

/// What the event handler puts down for one tree.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    scope: Scope,
    raw: Mutex<Raw>,
    arrived: Notify,
    /// Whether what was put down here is being looked at.
    looking: AtomicBool,
}

#[derive(Debug, Default)]
struct Raw {
    touched: BTreeSet<Utf8PathBuf>,
    /// Gone, or moved away; perhaps to return at once.
    gone: BTreeSet<Utf8PathBuf>,
    /// The kernel's queue overflowed, or ours: everything is looked at.
    rescan: bool,
}

impl Inbox {
    /// Notes what may matter of an event. Called on the thread that reads inotify: it must not wait for anything.
    pub(super) fn take(&self, event: &Event) {
        let mut raw = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
        let mut noted = event.need_rescan();
        raw.rescan |= noted;
        for path in event.paths.iter().filter_map(|path| Utf8Path::from_path(path)) {
            if !self.scope.covers(path) {
                continue;
            }
            match event.kind {
                EventKind::Access(AccessKind::Close(AccessMode::Write)) if self.scope.matters(path) => {
                    raw.touched.insert(path.to_owned());
                }
                // A new file is looked at once its writer has closed it; a link has no writer.
                EventKind::Create(CreateKind::File) if self.scope.matters(path) && is_link(path) => {
                    raw.touched.insert(path.to_owned());
                }
                EventKind::Create(CreateKind::Folder) | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                    raw.touched.insert(path.to_owned());
                }
                EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                    raw.gone.insert(path.to_owned());
                }
                _ => continue,
            }
            noted = true;
        }
        if raw.touched.len() + raw.gone.len() > MAX_PENDING {
            *raw = Raw { rescan: true, ..Raw::default() };
        }
        drop(raw);
        if noted {
            self.arrived.notify_one();
        }
    }

    fn drain(&self) -> Raw {
        std::mem::take(&mut *self.raw.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn has_more(&self) -> bool {
        let raw = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
        raw.rescan || !raw.touched.is_empty() || !raw.gone.is_empty()
    }
}

/// Whether nobody writes what has just been made: a symbolic link, or a second name.
fn is_link(path: &Utf8Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink() || metadata.nlink() > 1)
}

/// Serves one tree until `stop`.
async fn follow(
    mut walker: Walker,
    inbox: Arc<Inbox>,
    poll: Duration,
    sender: mpsc::Sender<BTreeSet<Utf8PathBuf>>,
    stop: CancellationToken,
) {
    let mut pause = poll;
    loop {
        let polled = walker.polled.is_some();
        let wait = async { if polled { tokio::time::sleep(pause).await } else { inbox.arrived.notified().await } };
        tokio::select! {
            () = stop.cancelled() => break,
            () = wait => {}
        }
        inbox.looking.store(true, Ordering::Release);
        let mut raw = inbox.drain();
        if !raw.gone.is_empty() && !polled {
            tokio::time::sleep(RETURN_WITHIN).await;
            let more = inbox.drain();
            raw.touched.extend(more.touched);
            raw.gone.extend(more.gone);
            raw.rescan |= more.rescan;
        }
        let (back, changed, took) = blocking(move || {
            let start = Instant::now();
            let changed = if walker.polled.is_some() || raw.rescan { walker.rescan() } else { walker.digest(raw) };
            (walker, changed, start.elapsed())
        })
        .await;
        walker = back;
        // A slow share is not looked at all the time.
        pause = poll.max(took * 10);
        if !changed.is_empty() && sender.send(changed).await.is_err() {
            break;
        }
        inbox.looking.store(false, Ordering::Release);
    }
    blocking(move || walker.release()).await;
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            // A bug; a release build has aborted already.
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is ending.
            Err(_) => std::future::pending().await,
        },
    }
}

/// What tells two contents of a file apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Signature {
    inode: u64,
    length: u64,
    changed: (i64, i64),
    content: u64,
}

/// What is known of a tree. All methods block.
struct Walker {
    watcher: Arc<Watcher>,
    scope: Scope,
    polled: Option<String>,
    known: BTreeMap<Utf8PathBuf, Signature>,
    folders: BTreeSet<Utf8PathBuf>,
    changed: BTreeSet<Utf8PathBuf>,
}

impl Walker {
    fn new(watcher: Arc<Watcher>, scope: Scope, polled: Option<String>) -> Self {
        Self { watcher, scope, polled, known: BTreeMap::new(), folders: BTreeSet::new(), changed: BTreeSet::new() }
    }

    fn begin(&mut self) {
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let silent = self.scope.roots.iter().find_map(|root| silent_type(&mountinfo, root));
        if let Some(kind) = silent {
            self.polled.get_or_insert(format!("a {kind} mount does not tell of every change"));
        }
        self.rescan();
    }

    fn how(&self) -> How {
        How { folders: self.folders.len(), files: self.known.len(), polled: self.polled.clone() }
    }

    /// What changed since the last look, by looking at everything.
    fn rescan(&mut self) -> BTreeSet<Utf8PathBuf> {
        for root in self.scope.roots.clone() {
            self.walk(&root);
        }
        for file in self.scope.files.clone() {
            if let Some(folder) = file.parent() {
                self.keep_watch(folder);
            }
            self.compare(&file);
        }
        let gone: Vec<_> = self.known.keys().filter(|file| !file.exists()).cloned().collect();
        for file in gone {
            self.known.remove(&file);
            self.changed.insert(file);
        }
        std::mem::take(&mut self.changed)
    }

    fn digest(&mut self, raw: Raw) -> BTreeSet<Utf8PathBuf> {
        for path in raw.gone.into_iter().chain(raw.touched) {
            match path.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() && self.scope.enters(&path) => self.walk(&path),
                Ok(metadata) if !metadata.is_dir() && self.scope.matters(&path) => self.compare(&path),
                Ok(_) => {}
                Err(_) => self.forget(&path),
            }
        }
        std::mem::take(&mut self.changed)
    }

    fn walk(&mut self, folder: &Utf8Path) {
        // Before it is read: what comes in between is told then.
        self.keep_watch(folder);
        for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && self.scope.enters(path) => self.walk(path),
                Ok(kind) if !kind.is_dir() && self.scope.matters(path) => self.compare(path),
                _ => {}
            }
        }
    }

    fn keep_watch(&mut self, folder: &Utf8Path) {
        let new = self.folders.insert(folder.to_owned());
        if self.polled.is_some() {
            return;
        }
        match self.watcher.add(folder, new) {
            Ok(()) => {}
            Err(Refused::Gone) => {
                self.folders.remove(folder);
            }
            Err(Refused::Limit(why)) => {
                self.release();
                self.polled = Some(why);
            }
        }
    }

    fn compare(&mut self, file: &Utf8Path) {
        let old = self.known.get(file);
        let Some(new) = Signature::of(file, old) else { return };
        let same = old.is_some_and(|old| old.content == new.content);
        self.known.insert(file.to_owned(), new);
        if !same {
            self.changed.insert(file.to_owned());
        }
    }

    /// A file or folder is not there any more.
    fn forget(&mut self, path: &Utf8Path) {
        let below = |other: &&Utf8PathBuf| other.starts_with(path);
        let files: Vec<_> = self.known.keys().filter(below).cloned().collect();
        let folders: Vec<_> = self.folders.iter().filter(below).cloned().collect();
        for file in files {
            self.known.remove(&file);
            self.changed.insert(file);
        }
        for folder in folders {
            self.folders.remove(&folder);
            if self.polled.is_none() {
                self.watcher.release(&folder);
            }
        }
    }

    fn release(&mut self) {
        if self.polled.is_none() {
            for folder in &self.folders {
                self.watcher.release(folder);
            }
        }
    }
}

impl Signature {
    /// The signature of a file as it is now; its content is read only where it may have changed since `old`.
    fn of(file: &Utf8Path, old: Option<&Self>) -> Option<Self> {
        let metadata = std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file)?;
        let seen = Self {
            inode: metadata.ino(),
            length: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            content: old.map_or(0, |old| old.content),
        };
        if old == Some(&seen) {
            return Some(seen);
        }
        let mut hasher = std::hash::DefaultHasher::new();
        if seen.length > MAX_HASHED {
            hasher.write_u64(seen.length);
            hasher.write_i64(metadata.mtime());
            hasher.write_i64(metadata.mtime_nsec());
        } else {
            let mut bytes = Vec::new();
            std::fs::File::open(file).ok()?.take(MAX_HASHED).read_to_end(&mut bytes).ok()?;
            hasher.write(&bytes);
        }
        Some(Self { content: hasher.finish(), ..seen })
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
