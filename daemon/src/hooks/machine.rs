//! What runs, what waits to, and what each input changes. Pure: no task, no file, the time is an argument.
//!
//! Invariants: hooks run one after another, the commands of one side by side; a command is in the ledger as running
//! before it starts; what was queued is looked at again when its turn comes, so that a failure holds back the rest.
//! What `burrow hook exec` asks for starts at once: it may be part of a hook that runs.

use std::collections::{BTreeMap, VecDeque};

use burrow_protocol::hooks::{HookName, HookOrigin, HookState};
use burrow_protocol::model::ContainerStatus;
use burrow_protocol::settings::SingleCommand;
use camino::Utf8PathBuf;

use super::command::{Command, Stage};
use super::error::HookError;
use super::evidence::Runner;
use super::fate::Fate;
use super::ledger::{Entries, Entry, Key, Line, scope};
use super::plan::{Row, UP, full_name, plan};
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

    /// The run that waits for the commands of a hook's origin, if one does.
    pub(crate) fn queued(&self, hook: HookName, origin: HookOrigin) -> Option<&Job> {
        self.queue.iter().find(|job| job.run.hook == hook && job.origin == origin)
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
        Ok(rows
            .iter()
            .filter_map(|row| self.queue_job(row, what.command.as_deref(), |_| true, Cause::Again, caller))
            .collect())
    }

    /// Queues what did not succeed: of one hook, or of all.
    pub(crate) fn retry(&mut self, what: Option<&Selection>, caller: &Caller) -> Result<Vec<RunId>, HookError> {
        if let Some(what) = what {
            self.check_known(what)?;
            self.check_idle(what)?;
        }
        let command = what.and_then(|what| what.command.as_deref());
        let bad = |standing: &super::plan::Standing| standing.entry.as_ref().is_some_and(|entry| entry.fate.is_bad());
        let rows: Vec<_> =
            self.rows().into_iter().filter(|row| what.is_none_or(|what| row.hook == what.hook)).collect();
        let mut runs = Vec::new();
        for row in &rows {
            let idle = self.queued(row.hook, row.origin).is_none();
            if idle && row.origin != HookOrigin::Exec {
                runs.extend(self.queue_job(row, command, bad, Cause::Retry, caller));
            }
        }
        let not_ours = |row: &&Row| row.origin == HookOrigin::Exec && row.commands.iter().any(bad);
        match rows.iter().find(not_ours) {
            Some(row) if runs.is_empty() => Err(HookError::NotOurs { name: row.hook.to_string() }),
            _ => Ok(runs),
        }
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
        Ok(self.push(hook, HookOrigin::Exec, vec![command], cause, caller))
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
                let open = standing.due
                    || standing.state == HookState::Blocked
                    || standing.entry.as_ref().is_some_and(|entry| entry.fate.is_bad());
                if wanted && open {
                    let key = Key::new(&self.container, row.hook, row.origin, &standing.name);
                    lines.push(Line::Command(Box::new(skipped(key, standing.entry, why))));
                }
            }
        }
        Ok(lines)
    }

    /// Takes over what was written down.
    pub(crate) fn apply(&mut self, lines: Vec<Line>) {
        lines.into_iter().for_each(|line| self.entries.apply(line));
    }

    /// Drops a run that waits; one that runs has to be told.
    pub(crate) fn cancel(&mut self, run: RunId) -> Result<Cancel, HookError> {
        if self.is_active(run) {
            return Ok(Cancel::Tell);
        }
        let before = self.queue.len();
        self.queue.retain(|job| job.run != run);
        if self.queue.len() == before {
            Err(HookError::RunUnknown { run: run.to_string() })
        } else {
            Ok(Cancel::Unqueued)
        }
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
        let key = Key {
            scope: active.record.scope.clone(),
            hook: run.hook,
            origin: active.record.origin,
            command: name.to_owned(),
        };
        let mut entry = self.entries.get(&key)?.clone();
        if entry.run != Some(run) {
            return None;
        }
        entry.fate = end.fate;
        entry.started_at = end.started_at.or(entry.started_at);
        let notes: Vec<_> = entry.note.into_iter().chain(end.note).collect();
        entry.note = (!notes.is_empty()).then(|| notes.join(", "));
        let line = Line::Command(Box::new(entry));
        self.entries.apply(line.clone());
        let over = active.record.is_over();
        let record = if over { self.active.remove(&run).map(|active| active.record) } else { None };
        Some(Settle { line, record })
    }

    fn queue_due(&mut self, what: &Selection, origin: Option<HookOrigin>, caller: &Caller) -> Vec<RunId> {
        let wanted = |row: &Row| row.hook == what.hook && origin.is_none_or(|origin| row.origin == origin);
        let rows: Vec<_> = self.rows().into_iter().filter(wanted).collect();
        let mut runs = Vec::new();
        for row in &rows {
            if let Some(run) = self.under_way(row) {
                runs.push(run);
            } else {
                runs.extend(self.queue_job(row, what.command.as_deref(), |standing| standing.due, Cause::Due, caller));
            }
        }
        runs
    }

    fn under_way(&self, row: &Row) -> Option<RunId> {
        let queued = self.queued(row.hook, row.origin).map(|job| job.run);
        let same = |record: &&RunRecord| record.run.hook == row.hook && record.origin == row.origin;
        queued.or_else(|| self.active().find(same).map(|record| record.run))
    }

    fn queue_job(
        &mut self,
        row: &Row,
        only: Option<&str>,
        wanted: impl Fn(&super::plan::Standing) -> bool,
        cause: Cause,
        caller: &Caller,
    ) -> Option<RunId> {
        let stage = self.stages.iter().find(|stage| stage.hook == row.hook && stage.origin == row.origin)?;
        let wanted = |name: &str| row.commands.iter().any(|standing| standing.name == name && wanted(standing));
        let named = |name: &str| only.is_none_or(|only| only == name);
        let commands = stage.commands.iter().filter(|command| named(&command.name) && wanted(&command.name));
        let commands: Vec<_> = commands.cloned().collect();
        (!commands.is_empty()).then(|| self.push(row.hook, row.origin, commands, cause, caller))
    }

    fn push(
        &mut self,
        hook: HookName,
        origin: HookOrigin,
        commands: Vec<Command>,
        cause: Cause,
        caller: &Caller,
    ) -> RunId {
        let run = RunId { number: self.next_number, hook };
        self.next_number += 1;
        self.queue.push_back(Job { run, origin, commands, cause, caller: caller.clone() });
        run
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
                line: command.line.clone(),
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
        let queued = self.queue.iter().map(|job| job.run);
        match queued.chain(self.active.keys().copied()).find(|run| run.hook == what.hook) {
            Some(run) => Err(HookError::Running { name: what.to_string(), run: run.to_string() }),
            None => Ok(()),
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

fn skipped(key: Key, last: Option<Entry>, why: Option<&str>) -> Entry {
    let note = last.as_ref().filter(|last| last.fate.is_bad()).and_then(|last| after(&last.fate));
    let fate = Fate::Skipped { why: why.map(ToOwned::to_owned) };
    match last {
        Some(last) => Entry { fate, note, ..last },
        None => Entry { key, hash: String::new(), run: None, attempt: 0, started_at: None, fate, note, within: None },
    }
}

/// What stands in a record in the place of a command line that holds secrets.
pub(crate) fn masked(argv: &[String], secrets: &[String]) -> SingleCommand {
    let mask = |argument: &String| secrets.iter().fold(argument.clone(), |text, secret| text.replace(secret, "***"));
    SingleCommand::Exec(argv.iter().map(mask).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use burrow_protocol::hooks::HookName::{self, OnCreate, PostAttach, PostCreate, PostStart};
    use burrow_protocol::hooks::HookOrigin::{self, Burrow, Devcontainer};
    use burrow_protocol::hooks::HookState;
    use burrow_protocol::model::{ContainerKind, ContainerStatus};
    use burrow_protocol::settings::SingleCommand;

    use super::{Cancel, Cause, CommandEnd, Machine, RunId, Selection, masked};
    use crate::hooks::command::{Command, Stage};
    use crate::hooks::error::HookError;
    use crate::hooks::evidence::Runner;
    use crate::hooks::fate::{Failure, Fate};
    use crate::hooks::ledger::{Entries, Line};
    use crate::process::Caller;

    const NOW: &str = "2026-01-01T00:00:00Z";
    const DONE: Fate = Fate::Succeeded { duration_ms: 1 };
    const FAILED: Fate = Fate::Failed { failure: Failure::Exited { code: 1 }, duration_ms: 1 };

    fn caller() -> Caller {
        Caller { env: Arc::default(), cwd: "/".into(), trusted: true }
    }

    fn command(name: &str) -> Command {
        Command::new(name, SingleCommand::Shell("true".to_owned()))
    }

    fn machine(stages: &[(HookName, HookOrigin, &[&str])]) -> Machine {
        let container = ContainerStatus { kind: ContainerKind::Docker, id: "c".to_owned(), start_id: "s".to_owned() };
        let mut machine = Machine::new(container, Entries::default(), 1);
        let stages = stages.iter().map(|(hook, origin, names)| Stage {
            hook: *hook,
            origin: *origin,
            commands: names.iter().map(|name| command(name)).collect(),
        });
        machine.configure(stages.collect());
        machine
    }

    fn what(hook: HookName) -> Selection {
        Selection { hook, command: None }
    }

    fn end(machine: &mut Machine, run: RunId, name: &str, fate: Fate) -> Option<super::Settle> {
        machine.ended(run, name, CommandEnd::bare(fate))
    }

    /// Runs all that may start, each command ending as `fate` says.
    fn drain(machine: &mut Machine, fate: impl Fn(HookName) -> Fate) -> Vec<String> {
        let mut order = Vec::new();
        while let Some(begin) = machine.next(NOW) {
            for command in &begin.job.commands {
                end(machine, begin.job.run, &command.name, fate(begin.job.run.hook));
            }
            order.push(format!("{}/{:?}", begin.job.run, begin.job.origin));
        }
        order
    }

    fn states(machine: &Machine) -> Vec<HookState> {
        machine.rows().iter().map(super::Row::state).collect()
    }

    #[test]
    fn hooks_run_one_after_another_in_their_order() {
        let mut machine = machine(&[
            (OnCreate, Burrow, &[""]),
            (OnCreate, Devcontainer, &[""]),
            (PostStart, Devcontainer, &[""]),
            (PostAttach, Devcontainer, &[""]),
        ]);
        machine.up(&caller());
        let first = machine.next(NOW).unwrap().job.run;
        assert!(machine.next(NOW).is_none(), "the second waits for the first");
        end(&mut machine, first, "", DONE);
        let rest = drain(&mut machine, |_| DONE);
        assert_eq!(rest, ["2-onCreate/Devcontainer", "3-postStart/Devcontainer"], "postAttach is no part of it");
        assert_eq!(machine.up(&caller()), [], "nothing is due twice");
        assert!(machine.is_idle());
    }

    #[test]
    fn a_failure_holds_back_the_rest_until_it_is_retried_or_skipped() {
        for retried in [true, false] {
            let mut machine = machine(&[(PostCreate, Devcontainer, &[""]), (PostStart, Devcontainer, &[""])]);
            machine.up(&caller());
            assert_eq!(drain(&mut machine, |_| FAILED).len(), 1, "what was queued behind it is dropped");
            assert_eq!(states(&machine), [HookState::Failed, HookState::Blocked]);
            assert_eq!(machine.up(&caller()), [], "up runs nothing that failed, nor what it holds back");
            if retried {
                machine.retry(None, &caller()).unwrap();
                assert_eq!(drain(&mut machine, |_| DONE), ["3-postCreate/Devcontainer"]);
            } else {
                let lines = machine.skip(&what(PostCreate), Some("by hand")).unwrap();
                machine.apply(lines);
            }
            assert_eq!(machine.up(&caller()).len(), 1, "postStart is due now");
        }
    }

    #[test]
    fn an_attempt_is_counted_and_tells_what_it_comes_after() {
        let mut machine = machine(&[(PostCreate, Devcontainer, &[""])]);
        machine.up(&caller());
        drain(&mut machine, |_| FAILED);
        machine.retry(None, &caller()).unwrap();
        drain(&mut machine, |_| DONE);
        let rows = machine.rows();
        let entry = rows[0].commands[0].entry.as_ref().unwrap();
        assert_eq!((entry.attempt, entry.note.as_deref()), (2, Some("after exit code 1")));
    }

    #[test]
    fn the_commands_of_one_hook_run_side_by_side_and_all_ends_count() {
        let mut machine = machine(&[(PostCreate, Devcontainer, &["a", "b"])]);
        machine.up(&caller());
        let run = machine.next(NOW).unwrap().job.run;
        let first = end(&mut machine, run, "a", FAILED).unwrap();
        assert_eq!(first.record, None, "the run goes on");
        assert_eq!(states(&machine), [HookState::Running]);
        let last = end(&mut machine, run, "b", DONE).unwrap();
        let fates: Vec<_> = last.record.unwrap().commands.into_iter().map(|command| command.fate).collect();
        assert_eq!(fates, [FAILED, DONE]);
        assert_eq!(states(&machine), [HookState::Failed]);
        machine.retry(None, &caller()).unwrap();
        let names: Vec<_> = machine.next(NOW).unwrap().job.commands.into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["a"], "only what did not succeed is retried");
    }

    #[test]
    fn asking_again_joins_what_is_under_way() {
        let mut machine = machine(&[(PostCreate, Devcontainer, &[""]), (PostStart, Devcontainer, &[""])]);
        let first = machine.up(&caller());
        assert_eq!(machine.up(&caller()), first, "both wait");
        machine.next(NOW).unwrap();
        assert_eq!(machine.up(&caller()), first, "one runs, one waits");
        assert_eq!(machine.run(&what(PostStart), None, &caller()).unwrap(), first[1..]);
        let again = machine.run_again(&what(PostCreate), None, &caller());
        assert!(matches!(again, Err(HookError::Running { .. })), "twice at once is none of what was asked for");
    }

    #[test]
    fn what_cannot_be_written_down_did_not_start() {
        let mut machine = machine(&[(PostCreate, Devcontainer, &[""]), (PostStart, Devcontainer, &[""])]);
        machine.up(&caller());
        let run = machine.next(NOW).unwrap().job.run;
        machine.not_recorded(run);
        assert!(machine.is_idle(), "nor did what waited behind it");
        assert_eq!(states(&machine), [HookState::Pending, HookState::Pending]);
    }

    #[test]
    fn what_never_started_is_due_again_and_no_attempt() {
        let mut machine = machine(&[(PostCreate, Devcontainer, &[""])]);
        machine.up(&caller());
        drain(&mut machine, |_| Fate::NeverStarted);
        machine.up(&caller());
        drain(&mut machine, |_| DONE);
        assert_eq!(machine.rows()[0].commands[0].entry.as_ref().unwrap().attempt, 1);
    }

    #[test]
    fn again_runs_whatever_the_ledger_says_but_not_what_a_tool_runs() {
        let mut machine = machine(&[(PostCreate, Burrow, &[""]), (PostCreate, Devcontainer, &[""])]);
        machine.saw(Runner::Tool);
        machine.run_again(&what(PostCreate), None, &caller()).unwrap();
        assert_eq!(drain(&mut machine, |_| DONE), ["1-postCreate/Burrow"]);
        machine.run_again(&what(PostCreate), Some(Devcontainer), &caller()).unwrap();
        assert_eq!(drain(&mut machine, |_| DONE), ["2-postCreate/Devcontainer"], "its origin was named");
    }

    #[test]
    fn a_tool_that_was_seen_is_written_down_once_and_stays() {
        let mut machine = machine(&[]);
        assert_eq!(machine.saw(Runner::Unclear), None);
        assert_eq!(machine.saw(Runner::Tool), Some(Line::Tool { tool: "c".to_owned() }));
        assert_eq!(machine.saw(Runner::Burrow), None);
        assert_eq!(machine.runner(), Runner::Tool, "a caller without its environment proves nothing");
    }

    #[test]
    fn a_recorded_command_line_starts_within_a_running_hook() {
        let mut machine = machine(&[(PostCreate, Devcontainer, &[""])]);
        machine.up(&caller());
        let outer = machine.next(NOW).unwrap().job.run;
        let cause = || Cause::Exec { argv: vec!["make".to_owned()], cwd: "/".into(), within: Some(outer) };
        let inner = machine.exec(PostCreate, command(""), cause(), &caller()).unwrap();
        assert_eq!(machine.next(NOW).unwrap().job.run, inner, "else the hook would wait for itself");
        assert!(machine.exec(PostCreate, command(""), cause(), &caller()).is_err(), "the same twice");
        end(&mut machine, inner, "", FAILED);
        end(&mut machine, outer, "", DONE);
        assert!(machine.retry(None, &caller()).is_err(), "its arguments are its caller's");
    }

    #[test]
    fn what_waits_is_dropped_and_what_runs_is_told() {
        let mut machine = machine(&[(PostCreate, Devcontainer, &[""]), (PostStart, Devcontainer, &[""])]);
        let runs = machine.up(&caller());
        machine.next(NOW).unwrap();
        assert_eq!(machine.cancel(runs[0]).unwrap(), Cancel::Tell);
        assert_eq!(machine.cancel(runs[1]).unwrap(), Cancel::Unqueued);
        assert!(machine.cancel(runs[1]).is_err(), "it no longer waits");
    }

    #[test]
    fn a_command_that_is_not_there_is_told_with_those_that_are() {
        let mut machine = machine(&[(PostCreate, Devcontainer, &["vet"])]);
        let what = Selection { hook: PostCreate, command: Some("vett".to_owned()) };
        let error = machine.run(&what, None, &caller()).unwrap_err();
        assert_eq!(error.to_string(), "find postCreate/vett: the workspace has postCreate/vet");
        assert_eq!(machine.run(&super::Selection { hook: PostStart, command: None }, None, &caller()).unwrap(), []);
    }

    #[test]
    fn secrets_in_arguments_are_masked() {
        let argv = ["curl", "-H", "token: hunter2"].map(str::to_owned);
        let expected = ["curl", "-H", "token: ***"].map(str::to_owned).to_vec();
        assert_eq!(masked(&argv, &["hunter2".to_owned()]), SingleCommand::Exec(expected));
    }
}
