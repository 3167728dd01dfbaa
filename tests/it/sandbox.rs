//! A `Sandbox`: Burrow alone with one test. Own home, state, store, workspace and debug ports; nothing of the
//! machine's own Burrow is seen or touched.
//!
//! A test reads given, when, then: builder methods (`hook`, `write`, `env`), one or more `burrow([...])`, and what the
//! answer must be (`exits`, `stdout`, `json`). Waiting is [`eventually`], never a sleep.
//!
//! Invariants: no test outlives its watchdog; when a sandbox is dropped, no process, socket or port of it is left, and
//! a test that leaves one fails.
//!
//! A new sandbox is offline for Go modules (`GOPROXY=off`) and has an empty store, so nothing is ever built by chance:
//! `with_tools` gives it the real gopls, dlv and goimports, `online` the network.

mod leftovers;
mod ports;
mod run;
mod tools;
mod watchdog;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::fs::DirBuilderExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use burrow_protocol::model::{Status, WorkspaceStatus};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use leftovers::Process;
use ports::PortBlock;
use watchdog::Watchdog;

pub(crate) use run::{Background, Run};

/// The binary under test.
pub(crate) const BURROW: &str = env!("CARGO_BIN_EXE_burrow");

/// How long one test may take, if it does not say otherwise.
const TEST_LIMIT: Duration = Duration::from_secs(120);
/// How long a daemon may take to end once `burrow stop` has answered, and its children with it.
const END_LIMIT: Duration = Duration::from_secs(10);

/// What the machine's own environment must not say to a test.
const FORBIDDEN_PREFIXES: [&str; 8] =
    ["BURROW_", "XDG_", "VSCODE_", "REMOTE_CONTAINERS", "CODESPACES", "INSTA_", "CARGO", "RUST"];
const FORBIDDEN: [&str; 8] =
    ["GOFLAGS", "GOTOOLCHAIN", "GOPATH", "GOBIN", "GOENV", "NO_COLOR", "CLICOLOR_FORCE", "LD_LIBRARY_PATH"];

/// One test's own Burrow.
pub(crate) struct Sandbox {
    root: Utf8PathBuf,
    workspace: Utf8PathBuf,
    environment: BTreeMap<String, String>,
    devcontainer: Value,
    ports: PortBlock,
    watchdog: Watchdog,
    // Last, so that it is removed after everything else has gone.
    _folder: TempDir,
}

impl Sandbox {
    /// A workspace that is one empty Go module, `example.com/sandbox`, without a `.devcontainer`.
    pub(crate) fn new() -> Self {
        Self::bare().write("go.mod", "module example.com/sandbox\n\ngo 1.24\n")
    }

    /// A workspace that is an empty folder.
    pub(crate) fn bare() -> Self {
        // Under /tmp whatever TMPDIR says: the path of a Unix socket ends at 107 bytes.
        let folder = tempfile::Builder::new().prefix("burrow-it-").tempdir_in("/tmp").unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
        for name in ["home/.config/go/telemetry", "tmp", "workspace"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        // Else the first `go` of a fresh home starts a process of its own that counts, and lives on.
        write_file(&root.join("home/.config/go/telemetry/mode"), "off");
        let ports = PortBlock::take();
        Self {
            environment: environment(&root, &ports.range()),
            workspace: root.join("workspace"),
            devcontainer: json!({}),
            watchdog: Watchdog::start(&root, TEST_LIMIT),
            ports,
            root,
            _folder: folder,
        }
    }

    /// A workspace that is a copy of `tests/fixtures/NAME`.
    pub(crate) fn fixture(name: &str) -> Self {
        let sandbox = Self::bare();
        copy_tree(&fixtures().join(name), &sandbox.workspace);
        sandbox
    }

    /// Sets `HOOKCommand` of devcontainer.json, in any of its three forms.
    pub(crate) fn hook(mut self, hook: &str, command: impl Into<Value>) -> Self {
        self.devcontainer[format!("{hook}Command")] = command.into();
        self.write_devcontainer();
        self
    }

    /// Sets `customizations.burrow.hooks.HOOK`.
    pub(crate) fn burrow_hook(mut self, hook: &str, command: impl Into<Value>) -> Self {
        self.devcontainer["customizations"]["burrow"]["hooks"][hook] = command.into();
        self.write_devcontainer();
        self
    }

    /// Sets one property of `customizations.burrow`.
    pub(crate) fn setting(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.devcontainer["customizations"]["burrow"][name] = value.into();
        self.write_devcontainer();
        self
    }

    /// Sets one property of devcontainer.json.
    pub(crate) fn property(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.devcontainer[name] = value.into();
        self.write_devcontainer();
        self
    }

    /// Writes a file of the workspace, with the folders that it needs.
    pub(crate) fn write(self, path: &str, text: &str) -> Self {
        self.change(path, text);
        self
    }

    /// Sets a variable in the environment of every `burrow` that follows.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Removes a variable from the environment of every `burrow` that follows.
    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Lets Go use the machine's own module proxy.
    pub(crate) fn online(mut self) -> Self {
        match std::env::var("GOPROXY") {
            Ok(proxy) => self.environment.insert("GOPROXY".to_owned(), proxy),
            Err(_) => self.environment.remove("GOPROXY"),
        };
        self
    }

    /// Gives it the real gopls, dlv and goimports, with their lock file: `burrow up` finds them in the store.
    ///
    /// They are built by the real binary once a machine, which takes two minutes; this test then has time for it.
    pub(crate) fn with_tools(self) -> Self {
        self.watchdog.pause();
        let tools = tools::real();
        self.watchdog.resume();
        self.make_state_dir();
        copy_tree(&tools.store.join("tools"), &self.store_dir().join("tools"));
        let lock = fs::read_to_string(&tools.lock).unwrap();
        self.write(".devcontainer/burrow-lock.json", &lock).with_devcontainer()
    }

    /// A test that has good reason to take longer than the others.
    pub(crate) fn limit(self, limit: Duration) -> Self {
        self.watchdog.set(limit);
        self
    }

    /// What a test run keeps for the next one.
    pub(crate) fn cache_dir() -> Utf8PathBuf {
        tools::cache_dir()
    }

    /// This repository.
    pub(crate) fn repository() -> Utf8PathBuf {
        Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize_utf8().unwrap()
    }

    /// Replaces a file of the workspace while the test runs.
    pub(crate) fn change(&self, path: &str, text: &str) {
        write_file(&self.workspace.join(path), text);
    }

    /// The text of a file of the workspace, if it is there.
    pub(crate) fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.workspace.join(path)).ok()
    }

    /// Runs `burrow ARGS` in the workspace to its end.
    pub(crate) fn burrow<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Run {
        self.run(self.burrow_command(args))
    }

    /// Starts `burrow ARGS` in the workspace; it is killed when the answer is dropped.
    pub(crate) fn spawn<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Background {
        self.start(self.burrow_command(args))
    }

    /// `burrow ARGS`, to be changed before it is run.
    pub(crate) fn burrow_command<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = self.command(BURROW);
        command.args(args);
        command
    }

    /// Any program, in the sandbox's environment and workspace.
    #[expect(clippy::disallowed_methods, reason = "a test spawns the binary from outside")]
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.environment).current_dir(&self.workspace).stdin(Stdio::null());
        command
    }

    /// Starts `command`; it is killed when the answer is dropped.
    pub(crate) fn start(&self, command: Command) -> Background {
        Background::start(command, &self.root, self.watchdog.deadline())
    }

    /// Runs `command` to its end.
    pub(crate) fn run(&self, command: Command) -> Run {
        self.start(command).finish()
    }

    /// Runs `program ARGS` to its end.
    pub(crate) fn run_program<'a>(&self, program: impl AsRef<OsStr>, args: impl IntoIterator<Item = &'a str>) -> Run {
        let mut command = self.command(program);
        command.args(args);
        self.run(command)
    }

    /// What `burrow status --json` prints.
    pub(crate) fn status(&self) -> Status {
        self.burrow(["status", "--json"]).parse()
    }

    /// This workspace's part of the status.
    pub(crate) fn workspace_status(&self) -> WorkspaceStatus {
        let status = self.status();
        let known: Vec<_> = status.workspaces.iter().map(|workspace| workspace.path.clone()).collect();
        let own = status.workspaces.into_iter().find(|workspace| workspace.path == self.workspace);
        own.unwrap_or_else(|| panic!("{} is not among the workspaces {known:?}", self.workspace))
    }

    /// The daemon's process, if one lives.
    pub(crate) fn daemon_pid(&self) -> Option<u32> {
        let text = fs::read(self.state_dir().join("daemon.json")).ok()?;
        let rendezvous: Value = serde_json::from_slice(&text).ok()?;
        let pid = u32::try_from(rendezvous["pid"].as_u64()?).ok()?;
        Process::read(pid).filter(|process| process.belongs_to(&self.root)).map(|process| process.pid)
    }

    /// Kills the daemon with SIGKILL and waits for its end.
    pub(crate) fn kill_daemon(&self) {
        leftovers::kill_and_wait(self.daemon_pid().expect("a daemon to kill"), END_LIMIT);
    }

    /// Every process whose command line, environment or folder lies in this sandbox.
    pub(crate) fn processes(&self) -> Vec<Process> {
        leftovers::processes_of(&self.root)
    }

    /// The folder that everything of this sandbox lies in.
    pub(crate) fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// The workspace folder.
    pub(crate) fn workspace(&self) -> &Utf8Path {
        &self.workspace
    }

    /// `BURROW_STATE_DIR`.
    pub(crate) fn state_dir(&self) -> Utf8PathBuf {
        self.root.join("state")
    }

    /// `BURROW_STORE_DIR`: within the state directory, as by default. What is in a store elsewhere may be anybody's.
    pub(crate) fn store_dir(&self) -> Utf8PathBuf {
        self.state_dir().join("store")
    }

    /// Makes the state directory as the daemon would, for a test that puts something there before it.
    pub(crate) fn make_state_dir(&self) {
        if !self.state_dir().exists() {
            fs::DirBuilder::new().mode(0o700).create(self.state_dir()).unwrap();
        }
    }

    /// The daemon's socket.
    pub(crate) fn socket(&self) -> Utf8PathBuf {
        self.state_dir().join("socket")
    }

    /// The debug ports of this sandbox: eleven, as in real life.
    pub(crate) fn ports(&self) -> RangeInclusive<u16> {
        self.ports.range()
    }

    fn with_devcontainer(self) -> Self {
        if !self.workspace.join(".devcontainer/devcontainer.json").exists() {
            self.write_devcontainer();
        }
        self
    }

    fn write_devcontainer(&self) {
        let text = serde_json::to_string_pretty(&self.devcontainer).unwrap();
        self.change(".devcontainer/devcontainer.json", &text);
    }

    /// What is left of this sandbox once its daemon was told to stop; empty when all is well.
    fn leftovers(&self) -> Vec<String> {
        // A socket, too, may live on for a moment: a process that another test is starting has a copy of it until its exec.
        let gone = wait_for(END_LIMIT, || {
            let mut left: Vec<_> = self.processes().iter().map(|process| format!("process {process}")).collect();
            left.extend(leftovers::sockets_of(&self.root).into_iter().map(|socket| format!("socket {socket}")));
            left.extend(self.ports.taken().into_iter().map(|port| format!("port {port}")));
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
        gone.err().unwrap_or_default()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            self.watchdog.print_log(&self.state_dir().join("daemon.log"));
        }
        let mut left = Vec::new();
        if !failed {
            if self.daemon_pid().is_some() {
                self.burrow(["stop", "--hooks"]).exits(0);
            }
            left = self.leftovers();
        }
        for process in self.processes() {
            leftovers::kill(process.pid);
        }
        assert!(left.is_empty(), "the test is over, and of its sandbox there is left: {}", left.join("; "));
    }
}

/// Polls `probe` until it answers `Ok`, and panics with what it last saw when `deadline` has passed.
pub(crate) fn eventually<T, S: Display>(what: &str, deadline: Duration, probe: impl FnMut() -> Result<T, S>) -> T {
    wait_for(deadline, probe).unwrap_or_else(|seen| panic!("not within {deadline:?}: {what}; last seen: {seen}"))
}

/// Polls `probe` until it answers `Ok`, or gives what it last saw when `deadline` has passed.
#[expect(clippy::disallowed_methods, reason = "the one pause that every poll of the tests uses")]
fn wait_for<T, S>(deadline: Duration, mut probe: impl FnMut() -> Result<T, S>) -> Result<T, S> {
    let start = Instant::now();
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(seen) if start.elapsed() >= deadline => return Err(seen),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// What a test run keeps for the next one.
pub(crate) fn tool_cache() -> Utf8PathBuf {
    tools::cache_dir()
}

/// `tests/fixtures`.
pub(crate) fn fixtures() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures")
}

fn environment(root: &Utf8Path, ports: &RangeInclusive<u16>) -> BTreeMap<String, String> {
    let mut environment: BTreeMap<String, String> = std::env::vars()
        .filter(|(name, _)| !FORBIDDEN.contains(&name.as_str()))
        .filter(|(name, _)| !FORBIDDEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    let cache = tools::cache_dir();
    for (name, value) in [
        ("HOME", root.join("home").into_string()),
        ("TMPDIR", root.join("tmp").into_string()),
        ("BURROW_STATE_DIR", root.join("state").into_string()),
        ("BURROW_STORE_DIR", root.join("state/store").into_string()),
        ("BURROW_PORTS", format!("{}-{}", ports.start(), ports.end())),
        ("GOMODCACHE", cache.join("go-mod").into_string()),
        ("GOCACHE", cache.join("go-build").into_string()),
        ("GOPROXY", "off".to_owned()),
        ("LC_ALL", "C.UTF-8".to_owned()),
    ] {
        environment.insert(name.to_owned(), value);
    }
    environment
}

#[expect(clippy::disallowed_methods, reason = "a test writes what the daemon then reads")]
fn write_file(path: &Utf8Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap_or_else(|error| panic!("write {path}: {error}"));
}

/// Copies files, folders and links below `from`, with their modes.
fn copy_tree(from: &Utf8Path, to: &Utf8Path) {
    fs::create_dir_all(to).unwrap();
    for entry in from.read_dir_utf8().unwrap_or_else(|error| panic!("read {from}: {error}")) {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy_tree(source, &target);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(source).unwrap(), &target).unwrap();
        } else {
            fs::copy(source, &target).unwrap_or_else(|error| panic!("copy {source}: {error}"));
        }
    }
}
