//! Tests of a watched tree, on a real file system.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use super::Tree;
use crate::watch::{Scope, Watcher};

const SOON: Duration = Duration::from_secs(30);
/// Long enough for an event that must not come.
const NOTHING: Duration = Duration::from_millis(300);

struct Bench {
    tree: Tree,
    watcher: Arc<Watcher>,
    root: Utf8PathBuf,
    _folder: TempDir,
}

async fn bench(watcher: Watcher, poll: Option<Duration>) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
    for name in ["cmd", "vendor/x", ".git", "tmp"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    write(&root.join("main.go"), "one");
    write(&root.join("cmd/a.go"), "one");
    let scope = Scope {
        base: root.clone(),
        roots: vec![root.clone()],
        skipped: [root.join("tmp")].into(),
        extensions: vec!["go".to_owned()],
        ..Scope::default()
    };
    let watcher = Arc::new(watcher);
    let tree = Tree::watch(Arc::clone(&watcher), scope, poll).await;
    Bench { tree, watcher, root, _folder: folder }
}

#[expect(clippy::disallowed_methods, reason = "a test writes as an editor does, in place")]
fn write(path: &Utf8Path, text: &str) {
    fs::write(path, text).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a test saves as an editor does, by renaming")]
fn rename(from: &Utf8Path, to: &Utf8Path) {
    fs::rename(from, to).unwrap();
}

impl Bench {
    /// The changes until `last` is among them, by name.
    async fn changes_until(&mut self, last: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        while !seen.contains(last) {
            let changed = tokio::time::timeout(SOON, self.tree.changed()).await;
            let changed = changed.unwrap_or_else(|_| panic!("{last} is not told; seen: {seen:?}"));
            seen.extend(changed.iter().map(|path| path.strip_prefix(&self.root).unwrap().to_string()));
        }
        seen
    }

    async fn nothing_more(&mut self, why: &str) {
        let more = tokio::time::timeout(NOTHING, self.tree.changed()).await;
        assert!(more.is_err(), "{why}: {more:?}");
    }
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

/// What both ways of watching must find.
async fn finds_what_changed(mut bench: Bench) {
    let root = bench.root.clone();
    write(&root.join("main.go"), "two");
    assert_eq!(bench.changes_until("main.go").await, names(["main.go"]));

    for other in ["vendor/x/v.go", ".git/index.go", "tmp/t.go", "notes.txt", ".#main.go"] {
        write(&root.join(other), "x");
    }
    write(&root.join("main.go"), "two");
    bench.nothing_more("excluded folders, other files, and the same content again").await;

    // vim: the old one is moved away, the new one is written in its place.
    rename(&root.join("main.go"), &root.join("main.go~"));
    write(&root.join("main.go"), "three");
    assert_eq!(bench.changes_until("main.go").await, names(["main.go"]), "an atomic save is one change");
    // Others: a new file is moved over the old one.
    write(&root.join(".main.go.new"), "four");
    rename(&root.join(".main.go.new"), &root.join("main.go"));
    assert_eq!(bench.changes_until("main.go").await, names(["main.go"]));

    fs::create_dir_all(root.join("new/deep")).unwrap();
    write(&root.join("new/deep/n.go"), "one");
    bench.changes_until("new/deep/n.go").await;
    write(&root.join("new/deep/n.go"), "two");
    bench.changes_until("new/deep/n.go").await;
    rename(&root.join("new"), &root.join("cmd/moved"));
    bench.changes_until("cmd/moved/deep/n.go").await;
    write(&root.join("cmd/moved/deep/n.go"), "three");
    bench.changes_until("cmd/moved/deep/n.go").await;
    fs::remove_dir_all(root.join("cmd")).unwrap();
    bench.changes_until("cmd/a.go").await;
}

#[tokio::test]
async fn inotify_finds_what_changed() {
    let bench = bench(Watcher::new(), None).await;
    assert_eq!((bench.tree.how.folders, bench.tree.how.files), (2, 2), "the root and cmd");
    assert_eq!(bench.tree.how.polled, None);
    finds_what_changed(bench).await;
}

#[tokio::test]
async fn polling_finds_what_changed() {
    let bench = bench(Watcher::new(), Some(Duration::from_millis(10))).await;
    assert!(bench.tree.how.polled.is_some());
    finds_what_changed(bench).await;
}

#[tokio::test]
async fn without_inotify_the_tree_is_polled() {
    let mut bench = bench(Watcher::refused(), None).await;
    let why = bench.tree.how.polled.clone().unwrap();
    assert!(why.contains("inotify"), "{why}");
    write(&bench.root.join("main.go"), "two");
    bench.changes_until("main.go").await;
}

#[tokio::test]
async fn overflow_is_a_look_at_everything() {
    let mut bench = bench(Watcher::new(), None).await;
    bench.watcher.lose(&bench.root.join("cmd"));
    write(&bench.root.join("cmd/a.go"), "two");
    bench.nothing_more("events of that folder are lost").await;
    bench.watcher.trees.take(&notify::Event::new(notify::EventKind::Other).set_flag(notify::event::Flag::Rescan));
    assert_eq!(bench.changes_until("cmd/a.go").await, names(["cmd/a.go"]));
    write(&bench.root.join("cmd/a.go"), "three");
    bench.changes_until("cmd/a.go").await;
}

#[tokio::test]
async fn a_dropped_tree_leaves_the_folders_of_others_alone() {
    let watcher = Arc::new(Watcher::new());
    let folder = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
    watcher.watch(&root);
    let scope = || Scope { roots: vec![root.clone()], extensions: vec!["go".to_owned()], ..Scope::default() };
    let first = Tree::watch(Arc::clone(&watcher), scope(), None).await;
    let mut second = Tree::watch(Arc::clone(&watcher), scope(), None).await;
    drop(first);
    // Its task releases what it had; the other one still hears.
    for text in ["one", "two"] {
        write(&root.join("main.go"), text);
        let changed = tokio::time::timeout(SOON, second.changed()).await.unwrap();
        assert_eq!(changed.len(), 1);
        tokio::task::yield_now().await;
    }
    drop(second);
    while watcher.users(&root) > 0 {
        tokio::task::yield_now().await;
    }
    write(&root.join("devcontainer.json"), "{}");
    let told = tokio::time::timeout(SOON, watcher.changed()).await.unwrap();
    assert_eq!(
        told.into_iter().collect::<Vec<_>>(),
        [root.join("devcontainer.json")],
        "the workspace's own watch is left"
    );
}
