//! One lease from its port to its last process: starts dlv, runs the relay, waits for an end, clears up.
//!
//! Invariants: [`SessionEvent::Cleared`] comes last and always; by then dlv and every descendant has ended, what dlv left
//! is removed, and the port is held again.
//! Not here: which port (`slots`), what the end means for the lease (`lease`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::Utf8PathBuf;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::back::Back;
use super::binaries::Workplaces;
use super::error::DebugError;
use super::folder::{self, Chosen, LeaseFolder, LeaseId};
use super::holder::Process;
use super::launch::{Launched, Passing};
use super::lease::Input;
use super::messages::{LeaseOrder, Service, SessionEvent};
use super::ports::Listening;
use super::relay::{FAREWELL, Mode, Relay, RelayEnd};
use super::reload::{Rebuilder, Reloads};
use super::upstream::{Adapter, Upstream};
use super::{DlvSource, dlv};
use crate::durable;
use crate::process::{Ended, Exit, Shim, Spare};

/// The shim ends dlv after its grace, and its descendants after theirs.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// What all sessions share.
#[derive(Clone)]
pub(super) struct Surroundings {
    /// Where leases keep their things.
    pub(super) debug_dir: Utf8PathBuf,
    /// Who knows where dlv is.
    pub(super) source: Arc<dyn DlvSource>,
    /// Who builds a program again when its files change.
    pub(super) builder: Arc<dyn Rebuilder>,
    /// Where relays run.
    pub(super) relays: tokio::runtime::Handle,
    /// The folders in which sessions run.
    pub(super) workplaces: Workplaces,
    /// Where sessions tell what happens.
    pub(super) events: mpsc::Sender<(LeaseId, SessionEvent)>,
}

/// One lease's session.
pub(super) struct Session {
    pub(super) id: LeaseId,
    pub(super) order: LeaseOrder,
    pub(super) around: Surroundings,
    /// Cancelled when the lease has ended for a reason of the broker's.
    pub(super) stop: CancellationToken,
}

/// What a session has begun, and so has to end.
#[derive(Default)]
struct Begun {
    /// The folders that it entered.
    workplaces: Vec<Utf8PathBuf>,
    /// What its client chose otherwise.
    chosen: Option<Chosen>,
    /// How dlv is started, where it is ours.
    start: Option<Start>,
    /// The shim of dlv's first start, until it is told.
    spare: Option<Spare>,
    /// dlv, where it is ours.
    shim: Option<Shim>,
    /// How often it was started.
    starts: u32,
    /// The end of a debug adapter that is somebody else's, where its process is known.
    adopted: Option<Exit>,
}

/// What dlv is started with.
struct Start {
    dlv: Utf8PathBuf,
    env: BTreeMap<String, String>,
    cwd: Utf8PathBuf,
}

/// What a session hears of its relay.
struct Ears {
    end: oneshot::Receiver<RelayEnd>,
    clients: watch::Receiver<u32>,
    launches: mpsc::Receiver<(Passing, oneshot::Sender<()>)>,
    agains: mpsc::Receiver<oneshot::Sender<Adapter>>,
}

impl Session {
    /// Serves the lease until it ends, then clears up.
    pub(super) async fn run(self, listening: Listening) {
        let folder = LeaseFolder::new(&self.around.debug_dir, self.id);
        let (ready_sender, ready) = watch::channel(None);
        let (clients_sender, clients) = watch::channel(0);
        let (launches_sender, launches) = mpsc::channel(1);
        let (agains_sender, agains) = mpsc::channel(1);
        let (end_sender, end) = oneshot::channel();
        let mode = match &self.order.service {
            Service::Dap { follow } => {
                let (cwd, follow) = (self.order.cwd.clone(), *follow);
                let reloads = Some(Reloads {
                    builder: Arc::clone(&self.around.builder),
                    workspace: self.order.workspace.clone(),
                    env: self.order.env.clone(),
                    by_default: self.order.reload.by_default,
                    when_stopped: self.order.reload.when_stopped,
                    folder: folder.programs(),
                    again: agains_sender,
                });
                Mode::One { launches: launches_sender, cwd, follow, reloads }
            }
            Service::Headless(_) | Service::Adopt(_) => Mode::Many,
        };
        let relay = Relay {
            listening,
            admission: self.order.rules.admission.clone(),
            mode,
            ready,
            clients: clients_sender,
            unclaimed: self.order.rules.unclaimed,
        };
        let relay = self.around.relays.spawn(async move {
            // Nobody listens where the session ends for another reason.
            let _ = end_sender.send(relay.serve().await);
        });

        let mut begun = Begun::default();
        match self.begin(&folder, &mut begun).await {
            Ok((pid, adapter)) => {
                self.tell(SessionEvent::Ready { pid }).await;
                // The relay is gone where the port could not be served: then `serve` sees its end.
                let _ = ready_sender.send(Some(adapter));
                self.serve(&folder, &mut begun, Ears { end, clients, launches, agains }).await;
            }
            // Why it was told to end, the broker knows.
            Err(error) if self.stop.is_cancelled() => {
                tracing::debug!(lease = %self.id, %error, "ended before its start");
            }
            Err(error) => self.tell(SessionEvent::Failed(error)).await,
        }
        relay.abort();
        // An error says that it was aborted: either way its port is held again.
        let _ = relay.await;
        self.clear(folder, begun).await;
        self.tell(SessionEvent::Cleared).await;
    }

    /// Starts dlv, or finds the one that is to be adopted; its pid, once it is there. What was begun when this fails stands
    /// in `begun`.
    async fn begin(&self, folder: &LeaseFolder, begun: &mut Begun) -> Result<(Option<u32>, Adapter), DebugError> {
        let order = &self.order;
        let (made, recorded, cwd) = (folder.clone(), folder.clone(), order.cwd.clone());
        spawn_blocking(move || made.make()).await.map_err(|_| DebugError::Stopping)??;
        let record =
            async { spawn_blocking(move || recorded.create_record(&cwd)).await.map_err(|_| DebugError::Stopping)? };
        if let Service::Adopt(to) = &order.service {
            let process = find_listener(to).await?;
            record.await?;
            let pid = process.map(|process| process.pid);
            // One that cannot be waited for is noticed when it is next dialled.
            begun.adopted = pid.and_then(|pid| Exit::of(pid).ok());
            return Ok((pid, Adapter::at(to.clone())));
        }
        // The shim comes up while the record is written: it starts nothing before it is told what.
        begun.spare = Spare::new(&folder.command(1), &folder.run()).ok();
        let (tools, record) = tokio::join!(self.around.source.locate(&order.workspace, &order.env), record);
        let (dlv, go_bin) = match (tools, &order.dlv) {
            (Ok(tools), dlv) => (dlv.clone().unwrap_or(tools.dlv), tools.go_bin),
            // Whoever brings a dlv needs none of the workspace's.
            (Err(_), Some(dlv)) => (dlv.clone(), None),
            (Err(why), None) => return Err(DebugError::NoDlv { workspace: order.workspace.clone(), why }),
        };
        let record = record?;
        self.around.workplaces.enter(&record.cwd, &record.before);
        begun.workplaces.push(record.cwd.clone());
        let env = dlv::environment(order.env.clone(), go_bin.as_deref(), &order.cwd);
        begun.start = Some(Start { dlv, env, cwd: record.cwd });
        let (pid, adapter) = self.start(folder, begun).await?;
        Ok((Some(pid), adapter))
    }

    /// Starts dlv on the lease's socket, or as it can where it is too old for that. Its pid, once it is there.
    async fn start(&self, folder: &LeaseFolder, begun: &mut Begun) -> Result<(u32, Adapter), DebugError> {
        let Begun { start: Some(Start { dlv, env, cwd }), spare, shim, starts, .. } = begun else {
            return Err(DebugError::Stopping);
        };
        let Session { order: LeaseOrder { service, flags, .. }, stop, .. } = self;
        let socket = folder.socket();
        if let Some(argv) = dlv::command_line(service, dlv, flags, &socket) {
            *starts += 1;
            let new = shim.insert(dlv::start(folder, *starts, argv, env.clone(), cwd, spare.take()).await?);
            self.tell(SessionEvent::Started(new.printing())).await;
            match dlv::wait_until_it_listens(new, service, dlv, stop).await {
                Ok((_, printed)) => {
                    let printing = Some((new.printing(), printed));
                    return Ok((new.pid(), Adapter { printing, ..Adapter::at(Upstream::Unix(socket)) }));
                }
                Err(DebugError::DlvEnded { said, .. } | DebugError::Build { said, .. })
                    if dlv::knows_no_sockets(&said) =>
                {
                    tracing::info!(lease = %self.id, %dlv, "dlv is too old for a socket");
                }
                Err(error) => return Err(error),
            }
        }
        let back = Back::listen().map_err(|source| DebugError::Back { source })?;
        let argv = dlv::older_command_line(service, dlv, flags, back.address());
        let argv = argv.ok_or_else(|| DebugError::TooOld { dlv: dlv.clone() })?;
        *starts += 1;
        let new = shim.insert(dlv::start(folder, *starts, argv, env.clone(), cwd, spare.take()).await?);
        self.tell(SessionEvent::Started(new.printing())).await;
        if matches!(service, Service::Dap { .. }) {
            let stream = back.wait_for(new, dlv, stop).await?;
            let printing = Some((new.printing(), 0));
            let upstream = Upstream::Tcp { host: back.address().ip().to_string(), port: back.address().port() };
            let dialled = Some(Arc::new(Mutex::new(Some(stream))));
            return Ok((new.pid(), Adapter { upstream, dialled, printing }));
        }
        let (said, printed) = dlv::wait_until_it_listens(new, service, dlv, stop).await?;
        let Some(port) = dlv::told_port(&said) else { return Err(DebugError::DlvEnded { dlv: dlv.clone(), said }) };
        let upstream = Upstream::Tcp { host: "127.0.0.1".to_owned(), port };
        Ok((new.pid(), Adapter { printing: Some((new.printing(), printed)), ..Adapter::at(upstream) }))
    }

    /// Ends dlv with its program, and starts it anew.
    async fn start_again(&self, folder: &LeaseFolder, begun: &mut Begun) -> Result<Adapter, DebugError> {
        if let Some(shim) = begun.shim.take() {
            self.end(shim).await;
        }
        let socket = folder.socket();
        spawn_blocking(move || durable::remove_file(&socket)).await.map_err(|_| DebugError::Stopping)??;
        let (pid, adapter) = self.start(folder, begun).await?;
        self.tell(SessionEvent::Ready { pid: Some(pid) }).await;
        Ok(adapter)
    }

    /// Ends dlv and all that it started.
    async fn end(&self, mut shim: Shim) {
        if let Err(error) = shim.cancel().await {
            tracing::warn!(lease = %self.id, %error, "dlv's shim could not be told to end");
        }
        match timeout(END_DEADLINE, shim.ended()).await {
            Ok(Ok(Ended::Outcome(outcome))) => tracing::debug!(lease = %self.id, ?outcome, "dlv has ended"),
            other => tracing::warn!(lease = %self.id, ?other, "how dlv ended is not known"),
        }
    }

    /// Waits for the end and tells it, unless the broker knows already. Tells what happens meanwhile.
    async fn serve(&self, folder: &LeaseFolder, begun: &mut Begun, ears: Ears) {
        let Ears { mut end, mut clients, mut launches, mut agains } = ears;
        let adopted = begun.adopted.take();
        let adopted_ended = async {
            match adopted {
                Some(exit) => exit.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(adopted_ended);
        let end = loop {
            let dlv_ended = async {
                match &mut begun.shim {
                    Some(shim) => shim.ended().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Ok(()) = clients.changed() => {
                    let count = *clients.borrow_and_update();
                    self.tell(SessionEvent::Clients(count)).await;
                }
                Some((passing, noted)) = launches.recv() => {
                    match passing {
                        Passing::Asked(launched) => self.note(folder, begun, launched).await,
                        Passing::Ready => self.note_output(folder, begun).await,
                    }
                    // The relay may have gone meanwhile.
                    let _ = noted.send(());
                }
                Some(reply) = agains.recv() => match self.start_again(folder, begun).await {
                    // The relay may have gone meanwhile.
                    Ok(adapter) => drop(reply.send(adapter)),
                    Err(error) => {
                        tracing::warn!(lease = %self.id, %error, "dlv could not be started again");
                        break None;
                    }
                },
                end = &mut end => break end.ok(),
                ended = dlv_ended => {
                    tracing::debug!(lease = %self.id, ?ended, "dlv ended");
                    // dlv ends when its client leaves, too: who was first, the relay knows.
                    let last_words = if *clients.borrow() > 0 { FAREWELL } else { Duration::ZERO };
                    break timeout(last_words, end).await.ok().and_then(Result::ok);
                }
                ended = &mut adopted_ended => {
                    tracing::debug!(lease = %self.id, ?ended, "the adopted debug adapter ended");
                    break None;
                }
                () = self.stop.cancelled() => return,
            }
        };
        self.tell(SessionEvent::Over(over(end))).await;
    }

    /// Notes what a client is about to have dlv do: what it debugs, and where dlv may leave a binary.
    async fn note(&self, folder: &LeaseFolder, begun: &mut Begun, launched: Launched) {
        if let Some(program) = launched.program.clone() {
            self.tell(SessionEvent::Program(program)).await;
        }
        let note_in = folder.clone();
        match spawn_blocking(move || note_in.note(&launched)).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(chosen))) => {
                if let Some((dlv_cwd, before)) = &chosen.dlv_cwd {
                    self.around.workplaces.enter(dlv_cwd, before);
                    begun.workplaces.push(dlv_cwd.clone());
                }
                begun.chosen = Some(chosen);
            }
            Ok(Err(error)) => tracing::warn!(lease = %self.id, %error, "what dlv may leave could not be noted"),
            Err(error) => tracing::error!(lease = %self.id, %error, "noting what dlv may leave failed"),
        }
    }

    /// Notes the binary that dlv has built where its client named the place.
    async fn note_output(&self, folder: &LeaseFolder, begun: &mut Begun) {
        let Some(chosen) = begun.chosen.clone().filter(|chosen| chosen.output.is_some()) else { return };
        let note_in = folder.clone();
        match spawn_blocking(move || note_in.note_output(chosen)).await {
            Ok(Ok(chosen)) => begun.chosen = Some(chosen),
            Ok(Err(error)) => tracing::warn!(lease = %self.id, %error, "what dlv has built could not be noted"),
            Err(error) => tracing::error!(lease = %self.id, %error, "noting what dlv has built failed"),
        }
    }

    async fn clear(&self, folder: LeaseFolder, begun: Begun) {
        let Begun { workplaces: entered, chosen, shim, .. } = begun;
        if let Some(shim) = shim {
            self.end(shim).await;
        }
        let (workplaces, debug_dir) = (self.around.workplaces.clone(), self.around.debug_dir.clone());
        let cleared = spawn_blocking(move || {
            for cwd in entered {
                workplaces.leave(&cwd);
            }
            if let Some(chosen) = chosen {
                chosen.ended_just_now().clear_output();
            }
            folder.close()?;
            folder::prune(&debug_dir)
        });
        match cleared.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(lease = %self.id, %error, "the lease's files could not be cleared"),
            Err(error) => tracing::error!(lease = %self.id, %error, "clearing up failed"),
        }
    }

    async fn tell(&self, event: SessionEvent) {
        // The broker outlives its sessions; where it does not, nobody is left to be told.
        let _ = self.around.events.send((self.id, event)).await;
    }
}

/// The process that listens at `to`, where it may be known.
async fn find_listener(to: &Upstream) -> Result<Option<Process>, DebugError> {
    let look_at = to.clone();
    let found = spawn_blocking(move || look_at.listener()).await.map_err(|_| DebugError::Stopping)?;
    found.map_err(|_| DebugError::NobodyListens { to: to.to_string() })
}

/// What a relay's end means; `None`: it did not end by itself.
fn over(end: Option<RelayEnd>) -> Input {
    match end {
        Some(RelayEnd::Expired) => Input::Expired,
        Some(RelayEnd::ClientLeft) => Input::ClientLeft,
        Some(RelayEnd::Broken(error)) => {
            tracing::error!(%error, "a debug port could not be served");
            Input::DlvEnded
        }
        Some(RelayEnd::DlvLeft) | None => Input::DlvEnded,
    }
}
