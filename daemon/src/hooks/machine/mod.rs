//! What runs, what waits to, and what each input changes. Pure: no task, no file, the time is an argument.
//!
//! Invariants: hooks run one after another, the commands of one as their needs allow; a command is in the ledger as
//! running before it starts; what was queued is looked at again when its turn comes, so that a failure holds back the
//! rest; a service that was ready holds up nothing. What `burrow hook exec` asks for starts at once: it may be part of a
//! hook that runs.

mod active; // a run that goes on: which commands may start
mod lacks; // what a retry has not, and the failed run had
mod requests; // what is asked for: up, run, exec, retry, skip, cancel
mod within; // who would wait for himself

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use burrow_protocol::hooks::{HookName, HookOrigin, HookState};
use burrow_protocol::model::ContainerStatus;
use burrow_protocol::settings::SingleCommand;
use camino::Utf8PathBuf;

use super::command::{Command, Stage};
use super::evidence::Runner;
use super::fate::Fate;
use super::ledger::{Entries, Entry, Key, Line, scope};
use super::plan::{Row, full_name, plan};
use super::record::{Attempt, RecordedCommand, RunId, RunRecord};
use super::runs::STARTS_KEPT;
use crate::process::{self, Caller};
use active::{Active, Ask, Phase, Progress, Verdict};
pub(crate) use within::Inside;

/// A run that waits for its turn, or has had it.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) run: RunId,
    pub(crate) origin: HookOrigin,
    pub(crate) commands: Vec<Command>,
    /// How many of them may run at the same time.
    pub(crate) jobs: Option<usize>,
    pub(crate) cause: Cause,
    pub(crate) caller: Caller,
}

/// Why a run was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It is due.
    Due,
    /// It did not succeed.
    Retry,
    /// Somebody wants it whatever the ledger says.
    Again,
    /// `burrow hook exec`.
    Exec {
        /// Program and arguments, which may hold secrets: the job's command has them masked.
        argv: Vec<String>,
        cwd: Utf8PathBuf,
        /// The run whose command called it.
        within: Option<RunId>,
    },
    /// An earlier daemon started it. Its caller's environment went with that one, but for what its processes still have:
    /// that is complete.
    TakenOver,
}

/// Which commands are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) hook: HookName,
    /// One of its commands, else all.
    pub(crate) command: Option<String>,
}

impl std::fmt::Display for Selection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&full_name(self.hook, self.command.as_deref().unwrap_or_default()))
    }
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandEnd {
    pub(crate) fate: Fate,
    /// RFC 3339; none where only the record knows.
    pub(crate) started_at: Option<String>,
    /// What it left behind.
    pub(crate) note: Option<String>,
}

/// A run to write down; its commands start after that.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) run: RunId,
    pub(crate) record: RunRecord,
    pub(crate) lines: Vec<Line>,
}

/// A command to start.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) job: Arc<Job>,
    pub(crate) command: Command,
    /// Which start within the run, from 1.
    pub(crate) start: u32,
    /// What to write down before a later start; the first one is on record with its run.
    pub(crate) again: Option<Settle>,
    /// It is a service that was ready: what waited for that waits no more.
    pub(crate) is_ready: bool,
}

/// Ends of commands, to write down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settle {
    pub(crate) lines: Vec<Line>,
    /// The record, once the run is at rest.
    pub(crate) record: Option<RunRecord>,
}

/// What follows from the end of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It is over.
    Over(Settle),
    /// It is started anew after a pause: [`Machine::resume`] with this `start`. Until then `line` is the truth on disk, for
    /// a daemon that comes after this one.
    Pause { line: Line, start: u32, pause: Duration },
}

/// What a request to cancel comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cancel {
    /// It waited, and no longer does.
    Unqueued,
    /// These commands must be told; what had not begun is over, and is to be written down.
    Tell { commands: Vec<String>, settle: Option<Settle> },
}

/// The runs of one workspace.
#[derive(Debug)]
pub(crate) struct Machine {
    container: ContainerStatus,
    stages: Vec<Stage>,
    /// Whether what was edited is due again.
    rerun: bool,
    entries: Entries,
    runner: Runner,
    queue: VecDeque<Job>,
    active: BTreeMap<RunId, Active>,
    next_number: u32,
    /// The names of the variables that the caller of a command had that did not succeed.
    variables: BTreeMap<Key, Arc<BTreeSet<String>>>,
    /// The daemon ends: nothing is started any more.
    stopping: bool,
}

impl Machine {
    /// A machine at rest. Numbers of runs begin at `next_number`.
    pub(crate) fn new(container: ContainerStatus, entries: Entries, next_number: u32) -> Self {
        let runner = if entries.has_tool(&container) { Runner::Tool } else { Runner::Burrow };
        Self {
            container,
            stages: Vec::new(),
            rerun: false,
            entries,
            runner,
            queue: VecDeque::new(),
            active: BTreeMap::new(),
            next_number,
            variables: BTreeMap::new(),
            stopping: false,
        }
    }

    /// Replaces what is configured; `rerun`: what was edited is due again.
    pub(crate) fn configure(&mut self, stages: Vec<Stage>, rerun: bool) {
        self.stages = stages;
        self.rerun = rerun;
    }

    /// Goes on with a run that an earlier daemon started.
    pub(crate) fn adopt(&mut self, record: RunRecord) {
        let stage = self.stages.iter().find(|stage| stage.hook == record.run.hook && stage.origin == record.origin);
        // What was edited since is followed to its end, and that is all.
        let command = |recorded: &RecordedCommand| {
            let configured = stage.and_then(|stage| {
                stage.commands.iter().find(|it| it.name == recorded.name && it.hash == recorded.hash).cloned()
            });
            configured.unwrap_or_else(|| Command {
                hash: recorded.hash.clone(),
                background: recorded.background,
                ..Command::new(&recorded.name, recorded.line.clone())
            })
        };
        let progress = |recorded: &RecordedCommand| {
            let key = self.key_of(&record, &recorded.name);
            let entry = self.entries.get(&key).filter(|entry| entry.run == Some(record.run));
            Progress {
                phase: if recorded.fate == Fate::Running { Phase::Running } else { Phase::Over },
                start: entry.map_or(1, |entry| entry.start),
                was_ready: entry.is_some_and(|entry| entry.ready),
                ..Progress::new()
            }
        };
        let job = Job {
            run: record.run,
            origin: record.origin,
            commands: record.commands.iter().map(command).collect(),
            jobs: None,
            cause: Cause::TakenOver,
            caller: Caller::default(),
        };
        let progress = record.commands.iter().map(progress).collect();
        self.active.insert(record.run, Active { record, job: Arc::new(job), before: Vec::new(), progress });
    }

    /// The environment that a command of an adopted run has: with it the command can be started anew.
    pub(crate) fn recovered(&mut self, run: RunId, name: &str, env: BTreeMap<String, String>) {
        if let Some(progress) = self.progress_of(run, name) {
            progress.recovered = Some(Arc::new(env));
        }
    }

    /// Which start of the command of an adopted run was the last.
    pub(crate) fn start_of(&self, run: RunId, name: &str) -> u32 {
        let active = self.active.get(&run);
        active.and_then(|active| Some(active.progress[active.index(name)?].start)).unwrap_or(1)
    }

    /// What the commands that did not succeed had in their environment, by name.
    pub(crate) fn know_variables(&mut self, record: &RunRecord) {
        for command in record.commands.iter().filter(|command| command.fate.is_bad()) {
            // A retry that lacked one of them does not make it needless.
            let key = self.key_of(record, &command.name);
            let names = self.variables.entry(key).or_default();
            Arc::make_mut(names).extend(record.variables.iter().cloned());
        }
    }

    /// Takes note of who runs the standard hooks. A tool that was seen once counts for the life of the container: the
    /// line to write down is returned.
    pub(crate) fn saw(&mut self, runner: Runner) -> Option<Line> {
        if self.runner == Runner::Tool {
            return None;
        }
        self.runner = runner;
        let tool = (runner == Runner::Tool).then(|| Line::Tool { tool: self.container.id.clone() });
        tool.inspect(|line| self.entries.apply(line.clone()))
    }

    pub(crate) const fn runner(&self) -> Runner {
        self.runner
    }

    /// How everything stands.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = plan(&self.stages, &self.entries, &self.container, self.runner, self.rerun);
        for active in self.active.values() {
            let mine = |row: &&mut Row| row.hook == active.record.run.hook && row.origin == active.record.origin;
            if let Some(row) = rows.iter_mut().find(mine) {
                show_progress(row, active);
            }
        }
        rows
    }

    /// The runs of a hook's origin that wait.
    pub(crate) fn queued(&self, hook: HookName, origin: HookOrigin) -> impl Iterator<Item = &Job> {
        self.queue.iter().filter(move |job| job.run.hook == hook && job.origin == origin)
    }

    pub(crate) fn queue(&self) -> impl Iterator<Item = &Job> {
        self.queue.iter()
    }

    /// The records of the runs that go on, those among them of which only services are left.
    pub(crate) fn active(&self) -> impl Iterator<Item = &RunRecord> {
        self.active.values().map(|active| &active.record)
    }

    pub(crate) fn is_active(&self, run: RunId) -> bool {
        self.active.contains_key(&run)
    }

    /// Whether a run goes on that somebody may wait for.
    pub(crate) fn is_busy(&self, run: RunId) -> bool {
        self.active.get(&run).is_some_and(|active| !active.is_at_rest())
    }

    /// Where a command of a run stands: not started yet, started, or over; and whether it is a service that was ready.
    pub(crate) fn whereabouts(&self, run: RunId, name: &str) -> Option<(Step, u32, bool)> {
        let active = self.active.get(&run)?;
        let progress = &active.progress[active.index(name)?];
        let step = match progress.phase {
            Phase::Waiting | Phase::Pausing(_) => Step::Waits,
            Phase::Running => Step::Runs,
            Phase::Over => return None,
        };
        Some((step, progress.start, progress.was_ready))
    }

    /// Whether nothing runs and nothing is queued. Services that were ready do not count.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.active.values().all(Active::is_at_rest)
    }

    /// Whether `hook` neither waits to be run nor runs.
    pub(crate) fn is_settled(&self, hook: HookName) -> bool {
        let waits = |state| matches!(state, HookState::Pending | HookState::Running);
        !self.queue.iter().any(|job| job.run.hook == hook)
            && !self.active.iter().any(|(run, active)| run.hook == hook && !active.is_at_rest())
            && !self.rows().iter().any(|row| row.hook == hook && waits(row.state()))
    }

    /// Takes over what was written down.
    pub(crate) fn apply(&mut self, lines: Vec<Line>) {
        lines.into_iter().for_each(|line| self.entries.apply(line));
    }

    /// The next run to begin, now registered as running; none while a hook runs or where nothing waits.
    pub(crate) fn next(&mut self, now: &str) -> Option<Begin> {
        if self.stopping {
            return None;
        }
        while let Some(index) = self.next_in_queue() {
            let mut job = self.queue.remove(index)?;
            job.commands = self.still_wanted(&job);
            if !job.commands.is_empty() {
                return Some(self.begin(job, now));
            }
        }
        None
    }

    /// The commands that are to start now, all of them on record but for what `again` says.
    pub(crate) fn launches(&mut self, now: &str) -> Vec<Launch> {
        let mut launches = Vec::new();
        if self.stopping {
            return launches;
        }
        let runs: Vec<_> = self.active.keys().copied().collect();
        for run in runs {
            let Some(active) = self.active.get(&run) else { continue };
            for index in active.startable() {
                launches.extend(self.launch(run, index, now));
            }
        }
        launches
    }

    fn launch(&mut self, run: RunId, index: usize, now: &str) -> Option<Launch> {
        let active = self.active.get_mut(&run)?;
        let command = active.command(index)?.clone();
        let progress = &mut active.progress[index];
        progress.phase = Phase::Running;
        progress.asked = None;
        let (start, is_ready) = (progress.start, progress.was_ready);
        let mut job = Arc::clone(&active.job);
        if let Some(env) = &progress.recovered {
            let caller = Caller { env: Arc::clone(env), ..Caller::default() };
            job = Arc::new(Job { caller, commands: Vec::new(), ..job.as_ref().clone() });
        }
        if start == 1 {
            return Some(Launch { job, command, start, again: None, is_ready: false });
        }
        let key = self.key(run, &command.name)?;
        let mut entry = self.entries.get(&key)?.clone();
        entry.attempt += 1;
        entry.start = start;
        entry.started_at = Some(now.to_owned());
        entry.fate = Fate::Running;
        let last = self.active.get(&run)?.record.commands[index].attempts.last();
        entry.note = last.and_then(|last| after(&last.fate));
        let line = Line::Command(Box::new(entry));
        self.entries.apply(line.clone());
        let record = self.active.get(&run).map(|active| active.record.clone());
        let again = Some(Settle { lines: vec![line], record });
        Some(Launch { job, command, start, again, is_ready })
    }

    /// What is to be told of a run that could not be written down: it did not start, nor does what waited behind it.
    pub(crate) fn not_recorded(&mut self, run: RunId) {
        self.queue.clear();
        let Some(active) = self.active.remove(&run) else { return };
        for (key, before) in active.before {
            self.entries.restore(&key, before);
        }
    }

    /// Takes note of the end of one command.
    pub(crate) fn ended(&mut self, run: RunId, name: &str, end: CommandEnd) -> Option<Ended> {
        let container_start = self.container.start_id.clone();
        let stopping = self.stopping;
        let active = self.active.get_mut(&run)?;
        let index = active.index(name)?;
        if active.progress[index].phase == Phase::Over {
            return None;
        }
        let verdict = active.verdict(index, end.fate.clone(), &container_start);
        let started_at = end.started_at.clone();
        match verdict {
            Verdict::Again { pause, meanwhile } if !stopping => {
                let progress = &mut active.progress[index];
                let attempt = Attempt { start: progress.start, started_at, fate: end.fate };
                progress.start += 1;
                progress.phase = Phase::Pausing(pause);
                let start = progress.start;
                let attempts = &mut active.record.commands[index].attempts;
                attempts.push(attempt);
                let surplus = attempts.len().saturating_sub(STARTS_KEPT as usize);
                attempts.drain(..surplus);
                let left = active.command(index).map_or(0, |command| (command.retries + 2).saturating_sub(start));
                let key = self.key(run, name)?;
                let mut entry = self.entries.get(&key)?.clone();
                entry.started_at = end.started_at.or(entry.started_at);
                let not_made = matches!(meanwhile, Fate::Failed { .. } | Fate::TimedOut { .. });
                entry.note = not_made.then(|| retries_not_made(left));
                entry.fate = meanwhile;
                Some(Ended::Pause { line: Line::Command(Box::new(entry)), start, pause })
            }
            Verdict::Again { meanwhile: fate, .. } | Verdict::Final(fate) => {
                Some(Ended::Over(self.over(run, index, CommandEnd { fate, ..end })?))
            }
        }
    }

    /// The pause before the nth start of a command is over.
    pub(crate) fn resume(&mut self, run: RunId, name: &str, start: u32) {
        if let Some(progress) = self.progress_of(run, name)
            && matches!(progress.phase, Phase::Pausing(_))
            && progress.start == start
        {
            progress.phase = Phase::Waiting;
        }
    }

    /// A service has shown that it is ready.
    pub(crate) fn ready(&mut self, run: RunId, name: &str) -> Option<Settle> {
        let progress = self.progress_of(run, name).filter(|progress| progress.phase == Phase::Running)?;
        if progress.was_ready {
            return None;
        }
        progress.was_ready = true;
        let key = self.key(run, name)?;
        let mut entry = self.entries.get(&key)?.clone();
        entry.ready = true;
        let line = Line::Command(Box::new(entry));
        self.entries.apply(line.clone());
        let active = self.active.get(&run)?;
        Some(Settle { lines: vec![line], record: active.is_at_rest().then(|| active.record.clone()) })
    }

    /// A service was not ready in time, or cannot be found so: its end is to be asked for.
    pub(crate) fn not_ready(&mut self, run: RunId, name: &str, why: Option<String>) -> bool {
        let progress = self.progress_of(run, name);
        let progress = progress.filter(|it| it.phase == Phase::Running && !it.was_ready && it.asked.is_none());
        progress.map(|progress| progress.asked = Some(Ask::NotReady(why))).is_some()
    }

    /// A command of an adopted run that is a service, and has not been ready yet.
    pub(crate) fn awaits_readiness(&self, run: RunId, name: &str) -> Option<(Arc<Job>, Command)> {
        let active = self.active.get(&run)?;
        let index = active.index(name)?;
        let command = active.command(index).filter(|command| command.background)?.clone();
        let progress = &active.progress[index];
        let caller = Caller { env: progress.recovered.clone()?, ..Caller::default() };
        let job = Job { caller, commands: Vec::new(), ..active.job.as_ref().clone() };
        (!progress.was_ready).then(|| (Arc::new(job), command))
    }

    /// Services are to end and stay ended: those that run must be told, the others are over.
    pub(crate) fn stop_services(&mut self) -> (Vec<(RunId, String)>, Vec<Settle>) {
        self.stopping = true;
        let (mut tell, mut settled) = (Vec::new(), Vec::new());
        for (run, index, name) in self.services() {
            let Some(active) = self.active.get_mut(&run) else { continue };
            if active.progress[index].phase == Phase::Running {
                active.progress[index].asked.get_or_insert(Ask::Stop);
                tell.push((run, name));
            } else {
                let end = CommandEnd::bare(Fate::Stopped { why: "stopped with the daemon".to_owned() });
                settled.extend(self.over(run, index, end));
            }
        }
        (tell, settled)
    }

    /// Whether a service runs or is about to.
    pub(crate) fn has_services(&self) -> bool {
        !self.services().is_empty()
    }

    fn services(&self) -> Vec<(RunId, usize, String)> {
        let of_run = |(run, active): (&RunId, &Active)| {
            let is_service = |index: &usize| {
                active.progress[*index].phase != Phase::Over
                    && active.command(*index).is_some_and(|command| command.background)
            };
            let services = (0..active.progress.len()).filter(is_service);
            let named = services.map(|index| (*run, index, active.record.commands[index].name.clone()));
            named.collect::<Vec<_>>()
        };
        self.active.iter().flat_map(of_run).collect()
    }

    /// A command is over, and with it those that can no longer begin.
    fn over(&mut self, run: RunId, index: usize, end: CommandEnd) -> Option<Settle> {
        let mut lines = Vec::new();
        lines.extend(self.close(run, index, end));
        loop {
            let hopeless = self.active.get(&run)?.hopeless();
            if hopeless.is_empty() {
                break;
            }
            for (index, by) in hopeless {
                lines.extend(self.close(run, index, CommandEnd::bare(Fate::Blocked { by })));
            }
        }
        let active = self.active.get(&run)?;
        let record = active.is_at_rest().then(|| active.record.clone());
        if active.is_over() {
            self.active.remove(&run);
        }
        if let Some(record) = &record {
            self.know_variables(record);
        }
        (!lines.is_empty() || record.is_some()).then_some(Settle { lines, record })
    }

    fn close(&mut self, run: RunId, index: usize, end: CommandEnd) -> Option<Line> {
        let active = self.active.get_mut(&run)?;
        active.progress[index].phase = Phase::Over;
        let recorded = active.record.commands.get_mut(index)?;
        recorded.fate = end.fate.clone();
        let name = recorded.name.clone();
        let key = self.key(run, &name)?;
        let mut entry = self.entries.get(&key).filter(|entry| entry.run == Some(run))?.clone();
        entry.fate = match end.fate {
            // It is as if it had not been asked for: the plan tells anew what holds it back.
            Fate::Blocked { .. } => Fate::NeverStarted,
            fate => fate,
        };
        entry.ready = false;
        entry.started_at = end.started_at.or(entry.started_at);
        let notes: Vec<_> = entry.note.into_iter().chain(end.note).collect();
        entry.note = (!notes.is_empty()).then(|| notes.join(", "));
        let line = Line::Command(Box::new(entry));
        self.entries.apply(line.clone());
        Some(line)
    }

    /// What may begin now: a recorded command line at any time, a hook when none runs.
    fn next_in_queue(&self) -> Option<usize> {
        let at_once = self.queue.iter().position(|job| matches!(job.cause, Cause::Exec { .. }));
        let busy = |active: &Active| active.record.origin != HookOrigin::Exec && !active.is_at_rest();
        let hook_runs = self.active.values().any(busy);
        at_once.or_else(|| (!hook_runs && !self.queue.is_empty()).then_some(0))
    }

    /// The commands of `job` that are to run now that its turn has come. What needs a command that is not done and does not
    /// run with it is left out.
    fn still_wanted(&self, job: &Job) -> Vec<Command> {
        let rows = self.rows();
        let row = rows.iter().find(|row| row.hook == job.run.hook && row.origin == job.origin);
        let standing = |name: &str| row.and_then(|row| row.commands.iter().find(|standing| standing.name == name));
        let runs_already = |command: &Command| standing(&command.name).is_some_and(|it| it.state == HookState::Running);
        let mut wanted: Vec<Command> = match job.cause {
            Cause::Due => {
                let is_due = |command: &&Command| standing(&command.name).is_some_and(|standing| standing.due);
                job.commands.iter().filter(is_due).cloned().collect()
            }
            Cause::Retry if row.is_some_and(|row| row.held_by.is_some()) => Vec::new(),
            Cause::Retry | Cause::Again | Cause::TakenOver => {
                job.commands.iter().filter(|command| !runs_already(command)).cloned().collect()
            }
            Cause::Exec { .. } => return job.commands.clone(),
        };
        loop {
            let names: BTreeSet<String> = wanted.iter().map(|command| command.name.clone()).collect();
            let is_done =
                |need: &String| names.contains(need) || standing(need).is_none_or(super::plan::Standing::is_done);
            wanted.retain(|command| command.needs.iter().all(is_done));
            if wanted.len() == names.len() {
                return wanted;
            }
        }
    }

    fn begin(&mut self, job: Job, now: &str) -> Begin {
        let within = if let Cause::Exec { within, .. } = &job.cause { *within } else { None };
        let mut before = Vec::new();
        let mut lines = Vec::new();
        let mut commands = Vec::new();
        for command in &job.commands {
            let key = Key::new(&self.container, job.run.hook, job.origin, &command.name);
            let last = self.entries.get(&key).cloned();
            let notes = [
                last.as_ref().filter(|last| last.fate.is_bad()).and_then(|last| after(&last.fate)),
                self.lacks(&key, &job).map(|names| format!("without {names}")),
            ];
            let notes: Vec<_> = notes.into_iter().flatten().collect();
            let line = Line::Command(Box::new(Entry {
                key: key.clone(),
                hash: command.hash.clone(),
                run: Some(job.run),
                attempt: last.as_ref().map_or(0, counted_attempts) + 1,
                started_at: Some(now.to_owned()),
                fate: Fate::Running,
                note: (!notes.is_empty()).then(|| notes.join(", ")),
                within,
                start: 1,
                ready: false,
            }));
            self.entries.apply(line.clone());
            lines.push(line);
            before.push((key, last));
            commands.push(RecordedCommand {
                name: command.name.clone(),
                line: command.action.line(),
                hash: command.hash.clone(),
                fate: Fate::Running,
                attempts: Vec::new(),
                background: command.background,
            });
        }
        let record = RunRecord {
            schema: RunRecord::SCHEMA,
            run: job.run,
            origin: job.origin,
            scope: scope(&self.container, job.run.hook).to_owned(),
            started_at: now.to_owned(),
            container_start: self.container.start_id.clone(),
            commands,
            variables: job.caller.env.keys().cloned().collect(),
        };
        let progress = record.commands.iter().map(|_| Progress::new()).collect();
        let run = job.run;
        self.active.insert(run, Active { record: record.clone(), job: Arc::new(job), before, progress });
        Begin { run, record, lines }
    }

    /// The variables that a retry lacks, in a few words.
    fn lacks(&self, key: &Key, job: &Job) -> Option<String> {
        let had = self.variables.get(key).filter(|_| job.cause == Cause::Retry)?;
        lacks::words(&lacks::missing(had, &job.caller))
    }

    fn progress_of(&mut self, run: RunId, name: &str) -> Option<&mut Progress> {
        let active = self.active.get_mut(&run)?;
        let index = active.index(name)?;
        active.progress.get_mut(index)
    }

    fn key(&self, run: RunId, name: &str) -> Option<Key> {
        self.active.get(&run).map(|active| self.key_of(&active.record, name))
    }

    fn key_of(&self, record: &RunRecord, name: &str) -> Key {
        Key { scope: record.scope.clone(), hook: record.run.hook, origin: record.origin, command: name.to_owned() }
    }
}

/// How far a command of a run is that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It has not been started, or not again.
    Waits,
    /// It is about to be started, or runs.
    Runs,
}

/// Puts what only the machine knows over what the ledger says: which commands of a run have not begun, and which are about
/// to be started anew.
fn show_progress(row: &mut Row, active: &Active) {
    for (index, progress) in active.progress.iter().enumerate() {
        let recorded = &active.record.commands[index];
        let Some(standing) = row.commands.iter_mut().find(|standing| standing.name == recorded.name) else { continue };
        if standing.entry.as_ref().is_none_or(|entry| entry.run != Some(active.record.run)) {
            continue;
        }
        let ends = progress.start - 1;
        let last = recorded.attempts.last().map(|attempt| attempt.fate.how()).unwrap_or_default();
        match progress.phase {
            Phase::Waiting if progress.start == 1 => {
                standing.state = HookState::Pending;
                let needs = active.open_need(index).map(|need| format!("needs {need}"));
                standing.waits = Some(needs.unwrap_or_else(|| "waits for its turn".to_owned()));
            }
            Phase::Pausing(pause) => {
                standing.waits = Some(format!("starts again in {} s, after {last}", pause.as_secs()));
            }
            Phase::Running | Phase::Waiting if progress.was_ready => {
                standing.waits = Some(match ends {
                    0 => "ready".to_owned(),
                    1 => format!("started again, after {last}"),
                    _ => format!("started again {ends} times, after {last}"),
                });
            }
            Phase::Running if standing.background => standing.waits = Some("not ready yet".to_owned()),
            Phase::Running | Phase::Waiting | Phase::Over => {}
        }
    }
}

/// A run that was recorded and never started is no attempt.
fn counted_attempts(last: &Entry) -> u32 {
    if last.fate == Fate::NeverStarted { last.attempt.saturating_sub(1) } else { last.attempt }
}

fn after(fate: &Fate) -> Option<String> {
    fate.reason().map(|reason| format!("after {reason}"))
}

fn retries_not_made(left: u32) -> String {
    match left {
        1 => "1 retry was not made".to_owned(),
        _ => format!("{left} retries were not made"),
    }
}

/// What stands in a record in the place of a command line that holds secrets.
pub(crate) fn masked(argv: &[String], secrets: &[String]) -> SingleCommand {
    SingleCommand::Exec(argv.iter().map(|argument| process::masked(argument, secrets)).collect())
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
