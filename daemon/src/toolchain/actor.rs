//! The loop: requests, the steps and the end of the operation in flight, looks that ended, settings that changed.
//!
//! A look (list, plan, verify) runs beside the operation and never waits for it: it reads what is on disk, where a
//! generation is switched as a whole.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use burrow_protocol::toolchain::{OperationResult, RepairAction};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, Interval};
use tokio_util::sync::CancellationToken;

use super::ToolchainContext;
use super::error::ToolchainError;
use super::first_look::first_look;
use super::generations::Generations;
use super::install::Step;
use super::messages::{Outcome, ToolchainRequest};
use super::observe::{self, Observation, Relax, observe};
use super::operation::{self, Done, Event, Kind};
use super::problems;
use super::queue::{OpQueue, Queued};
use super::repair;
use super::tried::Tried;
use super::verify::{Condition, Depth};
use super::view::{self, Activity, View};
use super::work;
use crate::coded::{Coded, with_causes};
use crate::model::{ProgressStep, ToolsPart};
use crate::process::Caller;
use crate::workspace::files::devcontainer::Settings;

/// How many operations that ended are remembered, for those who ask late.
const REMEMBERED: usize = 16;
/// Go names hundreds of packages a second: one line in this time is shown.
const SAY_EVERY: Duration = Duration::from_millis(100);
/// How often the store is told that its binaries are still used, where nothing else happens.
const HOLD_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an operation in flight may take to end when the daemon does.
const LAST_WORK: Duration = Duration::from_secs(3);

/// The owner of one workspace's tools.
#[derive(Debug)]
pub struct ToolchainActor {
    context: Arc<ToolchainContext>,
    requests: mpsc::Receiver<ToolchainRequest>,
    settings: watch::Receiver<Arc<Settings>>,
    queue: OpQueue<Kind, Caller>,
    running: JoinSet<Ended>,
    /// Ends the operation in flight.
    cancel: CancellationToken,
    events: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
    looks: JoinSet<Looked>,
    ended: VecDeque<(String, Outcome)>,
    waiting: HashMap<String, Vec<oneshot::Sender<Outcome>>>,
    /// Who last asked for something: in his name the tools are looked at when the settings change.
    caller: Option<Caller>,
    /// The last repair that nobody asked for.
    tried: Tried,
    /// Whether such a repair was called for while another operation ran.
    missed: bool,
    /// Whether what is out of order may be brought in order, as it was last told.
    may_repair: bool,
    view: View,
    activity: Activity,
    /// Whether what was glanced at has to be compared.
    in_doubt: bool,
    progress: Progress,
    started: u32,
    finished: u32,
}

/// How an operation ended, and how things stand then.
#[derive(Debug)]
struct Ended {
    result: Result<Done, ToolchainError>,
    view: View,
}

/// How far the operation in flight is.
#[derive(Debug, Default)]
struct Progress {
    actions: usize,
    begun: usize,
    said: Option<Instant>,
}

/// What a look saw.
#[derive(Debug)]
enum Looked {
    /// Nothing that is not known.
    Nothing,
    /// The first look of this daemon, in nobody's name.
    First(View),
    /// A look in a caller's name, with the number of operations that had ended when it began.
    Asked(u32, View),
}

/// All that can wake the loop.
enum Input {
    Request(ToolchainRequest),
    Event(Event),
    Ended(Box<Result<Ended, JoinError>>),
    Looked(Looked),
    SettingsChanged,
    /// What is used has to be held on.
    Hold,
    Stop,
}

impl ToolchainActor {
    pub(super) fn new(context: Arc<ToolchainContext>, requests: mpsc::Receiver<ToolchainRequest>) -> Self {
        let generations = Generations::new(context.layout());
        let active = observe::active(&generations, &context.store(), Depth::Glance);
        let unsound = |condition: &Condition| *condition != Condition::Sound;
        let in_doubt = active.as_ref().is_some_and(|active| active.conditions.values().any(unsound));
        let view = view::installed(active.as_ref(), &generations.active_bin());
        let actor = Self {
            settings: context.settings.clone(),
            context,
            requests,
            queue: OpQueue::default(),
            running: JoinSet::new(),
            cancel: CancellationToken::new(),
            events: mpsc::channel(256),
            looks: JoinSet::new(),
            ended: VecDeque::new(),
            waiting: HashMap::new(),
            caller: None,
            tried: Tried::default(),
            missed: false,
            may_repair: false,
            view,
            activity: Activity::default(),
            in_doubt,
            progress: Progress::default(),
            started: 0,
            finished: 0,
        };
        actor.publish();
        actor
    }

    /// Runs until `cancel`, or until every handle is gone. An operation in flight is ended then, with its `go`.
    pub async fn run(mut self, cancel: CancellationToken) {
        self.tidy();
        // It ticks at once as well.
        let mut hold = tokio::time::interval(HOLD_EVERY);
        loop {
            match self.next(&cancel, &mut hold).await {
                Input::Request(request) => self.handle(request),
                Input::Event(event) => self.told(event),
                Input::Ended(ended) => self.operation_ended(*ended),
                Input::Looked(Looked::Asked(began, view)) => self.show(began, view),
                // Who asked by now is shown what was asked for as well.
                Input::Looked(Looked::First(_)) if self.caller.is_some() => self.look_again(),
                Input::Looked(Looked::First(view)) => self.show(0, view),
                Input::Looked(Looked::Nothing) => {}
                Input::SettingsChanged => self.look_again(),
                Input::Hold => self.renew_hold(),
                Input::Stop => return self.end_running().await,
            }
            self.start_next();
        }
    }

    async fn next(&mut self, cancel: &CancellationToken, hold: &mut Interval) -> Input {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Input::Stop,
            request = self.requests.recv() => request.map_or(Input::Stop, Input::Request),
            Some(event) = self.events.1.recv() => Input::Event(event),
            Some(result) = self.running.join_next() => Input::Ended(Box::new(result)),
            Some(looked) = self.looks.join_next() => match looked {
                Ok(looked) => Input::Looked(looked),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => Input::Looked(Looked::Nothing),
            },
            Ok(()) = self.settings.changed() => Input::SettingsChanged,
            _ = hold.tick() => Input::Hold,
        }
    }

    async fn end_running(&mut self) {
        self.cancel.cancel();
        // What takes longer is ended by the next daemon.
        let _ = tokio::time::timeout(LAST_WORK, self.running.join_next()).await;
    }

    /// What is done once, beside everything else: compare what the glance left in doubt, read the active tools as a whole once
    /// a start of the container, remove what dead operations left.
    fn tidy(&mut self) {
        tokio::spawn(work::sweep_dead(self.context.state.work()));
        let (context, in_doubt) = (Arc::clone(&self.context), self.in_doubt);
        self.looks.spawn_blocking(move || first_look(&context, in_doubt).map_or(Looked::Nothing, Looked::First));
    }

    fn renew_hold(&mut self) {
        let context = Arc::clone(&self.context);
        self.looks.spawn_blocking(move || {
            context.renew_hold();
            Looked::Nothing
        });
    }

    fn handle(&mut self, request: ToolchainRequest) {
        match request {
            ToolchainRequest::List { caller, reply } => {
                self.look(caller, Relax::Nothing, Depth::Quick, |seen, view| {
                    let _ = reply.send(seen.asked.map(|_| view.report.clone()));
                });
            }
            ToolchainRequest::Plan { caller, locked, keep_rollback, reply } => {
                let relax = if keep_rollback { Relax::Nothing } else { Relax::Rollback };
                self.look(caller, relax, Depth::Quick, move |seen, _| {
                    let plan = seen.asked.and_then(|asked| {
                        if locked {
                            repair::check_locked(&asked)?;
                        }
                        Ok(repair::plan(&asked, seen.active.as_ref(), &seen.at_hand, &seen.surplus).actions())
                    });
                    let _ = reply.send(plan);
                });
            }
            ToolchainRequest::Verify { caller, full, reply } => {
                let depth = if full { Depth::Full } else { Depth::Quick };
                self.look(caller, Relax::Nothing, depth, |_, view| {
                    let _ = reply.send(view.report.clone());
                });
            }
            ToolchainRequest::Notice { caller, may_repair } => {
                self.caller = Some(caller);
                self.tried.somebody_came();
                self.look_around(may_repair);
            }
            ToolchainRequest::FilesChanged { may_repair } => self.look_around(may_repair),
            ToolchainRequest::Start { kind, caller, reply } => {
                self.started += 1;
                let name = format!("{}-{}", kind.word(), self.started);
                self.caller = Some(caller.clone());
                let _ = reply.send(self.queue.push(Queued { name, kind, caller }));
            }
            ToolchainRequest::Cancel { operation, reply } => {
                let _ = reply.send(self.cancel(operation));
            }
            ToolchainRequest::Wait { operation, reply } => self.wait(operation, reply),
        }
    }

    /// Looks at everything and lets `answer` have it; then it is shown.
    fn look(
        &mut self,
        caller: Caller,
        relax: Relax,
        depth: Depth,
        answer: impl FnOnce(Observation, &View) + Send + 'static,
    ) {
        self.caller = Some(caller.clone());
        self.look_as(caller, relax, depth, answer);
    }

    /// Looks at everything for `caller`, who is not who asked last.
    fn look_as(
        &mut self,
        caller: Caller,
        relax: Relax,
        depth: Depth,
        answer: impl FnOnce(Observation, &View) + Send + 'static,
    ) {
        let (context, began) = (Arc::clone(&self.context), self.finished);
        self.looks.spawn_blocking(move || {
            let seen = observe(&context, &caller, &relax, depth);
            let view = view_of(&context, &seen);
            answer(seen, &view);
            // What a plan passes over is still there.
            if relax == Relax::Nothing { Looked::Asked(began, view) } else { Looked::Nothing }
        });
    }

    fn cancel(&mut self, operation: String) -> Result<(), ToolchainError> {
        if self.queue.running() == Some(&operation) {
            self.cancel.cancel();
        } else if self.queue.remove(&operation) {
            self.told_end(operation, Err(Arc::new(ToolchainError::Cancelled)), "cancelled".to_owned());
        } else if !self.ended.iter().any(|(name, _)| *name == operation) {
            return Err(ToolchainError::OperationUnknown { operation });
        }
        Ok(())
    }

    fn wait(&mut self, operation: String, reply: oneshot::Sender<Outcome>) {
        if let Some((_, outcome)) = self.ended.iter().find(|(name, _)| *name == operation) {
            let _ = reply.send(outcome.clone());
        } else if self.queue.holds(&operation) {
            self.waiting.entry(operation).or_default().push(reply);
        } else {
            let _ = reply.send(Err(Arc::new(ToolchainError::OperationUnknown { operation })));
        }
    }

    fn start_next(&mut self) {
        let Some(next) = self.queue.start() else { return };
        tracing::info!(operation = next.name, workspace = %self.context.workspace, "an operation on the tools starts");
        self.activity = Activity { working: true, ..Activity::default() };
        self.progress = Progress::default();
        self.publish();
        self.context.publisher.progress(&next.name, ProgressStep::Begin { title: next.kind.title().to_owned() });
        let context = Arc::clone(&self.context);
        let events = self.events.0.clone();
        self.cancel = CancellationToken::new();
        let cancel = self.cancel.clone();
        self.running.spawn(async move {
            let result = operation::run(Arc::clone(&context), next.kind, next.caller.clone(), events, cancel).await;
            let view = match &result {
                Ok(done) if done.error.is_none() => view_of(&context, &done.observation),
                _ => view_after_failure(context, next.caller).await,
            };
            Ended { result, view }
        });
    }

    fn told(&mut self, event: Event) {
        match event {
            Event::OutOfOrder(actions) => self.repair_unasked(actions),
            Event::Planned { tools, actions } => {
                self.activity.installing = BTreeSet::from_iter(tools);
                self.progress.actions = actions;
                self.publish();
            }
            Event::Step(Step::Begin(verb, tool, version)) => {
                self.progress.begun += 1;
                self.progress.said = None;
                let done = self.progress.begun.saturating_sub(1) * 100;
                let percentage = done.checked_div(self.progress.actions).map(|percentage| percentage.min(100));
                self.report(
                    format!("{} {tool} {version}", repair::word_of(verb)),
                    percentage.and_then(|percentage| u8::try_from(percentage).ok()),
                );
            }
            Event::Step(Step::Say(line)) => {
                let now = Instant::now();
                if self.progress.said.is_none_or(|said| now - said >= SAY_EVERY) {
                    self.progress.said = Some(now);
                    // Without a percentage: the step is the same.
                    self.report(line, None);
                }
            }
        }
    }

    fn report(&self, message: String, percentage: Option<u8>) {
        if let Some(operation) = self.queue.running() {
            self.context.publisher.progress(operation, ProgressStep::Report { message, percentage });
        }
    }

    fn operation_ended(&mut self, ended: Result<Ended, JoinError>) {
        let Ended { result, view } = match ended {
            Ok(ended) => ended,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Nobody aborts it but the end of this actor.
            Err(_) => return,
        };
        let Some(name) = self.queue.ended() else { return };
        self.finished += 1;
        self.activity = Activity::default();
        self.view = view;
        let (outcome, message) = match result.and_then(|done| self.done(done)) {
            Ok(result) => {
                let message = match &self.activity.failure {
                    Some(failure) => failure.message.clone(),
                    None if result.done.is_empty() => "nothing to do".to_owned(),
                    None => "done".to_owned(),
                };
                (Ok(result), message)
            }
            Err(error) => {
                self.failed(&error);
                let message = with_causes(&error);
                (Err(Arc::new(error)), message)
            }
        };
        self.publish();
        self.told_end(name, outcome, message);
        if std::mem::take(&mut self.missed) {
            self.look_around(self.may_repair);
        }
    }

    /// What came of an operation that did its work, or as much of it as could be done.
    fn done(&mut self, done: Done) -> Result<OperationResult, ToolchainError> {
        if let Some((generation, tools)) = done.switched {
            self.context.publisher.switched(generation, tools);
        }
        if let Some(error) = done.error {
            return Err(error);
        }
        match &done.out_of_reach {
            Some(error) => self.failed(error),
            None => self.tried = Tried::default(),
        }
        let ToolsPart { reasons, .. } = self.view.with(&self.activity);
        let report = self.view.report.clone();
        Ok(OperationResult { done: done.actions, report, notes: done.notes, changes: done.changes, reasons })
    }

    /// What a look finds by itself is shown for as long as it finds it; what somebody wanted is no failure, nor is the wish for
    /// tools that were never there.
    fn failed(&mut self, error: &ToolchainError) {
        let reason = error.to_reason();
        tracing::warn!(error = reason.message, "an operation on the tools failed");
        self.tried.failed(error, Instant::now());
        let shown = view::is_lasting(error) && !self.view.reasons.contains(&reason);
        self.activity.failure = Some(reason).filter(|_| shown);
    }

    fn told_end(&mut self, name: String, outcome: Outcome, message: String) {
        // The end is told before those who wait hear of it, so that they have seen all of the progress.
        self.context.publisher.progress(&name, ProgressStep::End { message });
        for waiting in self.waiting.remove(&name).unwrap_or_default() {
            let _ = waiting.send(outcome.clone());
        }
        if self.ended.len() == REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back((name, outcome));
    }

    /// Shows what a look saw, unless an operation has ended since it began: that one saw more.
    fn show(&mut self, began: u32, view: View) {
        if began != self.finished {
            return;
        }
        if view.reasons.is_empty() {
            self.activity.failure = None;
        }
        self.view = view;
        self.publish();
    }

    /// Looks in the name of the last caller. Where the settings want it, and somebody may have it, what is out of order is
    /// brought in order.
    fn look_around(&mut self, may_repair: bool) {
        self.may_repair = may_repair;
        let Some(mut caller) = self.caller.clone() else { return };
        // Nobody asked for this look, so that it runs a program only where such work is allowed now.
        caller.trusted &= may_repair;
        let repairs = caller.trusted && self.settings.borrow().burrow.auto_repair;
        let events = self.events.0.clone();
        self.look_as(caller, Relax::Nothing, Depth::Quick, move |seen, _| {
            let Ok(asked) = seen.asked else { return };
            let plan = repair::plan(&asked, seen.active.as_ref(), &seen.at_hand, &seen.surplus);
            if repairs && !plan.is_empty() {
                let _ = events.try_send(Event::OutOfOrder(plan.actions().actions));
            }
        });
    }

    /// Queues a repair that nobody asked for, unless the same did not help before.
    fn repair_unasked(&mut self, actions: Vec<RepairAction>) {
        let Some(caller) = self.caller.clone().filter(|caller| caller.trusted) else { return };
        if self.queue.running().is_some() {
            // It may do that as well: how things stand is known when it has ended.
            self.missed = true;
            return;
        }
        if !self.tried.begins(actions, Instant::now()) {
            return;
        }
        tracing::info!(workspace = %self.context.workspace, "the tools are brought in order, as the settings want it");
        self.started += 1;
        let kind = Kind::Repair { locked: false, keep_rollback: true };
        let name = format!("{}-{}", kind.word(), self.started);
        self.queue.push(Queued { name, kind, caller });
    }

    fn look_again(&mut self) {
        let Some(caller) = self.caller.clone() else { return };
        let caller = Caller { trusted: false, ..caller };
        self.look_as(caller, Relax::Nothing, Depth::Quick, |_, _| {});
    }

    fn publish(&self) {
        self.context.publisher.tools(&self.view.with(&self.activity));
    }
}

/// How things stand after an operation that failed.
async fn view_after_failure(context: Arc<ToolchainContext>, caller: Caller) -> View {
    let looked = tokio::task::spawn_blocking(move || {
        view_of(&context, &observe(&context, &caller, &Relax::Nothing, Depth::Quick))
    });
    looked.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

fn view_of(context: &ToolchainContext, seen: &Observation) -> View {
    context.looked_at.send_if_modified(|known| {
        let changed = *known != seen.looked_at;
        known.clone_from(&seen.looked_at);
        changed
    });
    let bin = Generations::new(context.layout()).active_bin();
    let problems = problems::at_the_lock_file(&seen.asked);
    View { problems, ..view::view(&seen.asked, seen.active.as_ref(), &bin) }
}
