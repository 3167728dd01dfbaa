//! The daemon: builds the services, wires their events, owns the order of shutdown.
//!
//! State: the lock of the state directory, held for life; the open workspaces; the tasks of every service.
//!
//! Invariants: there is one daemon a state directory; the rendezvous names a socket that listens already; work belongs to
//! the daemon and not to a connection; shutdown ends sessions first, then debugging, and leaves hooks to their shims.

mod active_tools; // what services get of each other
mod error;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use burrow_protocol::PROTOCOL_VERSION;
use burrow_protocol::methods::StopParams;
use burrow_protocol::model::{ContainerKind, ContainerStatus, KnownBy};
use burrow_protocol::session::Rendezvous;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::active_tools::ActiveTools;
pub use self::error::{OpenError, StartError};
use crate::config::Config;
use crate::container;
use crate::debug::{Debug, DebugContext, DlvSource, Rebuilder, Relays, holder};
use crate::durable::{self, DurableError, Lock, WorkspaceLayout};
use crate::hooks::{Hooks, HooksContext, Ports, Server};
use crate::model::{Model, WorkspacePublisher};
use crate::reload::{GoSource, Reload, ReloadContext};
use crate::rpc::Listener;
use crate::toolchain::{AskedGo, Toolchain, ToolchainContext};
use crate::watch::Watcher;
use crate::workspace;
use crate::workspace::files::devcontainer::Settings;
use crate::workspace::trust::Trust;

/// The name of this build: two builds of one version differ in it.
pub const BUILD: &str = env!("BURROW_BUILD");

const SCHEMA: u32 = 1;

/// How long background services have to end with the daemon.
const SERVICES_END: Duration = Duration::from_secs(5);

/// How often the state directory is looked for.
const LOOK_AT_STATE: Duration = Duration::from_secs(5);

/// How often the container's surroundings are looked at, where they may be better the next time.
const LOOK_AROUND: Duration = Duration::from_secs(5);

/// How long after the daemon's start its engine's socket may appear: a container's own entrypoint puts it there.
const ENGINE_APPEARS: Duration = Duration::from_secs(60);

/// A state directory that this process has for itself. Made before any thread exists.
#[derive(Debug)]
pub struct Prepared {
    config: Config,
    base_env: BTreeMap<String, String>,
    container: ContainerStatus,
    lock: Lock,
}

/// Takes the state directory, or says who has it. Blocks. `base_env` is the environment of work whose caller sends none.
///
/// # Errors
/// [`StartError`].
pub fn prepare(config: Config, base_env: BTreeMap<String, String>) -> Result<Prepared, StartError> {
    durable::create_dir(config.state.dir())?;
    check_state_dir(config.state.dir())?;
    let lock = Lock::try_take(&config.state.lock())?
        .ok_or_else(|| StartError::Running { state_dir: config.state.dir().to_owned() })?;
    durable::create_dir(&config.state.workspaces())?;
    let container = container::identify(&config.state)?;
    Ok(Prepared { config, base_env, container, lock })
}

/// Refuses a directory that another user could have prepared.
fn check_state_dir(path: &Utf8Path) -> Result<(), StartError> {
    let unsafe_because = |why| StartError::Unsafe { path: path.to_owned(), why };
    let metadata = std::fs::symlink_metadata(path).map_err(|_| unsafe_because("it cannot be looked at".to_owned()))?;
    durable::why_not_private(&metadata, rustix::process::getuid().as_raw())
        .map_or(Ok(()), |why| Err(unsafe_because(why)))
}

/// What the sessions share.
#[derive(Debug)]
pub struct Core {
    /// What is shown.
    pub model: Model,
    /// The port broker.
    pub debug: Debug,
    /// Hot reload.
    pub reload: Reload,
    /// The environment of work whose caller sent none: root's command line does not send its own to another user's daemon.
    pub base_env: Arc<BTreeMap<String, String>>,
    config: Config,
    container: ContainerStatus,
    workspaces: Mutex<BTreeMap<Utf8PathBuf, Workspace>>,
    /// Held while a workspace is opened, so that it is opened once.
    opening: tokio::sync::Mutex<()>,
    watcher: Arc<Watcher>,
    tasks: TaskTracker,
    cancel: CancellationToken,
    /// Ends the hook engines: after `cancel`, when they have ended their services.
    end_hooks: CancellationToken,
    /// Another daemon takes over: it finds hooks and services as they are.
    handed_over: AtomicBool,
}

/// One open workspace: its path and its services.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The absolute path, links resolved.
    pub path: Utf8PathBuf,
    settings: Arc<watch::Sender<Arc<Settings>>>,
    publisher: WorkspacePublisher,
    /// Whether work that nobody asked for may be done in it.
    pub trust: Trust,
    /// Its lifecycle hooks.
    pub hooks: Hooks,
    /// Its Go tools.
    pub toolchain: Toolchain,
}

impl Workspace {
    /// Its settings as they are now.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.borrow())
    }
}

/// `workspace.json`: which folder a key stands for.
#[derive(Debug, Serialize, Deserialize)]
struct WorkspaceFile {
    schema: u32,
    path: Utf8PathBuf,
}

/// Serves until `cancel`; then ends in order.
///
/// `ready` is called once, when clients can connect.
///
/// # Errors
/// [`StartError`] where it does not come to serving.
pub async fn run(
    prepared: Prepared,
    cancel: CancellationToken,
    ready: impl FnOnce(&Rendezvous),
) -> Result<(), StartError> {
    let Prepared { config, base_env, container, lock } = prepared;
    let lock = Arc::new(lock);
    let listener = Listener::bind(&config.socket)?;
    let relays = Relays::start().map_err(|source| StartError::Runtime { source })?;
    let model = Model::new(container.clone());
    let tools = Arc::new(ActiveTools::default());
    let (debug, debug_actor) = Debug::build(DebugContext {
        ports: config.ports.clone(),
        debug_dir: config.state.debug(),
        model: model.clone(),
        source: Arc::clone(&tools) as Arc<dyn DlvSource>,
        builder: Arc::clone(&tools) as Arc<dyn Rebuilder>,
        relays: relays.handle().clone(),
    });
    let watcher = Arc::new(Watcher::new());
    let (reload, reload_actor) = Reload::build(ReloadContext {
        dir: config.state.reload(),
        watcher: Arc::clone(&watcher),
        source: Arc::clone(&tools) as Arc<dyn GoSource>,
    });
    let core = Arc::new(Core {
        model,
        debug,
        reload,
        base_env: Arc::new(base_env),
        config,
        container,
        workspaces: Mutex::default(),
        opening: tokio::sync::Mutex::default(),
        watcher,
        tasks: TaskTracker::new(),
        cancel: cancel.clone(),
        end_hooks: CancellationToken::new(),
        handed_over: AtomicBool::new(false),
    });
    // Set here and nowhere else.
    let _ = tools.0.set(Arc::downgrade(&core));
    let debugging = tokio::spawn(debug_actor.run(cancel.clone()));
    let reloading = tokio::spawn(reload_actor.run(cancel.clone()));
    core.reopen_known();
    // Whoever started this one wants it to run.
    durable::remove_file(&core.config.state.stopped())?;
    let rendezvous = core.rendezvous();
    durable::replace_for_now(&core.config.state.rendezvous(), &rendezvous)?;
    tracing::info!(pid = rendezvous.pid, socket = rendezvous.socket, build = BUILD, "ready");
    ready(&rendezvous);

    core.tasks.spawn(Arc::clone(&core).follow_files());
    core.tasks.spawn(Arc::clone(&core).look_around());
    core.tasks.spawn(Arc::clone(&core).end_without_state(Arc::clone(&lock)));
    let sessions = TaskTracker::new();
    listener.serve(Arc::clone(&core), sessions.clone(), cancel).await;

    tracing::info!("stopping");
    sessions.close();
    sessions.wait().await;
    let (debugging, ()) = tokio::join!(debugging, core.end_services());
    if let Err(error) = debugging {
        tracing::error!(%error, "the debug ports were not ended in order");
    }
    if let Err(error) = reloading.await {
        tracing::error!(%error, "the programs of a reload were not ended in order");
    }
    core.tasks.close();
    core.tasks.wait().await;
    if !lock.is_at(&core.config.state.lock()) {
        // What is there now is another daemon's.
        return Ok(());
    }
    // The next daemon replaces both anyway; a client that finds them would only wait for nobody.
    for path in [core.config.state.rendezvous(), core.config.socket.clone()] {
        if let Err(error) = durable::remove_file(&path) {
            tracing::warn!(%error, "left behind");
        }
    }
    Ok(())
}

impl Core {
    /// The open workspace at `path`.
    #[must_use]
    pub fn workspace(&self, path: &Utf8Path) -> Option<Workspace> {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    /// Cancelled once the daemon begins to end.
    #[must_use]
    pub fn ends(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Opens the workspace at `path`, or returns it where it is open.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(self: &Arc<Self>, path: &Utf8Path) -> Result<Workspace, OpenError> {
        let _opening = self.opening.lock().await;
        let core = Arc::clone(self);
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || core.open_blocking(&path)).await;
        // A panic in there is a bug; a release build has aborted already.
        opened.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    /// Leaves the mark "stopped by the user" where it was one, and begins to end.
    ///
    /// # Errors
    /// [`DurableError`] where the mark cannot be left; then the daemon goes on.
    pub async fn stop(&self, params: StopParams) -> Result<(), DurableError> {
        if params.hooks {
            self.cancel_hooks().await;
        }
        if !params.restart {
            let path = self.config.state.stopped();
            let start_id = self.container.start_id.clone();
            let written = tokio::task::spawn_blocking(move || durable::replace(&path, start_id.as_bytes())).await;
            written.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        }
        self.handed_over.store(params.restart, Ordering::Relaxed);
        let cancel = self.cancel.clone();
        // The answer goes out first: the session ends with the daemon.
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            cancel.cancel();
        });
        Ok(())
    }

    /// Ends every hook in flight, and waits for their ends.
    async fn cancel_hooks(&self) {
        let all: Vec<_> = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for workspace in all {
            if let Err(error) = workspace.hooks.cancel_all().await {
                tracing::warn!(path = %workspace.path, %error, "left hooks to their shims");
            }
        }
    }

    /// Ends the background services, but where another daemon takes them over; then the hook engines.
    async fn end_services(&self) {
        if !self.handed_over.load(Ordering::Relaxed) {
            let mut ends = JoinSet::new();
            let open = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for workspace in open.into_values() {
                ends.spawn(async move { workspace.hooks.stop_services().await });
            }
            if timeout(SERVICES_END, ends.join_all()).await.is_err() {
                tracing::error!("left background services to their shims: they do not end");
            }
        }
        self.end_hooks.cancel();
    }

    /// Opens every workspace that an earlier daemon knew and whose folder is still there. Blocks.
    fn reopen_known(self: &Arc<Self>) {
        for entry in self.config.state.workspaces().read_dir_utf8().into_iter().flatten().flatten() {
            match durable::read_json::<WorkspaceFile>(&entry.path().join("workspace.json")) {
                Ok(Some(file)) if file.path.is_dir() => {
                    if let Err(error) = self.open_blocking(&file.path) {
                        tracing::warn!(%error, path = %file.path, "could not open a workspace again");
                    }
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "could not read a workspace's file"),
            }
        }
    }

    /// What the hooks are to know of ports.
    fn ports(&self) -> Ports {
        let foreign_listener = |port, own: &[u32]| {
            holder::foreign_listener(port, own).map(|process| Server { pid: process.pid, name: process.name })
        };
        Ports { debug: self.config.ports.clone(), foreign_listener }
    }

    fn open_blocking(self: &Arc<Self>, path: &Utf8Path) -> Result<Workspace, OpenError> {
        let real = path.canonicalize_utf8().ok().filter(|path| path.is_dir());
        let path = real.ok_or_else(|| {
            let here = container::to_container(&self.model.status().surroundings.mounts, path.as_str());
            OpenError::NoFolder { path: path.to_owned(), here: here.filter(|here| Utf8Path::new(here).is_dir()) }
        })?;
        if let Some(open) = self.workspace(&path) {
            workspace::reread_settings(&path, &open.publisher, &open.settings);
            return Ok(open);
        }
        let layout = self.config.state.workspace(&path);
        remember(&layout, &path).map_err(|source| OpenError::State { path: path.clone(), source })?;
        let publisher = self.model.workspace(&path);
        let (settings, current) = watch::channel(workspace::read_settings(&path, &publisher));
        let trust = Trust::default();
        let (hooks, actor) = Hooks::build(HooksContext {
            workspace: path.clone(),
            layout,
            container: self.container.clone(),
            home: self.base_env.get("HOME").cloned(),
            settings: current.clone(),
            ports: self.ports(),
            trust: trust.clone(),
            publisher: publisher.clone(),
        });
        self.tasks.spawn(actor.run(self.end_hooks.clone()));
        let (looked_at, paths) = watch::channel(BTreeSet::new());
        self.tasks.spawn(Arc::clone(self).follow_tools(path.clone(), paths));
        let (toolchain, actor) = Toolchain::build(ToolchainContext {
            workspace: path.clone(),
            state: self.config.state.clone(),
            store_dir: self.config.store_dir.clone(),
            container: self.container.clone(),
            settings: current,
            publisher: publisher.clone(),
            looked_at,
            asked_go: AskedGo::default(),
        });
        self.tasks.spawn(actor.run(self.cancel.clone()));
        let workspace =
            Workspace { path: path.clone(), settings: Arc::new(settings), publisher, trust, hooks, toolchain };
        self.watcher.watch(&path);
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).insert(path, workspace.clone());
        Ok(workspace)
    }

    /// Begins to end where the state directory was removed: the next daemon could take it, and would be a second one.
    async fn end_without_state(self: Arc<Self>, lock: Arc<Lock>) {
        let path = self.config.state.lock();
        while lock.is_at(&path) {
            if timeout(LOOK_AT_STATE, self.cancel.cancelled()).await.is_ok() {
                return;
            }
        }
        tracing::error!(%path, "ends: its state directory is gone");
        self.cancel.cancel();
    }

    /// Publishes what is around the container; a start waits for no engine. Looks again while something is wrong with it,
    /// and until [`ENGINE_APPEARS`] is over while no engine has told of it.
    async fn look_around(self: Arc<Self>) {
        if self.container.kind == ContainerKind::Host {
            return;
        }
        let start = Instant::now();
        let mut told = Vec::new();
        loop {
            let look = container::look_around(self.config.state.clone());
            let Some(found) = self.cancel.run_until_cancelled(look).await else { return };
            for note in found.notes.iter().filter(|note| !told.contains(*note)) {
                tracing::warn!(code = note.code, "{}", note.message);
            }
            told.clone_from(&found.notes);
            let is_known = found.known_by == KnownBy::Engine || start.elapsed() > ENGINE_APPEARS;
            self.model.surroundings(found);
            let is_settled = is_known && told.is_empty();
            if is_settled || timeout(LOOK_AROUND, self.cancel.cancelled()).await.is_ok() {
                return;
            }
        }
    }

    /// Reads settings and looks at tools again when their files change, until the daemon ends.
    async fn follow_files(self: Arc<Self>) {
        loop {
            let paths = tokio::select! {
                () = self.cancel.cancelled() => return,
                paths = self.watcher.changed() => paths,
            };
            let open: Vec<_> =
                self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
            for workspace in open {
                let of_settings = paths.iter().any(|path| Watcher::is_of_settings(&workspace.path, path));
                if of_settings {
                    let (core, workspace) = (Arc::clone(&self), workspace.clone());
                    let reread = tokio::task::spawn_blocking(move || core.reread(&workspace)).await;
                    reread.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
                }
                if of_settings || paths.iter().any(|path| self.watcher.concerns(&workspace.path, path)) {
                    workspace.toolchain.files_changed(workspace.trust.allows_background_work()).await;
                }
            }
        }
    }

    fn reread(&self, workspace: &Workspace) {
        self.watcher.watch(&workspace.path);
        workspace::reread_settings(&workspace.path, &workspace.publisher, &workspace.settings);
    }

    /// Watches what the tools of the workspace at `root` depend on, as they tell it, until the daemon ends.
    async fn follow_tools(self: Arc<Self>, root: Utf8PathBuf, mut paths: watch::Receiver<BTreeSet<Utf8PathBuf>>) {
        loop {
            tokio::select! {
                () = self.cancel.cancelled() => return,
                Ok(()) = paths.changed() => {}
                else => return,
            }
            let (core, root, paths) = (Arc::clone(&self), root.clone(), paths.borrow_and_update().clone());
            let followed = tokio::task::spawn_blocking(move || core.watcher.follow(&root, paths)).await;
            followed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        }
    }

    fn rendezvous(&self) -> Rendezvous {
        Rendezvous {
            schema: SCHEMA,
            pid: std::process::id(),
            started_at: jiff::Timestamp::now().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: BUILD.to_owned(),
            protocol: PROTOCOL_VERSION,
            socket: self.config.socket.to_string(),
        }
    }
}

/// Keeps the path of a workspace for a daemon that starts later.
fn remember(layout: &WorkspaceLayout, path: &Utf8Path) -> Result<(), DurableError> {
    if layout.workspace_file().exists() {
        return Ok(());
    }
    durable::create_dir(layout.dir())?;
    durable::replace_json(&layout.workspace_file(), &WorkspaceFile { schema: SCHEMA, path: path.to_owned() })
}
