//! Builds for a debug session: watches, builds beside what runs, and tells what was built. It starts nothing.
//!
//! The machine is that of `burrow dev`; what it would start is handed over instead.

use std::sync::Arc;

use burrow_protocol::settings::ReloadSettings;
use camino::Utf8PathBuf;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Duration, Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::ReloadContext;
use super::command::{self, Build, Fate, Surroundings, environment};
use super::error::ReloadError;
use super::folder::{ReloadFolder, ReloadId};
use super::git;
use super::machine::{Action, Input, Machine, Verdict};
use super::messages::ReloadOrder;
use super::plan::{self, Plan, Step};
use super::settling::Settling;
use crate::coded::with_causes;
use crate::durable;
use crate::process::Caller;
use crate::rebuild::{Rebuild, RebuildOrder};
use crate::watch::Tree;

/// Serves one debug session until it drops its end, or `stop`.
pub(super) async fn run(
    id: ReloadId,
    order: RebuildOrder,
    settings: ReloadSettings,
    context: &ReloadContext,
    sender: mpsc::Sender<Rebuild>,
    stop: CancellationToken,
) {
    let dir = context.dir.join(id.to_string());
    match begin(id, order, &settings, context).await {
        Ok((builds, tree)) => builds.serve(tree, &sender, &stop).await,
        Err(error) => {
            let told = Rebuild::Failed { command: "reload".to_owned(), output: with_causes(&error) };
            // Nobody is left to be told.
            let _ = sender.send(told).await;
            tokio::select! {
                () = sender.closed() => {}
                () = stop.cancelled() => {}
            }
        }
    }
    match spawn_blocking(move || durable::remove_dir(&dir)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "a reload's files could not be cleared"),
        Err(error) => tracing::error!(%error, "clearing up failed"),
    }
}

struct Builds {
    order: RebuildOrder,
    plan: Plan,
    folder: Arc<ReloadFolder>,
    around: Surroundings,
    git_lock: Option<Utf8PathBuf>,
    machine: Machine,
    settling: Settling,
    /// Whether files changed in a build that they do not make worthless.
    late: bool,
    cancel: CancellationToken,
    output: Utf8PathBuf,
    command: String,
}

async fn begin(
    id: ReloadId,
    order: RebuildOrder,
    settings: &ReloadSettings,
    context: &ReloadContext,
) -> Result<(Builds, Tree), ReloadError> {
    // Of a plan only what is watched counts here.
    let caller = Caller { env: Arc::new(order.env.clone()), cwd: order.cwd.clone(), trusted: true };
    let program = burrow_protocol::reload::ReloadProgram { name: order.package.clone(), dir: order.cwd.to_string() };
    let of_plan = ReloadOrder {
        workspace: order.workspace.clone(),
        programs: vec![program],
        config: None,
        args: Vec::new(),
        settings: settings.clone(),
        secrets: Vec::new(),
        caller,
        closed: CancellationToken::new(),
    };
    let mut plan = plan::plan(&of_plan, None)?;
    if order.test {
        plan.scope.exclude.truncate(0);
        for exclude in &settings.exclude {
            plan.scope.exclude.push(plan::excluded(exclude)?);
        }
    }
    let dir = context.dir.clone();
    let folder = spawn_blocking(move || ReloadFolder::create(&dir, id)).await.map_err(|_| ReloadError::Stopping)??;
    let env = environment(context, &order.workspace, &order.env, &folder).await;
    let tree = Tree::watch(Arc::clone(&context.watcher), plan.scope.clone(), None).await;
    let workspace = order.workspace.clone();
    let git_lock = spawn_blocking(move || git::lock(&workspace)).await.unwrap_or_default();
    let builds = Builds {
        around: Surroundings { env, secrets: Vec::new() },
        folder: Arc::new(folder),
        machine: Machine::new(false),
        settling: Settling::new(plan.delay),
        late: false,
        cancel: CancellationToken::new(),
        output: Utf8PathBuf::new(),
        command: String::new(),
        git_lock,
        order,
        plan,
    };
    Ok((builds, tree))
}

impl Builds {
    async fn serve(mut self, mut tree: Tree, told: &mpsc::Sender<Rebuild>, stop: &CancellationToken) {
        let (sender, mut built) = mpsc::unbounded_channel();
        if let Some(why) = &tree.how.polled {
            // Nobody is left to be told: then `closed` says so below.
            let _ = told.send(Rebuild::Told(format!("files are polled for changes: {why}"))).await;
        }
        let mut stopping = false;
        let mut inputs = vec![Input::Begin];
        loop {
            for input in std::mem::take(&mut inputs) {
                self.step(input, &sender, told).await;
            }
            if self.machine.is_over() {
                break;
            }
            let settled_at = self.settling.at();
            tokio::select! {
                () = told.closed(), if !stopping => {
                    stopping = true;
                    inputs.push(Input::Stop);
                }
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    inputs.push(Input::Stop);
                }
                Some(build) = built.recv() => {
                    inputs.extend(self.built(build, told).await);
                    inputs.extend(std::mem::take(&mut self.late).then_some(Input::Changed));
                }
                changed = tree.changed(), if !stopping => {
                    tracing::debug!(?changed, "a debugged program's files changed");
                    if self.machine.is_building() && !self.settling.disturbs() {
                        self.late = true;
                    } else {
                        inputs.push(Input::Changed);
                    }
                }
                () = sleep_until(settled_at.unwrap_or_else(Instant::now)), if settled_at.is_some() => {
                    let busy = tree.is_busy() || self.git_lock.as_ref().is_some_and(|lock| lock.exists());
                    inputs.extend(self.settling.is_over(Instant::now(), busy).then_some(Input::Settled));
                }
            }
        }
    }

    async fn step(&mut self, input: Input, sender: &mpsc::UnboundedSender<Build>, told: &mpsc::Sender<Rebuild>) {
        for action in self.machine.step(input) {
            match action {
                Action::Settle => self.settling.changed(Instant::now()),
                Action::Build => self.build(sender),
                Action::CancelBuild => self.cancel.cancel(),
                Action::Start => {
                    // Handed over: for the machine, nothing runs.
                    let _ = told.send(Rebuild::Built(self.output.clone())).await;
                    self.machine.step(Input::Ended);
                }
                Action::End | Action::TellBuilt | Action::TellEnded => {}
            }
        }
    }

    fn build(&mut self, sender: &mpsc::UnboundedSender<Build>) {
        self.cancel = CancellationToken::new();
        let failed = |error: &dyn std::error::Error| Build {
            fate: Fate::NotStarted(with_causes(error)),
            took: Duration::ZERO,
            output: String::new(),
        };
        match self.folder.binary() {
            Ok(binary) => self.output = binary.join("program"),
            // Nobody listens when the runtime ends; so below.
            Err(error) => return drop(sender.send(failed(&error))),
        }
        let step = self.recipe();
        self.command = step.argv.join(" ");
        let (folder, around, cancel, sender) =
            (Arc::clone(&self.folder), self.around.clone(), self.cancel.clone(), sender.clone());
        tokio::spawn(async move {
            let folders = || folder.command().map_err(|error| with_causes(&error));
            let _ = sender.send(command::build(vec![step], &around, folders, &cancel).await);
        });
    }

    /// The command that builds for a debugger, or that of the settings.
    fn recipe(&self) -> Step {
        let RebuildOrder { cwd, package, test, flags, .. } = &self.order;
        let program = &self.plan.programs[0];
        if !program.recipe.is_go() && !test {
            let mut steps = program.build(&self.output, "");
            if let Some(mut step) = steps.pop() {
                step.env.insert("BURROW_PACKAGE".to_owned(), cwd.join(package).into_string());
                step.env.insert("BURROW_DEBUG".to_owned(), "1".to_owned());
                return step;
            }
        }
        plan::debug_build(cwd, package, *test, flags, self.around.env.get("GOFLAGS"), &self.output)
    }

    async fn built(&mut self, build: Build, told: &mpsc::Sender<Rebuild>) -> Option<Input> {
        let Build { fate, output, .. } = build;
        let verdict = if fate == Fate::Good { Verdict::Good } else { Verdict::Bad };
        if let (Fate::Bad(how) | Fate::NotStarted(how), true) = (fate, self.machine.is_building()) {
            let output = format!("{}\n({how})", output.trim_end()).trim_start().to_owned();
            let _ = told.send(Rebuild::Failed { command: self.command.clone(), output }).await;
        }
        Some(Input::Built(verdict))
    }
}
