//! What runs, what waits to, and what each input changes. Pure: no task, no file, the time is an argument.
//!
//! Invariants: hooks run one after another, the commands of one as their needs allow; a command is in the ledger as
//! running before it starts; what was queued is looked at again when its turn comes, so that a failure holds back the
//! rest; a service that was ready holds up nothing. What `burrow hook exec` asks for starts at once: it may be part of a
//! hook that runs.

mod active; // a run that goes on: which commands may start
mod begin; // which run has its turn
mod lacks; // what a retry has not, and the failed run had
mod requests; // what is asked for: up, run, exec, retry, skip, cancel
mod services; // background services
mod show; // what the ledger does not know
mod takeover; // what an earlier daemon started
mod windows; // what a window asks for by being there
mod within; // who would wait for himself

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use burrow_protocol::hooks::{HookName, HookOrigin, HookState};
use burrow_protocol::model::ContainerStatus;
use burrow_protocol::settings::SingleCommand;
use camino::Utf8PathBuf;

use super::command::Command;
use super::evidence::Runner;
use super::fate::Fate;
use super::ledger::{Entries, Key, Line};
use super::plan::{Configured, Row, full_name, plan};
use super::record::{RunId, RunRecord};
use super::startup::Startup;
use crate::process::{self, Caller};
use active::{Active, Phase, Progress, Verdict};
use show::show_progress;
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
    /// How long its process holds itself back before the command begins.
    pub(crate) pause: Duration,
    /// Something of an earlier run of it may go on: that one did not succeed.
    pub(crate) may_go_on: bool,
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
    /// It is among the next launches. That start holds itself back for the pause: [`Machine::resume`] after it.
    Anew { start: u32, pause: Duration },
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
    configured: Configured,
    entries: Entries,
    runner: Runner,
    queue: VecDeque<Job>,
    active: BTreeMap<RunId, Active>,
    next_number: u32,
    startup: Startup,
    /// The names of the variables that the caller of a command had that did not succeed.
    variables: BTreeMap<Key, Arc<BTreeSet<String>>>,
    /// The daemon ends: nothing is started any more.
    stopping: bool,
}

impl Machine {
    /// A machine at rest. Numbers of runs begin at `next_number`; `now` in seconds, as in [`Startup`].
    pub(crate) fn new(container: ContainerStatus, entries: Entries, next_number: u32, now: i64) -> Self {
        let startup = Startup::new(container.start_id.clone(), entries.windows(), now);
        let runner = if entries.has_tool(&container) { Runner::Tool } else { Runner::Burrow };
        Self {
            container,
            configured: Configured::default(),
            entries,
            runner,
            queue: VecDeque::new(),
            active: BTreeMap::new(),
            next_number,
            startup,
            variables: BTreeMap::new(),
            stopping: false,
        }
    }

    /// Replaces what is configured.
    pub(crate) fn configure(&mut self, configured: Configured) {
        self.configured = configured;
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
        let mut rows = plan(&self.configured, &self.entries, &self.container, self.runner);
        for active in self.active.values() {
            let mine = |row: &&mut Row| row.hook == active.record.run.hook && row.origin == active.record.origin;
            if let Some(row) = rows.iter_mut().find(mine) {
                show_progress(row, active);
            }
        }
        self.show_startup(&mut rows);
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

    /// The commands that start as soon as others of their runs have ended, whatever comes of those.
    pub(crate) fn next_in_line(&self) -> BTreeSet<(RunId, String)> {
        if self.stopping {
            return BTreeSet::new();
        }
        let in_line =
            self.active.values().flat_map(|active| active.in_line().into_iter().map(move |index| (active, index)));
        in_line.map(|(active, index)| (active.record.run, active.record.commands[index].name.clone())).collect()
    }

    /// The commands that start as soon as `run` is on record.
    pub(crate) fn first_of(&self, run: RunId) -> BTreeSet<(RunId, String)> {
        let Some(active) = self.active.get(&run) else { return BTreeSet::new() };
        active.first().into_iter().map(|index| (run, active.record.commands[index].name.clone())).collect()
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
        progress.holds_back = !progress.pause.is_zero();
        let (start, is_ready, pause) = (progress.start, progress.was_ready, progress.pause);
        let mut job = Arc::clone(&active.job);
        if let Some(env) = &progress.recovered {
            let caller = Caller { env: Arc::clone(env), ..Caller::default() };
            job = Arc::new(Job { caller, commands: Vec::new(), ..job.as_ref().clone() });
        }
        if start == 1 {
            let last = active.before.get(index).and_then(|(_, last)| last.as_ref());
            let may_go_on = last.is_some_and(|last| !matches!(last.fate, Fate::Succeeded { .. }));
            return Some(Launch { job, command, start, again: None, is_ready: false, pause, may_go_on });
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
        Some(Launch { job, command, start, again, is_ready, pause, may_go_on: false })
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
                let start = active.count_attempt(index, end.fate, started_at);
                active.progress[index].phase = Phase::Pausing(pause);
                active.progress[index].pause = Duration::ZERO;
                let left = active.command(index).map_or(0, |command| (command.retries + 2).saturating_sub(start));
                let key = self.key(run, name)?;
                let mut entry = self.entries.get(&key)?.clone();
                entry.started_at = end.started_at.or(entry.started_at);
                let not_made = matches!(meanwhile, Fate::Failed { .. } | Fate::TimedOut { .. });
                entry.note = not_made.then(|| retries_not_made(left));
                entry.fate = meanwhile;
                Some(Ended::Pause { line: Line::Command(Box::new(entry)), start, pause })
            }
            Verdict::Anew { pause } if !stopping => {
                let start = active.count_attempt(index, end.fate, started_at);
                active.progress[index].phase = Phase::Waiting;
                active.progress[index].pause = pause;
                Some(Ended::Anew { start, pause })
            }
            Verdict::Again { meanwhile: fate, .. } | Verdict::Final(fate) => {
                Some(Ended::Over(self.over(run, index, CommandEnd { fate, ..end })?))
            }
            Verdict::Anew { .. } => {
                let fate = Fate::Stopped { why: format!("it ended: {}", end.fate.how()) };
                Some(Ended::Over(self.over(run, index, CommandEnd { fate, ..end })?))
            }
        }
    }

    /// The pause before the nth start of a command is over.
    pub(crate) fn resume(&mut self, run: RunId, name: &str, start: u32) {
        let Some(progress) = self.progress_of(run, name).filter(|progress| progress.start == start) else { return };
        progress.holds_back = false;
        if matches!(progress.phase, Phase::Pausing(_)) {
            progress.phase = Phase::Waiting;
        }
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
            // What started in part is left as it is: a second run would start that part twice.
            let never_started = active.record.commands.iter().all(|command| command.fate == Fate::NeverStarted);
            if never_started && run.hook == HookName::OnStartup {
                lines.extend(self.startup.want());
            }
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
