//! Ledger and records together: what is written when a run begins, while it goes on, and when it ends. All of it blocks.
//!
//! Invariants: the record is written before the ledger says the same, at the beginning and at the end. So a run that the
//! ledger does not know was never started, and a record of a run that the ledger calls ended is complete.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burrow_protocol::model::ContainerStatus;

use super::error::HookError;
use super::fate::Fate;
use super::ledger::{Entries, Entry, Ledger, Line};
use super::machine::Settle;
use super::record::{RecordedCommand, RunId, RunRecord};
use super::runs::Runs;
use crate::durable::{DurableError, WorkspaceLayout};

/// The files of one workspace's hooks.
#[derive(Debug)]
pub(crate) struct Journal {
    ledger: Mutex<Ledger>,
    runs: Runs,
}

/// What was on disk when the daemon started.
pub(crate) struct Opened {
    pub(crate) journal: Journal,
    pub(crate) entries: Entries,
    /// The number of the next run.
    pub(crate) next_number: u32,
    /// Runs that a daemon before this one left behind, with their commands as the ledger knows them.
    pub(crate) in_flight: Vec<RunRecord>,
    /// The last runs of the commands that did not succeed.
    pub(crate) failed: Vec<RunRecord>,
}

impl Journal {
    /// Reads what an earlier daemon wrote.
    ///
    /// # Errors
    /// [`HookError::Unreadable`], [`HookError::Runs`].
    pub(crate) fn open(layout: &WorkspaceLayout, container: &ContainerStatus) -> Result<Opened, HookError> {
        let runs = Runs::new(layout.runs());
        let (ledger, entries) =
            Ledger::load(&layout.ledger(), container).map_err(|source| HookError::Unreadable { source })?;
        let on_disk = runs.list()?.into_iter();
        let last = on_disk.chain(entries.iter().filter_map(|entry| entry.run)).map(|run| run.number).max();
        let running = entries.iter().filter(|entry| entry.fate == Fate::Running);
        let unfinished: BTreeSet<_> = running.filter_map(|entry| entry.run).collect();
        let in_flight = unfinished.into_iter().map(|run| record_of(run, &runs, &entries)).collect();
        let bad = entries.iter().filter(|entry| entry.fate.is_bad());
        let bad: BTreeSet<_> = bad.filter_map(|entry| entry.run).collect();
        // One that is gone, or damaged, has nothing to tell.
        let failed = bad.into_iter().filter_map(|run| runs.read(run).ok().flatten()).collect();
        let next_number = last.unwrap_or(0) + 1;
        let journal = Self { ledger: Mutex::new(ledger), runs };
        Ok(Opened { journal, entries, next_number, in_flight, failed })
    }

    /// Writes down that a run starts, for which [`Runs::create`] has made room.
    ///
    /// # Errors
    /// [`DurableError::Write`]: then it must not start, and there is nothing left of it.
    pub(crate) fn begin(&self, run: RunId, lines: &[Line]) -> Result<(), DurableError> {
        let before = self.without(lines);
        self.record(lines).inspect_err(|_| self.take_back(run, &before))
    }

    /// What undoes `lines`, which speak of a run that is about to begin: what the ledger says before they are in it.
    fn without(&self, lines: &[Line]) -> Vec<Line> {
        let ledger = self.ledger();
        let undo = |line: &Line| match line {
            Line::Command(entry) => {
                let never_started = || Entry { fate: Fate::NeverStarted, ..entry.as_ref().clone() };
                Line::Command(Box::new(ledger.written().get(&entry.key).cloned().unwrap_or_else(never_started)))
            }
            Line::Windows { windows } => Line::Windows { windows: windows.still_wanted() },
            Line::Tool { .. } => line.clone(),
        };
        lines.iter().map(undo).collect()
    }

    /// Takes back what could not be synced: else the next daemon would take a run for lost that never started, and what is
    /// done for due.
    fn take_back(&self, run: RunId, before: &[Line]) {
        if let Err(error) = self.ledger().append(before) {
            tracing::warn!(%run, %error, "could not take back a run that did not start");
        }
        self.runs.discard(run);
    }

    /// Writes down the end of a command, and with the last one the end of the run.
    ///
    /// # Errors
    /// [`DurableError::Write`]: then the next daemon finds the end in the command's folder.
    pub(crate) fn settle(&self, settle: &Settle, in_flight: &BTreeSet<RunId>) -> Result<(), DurableError> {
        let Some(record) = &settle.record else { return self.ledger().append(&settle.lines) };
        self.runs.write(record)?;
        self.record(&settle.lines)?;
        let kept = self.ledger().open_runs().chain(in_flight.iter().copied()).collect();
        self.runs.prune(&kept);
        self.ledger().compact();
        Ok(())
    }

    /// Writes down that a command of a run is about to be started anew, and makes the folder of that start.
    ///
    /// # Errors
    /// [`DurableError::Write`]: then it must not start.
    pub(crate) fn begin_again(&self, settle: &Settle, run: RunId, name: &str, start: u32) -> Result<(), DurableError> {
        self.runs.create_start(run, name, start)?;
        if let Some(record) = &settle.record {
            self.runs.write(record)?;
        }
        self.record(&settle.lines)?;
        // What is started again and again never comes to an end that is written down.
        self.ledger().compact();
        Ok(())
    }

    /// Writes down what holds until a command is started anew: a daemon that comes before that takes it for the end.
    ///
    /// # Errors
    /// [`DurableError::Write`].
    pub(crate) fn pause(&self, line: &Line) -> Result<(), DurableError> {
        self.ledger().append(std::slice::from_ref(line))
    }

    /// Writes down what no run speaks of.
    ///
    /// # Errors
    /// [`DurableError::Write`].
    pub(crate) fn record(&self, lines: &[Line]) -> Result<(), DurableError> {
        let mut ledger = self.ledger();
        ledger.append(lines)?;
        ledger.sync()
    }

    pub(crate) const fn runs(&self) -> &Runs {
        &self.runs
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // No code panics while it holds the lock halfway through a change.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The record of a run in flight. Where it cannot be read, what the ledger knows has to do.
fn record_of(run: RunId, runs: &Runs, entries: &Entries) -> RunRecord {
    let of_run: Vec<&Entry> = entries.iter().filter(|entry| entry.run == Some(run)).collect();
    let found = runs.read(run).inspect_err(|error| tracing::warn!(%run, %error, "cannot read the record of a run"));
    let mut record = found.ok().flatten().unwrap_or_else(|| rebuilt(run, &of_run));
    for command in &mut record.commands {
        // A command of this run that has no entry of its own was run anew since: it has ended.
        command.fate = of_run
            .iter()
            .find(|entry| entry.key.command == command.name)
            .map_or_else(|| ended_somehow(&command.fate), |entry| entry.fate.clone());
    }
    record
}

fn ended_somehow(recorded: &Fate) -> Fate {
    if *recorded == Fate::Running { Fate::Interrupted } else { recorded.clone() }
}

fn rebuilt(run: RunId, entries: &[&Entry]) -> RunRecord {
    let first = entries.first();
    let commands = entries.iter().map(|entry| RecordedCommand {
        name: entry.key.command.clone(),
        line: burrow_protocol::settings::SingleCommand::Shell(String::new()),
        hash: entry.hash.clone(),
        fate: entry.fate.clone(),
        attempts: Vec::new(),
        background: entry.ready,
    });
    RunRecord {
        schema: RunRecord::SCHEMA,
        run,
        origin: first.map_or(burrow_protocol::hooks::HookOrigin::Burrow, |entry| entry.key.origin),
        scope: first.map_or_else(String::new, |entry| entry.key.scope.clone()),
        started_at: first.and_then(|entry| entry.started_at.clone()).unwrap_or_default(),
        container_start: String::new(),
        commands: commands.collect(),
        variables: Vec::new(),
    }
}
