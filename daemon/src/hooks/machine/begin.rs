//! Which run has its turn, and what is written down before it starts. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use burrow_protocol::hooks::{HookName, HookOrigin, HookState};

use super::active::{Active, Progress};
use super::{Begin, Cause, Job, Machine, RunId, after, lacks};
use crate::hooks::command::Command;
use crate::hooks::fate::Fate;
use crate::hooks::ledger::{Entry, Key, Line, scope};
use crate::hooks::plan::Standing;
use crate::hooks::record::{RecordedCommand, RunRecord};

impl Machine {
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

    /// What is to be told of a run that could not be written down: it did not start, nor does what waited behind it.
    pub(crate) fn not_recorded(&mut self, run: RunId) {
        self.queue.clear();
        let Some(active) = self.active.remove(&run) else { return };
        if run.hook == HookName::OnStartup {
            self.startup.did_not_begin();
        }
        for (key, before) in active.before {
            self.entries.restore(&key, before);
        }
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
            let is_done = |need: &String| names.contains(need) || standing(need).is_none_or(Standing::is_done);
            wanted.retain(|command| command.needs.iter().all(is_done));
            if wanted.len() == names.len() {
                return wanted;
            }
        }
    }

    fn begin(&mut self, job: Job, now: &str) -> Begin {
        let within = if let Cause::Exec { within, .. } = &job.cause { *within } else { None };
        let mut before = Vec::new();
        // In one write with the run that it speaks of.
        let fulfils = (job.run.hook == HookName::OnStartup).then(|| self.startup.begins());
        let mut lines: Vec<_> = fulfils.flatten().into_iter().collect();
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
            variables: self.variables_of(&job),
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

    /// The names of the variables that a later retry is to have: those of the caller, and what this retry lacks itself.
    fn variables_of(&self, job: &Job) -> Vec<String> {
        let mut names: BTreeSet<String> = job.caller.env.keys().cloned().collect();
        if job.cause == Cause::Retry {
            let keys = job.commands.iter().map(|it| Key::new(&self.container, job.run.hook, job.origin, &it.name));
            let before = keys.filter_map(|key| self.variables.get(&key));
            names.extend(before.flat_map(|names| names.iter().cloned()));
        }
        names.into_iter().collect()
    }
}

/// A run that was recorded and never started is no attempt.
fn counted_attempts(last: &Entry) -> u32 {
    if last.fate == Fate::NeverStarted { last.attempt.saturating_sub(1) } else { last.attempt }
}
