//! What is shown: plain data that each service publishes, put together as the status contract.
//!
//! State: the newest part of each service and workspace, and the number of the last change. Status, hover and lenses
//! read only this, so that a question about the state never waits for work.
//!
//! Invariants: a part is replaced as a whole; every change has the next number and is sent after it became visible;
//! publishing never waits for a reader.
//!
//! Not here: how a part comes about, and the sessions that show it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burrow_protocol::PROTOCOL_VERSION;
use burrow_protocol::debug::{LeaseStatus, PortStatus};
use burrow_protocol::hooks::HookStatus;
use burrow_protocol::model::{
    ContainerStatus, FileProblem, ModelChange, ModelChanged, Reason, Snapshot, Status, Surroundings, WorkspaceState,
    WorkspaceStatus,
};
use burrow_protocol::toolchain::{ToolStatus, ToolsSwitched};
use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::broadcast;

/// How many events a session may lag behind before it has to subscribe again.
const EVENT_CAPACITY: usize = 256;

/// What is wrong with a workspace's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsPart {
    /// Why the workspace is not ready.
    pub reasons: Vec<Reason>,
    /// The same at its place, where there is one.
    pub problems: Vec<FileProblem>,
}

/// What the hook engine shows of a workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HooksPart {
    /// The hooks, in the order in which they run.
    pub hooks: Vec<HookStatus>,
    /// Whether one runs or waits to.
    pub working: bool,
    /// What needs somebody's attention.
    pub reasons: Vec<Reason>,
}

/// What the toolchain shows of a workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolsPart {
    /// The tools, by name.
    pub tools: Vec<ToolStatus>,
    /// The active generation.
    pub generation: Option<u32>,
    /// Whether an operation runs.
    pub working: bool,
    /// What needs somebody's attention.
    pub reasons: Vec<Reason>,
    /// What of it is at a place in the lock file.
    pub problems: Vec<FileProblem>,
}

/// What the port broker shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DebugPart {
    /// The debug ports, in order.
    pub ports: Vec<PortStatus>,
    /// The leases that have not ended, oldest first.
    pub leases: Vec<LeaseStatus>,
}

/// A step of a long operation, told to every session of its workspace as `$/progress`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The operation's name.
    pub token: String,
    /// The workspace it works for.
    pub workspace: Utf8PathBuf,
    /// The step.
    pub step: ProgressStep,
}

/// What a step of an operation says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgressStep {
    /// It began.
    Begin {
        /// What it is.
        title: String,
    },
    /// It goes on.
    Report {
        /// What it does now.
        message: String,
        /// How much is done, of 100.
        percentage: Option<u8>,
    },
    /// It ended.
    End {
        /// How.
        message: String,
    },
}

/// Something to tell the sessions.
#[derive(Clone, Debug)]
pub enum Event {
    /// A part has a new value.
    Changed(Arc<ModelChanged>),
    /// An operation made a step.
    Progress(Arc<Progress>),
    /// Another generation of tools is active.
    Switched(Arc<ToolsSwitched>),
}

/// The model. Clones are one and the same.
#[derive(Clone, Debug)]
pub struct Model {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    events: broadcast::Sender<Event>,
}

#[derive(Debug)]
struct State {
    seq: u32,
    container: ContainerStatus,
    surroundings: Surroundings,
    debug: DebugPart,
    workspaces: BTreeMap<Utf8PathBuf, Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    settings: SettingsPart,
    hooks: HooksPart,
    tools: ToolsPart,
}

impl Model {
    /// A model with no workspace and no port.
    #[must_use]
    pub fn new(container: ContainerStatus) -> Self {
        let state = State {
            seq: 0,
            container,
            surroundings: Surroundings::default(),
            debug: DebugPart::default(),
            workspaces: BTreeMap::new(),
        };
        let (events, _) = broadcast::channel(EVENT_CAPACITY);
        Self { shared: Arc::new(Shared { state: Mutex::new(state), events }) }
    }

    /// Everything, as it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        self.lock().status()
    }

    /// Everything with the number of the last change, and what follows it. An event may be part of the snapshot already:
    /// then its number is not greater.
    #[must_use]
    pub fn subscribe(&self) -> (Snapshot, broadcast::Receiver<Event>) {
        let state = self.lock();
        (Snapshot { seq: state.seq, status: state.status() }, self.shared.events.subscribe())
    }

    /// What follows from here on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// Whether any workspace is at work.
    #[must_use]
    pub fn is_working(&self) -> bool {
        self.lock().workspaces.values().any(|parts| parts.hooks.working || parts.tools.working)
    }

    /// Replaces what is known of the container's surroundings.
    pub fn surroundings(&self, surroundings: Surroundings) {
        let mut state = self.lock();
        if state.surroundings != surroundings {
            state.surroundings = surroundings.clone();
            self.send(&mut state, ModelChange::Surroundings { surroundings });
        }
    }

    /// Replaces the port broker's part.
    pub fn debug(&self, part: DebugPart) {
        let mut state = self.lock();
        if state.debug != part {
            state.debug = part.clone();
            self.send(&mut state, ModelChange::Debug { ports: part.ports, leases: part.leases });
        }
    }

    /// Tells a step of an operation.
    pub fn progress(&self, progress: Progress) {
        // An error only says that no session listens.
        let _ = self.shared.events.send(Event::Progress(Arc::new(progress)));
    }

    /// Tells that another generation of tools is active.
    pub fn switched(&self, switched: ToolsSwitched) {
        // An error only says that no session listens.
        let _ = self.shared.events.send(Event::Switched(Arc::new(switched)));
    }

    /// Opens a workspace; the publisher replaces its parts.
    #[must_use]
    pub fn workspace(&self, path: &Utf8Path) -> WorkspacePublisher {
        let publisher = WorkspacePublisher { model: self.clone(), path: path.to_owned() };
        publisher.change(|_| true);
        publisher
    }

    fn send(&self, state: &mut State, change: ModelChange) {
        state.seq = state.seq.wrapping_add(1);
        // An error only says that no session listens.
        let _ = self.shared.events.send(Event::Changed(Arc::new(ModelChanged { seq: state.seq, change })));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock halfway through a change: the data is whole.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL_VERSION,
            pid: std::process::id(),
            container: self.container.clone(),
            surroundings: self.surroundings.clone(),
            ports: self.debug.ports.clone(),
            leases: self.debug.leases.clone(),
            workspaces: self.workspaces.iter().map(|(path, parts)| parts.status(path)).collect(),
        }
    }
}

impl Parts {
    fn status(&self, path: &Utf8Path) -> WorkspaceStatus {
        let reasons = [&self.settings.reasons, &self.tools.reasons, &self.hooks.reasons];
        let reasons: Vec<_> = reasons.into_iter().flatten().cloned().collect();
        let state = if self.hooks.working || self.tools.working {
            WorkspaceState::Working
        } else if reasons.is_empty() {
            WorkspaceState::Ready
        } else {
            WorkspaceState::Attention
        };
        WorkspaceStatus {
            path: path.to_string(),
            state,
            reasons,
            problems: [self.settings.problems.as_slice(), &self.tools.problems].concat(),
            generation: self.tools.generation,
            hooks: self.hooks.hooks.clone(),
            tools: self.tools.tools.clone(),
        }
    }
}

/// Replaces the parts of one workspace.
#[derive(Clone, Debug)]
pub struct WorkspacePublisher {
    model: Model,
    path: Utf8PathBuf,
}

impl WorkspacePublisher {
    /// The workspace's path.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Replaces what is wrong with the settings.
    pub fn settings(&self, part: &SettingsPart) {
        self.change(|parts| std::mem::replace(&mut parts.settings, part.clone()) != *part);
    }

    /// Replaces the hook engine's part.
    pub fn hooks(&self, part: &HooksPart) {
        self.change(|parts| replace(&mut parts.hooks, part));
    }

    /// Replaces the toolchain's part.
    pub fn tools(&self, part: &ToolsPart) {
        self.change(|parts| replace(&mut parts.tools, part));
    }

    /// Tells a step of an operation.
    pub fn progress(&self, token: &str, step: ProgressStep) {
        self.model.progress(Progress { token: token.to_owned(), workspace: self.path.clone(), step });
    }

    /// Tells that another generation is active, in which `tools` are others than before.
    pub fn switched(&self, generation: u32, tools: Vec<String>) {
        self.model.switched(ToolsSwitched { workspace: self.path.to_string(), generation, tools });
    }

    fn change(&self, change: impl FnOnce(&mut Parts) -> bool) {
        let mut state = self.model.lock();
        let parts = state.workspaces.entry(self.path.clone()).or_default();
        if change(parts) {
            let workspace = parts.status(&self.path);
            self.model.send(&mut state, ModelChange::Workspace { workspace });
        }
    }
}

/// Replaces a part; whether it is another one. It is large, and mostly the same.
fn replace<T: Clone + PartialEq>(part: &mut T, by: &T) -> bool {
    let changed = part != by;
    if changed {
        part.clone_from(by);
    }
    changed
}

#[cfg(test)]
mod tests {
    use burrow_protocol::model::{ContainerKind, ContainerStatus, Reason, WorkspaceState};

    use super::{Event, HooksPart, Model, ToolsPart};

    fn model() -> Model {
        Model::new(ContainerStatus { kind: ContainerKind::Host, id: "a".into(), start_id: "b".into() })
    }

    #[test]
    fn the_state_of_the_whole() {
        let model = model();
        let publisher = model.workspace("/w".into());
        let reason = Reason { code: None, message: "a hook failed".into(), hint: None };
        for (hooks_work, tools_reasons, expected, why) in [
            (false, vec![], WorkspaceState::Ready, "nothing is due, nothing is wrong"),
            (true, vec![reason.clone()], WorkspaceState::Working, "work under way may mend it"),
            (false, vec![reason], WorkspaceState::Attention, "somebody has to look"),
        ] {
            publisher.hooks(&HooksPart { working: hooks_work, ..HooksPart::default() });
            publisher.tools(&ToolsPart { reasons: tools_reasons, ..ToolsPart::default() });
            assert_eq!(model.status().workspaces[0].state, expected, "{why}");
        }
    }

    #[test]
    fn changes_are_numbered_without_a_gap_and_sameness_is_no_change() {
        let model = model();
        let publisher = model.workspace("/w".into());
        let (snapshot, mut events) = model.subscribe();
        let working = HooksPart { working: true, ..HooksPart::default() };
        publisher.hooks(&working);
        publisher.hooks(&working);
        publisher.hooks(&HooksPart::default());
        for step in 1..=2 {
            let Ok(Event::Changed(changed)) = events.try_recv() else { panic!("change {step} is told") };
            assert_eq!(changed.seq, snapshot.seq + step);
        }
        assert!(events.try_recv().is_err(), "the same value twice is one change");
    }
}
