//! The folders that a bench runs in, and the release binary in them.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

/// Names the binary that is measured: `make bench` gives `dist/burrow`. The one that cargo builds beside a bench has
/// debug settings, and features that only tests turn on.
const BINARY: &str = "BURROW_BIN";

/// State, store and three workspaces. The daemon is stopped when it is dropped.
pub(crate) struct Home {
    pub(crate) binary: Utf8PathBuf,
    root: Utf8PathBuf,
    pub(crate) workspaces: Vec<Utf8PathBuf>,
    environment: BTreeMap<String, String>,
    _folder: TempDir,
}

impl Home {
    /// Three copies of the fixture, an empty state and an empty store.
    pub(crate) fn new() -> Result<Self> {
        let binary =
            std::env::var(BINARY).with_context(|| format!("{BINARY} names no binary: run `make bench`"))?.into();
        let folder = tempfile::Builder::new().prefix("burrow-bench-").tempdir_in("/tmp")?;
        let root = Utf8PathBuf::from_path_buf(folder.path().to_owned()).ok().context("a path in UTF-8")?;
        let fixture = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/hello-api");
        let workspaces: Vec<_> = ["one", "two", "three"].map(|name| root.join(name)).into();
        for workspace in &workspaces {
            copy_tree(&fixture, workspace)?;
        }
        let foreign =
            |name: &str| ["BURROW_", "XDG_", "VSCODE_", "REMOTE_CONTAINERS"].iter().any(|p| name.starts_with(p));
        let mut environment: BTreeMap<_, _> = std::env::vars().filter(|(name, _)| !foreign(name)).collect();
        for (name, value) in [("STATE_DIR", "state"), ("STORE_DIR", "store")] {
            environment.insert(format!("BURROW_{name}"), root.join(value).into_string());
        }
        environment.insert("BURROW_PORTS".to_owned(), "19900-19910".to_owned());
        Ok(Self { binary, root, workspaces, environment, _folder: folder })
    }

    pub(crate) fn state_dir(&self) -> Utf8PathBuf {
        self.root.join("state")
    }

    /// An empty folder of that name.
    pub(crate) fn folder(&self, name: &str) -> Result<Utf8PathBuf> {
        let folder = self.root.join(name);
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    pub(crate) fn socket(&self) -> Utf8PathBuf {
        self.state_dir().join("socket")
    }

    /// `burrow ARGS` with its output thrown away.
    pub(crate) fn command(&self, folder: &Utf8Path, args: &[&str]) -> Command {
        let mut command = program(self.binary.as_str());
        command.args(args).current_dir(folder).env_clear().envs(&self.environment);
        command
    }

    /// Runs `burrow ARGS`; gives the time from exec to exit.
    pub(crate) fn burrow(&self, folder: &Utf8Path, args: &[&str]) -> Result<Duration> {
        time(&mut self.command(folder, args))
    }

    /// `burrow daemon` in the foreground.
    pub(crate) fn daemon(&self) -> Result<Child> {
        Ok(self.command(&self.root, &["daemon"]).spawn()?)
    }

    /// The running daemon's process.
    pub(crate) fn daemon_pid(&self) -> Result<u32> {
        let text = fs_err::read_to_string(self.state_dir().join("daemon.json"))?;
        Ok(serde_json::from_str::<burrow_protocol::session::Rendezvous>(&text)?.pid)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // There may be none any more.
        let _ = self.command(&self.root, &["stop", "--hooks"]).status();
    }
}

/// A program with its output thrown away.
#[expect(clippy::disallowed_methods, reason = "a bench measures the binary from outside")]
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs `command`; gives the time from exec to exit.
pub(crate) fn time(command: &mut Command) -> Result<Duration> {
    let start = Instant::now();
    let status: ExitStatus = command.status()?;
    let took = start.elapsed();
    ensure!(status.success(), "{command:?}: {status}");
    Ok(took)
}

/// Copies files, folders and links below `from`.
pub(crate) fn copy_tree(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in from.read_dir_utf8()? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_tree(source, &target)?;
        } else if entry.file_type()?.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(source)?, &target)?;
        } else {
            fs::copy(source, &target)?;
        }
    }
    Ok(())
}
