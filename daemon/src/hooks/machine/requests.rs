//! What requests change: what is queued, what is dropped, what is passed over. Nothing starts here.

use std::collections::BTreeSet;

use burrow_protocol::hooks::{HookName, HookOrigin};

use super::active::{Ask, Phase};
use super::{Cancel, Cause, CommandEnd, Job, Machine, Selection, after, lacks};
use crate::hooks::command::Command;
use crate::hooks::error::HookError;
use crate::hooks::evidence::Runner;
use crate::hooks::fate::Fate;
use crate::hooks::ledger::{Entry, Key, Line};
use crate::hooks::plan::{Row, Standing, UP, full_name};
use crate::hooks::record::{RunId, RunRecord};
use crate::process::Caller;

impl Machine {
    /// Queues what is due of the hooks that belong to opening a workspace.
    pub(crate) fn up(&mut self, caller: &Caller) -> Vec<RunId> {
        let mut runs = Vec::new();
        for hook in UP {
            runs.extend(self.queue_due(&Selection { hook, command: None }, None, caller));
        }
        runs
    }

    /// Queues what is due of one hook. Runs that wait or run already are part of the answer.
    pub(crate) fn run(
        &mut self,
        what: &Selection,
        origin: Option<HookOrigin>,
        caller: &Caller,
    ) -> Result<Vec<RunId>, HookError> {
        self.check_known(what)?;
        Ok(self.queue_due(what, origin, caller))
    }

    /// Queues one hook whatever the ledger says; what a tool runs, only where its origin is named.
    pub(crate) fn run_again(
        &mut self,
        what: &Selection,
        origin: Option<HookOrigin>,
        caller: &Caller,
    ) -> Result<Vec<RunId>, HookError> {
        self.check_known(what)?;
        self.check_idle(what)?;
        let foreign = self.runner != Runner::Burrow && origin.is_none();
        let wanted = |row: &Row| {
            row.hook == what.hook
                && row.origin != HookOrigin::Exec
                && origin.is_none_or(|origin| row.origin == origin)
                && !(foreign && row.origin == HookOrigin::Devcontainer)
        };
        let rows: Vec<_> = self.rows().into_iter().filter(wanted).collect();
        let open = |standing: &Standing| standing.due;
        let mut runs = Vec::new();
        for row in &rows {
            let named = self.with_needs(row, what.command.as_deref(), open);
            runs.extend(self.queue_job(row, |it| named.contains(&it.name), Cause::Again, caller));
        }
        Ok(runs)
    }

    /// Queues what did not succeed, and what that held back within its hook: of one hook, or of all.
    pub(crate) fn retry(&mut self, what: Option<&Selection>, caller: &Caller) -> Result<Vec<RunId>, HookError> {
        if let Some(what) = what {
            self.check_known(what)?;
            self.check_idle(what)?;
        }
        let command = what.and_then(|what| what.command.as_deref());
        let rows: Vec<_> =
            self.rows().into_iter().filter(|row| what.is_none_or(|what| row.hook == what.hook)).collect();
        let mut runs = Vec::new();
        for row in &rows {
            let idle = self.queued(row.hook, row.origin).next().is_none();
            if !idle || !row.commands.iter().any(|standing| row.can_retry(standing)) {
                continue;
            }
            let open = |standing: &Standing| row.can_retry(standing) || standing.due;
            let named = self.with_needs(row, command, open);
            let wanted = |standing: &Standing| match command {
                // What it needs goes before it.
                Some(_) => named.contains(&standing.name) && open(standing),
                None => row.can_retry(standing),
            };
            runs.extend(self.queue_job(row, wanted, Cause::Retry, caller));
        }
        let bad = |standing: &Standing| standing.is_bad();
        let not_ours = |row: &&Row| row.origin == HookOrigin::Exec && row.commands.iter().any(bad);
        match rows.iter().find(not_ours) {
            Some(row) if runs.is_empty() => Err(HookError::NotOurs { name: row.hook.to_string() }),
            _ => Ok(runs),
        }
    }

    /// What the caller of a retry lacks that the failed runs had, in a sentence.
    pub(crate) fn what_retry_lacks(&self, runs: &[RunId], caller: &Caller) -> Option<String> {
        let jobs = self.queue.iter().filter(|job| runs.contains(&job.run));
        let keys = jobs.flat_map(|job| {
            let key = |name: &String| Key::new(&self.container, job.run.hook, job.origin, name);
            job.commands.iter().map(move |command| key(&command.name)).collect::<Vec<_>>()
        });
        let had: BTreeSet<String> =
            keys.filter_map(|key| self.variables.get(&key)).flat_map(|names| names.iter().cloned()).collect();
        let words = lacks::words(&lacks::missing(&had, caller))?;
        Some(format!("the run that failed had {words} in its environment, and this call has not"))
    }

    /// Registers a command line to record as a run of a hook.
    pub(crate) fn exec(
        &mut self,
        hook: HookName,
        command: Command,
        cause: Cause,
        caller: &Caller,
    ) -> Result<RunId, HookError> {
        let name = full_name(hook, &command.name);
        let same = |record: &&RunRecord| {
            record.run.hook == hook
                && record.origin == HookOrigin::Exec
                && record.commands.iter().any(|other| other.name == command.name && other.fate == Fate::Running)
        };
        if let Some(record) = self.active().find(same) {
            return Err(HookError::Running { name, run: record.run.to_string() });
        }
        Ok(self.push(hook, HookOrigin::Exec, vec![command], None, cause, caller))
    }

    /// Counts what did not succeed of a hook as done. The lines to write down are returned; nothing changes before
    /// [`Self::apply`].
    pub(crate) fn skip(&self, what: &Selection, why: Option<&str>) -> Result<Vec<Line>, HookError> {
        self.check_known(what)?;
        self.check_idle(what)?;
        let mut lines = Vec::new();
        for row in self.rows().into_iter().filter(|row| row.hook == what.hook) {
            for standing in row.commands {
                let wanted = what.command.as_ref().is_none_or(|name| *name == standing.name);
                if wanted && standing.can_skip() {
                    let key = Key::new(&self.container, row.hook, row.origin, &standing.name);
                    lines.push(Line::Command(Box::new(skipped(key, standing.entry, why))));
                }
            }
        }
        Ok(lines)
    }

    /// Ends a run, or one command of it: one that waits is dropped; of one that goes on, what runs has to be told.
    pub(crate) fn cancel(&mut self, run: RunId, command: Option<&str>) -> Result<Cancel, HookError> {
        let meant = |name: &str| command.is_none_or(|command| command == name);
        if let Some(active) = self.active.get_mut(&run) {
            let (mut commands, mut over) = (Vec::new(), Vec::new());
            for (index, progress) in active.progress.iter_mut().enumerate() {
                let name = &active.record.commands[index].name;
                match progress.phase {
                    _ if !meant(name) => {}
                    Phase::Running => {
                        progress.asked.get_or_insert(Ask::Cancel);
                        commands.push(name.clone());
                    }
                    Phase::Waiting | Phase::Pausing(_) => over.push(index),
                    Phase::Over => {}
                }
            }
            let unknown = commands.is_empty() && over.is_empty();
            let settle = self.cancelled(run, &over);
            return match unknown {
                true => Err(HookError::RunUnknown { run: run.to_string() }),
                false => Ok(Cancel::Tell { commands, settle }),
            };
        }
        let queued = self.queue.iter_mut().find(|job| job.run == run);
        let Some(job) = queued.filter(|job| job.commands.iter().any(|command| meant(&command.name))) else {
            return Err(HookError::RunUnknown { run: run.to_string() });
        };
        // What needs it is left out when the turn comes.
        job.commands.retain(|command| !meant(&command.name));
        self.queue.retain(|job| !job.commands.is_empty());
        self.forget_startup(run.hook);
        Ok(Cancel::Unqueued)
    }

    /// Ends what is not at rest, and drops what waits. Services that are ready stay.
    pub(crate) fn cancel_all(&mut self) -> Vec<(RunId, Cancel)> {
        self.queue.clear();
        self.forget_startup(HookName::OnStartup);
        let runs: Vec<_> = self.active.keys().copied().filter(|run| self.is_busy(*run)).collect();
        runs.into_iter().filter_map(|run| Some((run, self.cancel(run, None).ok()?))).collect()
    }

    /// Closes commands that had not begun.
    fn cancelled(&mut self, run: RunId, commands: &[usize]) -> Option<super::Settle> {
        let mut all: Option<super::Settle> = None;
        for index in commands {
            let Some(settle) = self.over(run, *index, CommandEnd::before_it_began()) else { continue };
            match &mut all {
                Some(all) => {
                    all.lines.extend(settle.lines);
                    all.record = settle.record.or(all.record.take());
                }
                None => all = Some(settle),
            }
        }
        all
    }

    pub(super) fn queue_due(&mut self, what: &Selection, origin: Option<HookOrigin>, caller: &Caller) -> Vec<RunId> {
        let wanted = |row: &Row| row.hook == what.hook && origin.is_none_or(|origin| row.origin == origin);
        let rows: Vec<_> = self.rows().into_iter().filter(wanted).collect();
        let mut runs = Vec::new();
        for row in &rows {
            runs.extend(self.under_way(row, what.command.as_deref()));
            let queued: Vec<_> = self.queued(row.hook, row.origin).cloned().collect();
            let waits = |name: &str| queued.iter().any(|job| job.commands.iter().any(|command| command.name == name));
            let named = self.with_needs(row, what.command.as_deref(), |standing| standing.due);
            let due = |standing: &Standing| standing.due && named.contains(&standing.name) && !waits(&standing.name);
            runs.extend(self.queue_job(row, due, Cause::Due, caller));
        }
        runs
    }

    /// The runs of a hook's origin that run or wait, where `command` is one of theirs.
    fn under_way(&self, row: &Row, command: Option<&str>) -> Vec<RunId> {
        let meant = |name: &str| command.is_none_or(|command| command == name);
        let running = self
            .active()
            .filter(|record| record.run.hook == row.hook && record.origin == row.origin && self.is_busy(record.run))
            .filter(|record| record.commands.iter().any(|command| meant(&command.name)))
            .map(|record| record.run);
        let queued = self
            .queued(row.hook, row.origin)
            .filter(|job| job.commands.iter().any(|command| meant(&command.name)))
            .map(|job| job.run);
        running.chain(queued).collect()
    }

    fn queue_job(
        &mut self,
        row: &Row,
        wanted: impl Fn(&Standing) -> bool,
        cause: Cause,
        caller: &Caller,
    ) -> Option<RunId> {
        let stage = self.configured.stages.iter().find(|stage| stage.hook == row.hook && stage.origin == row.origin)?;
        let wanted = |name: &str| row.commands.iter().any(|standing| standing.name == name && wanted(standing));
        let commands: Vec<_> = stage.commands.iter().filter(|command| wanted(&command.name)).cloned().collect();
        let jobs = stage.jobs;
        (!commands.is_empty()).then(|| self.push(row.hook, row.origin, commands, jobs, cause, caller))
    }

    /// The command `only` of a row with all that it needs and that `open` says is not done; without a name all commands.
    fn with_needs(&self, row: &Row, only: Option<&str>, open: impl Fn(&Standing) -> bool) -> BTreeSet<String> {
        let Some(only) = only else { return row.commands.iter().map(|standing| standing.name.clone()).collect() };
        let stage = self.configured.stages.iter().find(|stage| stage.hook == row.hook && stage.origin == row.origin);
        let commands = stage.map_or(&[][..], |stage| &stage.commands);
        let is_open = |name: &str| row.commands.iter().any(|standing| standing.name == name && open(standing));
        let mut names = BTreeSet::from([only.to_owned()]);
        loop {
            let of_names = commands.iter().filter(|command| names.contains(&command.name));
            let needs = of_names.flat_map(|command| command.needs.iter().cloned());
            let more: Vec<_> = needs.filter(|need| !names.contains(need) && is_open(need)).collect();
            if more.is_empty() {
                return names;
            }
            names.extend(more);
        }
    }

    fn push(
        &mut self,
        hook: HookName,
        origin: HookOrigin,
        commands: Vec<Command>,
        jobs: Option<usize>,
        cause: Cause,
        caller: &Caller,
    ) -> RunId {
        let run = RunId { number: self.next_number, hook };
        self.next_number += 1;
        self.queue.push_back(Job { run, origin, commands, jobs, cause, caller: caller.clone() });
        run
    }

    /// A command that is named must be there; a hook without commands is only one with nothing to do.
    fn check_known(&self, what: &Selection) -> Result<(), HookError> {
        let Some(name) = &what.command else { return Ok(()) };
        let rows = self.rows();
        let known: Vec<_> =
            rows.iter().flat_map(|row| row.commands.iter().map(move |it| (row.hook, &it.name))).collect();
        if known.contains(&(what.hook, name)) {
            return Ok(());
        }
        let known = known.into_iter().map(|(hook, name)| full_name(hook, name)).collect();
        Err(HookError::Unknown { name: what.to_string(), known })
    }

    fn check_idle(&self, what: &Selection) -> Result<(), HookError> {
        match self.run_of(what.hook) {
            Some(run) => Err(HookError::Running { name: what.to_string(), run: run.to_string() }),
            None => Ok(()),
        }
    }

    /// A run of `hook` that waits or runs: until it is over, the hook is neither retried nor skipped.
    pub(crate) fn run_of(&self, hook: HookName) -> Option<RunId> {
        let queued = self.queue.iter().map(|job| job.run);
        let running = self.active.keys().copied().filter(|run| self.is_busy(*run));
        queued.chain(running).find(|run| run.hook == hook)
    }
}

fn skipped(key: Key, last: Option<Entry>, why: Option<&str>) -> Entry {
    let note = last.as_ref().filter(|last| last.fate.is_bad()).and_then(|last| after(&last.fate));
    let fate = Fate::Skipped { why: why.map(ToOwned::to_owned) };
    match last {
        Some(last) => Entry { fate, note, ..last },
        None => Entry {
            key,
            hash: String::new(),
            run: None,
            attempt: 0,
            started_at: None,
            fate,
            note,
            within: None,
            start: 1,
            ready: false,
        },
    }
}
