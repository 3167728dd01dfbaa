//! Lifecycle hooks: which are due, which run, how each ended.
//!
//! State: per workspace, the ledger, what waits and what runs; owned by [`HooksActor`] alone.
//! Invariants: a run is on record and in the ledger as running before its shim starts; no standard hook starts by itself, only
//! `onStartup` does;
//! a hook in flight belongs to its shim: the end of this engine ends no hook, and the next one takes it over.
//! Not here: processes (`process`), the wire (`rpc`), reading devcontainer.json (`workspace/files`).

mod command; // pure: settings -> what is configured
mod evidence; // who runs the standard hooks
mod fate; // how a command ended
mod ledger; // what is done
mod plan; // pure: configured + ledger -> what is due

mod machine; // pure: what waits, what runs, what each input changes
mod record; // a run as it is written down
mod status; // pure: how it is shown

mod environment; // pure: the layers of a command's environment
mod journal; // ledger and records, written in the right order
mod launch; // pure: command + environment -> what the shim is told
mod runs; // the folders of runs
mod startup; // pure: when onStartup starts by itself
mod survivors; // what goes on of a command whose shim died

mod actor; // the loop
mod engine; // one turn of it
mod error;
mod follower; // one command, from start to end
mod log; // reading output
mod messages; // what can be asked
mod probe; // what the user's shell sets
mod ready; // whether a background service is ready
mod terminal; // typing into a command

use std::sync::Arc;
use std::time::Duration;

use burrow_protocol::hooks::{HookName, HookOrigin, HookStatus, HooksReport, RunSummary, StartedHooks};
use burrow_protocol::model::ContainerStatus;
use camino::Utf8PathBuf;
use tokio::sync::{mpsc, oneshot, watch};

use crate::durable::WorkspaceLayout;
use crate::model::WorkspacePublisher;
use crate::process::Caller;
use crate::workspace::files::devcontainer::Settings;
use crate::workspace::trust::Trust;
pub use actor::HooksActor;
pub use error::HookError;
pub use log::LogPlace;
use machine::Selection;
use messages::{HookRequest, Reply, Started, Whereabouts};
pub use ready::{Ports, Server};
use record::RunId;
use runs::Runs;
use survivors::Survivors;

/// How many requests may wait; whoever asks when it is full waits with them.
const MAILBOX: usize = 64;

/// What the engine of one workspace is built from.
#[derive(Debug)]
pub struct HooksContext {
    /// The workspace folder: hooks run in it.
    pub workspace: Utf8PathBuf,
    /// Where its state lies.
    pub layout: WorkspaceLayout,
    /// What hooks are counted for: the container, and this start of it.
    pub container: ContainerStatus,
    /// The home directory of this daemon's user.
    pub home: Option<String>,
    /// What is configured, as it changes.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// For the ready checks of services.
    pub ports: Ports,
    /// Who has the workspace open.
    pub trust: Trust,
    /// Where the hooks are shown.
    pub publisher: WorkspacePublisher,
}

/// The hook engine of one workspace. Clones are one and the same.
///
/// What starts hooks answers with the ids of runs that are queued or running, once the first of them is on record; none
/// means that nothing is due. Work belongs to the daemon: dropping a future ends a wait and nothing else.
#[derive(Clone, Debug)]
pub struct Hooks {
    workspace: Utf8PathBuf,
    mailbox: mpsc::Sender<HookRequest>,
    /// Changes with each turn of the engine.
    turns: watch::Receiver<()>,
    runs: Runs,
}

impl Hooks {
    /// The engine of a workspace: its handle, and the actor to spawn.
    #[must_use]
    pub fn build(context: HooksContext) -> (Self, HooksActor) {
        let (sender, mailbox) = mpsc::channel(MAILBOX);
        let (turned, turns) = watch::channel(());
        let runs = Runs::new(context.layout.runs());
        let handle = Self { workspace: context.workspace.clone(), mailbox: sender, turns, runs };
        (handle, HooksActor::new(context, mailbox, turned))
    }

    /// Looks whether a Dev Containers tool is at work where `caller` comes from, so that its hooks are shown as such.
    /// Answers before that was looked for; nothing happens where the engine has ended.
    pub async fn notice(&self, caller: Caller) {
        let _ = self.mailbox.send(HookRequest::Notice { caller }).await;
    }

    /// Queues what is due of onCreate, updateContent, postCreate and postStart. Runs under way are part of the answer.
    ///
    /// # Errors
    /// [`HookError::NotRecorded`], [`HookError::Untrusted`], [`HookError::Unreadable`].
    pub async fn up(&self, caller: Caller) -> Result<StartedHooks, HookError> {
        self.check_trust(&caller)?;
        self.start(|reply| HookRequest::Up { caller, reply }).await
    }

    /// Queues one hook, or one command of it, where it is due; with `again` whatever the ledger says.
    ///
    /// # Errors
    /// As [`Self::up`]; [`HookError::Unknown`] for a command that is not configured, [`HookError::Running`].
    pub async fn run(
        &self,
        hook: HookName,
        command: Option<String>,
        again: bool,
        origin: Option<HookOrigin>,
        caller: Caller,
    ) -> Result<StartedHooks, HookError> {
        self.check_trust(&caller)?;
        let what = Selection { hook, command };
        self.start(|reply| HookRequest::Run { what, again, origin, caller, reply }).await
    }

    /// Starts `argv` at once and records it as a run of a hook. It runs in `cwd`, else in the workspace folder, in
    /// exactly the caller's environment.
    ///
    /// # Errors
    /// As [`Self::up`]; [`HookError::Running`] where the same is recorded already.
    pub async fn exec(
        &self,
        hook: HookName,
        command: Option<String>,
        argv: Vec<String>,
        cwd: Option<Utf8PathBuf>,
        caller: Caller,
    ) -> Result<StartedHooks, HookError> {
        self.check_trust(&caller)?;
        let what = Selection { hook, command };
        self.start(|reply| HookRequest::Exec { what, argv, cwd, caller, reply }).await
    }

    /// Ends a recorded command line whose caller is gone, where that one was a command of a hook: what a hook starts does
    /// not outlive it unseen. Any other goes on, and can be looked at later.
    pub async fn caller_gone(&self, run: &str) {
        let Ok(run) = run.parse() else { return };
        // Where the engine has ended the run belongs to its shim.
        let _ = self.mailbox.send(HookRequest::CallerGone { run }).await;
    }

    /// Queues what did not succeed: of one hook or command, or of all.
    ///
    /// # Errors
    /// As [`Self::run`]; [`HookError::NotOurs`] for what `burrow hook exec` ran.
    pub async fn retry(
        &self,
        hook: Option<HookName>,
        command: Option<String>,
        caller: Caller,
    ) -> Result<StartedHooks, HookError> {
        self.check_trust(&caller)?;
        let what = hook.map(|hook| Selection { hook, command });
        self.start(|reply| HookRequest::Retry { what, caller, reply }).await
    }

    /// Counts what did not succeed of a hook as done, without running it. On disk when this answers.
    ///
    /// # Errors
    /// [`HookError::Unknown`], [`HookError::Running`], [`HookError::NotWritten`].
    pub async fn skip(
        &self,
        hook: HookName,
        command: Option<String>,
        why: Option<String>,
    ) -> Result<Vec<HookStatus>, HookError> {
        let what = Selection { hook, command };
        self.ask(|reply| HookRequest::Skip { what, why, reply }).await
    }

    /// Asks for the end of a run, or of one command of it: TERM, then KILL after a grace; a second call kills. Answers when
    /// that was asked for. What goes on of a command whose shim died is ended as well.
    ///
    /// # Errors
    /// [`HookError::RunUnknown`] where it neither waits nor runs.
    pub async fn cancel(&self, run: &str, command: Option<String>) -> Result<(), HookError> {
        let run: RunId = run.parse().map_err(|_| HookError::RunUnknown { run: run.to_owned() })?;
        let its_command = command.clone();
        let unknown = match self.ask(|reply| HookRequest::Cancel { run, command, reply }).await {
            Err(error @ HookError::RunUnknown { .. }) => error,
            answer => return answer,
        };
        let survivors = Survivors::of_run(self.runs.clone(), run, its_command).await.ok_or(unknown)?;
        tokio::spawn(async move {
            if let Err(error) = survivors.end().await {
                tracing::warn!(%run, %error, "could not end a lost command");
            }
        });
        Ok(())
    }

    /// Ends every background service, and answers when all have ended; none is started anew after that.
    ///
    /// # Errors
    /// [`HookError::Stopping`], [`HookError::Unreadable`].
    pub async fn stop_services(&self) -> Result<(), HookError> {
        self.ask(|reply| HookRequest::StopServices { reply }).await
    }

    /// Ends every run but for its services that are ready, and what goes on of commands whose shims died; answers when all
    /// have ended.
    ///
    /// # Errors
    /// [`HookError::Stopping`], [`HookError::Unreadable`].
    pub async fn cancel_all(&self) -> Result<(), HookError> {
        self.ask(|reply| HookRequest::CancelAll { reply }).await?;
        if let Some(survivors) = Survivors::of_all(self.runs.clone()).await
            && let Err(error) = survivors.end().await
        {
            tracing::warn!(workspace = %self.workspace, %error, "could not end a lost command");
        }
        Ok(())
    }

    /// Answers when `hook` neither runs nor waits to be run (for no hook: when nothing runs and nothing is queued), or
    /// when `timeout` has passed. What a Dev Containers tool runs is waited for as far as its markers tell of the end.
    ///
    /// # Errors
    /// [`HookError::WaitsForItself`] where the caller is a command of a hook that has to end before;
    /// [`HookError::Stopping`], [`HookError::Unreadable`].
    pub async fn settled(
        &self,
        hook: Option<HookName>,
        timeout: Option<Duration>,
        caller: Caller,
    ) -> Result<HooksReport, HookError> {
        // Whoever only looks does not wait for himself.
        let caller = if timeout == Some(Duration::ZERO) { Caller::default() } else { caller };
        let settled = self.ask(|reply| HookRequest::Settled { hook, caller, reply });
        let Some(timeout) = timeout else {
            return Ok(HooksReport { hooks: settled.await?, timed_out: false });
        };
        match tokio::time::timeout(timeout, settled).await {
            Ok(hooks) => Ok(HooksReport { hooks: hooks?, timed_out: false }),
            Err(_) => {
                Ok(HooksReport { hooks: self.ask(|reply| HookRequest::Status { reply }).await?, timed_out: true })
            }
        }
    }

    /// The runs on record, newest first, with those that wait.
    ///
    /// # Errors
    /// [`HookError::Runs`], [`HookError::Stopping`].
    pub async fn runs(&self, hook: Option<HookName>) -> Result<Vec<RunSummary>, HookError> {
        self.ask(|reply| HookRequest::Runs { hook, reply }).await
    }

    async fn locate(&self, run: RunId, command: &str) -> Result<Whereabouts, HookError> {
        let command = command.to_owned();
        self.ask(|reply| HookRequest::Locate { run, command, reply }).await
    }

    async fn start(&self, request: impl FnOnce(Reply<Started>) -> HookRequest) -> Result<StartedHooks, HookError> {
        let Started { runs, notes } = self.ask(request).await?;
        Ok(StartedHooks { runs: runs.iter().map(ToString::to_string).collect(), notes })
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> HookRequest) -> Result<T, HookError> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.send(request(reply)).await.map_err(|_| HookError::Stopping)?;
        answer.await.map_err(|_| HookError::Stopping)?
    }

    fn check_trust(&self, caller: &Caller) -> Result<(), HookError> {
        if caller.trusted { Ok(()) } else { Err(HookError::Untrusted { workspace: self.workspace.clone() }) }
    }
}
