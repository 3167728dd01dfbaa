//! One turn of the engine: a synchronous step over an input, then its effects.
//!
//! State: the machine, the files, what is needed to reach the commands in flight, and who waits for rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use burrow_protocol::error::ErrorCode;
use burrow_protocol::hooks::{HookName, HookState, HookStatus, RunSummary};
use burrow_protocol::model::{ContainerKind, Reason};
use jiff::{Timestamp, Unit};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::HooksContext;
use super::actor::reason;
use super::command::Command;
use super::error::HookError;
use super::evidence::{self, Runner};
use super::fate::Fate;
use super::follower::{self, Progress};
use super::journal::{Journal, Opened};
use super::launch::{self, Place};
use super::ledger::Line;
use super::machine::{Begin, Cancel, Cause, CommandEnd, Job, Machine, Selection, Settle, masked};
use super::messages::{HookRequest, Reply, Report, Whereabouts};
use super::probe::Probe;
use super::record::{RunId, RunRecord};
use super::status;
use crate::model::ProgressStep;
use crate::process::user::User;
use crate::process::{Caller, RUN_VARIABLE};

/// How many reports of commands may wait.
const REPORTS: usize = 64;

/// Everything that can wake the loop.
pub(super) enum Input {
    Request(HookRequest),
    Report(Report),
    SettingsChanged,
}

/// What a step asks for, beside what may start now.
enum Effect {
    /// Write down the end of a command.
    Settle(Settle),
    /// Write these lines down, then count them, then answer.
    Skip { what: Selection, lines: Vec<Line>, reply: Reply<Vec<HookStatus>> },
    /// Read the runs on record.
    ReadRuns { hook: Option<HookName>, reply: Reply<Vec<RunSummary>> },
}

/// Who waits until a hook, or everything, is at rest.
struct Waiter {
    hook: Option<HookName>,
    reply: Reply<Vec<HookStatus>>,
}

/// The engine of one workspace.
pub(super) struct Engine {
    context: HooksContext,
    machine: Machine,
    journal: Arc<Journal>,
    /// Runs of an earlier daemon that nobody follows yet.
    left_behind: Vec<RunRecord>,
    commands: JoinSet<()>,
    reports: mpsc::Sender<Report>,
    /// One for each run in flight: how often its end was asked for.
    cancels: BTreeMap<RunId, watch::Sender<u32>>,
    /// One for each command that writes.
    outputs: BTreeMap<(RunId, String), watch::Receiver<u64>>,
    waiters: Vec<Waiter>,
    /// What was queued in this turn, to be answered at its end.
    started: Option<(Vec<RunId>, Reply<Vec<RunId>>)>,
    /// Why a run of this turn did not start.
    refused: Option<HookError>,
    probe: Probe,
    /// As whom this daemon runs, where the account has a name.
    user: Option<String>,
    /// What cannot be written down, until something can.
    trouble: Option<Reason>,
    turned: watch::Sender<()>,
}

impl Engine {
    pub(super) fn new(
        context: HooksContext,
        opened: Opened,
        turned: watch::Sender<()>,
    ) -> (Self, mpsc::Receiver<Report>) {
        let (reports, receiver) = mpsc::channel(REPORTS);
        let mut machine = Machine::new(context.container.clone(), opened.entries, opened.next_number);
        machine.configure(context.settings.borrow().stages.clone());
        let engine = Self {
            context,
            machine,
            journal: Arc::new(opened.journal),
            left_behind: opened.in_flight,
            commands: JoinSet::new(),
            reports,
            cancels: BTreeMap::new(),
            outputs: BTreeMap::new(),
            waiters: Vec::new(),
            started: None,
            refused: None,
            probe: Probe::default(),
            user: User::by_uid(rustix::process::getuid().as_raw()).map(|user| user.name),
            trouble: None,
            turned,
        };
        (engine, receiver)
    }

    /// Finds out what became of the runs that an earlier daemon left, before any request is served: what goes on is
    /// followed, what ended is written down, what never started is due again, what is lost is never run by itself.
    pub(super) async fn take_over(&mut self) {
        let mut found = JoinSet::new();
        for record in std::mem::take(&mut self.left_behind) {
            for command in record.commands.iter().filter(|command| command.fate == Fate::Running) {
                let (run, name) = (record.run, command.name.clone());
                let folder = self.journal.runs().command(run, &name);
                found.spawn(async move { (run, name, follower::find(folder).await) });
            }
            tracing::info!(run = %record.run, "takes over a run");
            self.cancels.insert(record.run, watch::channel(0).0);
            self.machine.adopt(record);
        }
        while let Some(result) = found.join_next().await {
            let Ok((run, name, progress)) = result else { continue };
            match progress {
                Progress::Ended(end) => {
                    if let Some(settle) = self.ended(run, &name, end) {
                        self.perform(Effect::Settle(settle)).await;
                    }
                }
                Progress::Alive(shim) => self.follow(run, name, async { Progress::Alive(shim) }),
            }
        }
    }

    /// Takes one input and carries out what follows from it.
    pub(super) async fn turn(&mut self, input: Input) {
        if let Input::Request(
            HookRequest::Notice { caller } | HookRequest::Up { caller, .. } | HookRequest::Run { caller, .. },
        ) = &input
        {
            self.look_for_a_tool(caller).await;
        }
        if let Some(effect) = self.step(input) {
            self.perform(effect).await;
        }
    }

    /// Starts what may start, shows how everything stands, and answers.
    pub(super) async fn finish_turn(&mut self) {
        while let Some(begin) = self.machine.next(&now()) {
            self.begin(begin).await;
        }
        let mut part = status::part(&self.machine, self.trouble.as_ref());
        if !part.hooks.is_empty() {
            part.reasons.extend(self.other_user().into_iter().chain(self.probe.trouble()));
        }
        self.context.publisher.hooks(&part);
        // In each answer below: whoever asked may be gone, and then nobody needs it.
        if let Some((runs, reply)) = self.started.take() {
            let _ = reply.send(self.refused.take().map_or(Ok(runs), Err));
        }
        self.refused = None;
        let at_rest = |waiter: &mut Waiter| match waiter.hook {
            Some(hook) => self.machine.is_settled(hook),
            None => self.machine.is_idle(),
        };
        for waiter in self.waiters.extract_if(.., at_rest) {
            let _ = waiter.reply.send(Ok(part.hooks.clone()));
        }
        self.waiters.retain(|waiter| !waiter.reply.is_closed());
        while self.commands.try_join_next().is_some() {}
        self.turned.send_replace(());
    }

    fn step(&mut self, input: Input) -> Option<Effect> {
        match input {
            Input::Request(request) => self.request(request),
            Input::SettingsChanged => {
                let stages = self.context.settings.borrow().stages.clone();
                self.machine.configure(stages);
                None
            }
            Input::Report(Report::Started { run, command, output }) => {
                self.outputs.insert((run, command), output);
                None
            }
            Input::Report(Report::Ended { run, command, end }) => self.ended(run, &command, end).map(Effect::Settle),
        }
    }

    fn request(&mut self, request: HookRequest) -> Option<Effect> {
        match request {
            // It was looked for before the step.
            HookRequest::Notice { .. } => {}
            // Inside a hook, what is due runs after it: waiting for it here would be waiting for oneself.
            HookRequest::Up { caller, reply } if self.calling_run(&caller).is_some() => {
                self.answer_started(Ok(Vec::new()), reply);
            }
            HookRequest::Run { caller, reply, .. } if self.calling_run(&caller).is_some() => {
                self.answer_started(Ok(Vec::new()), reply);
            }
            HookRequest::Up { caller, reply } => {
                let runs = self.machine.up(&caller);
                self.answer_started(Ok(runs), reply);
            }
            HookRequest::Run { what, again, origin, caller, reply } => {
                let run = if again { Machine::run_again } else { Machine::run };
                let runs = run(&mut self.machine, &what, origin, &caller);
                self.answer_started(runs, reply);
            }
            HookRequest::Exec { what, argv, cwd, caller, reply } => {
                let cwd = cwd.unwrap_or_else(|| self.context.workspace.clone());
                let within = self.calling_run(&caller);
                let secrets = launch::secrets(&self.context.settings.borrow(), &caller.env);
                let command = Command::new(what.command.unwrap_or_default(), masked(&argv, &secrets));
                let run = self.machine.exec(what.hook, command, Cause::Exec { argv, cwd, within }, &caller);
                self.answer_started(run.map(|run| vec![run]), reply);
            }
            HookRequest::Retry { what, caller, reply } => {
                let runs = self.machine.retry(what.as_ref(), &caller);
                self.answer_started(runs, reply);
            }
            HookRequest::Skip { what, why, reply } => match self.machine.skip(&what, why.as_deref()) {
                Ok(lines) => return Some(Effect::Skip { what, lines, reply }),
                Err(error) => drop(reply.send(Err(error))),
            },
            HookRequest::Cancel { run, reply } => {
                let cancel = self.machine.cancel(run);
                if let Ok(Cancel::Tell) = cancel {
                    self.tell_cancel(run);
                }
                drop(reply.send(cancel.map(|_| ())));
            }
            HookRequest::CancelAll { reply } => {
                self.machine.clear_queue();
                let runs: Vec<_> = self.cancels.keys().copied().collect();
                runs.into_iter().for_each(|run| self.tell_cancel(run));
                self.waiters.push(Waiter { hook: None, reply });
            }
            HookRequest::Settled { hook, reply } => self.waiters.push(Waiter { hook, reply }),
            HookRequest::Status { reply } => drop(reply.send(Ok(status::part(&self.machine, None).hooks))),
            HookRequest::Runs { hook, reply } => return Some(Effect::ReadRuns { hook, reply }),
            HookRequest::Locate { run, command, reply } => drop(reply.send(Ok(self.whereabouts(run, command)))),
        }
        None
    }

    async fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Settle(settle) => self.settle(settle).await,
            Effect::Skip { what, lines, reply } => {
                let (written, lines) = self.blocking(move |journal| (journal.record(&lines), lines)).await;
                let answer = written.map_err(|source| HookError::NotWritten { name: what.to_string(), source });
                if answer.is_ok() {
                    self.machine.apply(lines);
                }
                let _ = reply.send(answer.map(|()| status::part(&self.machine, None).hooks));
            }
            Effect::ReadRuns { hook, reply } => self.read_runs(hook, reply),
        }
    }

    /// Writes a run down, then starts its commands.
    async fn begin(&mut self, Begin { job, record, lines }: Begin) {
        let run = job.run;
        if let Err(source) = self.blocking(move |journal| journal.begin(&record, &lines)).await {
            self.machine.not_recorded(run);
            let error = HookError::NotRecorded { run: run.to_string(), source };
            self.trouble = Some(reason(&error));
            self.refused = Some(error);
            return;
        }
        self.trouble = None;
        self.cancels.insert(run, watch::channel(0).0);
        tracing::info!(%run, commands = job.commands.len(), "starts a run");
        let title = format!("Running {}", run.hook);
        self.context.publisher.progress(&run.to_string(), ProgressStep::Begin { title });
        for command in &job.commands {
            self.launch(&job, command);
        }
    }

    fn launch(&mut self, job: &Job, command: &Command) {
        let (run, name) = (job.run, command.name.clone());
        let folder = self.journal.runs().command(run, &name);
        let settings = self.context.settings.borrow().clone();
        let (root, container_id) = (self.context.workspace.clone(), self.context.container.id.clone());
        let (probe, publisher) = (self.probe.clone(), self.context.publisher.clone());
        let (job, command) = (job.clone(), command.clone());
        self.follow(run, name, async move {
            let slow = |message: &str| {
                let step = ProgressStep::Report { message: message.to_owned(), percentage: None };
                publisher.progress(&run.to_string(), step);
            };
            let probed = match job.cause {
                Cause::Exec { .. } => Arc::default(),
                Cause::Due | Cause::Retry | Cause::Again => {
                    probe.environment(settings.devcontainer.user_env_probe, &job.caller.env, slow).await
                }
            };
            let workspace = launch::workspace_folder(&root, &container_id, &settings, &job.caller.env);
            let place =
                Place { workspace: &workspace, container_id: &container_id, settings: &settings, probed: &probed };
            match launch::spec(&place, &job, &command, folder) {
                Ok(spec) => follower::start(spec).await,
                Err(error) => Progress::Ended(CommandEnd::bare(Fate::not_started(error.to_string()))),
            }
        });
    }

    /// Lets a task follow one command to its end; it reports back.
    fn follow(&mut self, run: RunId, command: String, progress: impl Future<Output = Progress> + Send + 'static) {
        let Some(cancels) = self.cancels.get(&run).map(watch::Sender::subscribe) else { return };
        let reports = self.reports.clone();
        self.commands.spawn(async move {
            let end = match progress.await {
                Progress::Ended(end) => end,
                Progress::Alive(shim) => {
                    let started = Report::Started { run, command: command.clone(), output: shim.output() };
                    // A receiver that is gone means that the engine ends: nobody needs the report.
                    let _ = reports.send(started).await;
                    follower::follow(shim, cancels).await
                }
            };
            let _ = reports.send(Report::Ended { run, command, end }).await;
        });
    }

    fn ended(&mut self, run: RunId, command: &str, end: CommandEnd) -> Option<Settle> {
        tracing::info!(%run, command, fate = ?end.fate.state(), "a command ended");
        self.outputs.remove(&(run, command.to_owned()));
        let settle = self.machine.ended(run, command, end);
        if !self.machine.is_active(run) && self.cancels.remove(&run).is_some() {
            let message = format!("{} ended", run.hook);
            self.context.publisher.progress(&run.to_string(), ProgressStep::End { message });
        }
        settle
    }

    async fn settle(&mut self, settle: Settle) {
        let in_flight: BTreeSet<_> = self.machine.active().map(|record| record.run).collect();
        if let Err(source) = self.blocking(move |journal| journal.settle(&settle, &in_flight)).await {
            let error = HookError::NotWritten { name: "the end of a run".to_owned(), source };
            tracing::error!(error = crate::coded::with_causes(&error), "the next daemon will find it out anew");
            self.trouble = Some(reason(&error));
        }
    }

    /// Reads beside the loop: no hook waits for it.
    fn read_runs(&mut self, hook: Option<HookName>, reply: Reply<Vec<RunSummary>>) {
        let journal = Arc::clone(&self.journal);
        let wanted = move |run: RunId| hook.is_none_or(|hook| run.hook == hook);
        let in_flight: BTreeMap<_, _> = self.machine.active().map(|record| (record.run, record.clone())).collect();
        let queued = self.machine.queue().filter(|job| wanted(job.run)).map(|job| RunSummary {
            run_id: job.run.to_string(),
            hook: job.run.hook,
            origin: job.origin,
            started_at: None,
            state: HookState::Pending,
            commands: job.commands.iter().map(|command| command.name.clone()).collect(),
        });
        let queued: Vec<_> = queued.collect();
        self.commands.spawn(async move {
            let read = move || {
                let runs: Vec<_> = journal.runs().list()?.into_iter().rev().filter(|run| wanted(*run)).collect();
                let records = runs.into_iter().filter_map(|run| match in_flight.get(&run) {
                    Some(record) => Some(record.clone()),
                    // What is recorded as running and is not in flight never began.
                    None => journal.runs().read(run).ok().flatten().filter(RunRecord::is_over),
                });
                let on_record = records.filter_map(|record| record.summary());
                Ok(queued.into_iter().rev().chain(on_record).collect())
            };
            let _ = reply.send(tokio::task::spawn_blocking(read).await.unwrap_or(Err(HookError::Stopping)));
        });
    }

    /// Looks for a Dev Containers tool: in the caller's environment, and by the markers in its home directory.
    async fn look_for_a_tool(&mut self, caller: &Caller) {
        if self.machine.runner() == Runner::Tool {
            return;
        }
        let home = caller.env.get("HOME").cloned();
        let in_container = self.context.container.kind != ContainerKind::Host;
        let (marker, birth) = self
            .blocking(move |_| {
                let birth = if in_container { evidence::container_birth() } else { None };
                (evidence::newest_marker(home.as_deref()), birth)
            })
            .await;
        let Some(line) = self.machine.saw(evidence::runner(&caller.env, marker, birth)) else { return };
        if let Err(error) = self.blocking(move |journal| journal.record(&[line])).await {
            tracing::warn!(%error, "could not write down that a Dev Containers tool runs the standard hooks");
        }
    }

    /// Told where hooks run as somebody else than the file says: what they write would be the wrong user's.
    fn other_user(&self) -> Option<Reason> {
        let settings = self.context.settings.borrow();
        let wanted = settings.devcontainer.user().filter(|user| !user.is_empty() && !user.contains("${"))?;
        let own = self.user.as_deref()?;
        if self.context.container.kind == ContainerKind::Host || wanted == own {
            return None;
        }
        Some(Reason {
            code: Some(ErrorCode::OtherUser.code().to_owned()),
            message: format!("hooks run as {own}, and devcontainer.json says {wanted}"),
            hint: Some(format!(
                "call Burrow as {wanted} (`docker exec --user {wanted} ...`), or add its Feature, which sees to that"
            )),
        })
    }

    fn whereabouts(&self, run: RunId, command: String) -> Whereabouts {
        if self.machine.queue().any(|job| job.run == run) {
            return Whereabouts::Queued;
        }
        let is_it = |record: &RunRecord| record.run == run;
        let runs = |record: &RunRecord| {
            record.commands.iter().any(|other| other.name == command && other.fate == Fate::Running)
        };
        if self.machine.active().any(|record| is_it(record) && runs(record)) {
            return Whereabouts::Running { output: self.outputs.get(&(run, command)).cloned() };
        }
        Whereabouts::Over
    }

    /// The run in flight whose command is the caller.
    fn calling_run(&self, caller: &Caller) -> Option<RunId> {
        let folder = caller.env.get(RUN_VARIABLE)?;
        self.journal.runs().run_of(folder.as_str().into()).filter(|run| self.machine.is_active(*run))
    }

    fn answer_started(&mut self, runs: Result<Vec<RunId>, HookError>, reply: Reply<Vec<RunId>>) {
        match runs {
            Ok(runs) => self.started = Some((runs, reply)),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn tell_cancel(&self, run: RunId) {
        if let Some(cancels) = self.cancels.get(&run) {
            cancels.send_modify(|count| *count += 1);
        }
    }

    /// Works on the files beside the runtime, and waits for it.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Journal) -> T + Send + 'static) -> T {
        let journal = Arc::clone(&self.journal);
        match tokio::task::spawn_blocking(move || work(&journal)).await {
            Ok(result) => result,
            // The runtime is being torn down, or the work panicked: neither has a result.
            Err(_) => std::future::pending().await,
        }
    }
}

fn now() -> String {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now).to_string()
}
