//! One turn of the engine: an input, what it changes, and what follows from that.
//!
//! State: the machine, the files, what is needed to reach the commands in flight, and who waits for rest.

mod prepare; // what is found out before a command starts
mod requests; // what is asked for
mod start; // what begins

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use burrow_protocol::error::ErrorCode;
use burrow_protocol::hooks::{HookName, HookStatus};
use burrow_protocol::model::{ContainerKind, Reason};
use jiff::{Timestamp, Unit};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::HooksContext;
use super::error::HookError;
use super::fate::Fate;
use super::follower::{self, Progress};
use super::journal::{Journal, Opened};
use super::machine::{CommandEnd, Ended, Machine, Settle};
use super::messages::{HookRequest, Reply, Report, Started};
use super::plan::Configured;
use super::probe::Probe;
use super::record::{RunId, RunRecord};
use super::status;
use crate::coded::{Coded, with_causes};
use crate::model::ProgressStep;
use crate::process::user::User;
use crate::process::{self, Shim, Spare};

/// How many reports of commands may wait.
const REPORTS: usize = 64;
/// Services that are to end have this long between TERM and KILL: the daemon waits for them.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// While the commands of a run end one after the other, what is shown is made anew no more often than this.
const SHOW_EVERY: Duration = Duration::from_millis(20);
/// How often the markers of a Dev Containers tool are looked at while somebody waits for what it runs.
const TOOL_INTERVAL: Duration = Duration::from_millis(250);

/// Everything that can wake the loop.
pub(super) enum Input {
    Request(HookRequest),
    Report(Report),
    SettingsChanged,
    WindowsChanged,
}

/// What follows from an input, once it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It was a question. Each turn wakes whoever waits for a change, and they ask: that must not be a turn.
    Nothing,
    /// There is output to be followed, and nothing else that is shown, or could start.
    Output,
    /// A command of this run ended.
    Ended(RunId),
    /// Anything.
    Turn,
}

impl Input {
    pub(super) const fn effect(&self) -> Effect {
        match self {
            Self::Request(HookRequest::Status { .. } | HookRequest::Runs { .. } | HookRequest::Locate { .. }) => {
                Effect::Nothing
            }
            Self::Report(Report::Started { .. }) => Effect::Output,
            Self::Report(Report::Ended { run, .. }) => Effect::Ended(*run),
            Self::Request(_) | Self::Report(_) | Self::SettingsChanged | Self::WindowsChanged => Effect::Turn,
        }
    }
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
    /// One for each command in flight: how often its end was asked for.
    cancels: BTreeMap<(RunId, String), watch::Sender<u32>>,
    /// One for each command that writes.
    outputs: BTreeMap<(RunId, String), watch::Receiver<u64>>,
    /// Commands that are being started: nothing of them may be on disk yet.
    beginning: BTreeSet<(RunId, String)>,
    /// Shims that wait for their command's turn.
    spares: BTreeMap<(RunId, String), Spare>,
    /// Home directories in which a Dev Containers tool may leave its markers: all that callers have named.
    homes: BTreeSet<String>,
    /// The hooks that such a tool has not come to the end of; looked at while somebody waits.
    unfinished: BTreeSet<HookName>,
    /// Whether it will be looked at again.
    looks_at_tool: bool,
    /// Runs whose beginning was told, and whose end was not.
    announced: BTreeSet<RunId>,
    waiters: Vec<Waiter>,
    /// Who waits for the end of all services.
    stopping: Vec<Reply<()>>,
    /// When everything was shown last.
    shown: Instant,
    /// Whether something has changed since.
    unshown: bool,
    /// What was queued in this turn, to be answered at its end.
    started: Option<(Started, Reply<Started>)>,
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
        let mut machine = Machine::new(context.container.clone(), opened.entries, opened.next_number, uptime());
        opened.failed.iter().for_each(|record| machine.know_variables(record));
        let mut engine = Self {
            context,
            machine,
            journal: Arc::new(opened.journal),
            left_behind: opened.in_flight,
            commands: JoinSet::new(),
            reports,
            cancels: BTreeMap::new(),
            outputs: BTreeMap::new(),
            beginning: BTreeSet::new(),
            spares: BTreeMap::new(),
            homes: BTreeSet::new(),
            unfinished: BTreeSet::new(),
            looks_at_tool: false,
            announced: BTreeSet::new(),
            waiters: Vec::new(),
            stopping: Vec::new(),
            shown: Instant::now(),
            unshown: false,
            started: None,
            refused: None,
            probe: Probe::default(),
            user: User::by_uid(rustix::process::getuid().as_raw()).map(|user| user.name),
            trouble: None,
            turned,
        };
        engine.configure();
        (engine, receiver)
    }

    fn configure(&mut self) {
        let settings = self.context.settings.borrow().clone();
        self.machine.configure(Configured {
            stages: settings.stages.clone(),
            unknown: settings.hooks_unknown.keys().copied().collect(),
            rerun: settings.burrow.rerun_on_change,
        });
    }

    /// Finds out what became of the runs that an earlier daemon left, before any request is served: what goes on is
    /// followed, what ended is written down, what never started is due again, what is lost is never run by itself.
    pub(super) async fn take_over(&mut self) {
        let mut found = JoinSet::new();
        for record in std::mem::take(&mut self.left_behind) {
            let run = record.run;
            let open = record.commands.iter().filter(|command| command.fate == Fate::Running);
            let open: Vec<_> = open.map(|command| command.name.clone()).collect();
            tracing::info!(%run, "takes over a run");
            self.machine.adopt(record);
            for name in open {
                let folder = self.journal.runs().command(run, &name, self.machine.start_of(run, &name));
                found.spawn(async move { (run, name, follower::find(folder).await) });
            }
        }
        while let Some(result) = found.join_next().await {
            let Ok((run, name, progress)) = result else { continue };
            match progress {
                Progress::Ended(end) => self.ended(run, &name, end).await,
                Progress::Alive(shim) => self.take_over_command(run, name, shim).await,
            }
        }
    }

    /// What it has of its caller's environment is all there is left of that one: with it the command can be started anew.
    async fn take_over_command(&mut self, run: RunId, name: String, shim: Shim) {
        let pid = shim.pid();
        let env = self.blocking(move |_| process::environment_of(pid)).await;
        if let Some(env) = env.clone() {
            self.machine.recovered(run, &name, env);
        }
        let folder = shim.folder().dir().to_owned();
        let unready = self.machine.awaits_readiness(run, &name);
        let preparation = unready.map(|(job, command)| self.preparation(job, command, folder, true));
        self.follow(run, name, |_| async {
            // What cannot be prepared was told when it was started.
            let readiness = match preparation {
                Some(preparation) => preparation.carry_out().await.ok().and_then(|(_, readiness)| readiness),
                None => None,
            };
            (Progress::Alive(shim), readiness)
        });
    }

    /// Takes one input and carries out what follows from it.
    pub(super) async fn turn(&mut self, input: Input) {
        match input {
            Input::Request(request) => self.request(request).await,
            Input::SettingsChanged => self.configure(),
            // Each turn looks at them.
            Input::WindowsChanged => {}
            Input::Report(report) => self.report(report).await,
        }
    }

    /// Takes note of the windows that have the workspace open: the first one wants `onStartup`.
    async fn look_at_windows(&mut self) {
        let open = self.context.trust.trusted_window().is_some();
        if self.machine.knows_window(open) {
            return;
        }
        // Settings that were read for that window count for it.
        self.configure();
        let Some(line) = self.machine.saw_window(open, uptime()) else { return };
        if let Err(error) = self.blocking(move |journal| journal.record(&[line])).await {
            tracing::warn!(%error, "could not write down that a window came or went");
        }
    }

    /// Queues `onStartup` where a window wants it, and where work that nobody asked for is allowed.
    async fn start_up(&mut self) {
        self.look_at_windows().await;
        let window = self.context.trust.trusted_window().filter(|_| self.context.trust.allows_background_work());
        if let Some(window) = window {
            self.machine.start_up(&window);
        }
    }

    /// Starts what may start, shows how everything stands, and answers.
    pub(super) async fn finish_turn(&mut self) {
        self.go_on().await;
        self.show();
    }

    /// Starts what may start. Where more is to come of `run` it is enough to show it soon: of a hundred short commands
    /// nobody sees each end, and to show them all a hundred times takes longer than they do.
    pub(super) async fn finish_end(&mut self, run: RunId) {
        self.go_on().await;
        if self.machine.is_busy(run) && self.shown.elapsed() < SHOW_EVERY {
            self.unshown = true;
            self.wake_followers();
        } else {
            self.show();
        }
    }

    /// Resolves when it is time to show what was not shown at once.
    pub(super) async fn show_is_due(&self) {
        if self.unshown {
            tokio::time::sleep_until(self.shown + SHOW_EVERY).await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    /// Starts what may start.
    async fn go_on(&mut self) {
        self.start_up().await;
        loop {
            let now = now();
            let launched = self.launch_all(&now).await;
            let begin = self.machine.next(&now);
            if !launched && begin.is_none() {
                break;
            }
            if let Some(begin) = begin {
                self.begin(begin).await;
            }
        }
        self.prepare_next();
        while self.commands.try_join_next().is_some() {}
    }

    /// Shows how everything stands, and answers.
    pub(super) fn show(&mut self) {
        (self.shown, self.unshown) = (Instant::now(), false);
        let mut part = status::part(&self.machine, self.trouble.as_ref());
        if !part.hooks.is_empty() {
            part.reasons.extend(self.other_user().into_iter().chain(self.probe.trouble()));
        }
        self.context.publisher.hooks(&part);
        // In each answer below: whoever asked may be gone, and then nobody needs it.
        if let Some((started, reply)) = self.started.take() {
            let _ = reply.send(self.refused.take().map_or(Ok(started), Err));
        }
        self.refused = None;
        let at_rest = |waiter: &mut Waiter| match waiter.hook {
            Some(hook) => self.machine.is_settled(hook) && !self.unfinished.contains(&hook),
            None => self.machine.is_idle() && self.unfinished.is_empty(),
        };
        for waiter in self.waiters.extract_if(.., at_rest) {
            let _ = waiter.reply.send(Ok(part.hooks.clone()));
        }
        self.waiters.retain(|waiter| !waiter.reply.is_closed());
        if !self.machine.has_services() {
            self.stopping.drain(..).for_each(|reply| drop(reply.send(Ok(()))));
        }
        self.wake_followers();
    }

    /// Lets whoever waits for output look where its command stands.
    pub(super) fn wake_followers(&self) {
        self.turned.send_replace(());
    }

    async fn report(&mut self, report: Report) {
        match report {
            Report::Started { run, command, output } => {
                let key = (run, command);
                self.beginning.remove(&key);
                self.outputs.insert(key, output);
            }
            Report::Ready { run, command } => {
                tracing::info!(%run, command, "a service is ready");
                if let Some(settle) = self.machine.ready(run, &command) {
                    self.settle(settle).await;
                }
                self.announce_end(run);
            }
            Report::NotReady { run, command, why } => {
                if self.machine.not_ready(run, &command, why) {
                    self.tell_cancel(run, &command);
                }
            }
            Report::Due { run, command, start } => self.machine.resume(run, &command, start),
            Report::LookAtTool => {
                self.looks_at_tool = false;
                self.look_how_far_the_tool_is().await;
            }
            Report::StopNow => drop(self.stop_services()),
            Report::Ended { run, command, end } => {
                let ended = self.take_end(run, &command, end);
                // What waited for it starts before its end is written here: its shim has it on disk already.
                self.launch_all(&now()).await;
                self.write_end(run, command, ended).await;
            }
        }
    }

    async fn ended(&mut self, run: RunId, command: &str, end: CommandEnd) {
        let ended = self.take_end(run, command, end);
        self.write_end(run, command.to_owned(), ended).await;
    }

    fn take_end(&mut self, run: RunId, command: &str, end: CommandEnd) -> Option<Ended> {
        tracing::info!(%run, command, fate = ?end.fate.state(), "a command ended");
        let key = (run, command.to_owned());
        self.beginning.remove(&key);
        self.outputs.remove(&key);
        self.cancels.remove(&key);
        self.machine.ended(run, command, end)
    }

    async fn write_end(&mut self, run: RunId, command: String, ended: Option<Ended>) {
        match ended {
            Some(Ended::Over(settle)) => self.settle(settle).await,
            Some(Ended::Pause { line, start, pause }) => {
                let written = self.blocking(move |journal| journal.pause(&line)).await;
                self.note_unwritten(written);
                self.report_due(run, command, start, pause);
            }
            Some(Ended::Anew { start, pause }) => self.report_due(run, command, start, pause),
            None => {}
        }
        self.announce_end(run);
    }

    fn report_due(&mut self, run: RunId, command: String, start: u32, pause: Duration) {
        let reports = self.reports.clone();
        self.commands.spawn(async move {
            tokio::time::sleep(pause).await;
            let _ = reports.send(Report::Due { run, command, start }).await;
        });
    }

    /// What is left of a run at rest are services, for which nobody waits.
    fn announce_end(&mut self, run: RunId) {
        if !self.machine.is_busy(run) && self.announced.remove(&run) {
            let message = format!("{} ended", run.hook);
            self.context.publisher.progress(&run.to_string(), ProgressStep::End { message });
        }
    }

    async fn settle(&mut self, settle: Settle) {
        let in_flight: BTreeSet<_> = self.machine.active().map(|record| record.run).collect();
        let written = self.blocking(move |journal| journal.settle(&settle, &in_flight)).await;
        self.note_unwritten(written);
    }

    fn note_unwritten(&mut self, written: Result<(), crate::durable::DurableError>) {
        if let Err(source) = written {
            let error = HookError::NotWritten { name: "the end of a run".to_owned(), source };
            tracing::error!(error = with_causes(&error), "the next daemon will find it out anew");
            self.trouble = Some(error.to_reason());
        } else {
            self.trouble = None;
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

    /// Tells every service to end; those that have been told already are killed.
    fn stop_services(&mut self) -> Vec<Settle> {
        let (tell, settled) = self.machine.stop_services();
        for (run, command) in tell {
            self.tell_cancel(run, &command);
        }
        settled
    }

    fn tell_cancel(&self, run: RunId, command: &str) {
        if let Some(cancels) = self.cancels.get(&(run, command.to_owned())) {
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

/// In seconds since the machine started: no clock that anybody sets, and the same for a daemon that comes later.
fn uptime() -> i64 {
    clock_gettime(ClockId::Boottime).tv_sec
}
