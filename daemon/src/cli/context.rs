//! What every subcommand needs: the printer, the workspace, the way to the daemon.

use anyhow::{Context as _, Result};
use burrow_protocol::session::{ClientKind, ClientOptions};
use camino::{Utf8Path, Utf8PathBuf};

use super::printer::Printer;
use crate::client::{Client, ClientError, Finder, Identity};
use crate::config::{self, Config};
use crate::container;
use crate::workspace::files::root;

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
        let identity = identity();
        let config = Config::from_env(&config::process_env(), identity.uid)?;
        let workspace = workspace.map_or_else(|| root::find(&cwd), |path| cwd.join(path));
        // The daemon knows folders by their real paths; one that does not exist is its error to tell.
        let workspace = workspace.canonicalize_utf8().unwrap_or(workspace);
        Ok(Self { printer, finder: Finder { config, identity }, workspace, cwd })
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
        std::fs::read_to_string(self.finder.config.state.stopped())
            .is_ok_and(|start| start == container::current_start())
    }
}

/// Whose daemon this command line speaks to: the Feature's remote user when root asks, else its own.
fn identity() -> Identity {
    let own = rustix::process::getuid().as_raw();
    let user = if own == 0 { container::remote_user() } else { None };
    match user {
        Some(user) if user.uid != 0 => Identity { uid: user.uid, become_user: Some(user) },
        _ => Identity { uid: own, become_user: None },
    }
}
