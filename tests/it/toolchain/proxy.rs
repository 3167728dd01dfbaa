//! A module proxy of the test's own: a folder in the layout of GOPROXY, with one module of programs that do nothing.
//!
//! An empty `main` is built in seconds; what is tested is what is around it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::sandbox::Sandbox;

pub(super) const HOST: &str = "tools.example.test";
pub(super) const MODULE: &str = "tools.example.test/tiny";
const MAIN: &str = "package main\n\nfunc main() {}\n";
/// The tools that every workspace gets; here they come from the module of the test.
const NAMES: [&str; 3] = ["dlv", "goimports", "gopls"];

/// A proxy in a folder.
pub(crate) struct Proxy {
    folder: TempDir,
}

impl Proxy {
    /// With these versions of the module.
    pub(crate) fn with(versions: &[&str]) -> Self {
        let proxy = Self { folder: TempDir::new().unwrap() };
        for version in versions {
            proxy.publish(version, MAIN);
        }
        proxy
    }

    /// Publishes a version of the module, or replaces it, with `main` as the source of each program.
    pub(super) fn publish(&self, version: &str, main: &str) {
        let programs = NAMES.map(|name| (format!("cmd/{name}/main.go"), main));
        self.publish_module(MODULE, version, "1.18", &programs);
    }

    /// Publishes a version of the module whose go.mod has the line `go GO`.
    pub(super) fn publish_for_go(&self, version: &str, go: &str) {
        let programs = NAMES.map(|name| (format!("cmd/{name}/main.go"), MAIN));
        self.publish_module(MODULE, version, go, &programs);
    }

    /// Publishes each program as a module of its own: where a second proxy is asked for what this one lacks, `go` finds it
    /// whatever that one says of the shorter paths.
    pub(super) fn publish_apart(&self, version: &str) {
        for name in NAMES {
            self.publish_main(&format!("{HOST}/{name}"), version, MAIN);
        }
    }

    /// Publishes a module that is one program.
    pub(super) fn publish_main(&self, module: &str, version: &str, main: &str) {
        self.publish_module(module, version, "1.18", &[("main.go".to_owned(), main)]);
    }

    /// The same, whose go.mod has the line `go GO`.
    pub(super) fn publish_main_for_go(&self, module: &str, version: &str, go: &str) {
        self.publish_module(module, version, go, &[("main.go".to_owned(), MAIN)]);
    }

    fn publish_module(&self, module: &str, version: &str, go: &str, files: &[(String, &str)]) {
        let folder = self.path().join(module).join("@v");
        let go_mod = format!("module {module}\n\ngo {go}\n");
        write(&folder.join(format!("{version}.info")), &json!({ "Version": version }).to_string());
        write(&folder.join(format!("{version}.mod")), &go_mod);
        let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (path, text) in [("go.mod".to_owned(), go_mod.as_str())].iter().chain(files) {
            zip.start_file(format!("{module}@{version}/{path}"), SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        std::fs::File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(folder.join(format!("{version}.zip")))
            .unwrap()
            .write_all(&zip.finish().unwrap().into_inner())
            .unwrap();
        let list = folder.join("list");
        let known = std::fs::read_to_string(&list).unwrap_or_default();
        if !known.lines().any(|line| line == version) {
            write(&list, &format!("{known}{version}\n"));
        }
    }

    /// The value of GOPROXY that leads here.
    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.path())
    }

    /// The folder.
    pub(super) fn path(&self) -> &Utf8Path {
        Utf8Path::from_path(self.folder.path()).unwrap()
    }
}

/// The setting `tools` that takes all three tools from the proxy at `version`.
pub(crate) fn tools(version: &str) -> Value {
    let tool = |name: &&str| {
        let tool = json!({ "package": format!("{MODULE}/cmd/{name}"), "version": version });
        ((*name).to_owned(), tool)
    };
    NAMES.iter().map(tool).collect::<serde_json::Map<_, _>>().into()
}

/// The same, each from the module that [`Proxy::publish_apart`] made.
pub(super) fn tools_apart(version: &str) -> Value {
    let tool = |name: &&str| {
        let tool = json!({ "package": format!("{HOST}/{name}"), "version": version });
        ((*name).to_owned(), tool)
    };
    NAMES.iter().map(tool).collect::<serde_json::Map<_, _>>().into()
}

/// A workspace that wants the tools at `version` and asks `proxy` for them. No checksum database knows that module.
pub(crate) fn workspace(proxy: &Proxy, version: &str) -> Sandbox {
    Sandbox::new().setting("tools", tools(version)).env("GOPROXY", proxy.url()).env("GOSUMDB", "off")
}

/// The tools of the test's own module at one version, in a store, with their lock file.
pub(crate) struct Built {
    _folder: TempDir,
    store: Utf8PathBuf,
    lock: String,
}

impl Built {
    /// Built once a test run.
    pub(crate) fn at(version: &'static str) -> Arc<Self> {
        static BUILT: Mutex<BTreeMap<&str, Arc<Built>>> = Mutex::new(BTreeMap::new());
        let mut all = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(version).or_insert_with(|| Arc::new(Self::build(version))))
    }

    fn build(version: &str) -> Self {
        let proxy = Proxy::with(&[version]);
        let sandbox = workspace(&proxy, version).limit(Duration::from_secs(300));
        sandbox.burrow(["tools", "repair"]).exits(0);
        let folder = TempDir::new().unwrap();
        let store = Utf8Path::from_path(folder.path()).unwrap().join("store");
        copy_binaries(&sandbox.store_dir(), &store);
        Self { store, lock: sandbox.read(LOCK).unwrap(), _folder: folder }
    }

    /// Puts the binaries into the store of `sandbox`, whose settings and lock file ask for them from here on.
    pub(crate) fn ask_for(&self, version: &str, sandbox: Sandbox) -> Sandbox {
        sandbox.make_state_dir();
        copy_binaries(&self.store, &sandbox.store_dir());
        sandbox.setting("tools", tools(version)).env("GOSUMDB", "off").write(LOCK, &self.lock)
    }
}

/// A workspace with version 1.0.0 installed and locked, that cannot reach any proxy.
pub(crate) fn installed() -> Sandbox {
    let sandbox = Built::at("v1.0.0").ask_for("v1.0.0", Sandbox::new());
    sandbox.burrow(["tools", "repair"]).exits(0);
    sandbox
}

pub(crate) const LOCK: &str = ".devcontainer/burrow-lock.json";

/// The binary that the link of the tool `name` leads to.
pub(crate) fn binary(sandbox: &Sandbox, name: &str) -> Utf8PathBuf {
    sandbox.state_dir().join("current").join(name).canonicalize_utf8().unwrap()
}

/// Copies what a store has.
pub(super) fn copy_binaries(from: &Utf8Path, to: &Utf8Path) {
    for digest in from.join("tools").read_dir_utf8().unwrap().flatten() {
        let folder = to.join("tools").join(digest.file_name());
        std::fs::create_dir_all(&folder).unwrap();
        for binary in digest.path().read_dir_utf8().unwrap().flatten() {
            std::fs::copy(binary.path(), folder.join(binary.file_name())).unwrap();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test writes what Go then reads")]
fn write(path: &Utf8Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
