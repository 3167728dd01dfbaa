//! One reload: watches, builds, runs, and starts again, until it is told to stop.
//!
//! State: one machine a program, and what is under way for it; all of it is this task's alone.
//! Not here: what follows what (`machine`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use burrow_protocol::reload::{ReloadEvent, StartedReload};
use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::ReloadContext;
use super::command::{self, Build, Fate, Surroundings};
use super::error::ReloadError;
use super::folder::{ReloadFolder, ReloadId};
use super::machine::{Action, Input, Machine, Verdict};
use super::messages::{ReloadOrder, Reply};
use super::plan::{self, Plan, Program};
use super::queue::Queue;
use super::settling::Settling;
use crate::coded::with_causes;
use crate::durable;
use crate::duration::to_millis;
use crate::watch::Tree;
use crate::workspace::files::{air, dotenv};

/// How many changed files are named.
const NAMED: usize = 3;
/// A file that changed in this many builds one after another, and never otherwise, is written by them.
const WRITTEN_BY_BUILDS: u32 = 4;
/// How long the commands at the end may take, each.
const LAST_DEADLINE: Duration = Duration::from_secs(10);
/// How long a follower has to hear the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the tasks of a reload tell it.
enum Happened {
    Built(Build),
    Ended(Fate),
}

/// One program, and what is under way for it.
struct Slot {
    program: Program,
    machine: Machine,
    settling: Settling,
    /// Whether files changed in a build that they do not make worthless.
    late: bool,
    /// What changed since the last build began.
    changed: BTreeSet<Utf8PathBuf>,
    /// Whether nothing but Go sources changed since the last program was started.
    only_go: bool,
    build: CancellationToken,
    run: CancellationToken,
    /// Where the build under way, or the last one, leaves its program.
    output: Utf8PathBuf,
    /// The program that runs, or ran.
    running: Option<Utf8PathBuf>,
    around: Surroundings,
    built: Option<Build>,
    fate: Option<Fate>,
}

struct Engine {
    order: ReloadOrder,
    plan: Plan,
    folder: Arc<ReloadFolder>,
    queue: Arc<Queue>,
    slots: Vec<Slot>,
    base: Surroundings,
    git_lock: Option<Utf8PathBuf>,
    /// How often a file changed while something was built.
    written: BTreeMap<Utf8PathBuf, u32>,
    sender: mpsc::UnboundedSender<(usize, Happened)>,
}

/// Serves one reload to its end.
pub(super) async fn run(
    id: ReloadId,
    order: ReloadOrder,
    context: &ReloadContext,
    queue: Arc<Queue>,
    stop: CancellationToken,
    reply: Reply<StartedReload>,
) {
    let dir = context.dir.join(id.to_string());
    match begin(id, order, context, Arc::clone(&queue)).await {
        Ok((engine, happened, tree, started)) => {
            let closed = engine.order.closed.clone();
            // One who no longer waits has closed the session, too.
            let _ = reply.send(Ok(started));
            engine.serve(happened, tree, &stop).await;
            queue.finish();
            tokio::select! {
                _ = timeout(FAREWELL, queue.drained()) => {}
                () = closed.cancelled() => {}
            }
        }
        Err(error) => {
            queue.finish();
            let _ = reply.send(Err(error));
        }
    }
    match spawn_blocking(move || durable::remove_dir(&dir)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "a reload's files could not be cleared"),
        Err(error) => tracing::error!(%error, "clearing up failed"),
    }
}

type Begun = (Engine, mpsc::UnboundedReceiver<(usize, Happened)>, Tree, StartedReload);

async fn begin(
    id: ReloadId,
    order: ReloadOrder,
    context: &ReloadContext,
    queue: Arc<Queue>,
) -> Result<Begun, ReloadError> {
    let (dir, its_order) = (context.dir.clone(), order.clone());
    let prepared = spawn_blocking(move || {
        let air = its_order.config.as_deref().map(read_air).transpose()?;
        let plan = plan::plan(&its_order, air)?;
        Ok::<_, ReloadError>((plan, ReloadFolder::create(&dir, id)?))
    });
    let (plan, folder) = prepared.await.map_err(|_| ReloadError::Stopping)??;
    let env = environment(context, &order.workspace, &order.caller.env, &folder).await;
    let secrets = order.secrets.iter().filter_map(|name| env.get(name)).filter(|value| value.len() >= 4);
    let base = Surroundings { secrets: secrets.cloned().collect(), env };
    let tree = Tree::watch(Arc::clone(&context.watcher), plan.scope.clone(), plan.poll).await;
    let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let started = StartedReload {
        id: id.to_string(),
        programs: plan.programs.iter().map(|program| program.name.clone()).collect(),
        folders: narrow(tree.how.folders),
        files: narrow(tree.how.files),
        polled: tree.how.polled.clone(),
        problems: plan.problems.clone(),
    };
    let slots = plan.programs.iter().map(|program| Slot::new(program.clone(), plan.delay, base.clone())).collect();
    let git_lock = git_lock(&plan.scope.base);
    let (sender, happened) = mpsc::unbounded_channel();
    let engine = Engine {
        order,
        plan,
        folder: Arc::new(folder),
        queue,
        slots,
        base,
        git_lock,
        written: BTreeMap::new(),
        sender,
    };
    Ok((engine, happened, tree, started))
}

/// The caller's environment with the workspace's Go first on PATH.
pub(super) async fn environment(
    context: &ReloadContext,
    workspace: &Utf8Path,
    caller: &BTreeMap<String, String>,
    folder: &ReloadFolder,
) -> BTreeMap<String, String> {
    let mut env = caller.clone();
    if let Some(go_bin) = context.source.go_bin(workspace, caller).await {
        let path = env.get("PATH").filter(|path| !path.is_empty()).map(|path| format!(":{path}")).unwrap_or_default();
        env.insert("PATH".to_owned(), format!("{go_bin}{path}"));
    }
    // What a killed `go` leaves is removed with the rest.
    env.entry("GOTMPDIR".to_owned()).or_insert_with(|| folder.temporary().into_string());
    env
}

/// What git holds while it changes the files around `folder`.
pub(super) fn git_lock(folder: &Utf8Path) -> Option<Utf8PathBuf> {
    let git = folder.ancestors().map(|folder| folder.join(".git")).find(|git| git.is_dir());
    git.map(|git| git.join("index.lock"))
}

fn read_air(path: &Utf8Path) -> Result<(&Utf8Path, air::AirFile), ReloadError> {
    let failed = |why| ReloadError::Config { path: path.to_owned(), why };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let file = air::parse(&text).map_err(failed)?;
    // Air also reads `.config/air.toml`, with the project's folder as the root.
    let folder = path.parent().unwrap_or(path);
    let folder = if folder.ends_with(".config") { folder.parent().unwrap_or(folder) } else { folder };
    Ok((folder, file))
}

impl Slot {
    fn new(program: Program, delay: Duration, around: Surroundings) -> Self {
        Self {
            machine: Machine::new(program.stop_on_error),
            program,
            settling: Settling::new(delay),
            late: false,
            changed: BTreeSet::new(),
            only_go: true,
            build: CancellationToken::new(),
            run: CancellationToken::new(),
            output: Utf8PathBuf::new(),
            running: None,
            around,
            built: None,
            fate: None,
        }
    }
}

impl Engine {
    async fn serve(
        mut self,
        mut happened: mpsc::UnboundedReceiver<(usize, Happened)>,
        mut tree: Tree,
        stop: &CancellationToken,
    ) {
        let mut stopping = false;
        self.step_all(Input::Begin).await;
        while !self.slots.iter().all(|slot| slot.machine.is_over()) {
            let deadline = self.slots.iter().filter_map(|slot| slot.settling.at()).min();
            tokio::select! {
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.step_all(Input::Stop).await;
                }
                Some((index, event)) = happened.recv() => self.happened(index, event).await,
                changed = tree.changed(), if !stopping => self.changed(changed).await,
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.settled(tree.is_busy()).await;
                }
            }
        }
        drop(tree);
        self.run_last().await;
    }

    async fn step_all(&mut self, input: Input) {
        for index in 0..self.slots.len() {
            self.step(index, input).await;
        }
    }

    async fn step(&mut self, index: usize, input: Input) {
        for action in self.slots[index].machine.step(input) {
            match action {
                Action::Settle => self.slots[index].settling.changed(Instant::now()),
                Action::Build => self.build(index).await,
                Action::CancelBuild => self.slots[index].build.cancel(),
                Action::Start => self.start(index),
                Action::End => self.slots[index].run.cancel(),
                Action::TellBuilt => self.tell_built(index, input),
                Action::TellEnded => self.tell_ended(index),
            }
        }
    }

    async fn changed(&mut self, changed: BTreeSet<Utf8PathBuf>) {
        let changed = self.without_what_builds_write(changed);
        if changed.is_empty() {
            return;
        }
        for slot in &mut self.slots {
            slot.changed.extend(changed.iter().cloned());
        }
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            if slot.machine.is_building() && !slot.settling.disturbs() {
                slot.late = true;
            } else {
                self.step(index, Input::Changed).await;
            }
        }
    }

    /// `changed` without the files that the builds themselves write anew each time: they would never end.
    fn without_what_builds_write(&mut self, changed: BTreeSet<Utf8PathBuf>) -> BTreeSet<Utf8PathBuf> {
        // `go build` writes nothing into the sources.
        let by_own_command = |slot: &Slot| !matches!(slot.program.recipe, plan::Recipe::Go { .. });
        let building = self.slots.iter().any(|slot| slot.machine.is_building() && by_own_command(slot));
        let mut left = BTreeSet::new();
        for file in changed {
            if !building {
                self.written.remove(&file);
                left.insert(file);
                continue;
            }
            let times = self.written.entry(file.clone()).or_default();
            *times += 1;
            if *times < WRITTEN_BY_BUILDS {
                left.insert(file);
            } else if *times == WRITTEN_BY_BUILDS {
                let message = format!("{} is written by each build: it does not count any more", self.short(&file));
                self.queue.push(ReloadEvent::Told { message });
            }
        }
        left
    }

    /// `more`: there are events that nobody has looked at yet.
    async fn settled(&mut self, more: bool) {
        let now = Instant::now();
        let busy = more || self.git_lock.as_ref().is_some_and(|lock| lock.exists());
        for index in 0..self.slots.len() {
            if self.slots[index].settling.is_over(now, busy) {
                self.step(index, Input::Settled).await;
            }
        }
    }

    async fn build(&mut self, index: usize) {
        let changed = std::mem::take(&mut self.slots[index].changed);
        let named = changed.iter().take(NAMED).map(|file| self.short(file)).collect();
        let count = u32::try_from(changed.len()).unwrap_or(u32::MAX);
        let folder = Arc::clone(&self.folder);
        let around = self.surroundings().await;
        let slot = &mut self.slots[index];
        slot.only_go &= changed.iter().all(|file| file.extension() == Some("go"));
        slot.around = around;
        slot.build = CancellationToken::new();
        let program = slot.program.name.clone();
        self.queue.push(ReloadEvent::Building { program, changed: named, count });
        let base_name = Utf8Path::new(&slot.program.name).file_name().unwrap_or("program").to_owned();
        let output = if slot.program.recipe.has_output() { folder.binary() } else { Ok(folder.dir().to_owned()) };
        let (sender, cancel, around) = (self.sender.clone(), slot.build.clone(), slot.around.clone());
        match output {
            Ok(output) => {
                slot.output = output.join(base_name);
                let flags = around.env.get("GOFLAGS").map_or("", String::as_str);
                let steps = slot.program.build(&slot.output, flags);
                tokio::spawn(async move {
                    let folders = || folder.command().map_err(|error| with_causes(&error));
                    let built = command::build(steps, &around, folders, &cancel).await;
                    // Nobody listens when the runtime ends.
                    let _ = sender.send((index, Happened::Built(built)));
                });
            }
            Err(error) => {
                let fate = Fate::NotStarted(with_causes(&error));
                let built = Build { fate, took: Duration::ZERO, output: String::new() };
                let _ = sender.send((index, Happened::Built(built)));
            }
        }
    }

    /// The environment with what the files say now; what is set already stays.
    async fn surroundings(&self) -> Surroundings {
        let mut around = self.base.clone();
        if self.plan.env_files.is_empty() {
            return around;
        }
        let files = self.plan.env_files.clone();
        let read = spawn_blocking(move || {
            let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
            texts.flat_map(|text| dotenv::parse(&text)).collect::<Vec<_>>()
        });
        let mut of_files = BTreeMap::new();
        // Of two files the later one counts.
        of_files.extend(read.await.unwrap_or_default());
        for (name, value) in of_files {
            if self.order.secrets.contains(&name) && value.len() >= 4 {
                around.secrets.push(value.clone());
            }
            around.env.entry(name).or_insert(value);
        }
        around
    }

    async fn happened(&mut self, index: usize, event: Happened) {
        match event {
            Happened::Built(built) => {
                let mut verdict = if built.fate == Fate::Good { Verdict::Good } else { Verdict::Bad };
                if verdict == Verdict::Good && self.is_same(index).await {
                    verdict = Verdict::Same;
                }
                if self.slots[index].machine.is_building() {
                    // A build that nothing disturbed: what was written before it is somebody's work.
                    self.written.clear();
                }
                self.slots[index].built = Some(built);
                self.step(index, Input::Built(verdict)).await;
                if std::mem::take(&mut self.slots[index].late) {
                    self.step(index, Input::Changed).await;
                }
            }
            Happened::Ended(fate) => {
                self.slots[index].fate = Some(fate);
                self.step(index, Input::Ended).await;
            }
        }
    }

    /// Whether, of several programs, this one is not touched by what changed: then it goes on.
    async fn is_same(&self, index: usize) -> bool {
        let slot = &self.slots[index];
        let Some(running) = slot.running.clone().filter(|_| slot.only_go && self.slots.len() > 1) else { return false };
        let new = slot.output.clone();
        let same = spawn_blocking(move || match (std::fs::read(running), std::fs::read(new)) {
            (Ok(old), Ok(new)) => old == new,
            _ => false,
        });
        same.await.unwrap_or_default()
    }

    fn start(&mut self, index: usize) {
        let (folder, queue, sender) = (Arc::clone(&self.folder), Arc::clone(&self.queue), self.sender.clone());
        let slot = &mut self.slots[index];
        slot.run = CancellationToken::new();
        slot.only_go = true;
        let old = slot.running.replace(slot.output.clone()).filter(|old| *old != slot.output);
        let (program, cancel) = (slot.program.clone(), slot.run.clone());
        let (step, around) = (slot.program.run(&slot.output), slot.around.clone());
        tokio::spawn(async move {
            if let Some(old) = old.filter(|_| program.recipe.has_output()).as_deref().and_then(Utf8Path::parent) {
                let old = old.to_owned();
                // What is left of it is removed at the end.
                let _ = spawn_blocking(move || durable::remove_dir(&old)).await;
            }
            let fate = match folder.command() {
                Ok(folder) => {
                    let spec = command::spec(step, folder.clone(), &around, program.grace, program.interrupt);
                    let name = &program.name;
                    let started = |pid| queue.push(ReloadEvent::Started { program: name.clone(), pid });
                    command::run(spec, &cancel, started, |bytes| queue.output(name, &folder, bytes)).await
                }
                Err(error) => Fate::NotStarted(with_causes(&error)),
            };
            // Nobody listens when the runtime ends.
            let _ = sender.send((index, Happened::Ended(fate)));
        });
    }

    fn tell_built(&mut self, index: usize, input: Input) {
        let slot = &mut self.slots[index];
        let Some(Build { fate, took, output }) = slot.built.take() else { return };
        let program = slot.program.name.clone();
        self.queue.push(match (fate, input) {
            (Fate::Good, Input::Built(Verdict::Same)) => ReloadEvent::Unchanged { program },
            (Fate::Good, _) => ReloadEvent::Built { program, duration_ms: to_millis(took), output },
            (Fate::Bad(how), _) => ReloadEvent::BuildFailed { program, how, output },
            (Fate::NotStarted(why), _) => ReloadEvent::BuildFailed { program, how: why, output },
        });
    }

    fn tell_ended(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let program = slot.program.name.clone();
        self.queue.push(match slot.fate.take() {
            Some(Fate::NotStarted(why)) => ReloadEvent::NotStarted { program, why },
            Some(Fate::Bad(how)) => ReloadEvent::Ended { program, how },
            Some(Fate::Good) | None => ReloadEvent::Ended { program, how: "exit code 0".to_owned() },
        });
    }

    /// The commands at the end.
    async fn run_last(self) {
        let around = self.surroundings().await;
        for step in self.plan.last.clone() {
            let line = step.argv.join(" ");
            let cancel = CancellationToken::new();
            let folder = Arc::clone(&self.folder);
            let build = command::build(vec![step], &around, || folder.command().map_err(|e| with_causes(&e)), &cancel);
            let message = match timeout(LAST_DEADLINE, build).await {
                Ok(Build { fate: Fate::Good, output, .. }) if output.is_empty() => continue,
                Ok(Build { fate: Fate::Good, output, .. }) => output,
                Ok(Build { fate: Fate::Bad(how) | Fate::NotStarted(how), output, .. }) => {
                    format!("{line}: {how}\n{output}")
                }
                // Its lifeline goes with the future.
                Err(_) => format!("{line}: not done within {} s", LAST_DEADLINE.as_secs()),
            };
            self.queue.push(ReloadEvent::Told { message: message.trim_end().to_owned() });
        }
    }

    /// A file as a person reads it.
    fn short(&self, file: &Utf8Path) -> String {
        file.strip_prefix(&self.order.workspace).unwrap_or(file).to_string()
    }
}
