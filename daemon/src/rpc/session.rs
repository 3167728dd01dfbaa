//! One connection: what its client said of itself, and what it may touch.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use burrow_protocol::error::ErrorCode;
use burrow_protocol::session::{ClientKind, ClientOptions, ServerDetails};
use burrow_protocol::{OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION};
use camino::{Utf8Path, Utf8PathBuf};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower_lsp::ls_types::{InitializeParams, InitializeResult, ServerCapabilities, ServerInfo};
use tower_lsp::{Client, LanguageServer, LspService, Server, jsonrpc};

use super::convert::{Failure, Result};
use super::forward::{self, Interest};
use super::guard::Guard;
use super::hangup::Hangup;
use super::methods;
use crate::daemon::{BUILD, Core, Workspace};
use crate::debug::Debug;
use crate::process::Caller;
use crate::reload::Reload;
use crate::workspace::trust::OpenWindow;

/// How many requests of one connection may be under way at once: enough that long polls do not hold up a cancel.
const CONCURRENCY: usize = 64;

/// How long the answers under way have to get out when the daemon ends.
const LAST_ANSWERS: Duration = Duration::from_millis(50);

/// One connection of a client.
#[derive(Debug)]
pub struct Session {
    core: Arc<Core>,
    interest: Arc<Mutex<Interest>>,
    /// Of an editor's window: what it has open, until it is gone.
    windows: Mutex<Vec<OpenWindow>>,
    /// Set by `initialize`, which `tower-lsp` lets through once.
    caller: OnceLock<Caller>,
    /// Cancelled once the client has hung up, also while a long poll of it waits.
    closed: CancellationToken,
}

/// Serves one connection to its end, or until `cancel`.
pub(super) async fn serve(stream: UnixStream, core: Arc<Core>, cancel: CancellationToken) {
    let (reader, writer) = stream.into_split();
    let events = core.model.events();
    let model = core.model.clone();
    let interest = Arc::new(Mutex::new(Interest::default()));
    let closed = CancellationToken::new();
    let its_closed = closed.clone();
    let _over = closed.clone().drop_guard();
    let mut forwarder = None;
    let (service, socket) = {
        let interest = Arc::clone(&interest);
        let build = LspService::build(|client: Client| {
            forwarder = Some(forward::run(model, events, client, Arc::clone(&interest)));
            Session { core, interest, windows: Mutex::default(), caller: OnceLock::new(), closed: its_closed }
        });
        methods::register(build).finish()
    };
    let server = Server::new(Guard::new(Hangup::new(reader, closed)), writer, socket)
        .concurrency_level(CONCURRENCY)
        .serve(service);
    let forward = async {
        if let Some(forwarder) = forwarder {
            forwarder.await;
        }
        std::future::pending::<()>().await;
    };
    let served = async {
        tokio::select! {
            () = server => {}
            () = forward => {}
        }
    };
    tokio::pin!(served);
    tokio::select! {
        () = &mut served => return,
        () = cancel.cancelled() => {}
    }
    // Answers under way get out; whoever does not read them now never will.
    let _ = timeout(LAST_ANSWERS, served).await;
}

impl Session {
    /// What the daemon shares between its sessions.
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// The port broker.
    pub(crate) fn debug(&self) -> &Debug {
        &self.core.debug
    }

    /// Hot reload.
    pub(crate) fn reload(&self) -> &Reload {
        &self.core.reload
    }

    /// Cancelled once the client has hung up.
    pub(crate) fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// The workspace at `path`, which must be one of this session's.
    ///
    /// # Errors
    /// `WorkspaceUnknown`.
    pub(crate) fn workspace(&self, path: &str) -> Result<Workspace> {
        let path = Utf8Path::new(path);
        let bound = self.interest.lock().unwrap_or_else(PoisonError::into_inner).workspaces.contains(path);
        bound.then(|| self.core.workspace(path)).flatten().ok_or_else(|| {
            let hint = "name it among the workspace folders of `initialize`".to_owned();
            Failure::new(ErrorCode::WorkspaceUnknown, format!("{path} is no workspace of this session"), Some(hint))
        })
    }

    /// The innermost workspace of this session around `path`. The path may lead there by a link: editors know a folder by
    /// the path by which it was opened.
    ///
    /// # Errors
    /// `WorkspaceUnknown`.
    pub(crate) async fn workspace_around(&self, path: &str) -> Result<Workspace> {
        let given = Utf8PathBuf::from(path);
        let resolved = tokio::task::spawn_blocking(move || given.canonicalize_utf8().unwrap_or(given)).await;
        let real = resolved.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        let around = {
            let bound = self.interest.lock().unwrap_or_else(PoisonError::into_inner);
            real.ancestors().find(|folder| bound.workspaces.contains(*folder)).map(Utf8Path::to_owned)
        };
        self.workspace(around.as_deref().map_or(path, Utf8Path::as_str))
    }

    /// In whose name work of this session runs.
    pub(crate) fn caller(&self) -> Caller {
        self.caller.get().cloned().unwrap_or_default()
    }

    /// From here on the session is told every change of the model.
    pub(crate) fn follow_changes(&self) {
        self.interest.lock().unwrap_or_else(PoisonError::into_inner).changes = true;
    }

    async fn open(&self, params: &InitializeParams, kind: ClientKind, terminal: bool) -> Result<Vec<String>> {
        let mut opened = Vec::new();
        for root in roots(params) {
            let workspace = self.core.open(&root).await?;
            let caller = self.caller();
            // Before the window counts: what it starts must know who runs the standard hooks.
            workspace.hooks.notice(caller.clone()).await;
            match kind {
                ClientKind::Window => {
                    let window = workspace.trust.window(caller.clone());
                    self.windows.lock().unwrap_or_else(PoisonError::into_inner).push(window);
                }
                ClientKind::Cli if terminal => workspace.trust.called_from_a_terminal(),
                ClientKind::Cli => {}
            }
            if kind == ClientKind::Window && caller.trusted {
                workspace.toolchain.notice(caller, workspace.trust.allows_background_work()).await;
            }
            opened.push(workspace.path.to_string());
            self.interest.lock().unwrap_or_else(PoisonError::into_inner).workspaces.insert(workspace.path.clone());
        }
        Ok(opened)
    }
}

impl LanguageServer for Session {
    async fn initialize(&self, params: InitializeParams) -> jsonrpc::Result<InitializeResult> {
        let options = options(params.initialization_options.clone())?;
        let protocol = agree(options.protocol)?;
        let (kind, terminal) = (options.kind, options.terminal);
        let env = if options.environment.is_empty() {
            Arc::clone(&self.core.base_env)
        } else {
            Arc::new(options.environment)
        };
        let caller = Caller { env, cwd: options.cwd.into(), trusted: options.trusted };
        // `tower-lsp` lets one `initialize` through, so nobody was here before.
        let _ = self.caller.set(caller);
        let workspaces = self.open(&params, kind, terminal).await?;
        let details = ServerDetails { protocol, build: BUILD.to_owned(), pid: std::process::id(), workspaces };
        Ok(InitializeResult {
            capabilities: ServerCapabilities {
                experimental: serde_json::to_value(details).ok(),
                ..ServerCapabilities::default()
            },
            server_info: Some(ServerInfo {
                name: "burrow".to_owned(),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            }),
            ..InitializeResult::default()
        })
    }

    async fn shutdown(&self) -> jsonrpc::Result<()> {
        // Ends this session only: work belongs to the daemon.
        Ok(())
    }
}

fn options(value: Option<serde_json::Value>) -> Result<ClientOptions> {
    let Some(value) = value else { return Ok(ClientOptions::default()) };
    serde_json::from_value(value)
        .map_err(|error| Failure::new(ErrorCode::BadRequest, format!("`initializationOptions`: {error}"), None))
}

fn agree(client: u32) -> Result<u32> {
    if client < OLDEST_PROTOCOL_VERSION {
        let message =
            format!("the client speaks protocol {client}, this daemon {OLDEST_PROTOCOL_VERSION} to {PROTOCOL_VERSION}");
        return Err(Failure::new(ErrorCode::ProtocolVersion, message, Some("update the client".to_owned())));
    }
    Ok(client.min(PROTOCOL_VERSION))
}

fn roots(params: &InitializeParams) -> Vec<Utf8PathBuf> {
    let folders = params.workspace_folders.iter().flatten().map(|folder| &folder.uri);
    let paths = folders.filter_map(|uri| Utf8PathBuf::from_path_buf(uri.to_file_path()?.into_owned()).ok());
    paths.collect()
}
