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
use super::command::{self, Build, Fate, Surroundings, environment};
use super::error::ReloadError;
use super::folder::{ReloadFolder, ReloadId};
use super::git;
use super::machine::{Action, Input, Machine, Verdict};
use super::messages::{ReloadOrder, Reply};
use super::plan::{self, Plan, Program};
use super::queue::Queue;
use super::settling::Settling;
use super::written::{Weight, Written};
use crate::coded::with_causes;
use crate::durable;
use crate::duration::to_millis;
use crate::watch::Tree;
use crate::workspace::files::{air, dotenv};

/// How many changed files are named.
const NAMED: usize = 3;
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
    /// The number of the build that began last.
    number: u32,
    /// Where the build under way leaves its program.
    building: Option<Utf8PathBuf>,
    /// The newest program that was built without an error, and is the next to be started.
    newest: Utf8PathBuf,
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
    written: Written,
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
    let base_folder = plan.scope.base.clone();
    let git_lock = spawn_blocking(move || git::lock(&base_folder)).await.unwrap_or_default();
    let (sender, happened) = mpsc::unbounded_channel();
    let engine = Engine {
        order,
        plan,
        folder: Arc::new(folder),
        queue,
        slots,
        base,
        git_lock,
        written: Written::default(),
        sender,
    };
    Ok((engine, happened, tree, started))
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
            number: 0,
            building: None,
            newest: Utf8PathBuf::new(),
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
                Action::Start => self.start(index).await,
                Action::End => self.slots[index].run.cancel(),
                Action::TellBuilt => self.tell_built(index, input),
                Action::TellEnded => self.tell_ended(index),
            }
        }
    }

    async fn changed(&mut self, changed: BTreeSet<Utf8PathBuf>) {
        // `go build` writes nothing into the sources.
        let building = self.slots.iter().any(|slot| slot.machine.has_build() && !slot.program.recipe.is_go());
        let (mut counting, mut disturbs) = (BTreeSet::new(), false);
        for file in changed {
            let weight = self.written.changed(&file, building);
            disturbs |= weight == Weight::Disturbs;
            if weight != Weight::Nothing {
                counting.insert(file);
            }
        }
        if counting.is_empty() {
            return;
        }
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            slot.changed.extend(counting.iter().cloned());
            if !slot.machine.is_building() {
                self.step(index, Input::Changed).await;
            } else if !slot.settling.disturbs() {
                slot.late = true;
            } else if disturbs || slot.program.recipe.is_go() {
                self.step(index, Input::Changed).await;
            }
        }
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
        slot.number = self.written.begin();
        let program = slot.program.name.clone();
        self.queue.push(ReloadEvent::Building { program, changed: named, count });
        let base_name = Utf8Path::new(&slot.program.name).file_name().unwrap_or("program").to_owned();
        let output = if slot.program.recipe.has_output() { folder.binary() } else { Ok(folder.dir().to_owned()) };
        let (sender, cancel, around) = (self.sender.clone(), slot.build.clone(), slot.around.clone());
        match output {
            Ok(output) => {
                let output = output.join(base_name);
                let flags = around.env.get("GOFLAGS").map_or("", String::as_str);
                let steps = slot.program.build(&output, flags);
                slot.building = Some(output);
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
                let counts = self.slots[index].machine.is_building();
                let output = self.slots[index].building.take();
                let mut verdict = Verdict::Bad;
                if let Some(output) = output {
                    if counts && built.fate == Fate::Good {
                        verdict = if self.is_same(index, &output).await { Verdict::Same } else { Verdict::Good };
                        self.is_newest(index, output).await;
                    } else {
                        self.discard(index, output).await;
                    }
                }
                if counts {
                    self.came_to_its_end(index);
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

    /// Tells which files the builds write; a file that changed in this one and may be somebody's work is built once more.
    fn came_to_its_end(&mut self, index: usize) {
        if self.slots[index].program.recipe.is_go() {
            return;
        }
        let (found, waits) = self.written.whole(self.slots[index].number);
        self.slots[index].late |= waits;
        for file in found {
            for slot in &mut self.slots {
                slot.changed.remove(&file);
            }
            let message = format!("{} is written by each build: it does not count any more", self.short(&file));
            self.queue.push(ReloadEvent::Told { message });
        }
    }

    /// Whether, of several programs, this one is not touched by what changed: then it goes on.
    async fn is_same(&self, index: usize, new: &Utf8Path) -> bool {
        let slot = &self.slots[index];
        let Some(running) = slot.running.clone().filter(|_| slot.only_go && self.slots.len() > 1) else { return false };
        let new = new.to_owned();
        let same = spawn_blocking(move || match (std::fs::read(running), std::fs::read(new)) {
            (Ok(old), Ok(new)) => old == new,
            _ => false,
        });
        same.await.unwrap_or_default()
    }

    /// `output` is started next, in the place of what was built before it.
    async fn is_newest(&mut self, index: usize, output: Utf8PathBuf) {
        let slot = &mut self.slots[index];
        let older = std::mem::replace(&mut slot.newest, output);
        if slot.running.as_ref() != Some(&older) {
            self.discard(index, older).await;
        }
    }

    /// Removes a program that nobody will run any more, if it has a folder of its own.
    async fn discard(&self, index: usize, program: Utf8PathBuf) {
        let has_output = self.slots[index].program.recipe.has_output();
        if let Some(folder) = program.parent().filter(|_| has_output).map(Utf8Path::to_owned) {
            // What is left of it is removed at the end.
            let _ = spawn_blocking(move || durable::remove_dir(&folder)).await;
        }
    }

    async fn start(&mut self, index: usize) {
        let (folder, queue, sender) = (Arc::clone(&self.folder), Arc::clone(&self.queue), self.sender.clone());
        let slot = &mut self.slots[index];
        slot.run = CancellationToken::new();
        // What is being built has more changes in it.
        slot.only_go = slot.building.is_none();
        let old = slot.running.replace(slot.newest.clone()).filter(|old| *old != slot.newest);
        let (program, cancel) = (slot.program.clone(), slot.run.clone());
        let (step, around) = (slot.program.run(&slot.newest), slot.around.clone());
        if let Some(old) = old {
            self.discard(index, old).await;
        }
        tokio::spawn(async move {
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
