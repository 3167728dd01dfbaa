//! The real gopls, dlv and goimports, built by the real binary once a machine and kept between test runs.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, OpenOptions};
use std::hash::{Hash, Hasher};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Sandbox, copy_tree};

/// Where the store and the lock file of the real tools lie.
pub(super) struct RealTools {
    pub(super) store: Utf8PathBuf,
    pub(super) lock: Utf8PathBuf,
}

/// What a test run keeps for the next one: `BURROW_TEST_CACHE`, else `~/.cache/burrow-tests`.
pub(super) fn cache_dir() -> Utf8PathBuf {
    static FOLDER: OnceLock<Utf8PathBuf> = OnceLock::new();
    let find = || match std::env::var("BURROW_TEST_CACHE") {
        Ok(folder) => Utf8PathBuf::from(folder),
        Err(_) => Utf8PathBuf::from(std::env::var("HOME").unwrap()).join(".cache/burrow-tests"),
    };
    FOLDER.get_or_init(find).clone()
}

/// The tools, built now if this machine has none for this Go and this table. Takes two minutes then.
pub(super) fn real() -> &'static RealTools {
    static TOOLS: OnceLock<RealTools> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let folder = cache_dir().join(format!("tools-{}", key()));
        fs::create_dir_all(&folder).unwrap();
        let tools = RealTools { store: folder.join("store"), lock: folder.join("burrow-lock.json") };
        // Test processes that run at one time build them once; the lock falls with its file.
        let file = folder.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(file).unwrap();
        lock.lock().unwrap();
        // The lock file is copied last: with it, the store is whole.
        if !tools.lock.exists() {
            build(&tools);
        }
        tools
    })
}

fn build(tools: &RealTools) {
    let sandbox =
        Sandbox::new().online().write(".devcontainer/devcontainer.json", "{}").limit(Duration::from_secs(15 * 60));
    sandbox.burrow(["up", "--only", "tools"]).exits(0);
    if tools.store.exists() {
        fs::remove_dir_all(&tools.store).unwrap();
    }
    copy_tree(&sandbox.store_dir(), &tools.store);
    fs::copy(sandbox.workspace().join(".devcontainer/burrow-lock.json"), &tools.lock).unwrap();
}

/// Changes with the Go that builds the tools and with the table that chooses their versions.
fn key() -> String {
    let table = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("data/compat.toml");
    let mut hasher = DefaultHasher::new();
    fs::read(&table).unwrap_or_else(|error| panic!("read {table}: {error}")).hash(&mut hasher);
    go_version().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[expect(clippy::disallowed_methods, reason = "a test asks the machine's own Go")]
fn go_version() -> Vec<u8> {
    Command::new("go").arg("version").env("GOTOOLCHAIN", "local").output().expect("Go on PATH").stdout
}
