//! What every subcommand needs: the printer, the workspace, the way to the daemon.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use burrow_protocol::error::ErrorCode;
use burrow_protocol::session::{ClientKind, ClientOptions};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::time::Timespec;

use super::printer::Printer;
use crate::client::{Client, ClientError, Finder, Identity};
use crate::coded::Coded;
use crate::config::{self, Config};
use crate::container::{self, FeatureError};
use crate::durable;
use crate::workspace::files::root;

/// How long the container's entrypoint may take to make the state directory.
const STATE_DEADLINE: Duration = Duration::from_secs(30);
/// How soon a person is told what is waited for.
const TOLD_AFTER: Duration = Duration::from_secs(1);
/// How long between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Whether a subcommand may start the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// No: it only asks.
    Never,
    /// Where none runs, unless the user stopped it.
    IfNeeded,
    /// Where none runs, also after a stop; one of another build that is not newer is replaced.
    Always,
}

/// The settled values of one command line.
#[derive(Debug)]
pub(crate) struct Context {
    /// What it prints with.
    pub(crate) printer: Printer,
    finder: Finder,
    workspace: Utf8PathBuf,
    cwd: Utf8PathBuf,
}

impl Context {
    pub(super) fn new(printer: Printer, workspace: Option<Utf8PathBuf>) -> Result<Self> {
        let cwd = std::env::current_dir().context("read the current folder")?;
        let cwd = Utf8PathBuf::from_path_buf(cwd).ok().context("the current folder's path is no UTF-8")?;
        let identity = identity()?;
        let config = Config::from_env(&config::process_env(), identity.uid)?;
        let workspace = workspace.map_or_else(|| root::find(&cwd), |path| cwd.join(path));
        // The daemon knows folders by their real paths; one that does not exist is its error to tell.
        let workspace = workspace.canonicalize_utf8().unwrap_or(workspace);
        Ok(Self { printer, finder: Finder { config, identity }, workspace, cwd })
    }

    /// Has the state directory made where it is the container's entrypoint that makes it, and is not there yet: root makes
    /// it itself, anybody else waits. Blocks; before any thread exists.
    pub(super) fn await_state(&self) -> Result<()> {
        let Finder { config, identity } = &self.finder;
        let dir = config.state.dir();
        let is_there = || dir.symlink_metadata().is_ok_and(|found| found.uid() == identity.uid);
        if is_there() || dir != container::state_of(identity.uid) || !container::has_state(identity.uid) {
            return Ok(());
        }
        if rustix::process::getuid().is_root() {
            let gid = identity.become_user.as_ref().map_or(0, |user| user.gid);
            return Ok(container::mend_state(identity.uid, gid)?);
        }
        let (started, mut told) = (Instant::now(), false);
        while !is_there() {
            if started.elapsed() > STATE_DEADLINE {
                return Err(NotMade { path: dir.to_owned() }.into());
            }
            if started.elapsed() > TOLD_AFTER && !told {
                self.printer.note(&format!("burrow: waiting for the container's entrypoint to make {dir}"));
                told = true;
            }
            pause(LOOK_AGAIN);
        }
        Ok(())
    }

    /// The workspace's absolute path.
    pub(crate) fn workspace(&self) -> &Utf8Path {
        &self.workspace
    }

    /// The folder in which the command line was called.
    pub(crate) fn cwd(&self) -> &Utf8Path {
        &self.cwd
    }

    /// The way to the daemon.
    pub(crate) const fn finder(&self) -> &Finder {
        &self.finder
    }

    /// A connection that is bound to the workspace.
    pub(crate) async fn connect(&self, start: Start) -> Result<Client, ClientError> {
        self.connect_to(start, Some(&self.workspace)).await
    }

    /// A connection that is bound to no workspace.
    pub(crate) async fn connect_unbound(&self, start: Start) -> Result<Client, ClientError> {
        self.connect_to(start, None).await
    }

    async fn connect_to(&self, start: Start, root: Option<&Utf8Path>) -> Result<Client, ClientError> {
        let options = ClientOptions {
            kind: ClientKind::Cli,
            trusted: true,
            terminal: std::io::IsTerminal::is_terminal(&std::io::stdin()),
            environment: config::process_env(),
            cwd: self.cwd.to_string(),
            ..ClientOptions::default()
        };
        match start {
            Start::Never => self.finder.connect(options, root).await,
            Start::IfNeeded => match self.finder.connect(options.clone(), root).await {
                // A connection that breaks at once is one to a daemon that is just ending.
                Err(ClientError::NotRunning { .. } | ClientError::Connection { .. }) => {
                    if self.is_stopped() {
                        return Err(ClientError::Stopped);
                    }
                    self.finder.connect_or_start(options, root, false).await
                }
                other => other,
            },
            // A daemon that starts removes the mark of a stop.
            Start::Always => self.finder.connect_or_start(options, root, true).await,
        }
    }

    /// Whether the user stopped the daemon in this very start of the container.
    fn is_stopped(&self) -> bool {
        let start = durable::read(&self.finder.config.state.stopped()).ok().flatten();
        start.is_some_and(|start| start == container::current_start().into_bytes())
    }
}

/// Whose daemon this command line speaks to: the Feature's remote user when root asks, else its own.
fn identity() -> Result<Identity, FeatureError> {
    let own = rustix::process::getuid().as_raw();
    let user = if own == 0 { container::remote_user()? } else { None };
    Ok(match user {
        Some(user) if user.uid != 0 => Identity { uid: user.uid, become_user: Some(user) },
        _ => Identity { uid: own, become_user: None },
    })
}

/// Other Features' entrypoints may come before ours, and some of them wait for what they start; ours has not come at all.
#[derive(Debug, thiserror::Error)]
#[error("use the state directory {path}: the container's entrypoint has not made it in {} s", STATE_DEADLINE.as_secs())]
pub(super) struct NotMade {
    path: Utf8PathBuf,
}

impl Coded for NotMade {
    fn code(&self) -> ErrorCode {
        ErrorCode::StateNotMade
    }

    fn hint(&self) -> Option<String> {
        Some("as root: burrow entrypoint (`docker exec --user root`)".to_owned())
    }
}

fn pause(time: Duration) {
    // Nothing tells of it: whoever makes it knows nobody who waits.
    let timeout = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
    let _ = rustix::event::poll(&mut [], Some(&timeout));
}
