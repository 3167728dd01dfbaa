//! The loop: requests, the steps and the end of the operation in flight, looks that ended, settings that changed.
//!
//! A look (list, plan, verify) runs beside the operation and never waits for it: it reads what is on disk, where a
//! generation is switched as a whole.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use burrow_protocol::toolchain::{OperationResult, RepairAction, RepairVerb};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ToolchainContext;
use super::error::ToolchainError;
use super::generations::Generations;
use super::install::Step;
use super::messages::{Outcome, ToolchainRequest};
use super::observe::{self, Observation, Relax, observe};
use super::operation::{self, Done, Event, Kind};
use super::queue::{OpQueue, Queued};
use super::repair;
use super::store::Store;
use super::verify::{Condition, Depth};
use super::view::{self, Activity, View};
use crate::model::ProgressStep;
use crate::process::Caller;
use crate::workspace::files::devcontainer::Settings;

/// How many operations that ended are remembered, for those who ask late.
const REMEMBERED: usize = 16;
/// Go names hundreds of packages a second: one line in this time is shown.
const SAY_EVERY: Duration = Duration::from_millis(100);

/// The owner of one workspace's tools.
#[derive(Debug)]
pub struct ToolchainActor {
    context: Arc<ToolchainContext>,
    requests: mpsc::Receiver<ToolchainRequest>,
    settings: watch::Receiver<Arc<Settings>>,
    queue: OpQueue<Kind, Caller>,
    running: JoinSet<Ended>,
    events: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
    /// Each with the number of operations that had ended when it began.
    looks: JoinSet<(u32, View)>,
    ended: VecDeque<(String, Outcome)>,
    waiting: HashMap<String, Vec<oneshot::Sender<Outcome>>>,
    /// Who last asked for something: in his name the tools are looked at when the settings change.
    caller: Option<Caller>,
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

/// All that can wake the loop.
enum Input {
    Request(ToolchainRequest),
    Event(Event),
    Ended(Box<Result<Ended, JoinError>>),
    Looked(u32, View),
    SettingsChanged,
    Stop,
}

impl ToolchainActor {
    pub(super) fn new(context: Arc<ToolchainContext>, requests: mpsc::Receiver<ToolchainRequest>) -> Self {
        let generations = Generations::new(context.layout());
        let store = Store::new(context.store_dir.clone());
        let active = observe::active(&generations, &store, Depth::Glance);
        let unsound = |condition: &Condition| *condition != Condition::Sound;
        let in_doubt = active.as_ref().is_some_and(|active| active.conditions.values().any(unsound));
        let view = view::installed(active.as_ref(), &generations.active_bin());
        let actor = Self {
            settings: context.settings.clone(),
            context,
            requests,
            queue: OpQueue::default(),
            running: JoinSet::new(),
            events: mpsc::channel(256),
            looks: JoinSet::new(),
            ended: VecDeque::new(),
            waiting: HashMap::new(),
            caller: None,
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

    /// Runs until `cancel`, or until every handle is gone. An operation in flight is dropped then, with its `go`.
    pub async fn run(mut self, cancel: CancellationToken) {
        self.tidy();
        loop {
            match self.next(&cancel).await {
                Input::Request(request) => self.handle(request),
                Input::Event(event) => self.told(event),
                Input::Ended(ended) => self.operation_ended(*ended),
                Input::Looked(began, view) => self.show(began, view),
                Input::SettingsChanged => self.settings_changed(),
                Input::Stop => return,
            }
            self.start_next();
        }
    }

    async fn next(&mut self, cancel: &CancellationToken) -> Input {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Input::Stop,
            request = self.requests.recv() => request.map_or(Input::Stop, Input::Request),
            Some(event) = self.events.1.recv() => Input::Event(event),
            Some(result) = self.running.join_next() => Input::Ended(Box::new(result)),
            Some(Ok((began, view))) = self.looks.join_next() => Input::Looked(began, view),
            Ok(()) = self.settings.changed() => Input::SettingsChanged,
        }
    }

    /// What is done once, beside everything else: compare what the glance left in doubt, remove what dead repairs left.
    fn tidy(&mut self) {
        let context = Arc::clone(&self.context);
        if self.in_doubt {
            self.looks.spawn_blocking(move || {
                let store = Store::new(context.store_dir.clone());
                let generations = Generations::new(context.layout());
                store.sweep();
                let active = observe::active(&generations, &store, Depth::Quick);
                (0, view::installed(active.as_ref(), &generations.active_bin()))
            });
        } else {
            tokio::task::spawn_blocking(move || Store::new(context.store_dir.clone()).sweep());
        }
    }

    fn handle(&mut self, request: ToolchainRequest) {
        match request {
            ToolchainRequest::List { caller, reply } => self.look(caller, Depth::Quick, |seen, view| {
                let _ = reply.send(seen.asked.map(|_| view.report.clone()));
            }),
            ToolchainRequest::Plan { caller, locked, reply } => self.look(caller, Depth::Quick, move |seen, _| {
                let plan = seen.asked.and_then(|asked| {
                    if locked {
                        repair::check_locked(&asked)?;
                    }
                    Ok(repair::plan(&asked, seen.active.as_ref(), &seen.at_hand, &seen.surplus).actions())
                });
                let _ = reply.send(plan);
            }),
            ToolchainRequest::Verify { caller, full, reply } => {
                let depth = if full { Depth::Full } else { Depth::Quick };
                self.look(caller, depth, |_, view| {
                    let _ = reply.send(view.report.clone());
                });
            }
            ToolchainRequest::Start { kind, caller, reply } => {
                self.started += 1;
                let name = format!("{}-{}", kind.word(), self.started);
                self.caller = Some(caller.clone());
                let _ = reply.send(self.queue.push(Queued { name, kind, caller }));
            }
            ToolchainRequest::Wait { operation, reply } => self.wait(operation, reply),
        }
    }

    /// Looks at everything and lets `answer` have it; then it is shown.
    fn look(&mut self, caller: Caller, depth: Depth, answer: impl FnOnce(Observation, &View) + Send + 'static) {
        self.caller = Some(caller.clone());
        let (context, began) = (Arc::clone(&self.context), self.finished);
        self.looks.spawn_blocking(move || {
            let seen = observe(&context, &caller, &Relax::Nothing, depth);
            let view = view_of(&context, &seen);
            answer(seen, &view);
            (began, view)
        });
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
        self.running.spawn(async move {
            let result = operation::run(Arc::clone(&context), next.kind, next.caller.clone(), events).await;
            let view = match &result {
                Ok(done) => view_of(&context, &done.observation),
                Err(_) => look_again(context, next.caller).await,
            };
            Ended { result, view }
        });
    }

    fn told(&mut self, event: Event) {
        match event {
            Event::Planned { tools, actions } => {
                self.activity.installing = BTreeSet::from_iter(tools);
                self.progress.actions = actions;
                self.publish();
            }
            Event::Step(Step::Begin(action)) => {
                self.progress.begun += 1;
                self.progress.said = None;
                let done = self.progress.begun.saturating_sub(1) * 100;
                let percentage = done.checked_div(self.progress.actions).map(|percentage| percentage.min(100));
                self.report(words_of(&action), percentage.and_then(|percentage| u8::try_from(percentage).ok()));
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
        let (outcome, message) = match result {
            Ok(done) => {
                let message = if done.actions.is_empty() { "nothing to do" } else { "done" };
                let report = self.view.report.clone();
                (Ok(OperationResult { done: done.actions, report, notes: done.notes }), message.to_owned())
            }
            Err(error) => {
                let reason = view::reason(&error);
                tracing::warn!(operation = name, error = reason.message, "an operation on the tools failed");
                // What a look finds by itself is shown for as long as it finds it.
                self.activity.failure = Some(reason.clone()).filter(|reason| !self.view.reasons.contains(reason));
                (Err(Arc::new(error)), reason.message)
            }
        };
        self.publish();
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

    fn settings_changed(&mut self) {
        let Some(caller) = self.caller.clone() else { return };
        self.look(caller, Depth::Quick, |_, _| {});
    }

    fn publish(&self) {
        self.context.publisher.tools(&self.view.with(&self.activity));
    }
}

/// How things stand after an operation that failed.
async fn look_again(context: Arc<ToolchainContext>, caller: Caller) -> View {
    let looked = tokio::task::spawn_blocking(move || {
        view_of(&context, &observe(&context, &caller, &Relax::Nothing, Depth::Quick))
    });
    looked.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

fn view_of(context: &ToolchainContext, seen: &Observation) -> View {
    let bin = Generations::new(context.layout()).active_bin();
    view::view(&seen.asked, seen.active.as_ref(), &bin)
}

/// An action that begins, in words.
fn words_of(action: &RepairAction) -> String {
    let verb = match action.verb {
        RepairVerb::Fetch => "fetching",
        RepairVerb::Build => "building",
        RepairVerb::Verify => "verifying",
        RepairVerb::Activate => "activating",
        RepairVerb::Rollback => "rolling back",
        RepairVerb::Relink => "linking",
        RepairVerb::Prune => "pruning",
    };
    [Some(verb), action.tool.as_deref(), action.version.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ")
}
