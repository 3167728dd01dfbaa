//! What runs, what waits to, and what each input changes. Pure: no task, no file, the time is an argument.
//!
//! Invariants: hooks run one after another, the commands of one side by side; a command is in the ledger as running
//! before it starts; what was queued is looked at again when its turn comes, so that a failure holds back the rest.
//! What `burrow hook exec` asks for starts at once: it may be part of a hook that runs.

mod requests; // what is asked for: up, run, exec, retry, skip, cancel

use std::collections::{BTreeMap, VecDeque};

use burrow_protocol::hooks::{HookName, HookOrigin, HookState};
use burrow_protocol::model::ContainerStatus;
use burrow_protocol::settings::SingleCommand;
use camino::Utf8PathBuf;

use super::command::{Command, Stage};
use super::evidence::Runner;
use super::fate::Fate;
use super::ledger::{Entries, Entry, Key, Line, scope};
use super::plan::{Row, full_name, plan};
use super::record::{RecordedCommand, RunId, RunRecord};
use crate::process::Caller;

/// A run that waits for its turn.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) run: RunId,
    pub(crate) origin: HookOrigin,
    pub(crate) commands: Vec<Command>,
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

/// A run to write down, and then to start.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) job: Job,
    pub(crate) record: RunRecord,
    pub(crate) lines: Vec<Line>,
}

/// The end of a command, to write down.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settle {
    pub(crate) line: Line,
    /// The record, once the whole run is over.
    pub(crate) record: Option<RunRecord>,
}

/// What a request to cancel comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cancel {
    /// It waited, and no longer does.
    Unqueued,
    /// Its commands must be told.
    Tell,
}

/// The runs of one workspace.
#[derive(Debug)]
pub(crate) struct Machine {
    container: ContainerStatus,
    stages: Vec<Stage>,
    entries: Entries,
    runner: Runner,
    queue: VecDeque<Job>,
    active: BTreeMap<RunId, Active>,
    next_number: u32,
}

#[derive(Debug)]
struct Active {
    record: RunRecord,
    /// The entries that this run's replaced, for the case that it cannot be written down.
    before: Vec<(Key, Option<Entry>)>,
}

impl Machine {
    /// A machine at rest. Numbers of runs begin at `next_number`.
    pub(crate) fn new(container: ContainerStatus, entries: Entries, next_number: u32) -> Self {
        let runner = if entries.has_tool(&container) { Runner::Tool } else { Runner::Burrow };
        Self {
            container,
            stages: Vec::new(),
            entries,
            runner,
            queue: VecDeque::new(),
            active: BTreeMap::new(),
            next_number,
        }
    }

    /// Replaces what is configured.
    pub(crate) fn configure(&mut self, stages: Vec<Stage>) {
        self.stages = stages;
    }

    /// Goes on with a run that an earlier daemon started.
    pub(crate) fn adopt(&mut self, record: RunRecord) {
        self.active.insert(record.run, Active { record, before: Vec::new() });
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
        plan(&self.stages, &self.entries, &self.container, self.runner)
    }

    /// The runs of a hook's origin that wait.
    pub(crate) fn queued(&self, hook: HookName, origin: HookOrigin) -> impl Iterator<Item = &Job> {
        self.queue.iter().filter(move |job| job.run.hook == hook && job.origin == origin)
    }

    pub(crate) fn queue(&self) -> impl Iterator<Item = &Job> {
        self.queue.iter()
    }

    /// The records of the runs in flight.
    pub(crate) fn active(&self) -> impl Iterator<Item = &RunRecord> {
        self.active.values().map(|active| &active.record)
    }

    pub(crate) fn is_active(&self, run: RunId) -> bool {
        self.active.contains_key(&run)
    }

    /// Whether nothing runs and nothing is queued.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.active.is_empty()
    }

    /// Whether `hook` neither waits to be run nor runs.
    pub(crate) fn is_settled(&self, hook: HookName) -> bool {
        let waits = |state| matches!(state, HookState::Pending | HookState::Running);
        !self.queue.iter().any(|job| job.run.hook == hook)
            && !self.active.keys().any(|run| run.hook == hook)
            && !self.rows().iter().any(|row| row.hook == hook && waits(row.state()))
    }

    /// Takes over what was written down.
    pub(crate) fn apply(&mut self, lines: Vec<Line>) {
        lines.into_iter().for_each(|line| self.entries.apply(line));
    }

    /// Drops all that waits.
    pub(crate) fn clear_queue(&mut self) {
        self.queue.clear();
    }

    /// The next run to begin, now registered as running; none while a hook runs or where nothing waits.
    pub(crate) fn next(&mut self, now: &str) -> Option<Begin> {
        while let Some(index) = self.startable() {
            let mut job = self.queue.remove(index)?;
            job.commands = self.still_wanted(&job);
            if !job.commands.is_empty() {
                return Some(self.begin(job, now));
            }
        }
        None
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
    pub(crate) fn ended(&mut self, run: RunId, name: &str, end: CommandEnd) -> Option<Settle> {
        let active = self.active.get_mut(&run)?;
        let recorded = active.record.commands.iter_mut().find(|command| command.name == name)?;
        recorded.fate = end.fate.clone();
        let over = active.record.is_over();
        let key = Key {
            scope: active.record.scope.clone(),
            hook: run.hook,
            origin: active.record.origin,
            command: name.to_owned(),
        };
        let record = if over { self.active.remove(&run).map(|active| active.record) } else { None };
        let mut entry = self.entries.get(&key).filter(|entry| entry.run == Some(run))?.clone();
        entry.fate = end.fate;
        entry.started_at = end.started_at.or(entry.started_at);
        let notes: Vec<_> = entry.note.into_iter().chain(end.note).collect();
        entry.note = (!notes.is_empty()).then(|| notes.join(", "));
        let line = Line::Command(Box::new(entry));
        self.entries.apply(line.clone());
        Some(Settle { line, record })
    }

    /// What may start now: a recorded command line at any time, a hook when none runs.
    fn startable(&self) -> Option<usize> {
        let at_once = self.queue.iter().position(|job| matches!(job.cause, Cause::Exec { .. }));
        let hook_runs = self.active().any(|record| record.origin != HookOrigin::Exec);
        at_once.or_else(|| (!hook_runs && !self.queue.is_empty()).then_some(0))
    }

    /// The commands of `job` that are to run now that its turn has come.
    fn still_wanted(&self, job: &Job) -> Vec<Command> {
        let rows = self.rows();
        let row = rows.iter().find(|row| row.hook == job.run.hook && row.origin == job.origin);
        let is_due = |command: &&Command| {
            row.is_some_and(|row| row.commands.iter().any(|standing| standing.name == command.name && standing.due))
        };
        match job.cause {
            Cause::Due => job.commands.iter().filter(is_due).cloned().collect(),
            Cause::Retry if row.is_some_and(|row| row.held_by.is_some()) => Vec::new(),
            Cause::Retry | Cause::Again | Cause::Exec { .. } => job.commands.clone(),
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
            let line = Line::Command(Box::new(Entry {
                key: key.clone(),
                hash: command.hash.clone(),
                run: Some(job.run),
                attempt: last.as_ref().map_or(0, counted_attempts) + 1,
                started_at: Some(now.to_owned()),
                fate: Fate::Running,
                note: last.as_ref().filter(|last| last.fate.is_bad()).and_then(|last| after(&last.fate)),
                within,
            }));
            self.entries.apply(line.clone());
            lines.push(line);
            before.push((key, last));
            commands.push(RecordedCommand {
                name: command.name.clone(),
                line: command.action.line(),
                hash: command.hash.clone(),
                fate: Fate::Running,
            });
        }
        let record = RunRecord {
            schema: RunRecord::SCHEMA,
            run: job.run,
            origin: job.origin,
            scope: scope(&self.container, job.run.hook).to_owned(),
            started_at: now.to_owned(),
            commands,
        };
        self.active.insert(job.run, Active { record: record.clone(), before });
        Begin { job, record, lines }
    }
}

/// A run that was recorded and never started is no attempt.
fn counted_attempts(last: &Entry) -> u32 {
    if last.fate == Fate::NeverStarted { last.attempt.saturating_sub(1) } else { last.attempt }
}

fn after(fate: &Fate) -> Option<String> {
    fate.reason().map(|reason| format!("after {reason}"))
}

/// What stands in a record in the place of a command line that holds secrets.
pub(crate) fn masked(argv: &[String], secrets: &[String]) -> SingleCommand {
    let mask = |argument: &String| secrets.iter().fold(argument.clone(), |text, secret| text.replace(secret, "***"));
    SingleCommand::Exec(argv.iter().map(mask).collect())
}

#[cfg(test)]
mod tests;
