//! What is due: the configured commands held against the ledger. Pure.
//!
//! A command that ran for this container (or this start of it) is done, also if it was edited since, unless the workspace
//! wants edited ones again. One that did not succeed holds back the commands that need it and every later hook, until it
//! is retried or skipped; an optional one holds back nothing.

use std::collections::BTreeSet;

use burrow_protocol::hooks::{HookName, HookOrigin, HookState};
use burrow_protocol::model::ContainerStatus;

use super::command::{Command, Stage};
use super::evidence::Runner;
use super::fate::Fate;
use super::ledger::{Entries, Entry, Key, scope};

/// The hooks that `up` runs, in order.
pub(crate) const UP: [HookName; 4] =
    [HookName::OnCreate, HookName::UpdateContent, HookName::PostCreate, HookName::PostStart];

/// What is configured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Configured {
    /// In the order in which hooks run.
    pub(crate) stages: Vec<Stage>,
    /// Hooks that cannot be understood, and where they stand.
    pub(crate) unknown: BTreeSet<(HookName, HookOrigin)>,
    /// Whether what was edited is due again.
    pub(crate) rerun: bool,
}

/// How one hook of one origin stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) hook: HookName,
    pub(crate) origin: HookOrigin,
    /// What came before it and did not succeed: `HOOK` or `HOOK/COMMAND`.
    pub(crate) held_by: Option<String>,
    pub(crate) commands: Vec<Standing>,
}

/// How one command stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) name: String,
    pub(crate) state: HookState,
    /// Whether it is to run when its hook's turn comes.
    pub(crate) due: bool,
    /// Whether it was edited since it ran.
    pub(crate) changed: bool,
    pub(crate) optional: bool,
    pub(crate) background: bool,
    /// What it waits for, where it is blocked: `HOOK` or `HOOK/COMMAND`.
    pub(crate) blocked_by: Option<String>,
    /// Why it waits within a run that goes on.
    pub(crate) waits: Option<String>,
    pub(crate) entry: Option<Entry>,
}

impl Row {
    /// The state of the whole.
    pub(crate) fn state(&self) -> HookState {
        overall(self.commands.iter().map(Standing::counts_as))
    }

    fn standing(&self, name: &str) -> Option<&Standing> {
        self.commands.iter().find(|standing| standing.name == name)
    }
}

impl Standing {
    /// Whether it ended without having done what it should.
    pub(crate) fn is_bad(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| entry.fate.is_bad())
    }

    /// Whether it is a service that runs and is ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.background && self.entry.as_ref().is_some_and(|entry| entry.fate == Fate::Running && entry.ready)
    }

    /// Whether what needs it may start.
    pub(crate) fn is_done(&self) -> bool {
        let is_over = matches!(self.state, HookState::Succeeded | HookState::Skipped | HookState::External);
        is_over && !self.due || self.is_ready() || self.is_let_off()
    }

    /// Whether it failed and may.
    fn is_let_off(&self) -> bool {
        self.optional && self.is_bad() && !matches!(self.state, HookState::Pending | HookState::Blocked)
    }

    /// What it adds to the state of its hook: a ready service is well, and so is whatever may fail.
    pub(crate) fn counts_as(&self) -> HookState {
        if self.is_ready() || self.is_let_off() { HookState::Succeeded } else { self.state }
    }
}

/// Holds what is configured against `entries`, in the order in which hooks run. A hook that cannot be understood holds back
/// what else there is of it, and what comes after it. What `burrow hook exec` recorded has rows of its own, after those
/// that are configured for the same hook.
pub(crate) fn plan(
    configured: &Configured,
    entries: &Entries,
    container: &ContainerStatus,
    runner: Runner,
) -> Vec<Row> {
    let Configured { stages, unknown, rerun } = configured;
    let mut rows = Vec::new();
    let mut blocker = None;
    for hook in HookName::ALL {
        let ours = |(name, origin): &(HookName, HookOrigin)| *name == hook && !is_external(hook, *origin, runner);
        let misunderstood = unknown.iter().any(ours).then(|| hook.to_string());
        for stage in stages.iter().filter(|stage| stage.hook == hook) {
            let external = is_external(hook, stage.origin, runner);
            let held_by = if external { None } else { blocker.clone().or_else(|| misunderstood.clone()) };
            let commands = stage.commands.iter().map(|command| {
                let entry = entries.get(&Key::new(container, hook, stage.origin, &command.name));
                standing(hook, command, entry, external, *rerun)
            });
            let mut row = Row { hook, origin: stage.origin, commands: commands.collect(), held_by };
            hold_back(&mut row, &stage.commands);
            if !external {
                blocker = blocker.or_else(|| blocks(&row));
            }
            rows.push(row);
        }
        blocker = blocker.or_else(|| misunderstood.filter(|_| !is_always_due(hook)));
        let recorded = exec_row(hook, entries, container);
        blocker = blocker.or_else(|| recorded.as_ref().and_then(blocks));
        rows.extend(recorded);
    }
    rows
}

/// Whether a Dev Containers tool runs what this place says of `hook`: no tool knows onStartup.
pub(crate) fn is_external(hook: HookName, origin: HookOrigin, runner: Runner) -> bool {
    origin == HookOrigin::Devcontainer && hook != HookName::OnStartup && runner != Runner::Burrow
}

/// Its rows never hold anything back by being due: a recorded command line runs when its caller says so.
fn exec_row(hook: HookName, entries: &Entries, container: &ContainerStatus) -> Option<Row> {
    let scope = scope(container, hook);
    let mine = |key: &Key| key.origin == HookOrigin::Exec && key.hook == hook && key.scope == scope;
    let recorded = |entry: &&Entry| mine(&entry.key) && entry.fate.state().is_some();
    let commands: Vec<_> = entries
        .iter()
        .filter(recorded)
        .map(|entry| Standing {
            name: entry.key.command.clone(),
            state: entry.fate.state().unwrap_or(HookState::Pending),
            due: false,
            changed: false,
            optional: false,
            background: false,
            blocked_by: None,
            waits: None,
            entry: Some(entry.clone()),
        })
        .collect();
    (!commands.is_empty()).then_some(Row { hook, origin: HookOrigin::Exec, commands, held_by: None })
}

/// How a command stands, whatever there is that holds it back.
fn standing(hook: HookName, command: &Command, entry: Option<&Entry>, external: bool, rerun: bool) -> Standing {
    let recorded = entry.and_then(|entry| entry.fate.state());
    let ran = entry.filter(|entry| entry.fate.state().is_some() && !entry.hash.is_empty());
    let changed = ran.is_some_and(|entry| entry.hash != command.hash);
    let wanted_again = changed && rerun && recorded != Some(HookState::Skipped);
    let waits = match recorded {
        None => true,
        Some(state) => (is_always_due(hook) || wanted_again) && state != HookState::Running,
    };
    let state = match recorded {
        Some(_) if wanted_again && waits && !external => HookState::Pending,
        Some(state) => state,
        None if external => HookState::External,
        None => HookState::Pending,
    };
    Standing {
        name: command.name.clone(),
        state,
        due: waits && !external,
        changed,
        optional: command.optional,
        background: command.background,
        blocked_by: None,
        waits: None,
        entry: entry.cloned(),
    }
}

/// Marks as blocked what is due and cannot be done: all of a hook that is held back, else what needs a command that did
/// not succeed.
fn hold_back(row: &mut Row, commands: &[Command]) {
    if let Some(by) = row.held_by.clone() {
        for standing in row.commands.iter_mut().filter(|standing| standing.due) {
            standing.block(&by);
        }
        return;
    }
    // Each round reaches what needs something of the round before.
    loop {
        let mut found = Vec::new();
        for command in commands {
            if row.standing(&command.name).is_some_and(|standing| standing.due)
                && let Some(by) = command.needs.iter().find_map(|need| blocking(row, need))
            {
                found.push((command.name.clone(), by));
            }
        }
        if found.is_empty() {
            return;
        }
        for (name, by) in found {
            row.commands.iter_mut().filter(|standing| standing.name == name).for_each(|it| it.block(&by));
        }
    }
}

impl Standing {
    fn block(&mut self, by: &str) {
        self.state = HookState::Blocked;
        self.due = false;
        self.blocked_by = Some(by.to_owned());
    }
}

/// What keeps that which needs the command `need` from starting, for good.
fn blocking(row: &Row, need: &str) -> Option<String> {
    let standing = row.standing(need)?;
    let failed = standing.is_bad() && !standing.optional && !standing.due;
    standing.blocked_by.clone().or_else(|| failed.then(|| full_name(row.hook, need)))
}

/// Each attach and each connect asks for these anew.
const fn is_always_due(hook: HookName) -> bool {
    match hook {
        HookName::PostAttach | HookName::OnStartup => true,
        HookName::OnCreate | HookName::UpdateContent | HookName::PostCreate | HookName::PostStart => false,
    }
}

/// The command of `row` that holds back what comes after it. A run inside another run does not: the outer one answers.
fn blocks(row: &Row) -> Option<String> {
    if is_always_due(row.hook) {
        return None;
    }
    let is_outer = |standing: &Standing| standing.entry.as_ref().is_some_and(|entry| entry.within.is_none());
    let bad = |it: &&Standing| it.is_bad() && !it.due && !it.optional && is_outer(it);
    row.commands.iter().find(bad).map(|command| full_name(row.hook, &command.name))
}

/// `HOOK/COMMAND`, or `HOOK` for a command without a name.
pub(crate) fn full_name(hook: HookName, command: &str) -> String {
    if command.is_empty() { hook.to_string() } else { format!("{hook}/{command}") }
}

/// The state of several commands as one: what needs attention counts before what is well.
pub(crate) fn overall(states: impl IntoIterator<Item = HookState>) -> HookState {
    const fn weight(state: HookState) -> u8 {
        match state {
            HookState::Running => 9,
            HookState::Failed => 8,
            HookState::TimedOut => 7,
            HookState::Interrupted => 6,
            HookState::Cancelled => 5,
            HookState::Blocked => 4,
            HookState::Pending => 3,
            HookState::External => 2,
            HookState::Succeeded => 1,
            HookState::Skipped => 0,
        }
    }
    states.into_iter().max_by_key(|state| weight(*state)).unwrap_or(HookState::Skipped)
}

#[cfg(test)]
mod tests {
    use burrow_protocol::hooks::HookName::{OnCreate, OnStartup, PostAttach, PostCreate, PostStart};
    use burrow_protocol::hooks::HookOrigin::{Burrow, Devcontainer, Exec};
    use burrow_protocol::hooks::HookState::{
        self, Blocked, Cancelled, External, Failed, Interrupted, Pending, Running, Skipped, Succeeded,
    };
    use burrow_protocol::hooks::{HookName, HookOrigin};
    use burrow_protocol::model::{ContainerKind, ContainerStatus};
    use burrow_protocol::settings::SingleCommand;

    use super::{Configured, Row, overall};
    use crate::hooks::command::{Command, Stage};
    use crate::hooks::evidence::Runner;
    use crate::hooks::fate::{Failure, Fate};
    use crate::hooks::ledger::{Entries, Entry, Key, Line};
    use crate::hooks::record::RunId;

    fn container() -> ContainerStatus {
        ContainerStatus { kind: ContainerKind::Docker, id: "c".to_owned(), start_id: "s".to_owned() }
    }

    fn plan(stages: &[Stage], entries: &Entries, container: &ContainerStatus, runner: Runner, rerun: bool) -> Vec<Row> {
        let configured = Configured { stages: stages.to_vec(), rerun, ..Configured::default() };
        super::plan(&configured, entries, container, runner)
    }

    fn command(name: &str) -> Command {
        Command::new(name, SingleCommand::Shell("true".to_owned()))
    }

    fn stage(hook: HookName, origin: HookOrigin) -> Stage {
        Stage { hook, origin, commands: vec![command("")], jobs: None }
    }

    fn entry(hook: HookName, origin: HookOrigin, fate: Fate) -> Entry {
        Entry {
            key: Key::new(&container(), hook, origin, ""),
            hash: command("").hash,
            run: Some(RunId { number: 1, hook }),
            attempt: 1,
            started_at: None,
            fate,
            note: None,
            within: None,
            start: 1,
            ready: false,
        }
    }

    fn entries(all: impl IntoIterator<Item = Entry>) -> Entries {
        let mut entries = Entries::default();
        all.into_iter().for_each(|entry| entries.apply(Line::Command(Box::new(entry))));
        entries
    }

    fn states(rows: &[Row]) -> Vec<HookState> {
        rows.iter().map(Row::state).collect()
    }

    const DONE: Fate = Fate::Succeeded { duration_ms: 1 };
    const FAILED: Fate = Fate::Failed { failure: Failure::Exited { code: 1 }, duration_ms: 1 };

    /// What each fate of a postCreate means for it and for the postStart that comes after it.
    #[test]
    fn a_fate_decides_what_is_due_and_what_waits() {
        let stages = [stage(PostCreate, Devcontainer), stage(PostStart, Devcontainer)];
        for (fate, expected, due, why) in [
            (None, [Pending, Pending], [true, true], "nothing ran"),
            (Some(Fate::Running), [Running, Pending], [false, true], "what runs is not due again"),
            (Some(DONE), [Succeeded, Pending], [false, true], "what is done is done"),
            (Some(Fate::not_started("x")), [Failed, Blocked], [false, false], "a failure holds back what comes after"),
            (Some(Fate::Cancelled { duration_ms: 1 }), [Cancelled, Blocked], [false, false], "and so does a cancel"),
            (Some(Fate::Interrupted), [Interrupted, Blocked], [false, false], "never run again by itself"),
            (Some(Fate::NeverStarted), [Pending, Pending], [true, true], "as if it had not been asked for"),
            (Some(Fate::Skipped { why: None }), [Skipped, Pending], [false, true], "skipped counts as done"),
        ] {
            let entries = entries(fate.map(|fate| entry(PostCreate, Devcontainer, fate)));
            let rows = plan(&stages, &entries, &container(), Runner::Burrow, false);
            assert_eq!(states(&rows), expected, "{why}");
            let found: Vec<_> = rows.iter().map(|row| row.commands[0].due).collect();
            assert_eq!(found, due, "{why}");
        }
    }

    #[test]
    fn another_container_or_start_makes_due_again() {
        let stages = [stage(PostCreate, Devcontainer), stage(PostStart, Devcontainer)];
        let entries = entries([entry(PostCreate, Devcontainer, DONE), entry(PostStart, Devcontainer, DONE)]);
        for (id, start_id, expected, why) in [
            ("c", "s", [Succeeded, Succeeded], "the same start"),
            ("c", "s2", [Succeeded, Pending], "a restart makes postStart due"),
            ("c2", "s2", [Pending, Pending], "a new container makes all due"),
        ] {
            let container = ContainerStatus { id: id.to_owned(), start_id: start_id.to_owned(), ..container() };
            assert_eq!(states(&plan(&stages, &entries, &container, Runner::Burrow, false)), expected, "{why}");
        }
    }

    #[test]
    fn an_edited_command_is_told_and_not_run() {
        let mut edited = entry(PostCreate, Burrow, DONE);
        edited.hash = "another".to_owned();
        let rows = plan(&[stage(PostCreate, Burrow)], &entries([edited]), &container(), Runner::Burrow, false);
        let standing = &rows[0].commands[0];
        assert_eq!((standing.state, standing.due, standing.changed), (Succeeded, false, true));
    }

    #[test]
    fn an_edited_command_is_due_again_where_that_is_wanted() {
        for (fate, expected, due, why) in [
            (DONE, Pending, true, "it was done, and is another one now"),
            (FAILED, Pending, true, "a mended command needs no retry"),
            (Fate::Skipped { why: None }, Skipped, false, "somebody passed it over, whatever it is"),
            (Fate::Running, Running, false, "not while the old one runs"),
        ] {
            let mut edited = entry(PostCreate, Burrow, fate);
            edited.hash = "another".to_owned();
            let stages = [stage(PostCreate, Burrow), stage(PostStart, Burrow)];
            let rows = plan(&stages, &entries([edited]), &container(), Runner::Burrow, true);
            assert_eq!((rows[0].state(), rows[0].commands[0].due), (expected, due), "{why}");
            assert_eq!(rows[1].state(), Pending, "nothing holds it back: {why}");
        }
        let rows = plan(
            &[stage(PostCreate, Burrow)],
            &entries([entry(PostCreate, Burrow, DONE)]),
            &container(),
            Runner::Burrow,
            true,
        );
        assert_eq!(rows[0].state(), Succeeded, "the same command is done");
    }

    /// `c` needs `b`, and `b` needs `a`.
    fn chain() -> Stage {
        let mut commands = ["a", "b", "c", "free"].map(command);
        commands[1].needs = vec!["a".to_owned()];
        commands[2].needs = vec!["b".to_owned()];
        Stage { hook: PostCreate, origin: Burrow, commands: commands.to_vec(), jobs: None }
    }

    fn named(name: &str, fate: Fate) -> Entry {
        let entry = entry(PostCreate, Burrow, fate);
        Entry { key: Key::new(&container(), PostCreate, Burrow, name), ..entry }
    }

    #[test]
    fn a_failure_holds_back_what_needs_it_and_later_hooks() {
        let stages = [chain(), stage(PostStart, Devcontainer)];
        let rows = plan(&stages, &entries([named("a", FAILED)]), &container(), Runner::Burrow, false);
        let found: Vec<_> = rows[0].commands.iter().map(|it| (it.state, it.due, it.blocked_by.as_deref())).collect();
        let blocked = (Blocked, false, Some("postCreate/a"));
        assert_eq!(found, [(Failed, false, None), blocked, blocked, (Pending, true, None)]);
        assert_eq!((rows[0].state(), rows[1].state()), (Failed, Blocked));
        assert_eq!(rows[1].commands[0].blocked_by.as_deref(), Some("postCreate/a"));
    }

    #[test]
    fn an_optional_failure_holds_back_nothing_and_is_shown() {
        let mut stages = [chain(), stage(PostStart, Devcontainer)];
        stages[0].commands[0].optional = true;
        let done = |name| named(name, DONE);
        let rows = plan(&stages, &entries([named("a", FAILED)]), &container(), Runner::Burrow, false);
        assert_eq!(rows[0].commands[0].state, Failed);
        assert!(rows[0].commands[1].due && rows[1].commands[0].due);
        let all = entries([named("a", FAILED), done("b"), done("c"), done("free")]);
        let rows = plan(&stages, &all, &container(), Runner::Burrow, false);
        assert_eq!(rows[0].state(), Succeeded, "the hook as a whole is done");
    }

    #[test]
    fn a_ready_service_is_done_and_one_that_was_stopped_is_due() {
        let mut stages = [chain()];
        stages[0].commands[0].background = true;
        let mut service = named("a", Fate::Running);
        let rows = plan(&stages, &entries([service.clone()]), &container(), Runner::Burrow, false);
        assert!(!rows[0].commands[0].is_done() && rows[0].state() == Running, "not ready yet");
        service.ready = true;
        let done = |name| named(name, DONE);
        let all = entries([service, done("b"), done("c"), done("free")]);
        let rows = plan(&stages, &all, &container(), Runner::Burrow, false);
        assert_eq!((rows[0].commands[0].state, rows[0].state()), (Running, Succeeded));
        let stopped = named("a", Fate::Stopped { why: "x".to_owned() });
        let rows = plan(&stages, &entries([stopped]), &container(), Runner::Burrow, false);
        assert_eq!((rows[0].commands[0].state, rows[0].commands[0].due), (Pending, true));
    }

    #[test]
    fn what_a_tool_runs_is_external_and_only_burrows_own_is_due() {
        let stages = [stage(OnCreate, Burrow), stage(OnCreate, Devcontainer), stage(OnStartup, Devcontainer)];
        for runner in [Runner::Tool, Runner::Unclear] {
            let rows = plan(&stages, &Entries::default(), &container(), runner, false);
            assert_eq!(states(&rows), [Pending, External, Pending], "no tool knows onStartup: {runner:?}");
            assert!(!rows[1].commands[0].due);
        }
    }

    #[test]
    fn an_external_hook_neither_waits_nor_holds_back() {
        let stages = [stage(OnCreate, Burrow), stage(OnCreate, Devcontainer), stage(PostCreate, Burrow)];
        let failed = entries([entry(OnCreate, Burrow, Fate::Interrupted)]);
        let rows = plan(&stages, &failed, &container(), Runner::Tool, false);
        assert_eq!(states(&rows), [Interrupted, External, Blocked]);
        assert_eq!(rows[2].held_by.as_deref(), Some("onCreate"));
    }

    #[test]
    fn what_is_not_understood_holds_back_what_comes_after_it() {
        let stages = [stage(OnCreate, Burrow), stage(PostCreate, Burrow), stage(PostStart, Burrow)];
        let with = |hook, origin| Configured {
            stages: stages.to_vec(),
            unknown: [(hook, origin)].into(),
            ..Configured::default()
        };
        for (hook, origin, runner, expected, why) in [
            (PostCreate, Devcontainer, Runner::Burrow, [Pending, Blocked, Blocked], "nothing of it runs by half"),
            (PostCreate, Devcontainer, Runner::Tool, [Pending; 3], "it is the tool's to understand"),
            (PostCreate, Burrow, Runner::Tool, [Pending, Blocked, Blocked], "no tool runs that one"),
            (PostAttach, Devcontainer, Runner::Burrow, [Pending; 3], "what comes after everything holds back nothing"),
        ] {
            let rows = super::plan(&with(hook, origin), &Entries::default(), &container(), runner);
            assert_eq!(states(&rows), expected, "{why}");
            let held = rows[2].commands[0].blocked_by.as_deref();
            assert_eq!(held, (expected[2] == Blocked).then_some("postCreate"), "{why}");
        }
    }

    #[test]
    fn post_attach_is_always_due_and_holds_nothing_back() {
        let stages = [stage(PostAttach, Devcontainer), stage(OnStartup, Burrow)];
        let entries = entries([entry(PostAttach, Devcontainer, Fate::Interrupted)]);
        let rows = plan(&stages, &entries, &container(), Runner::Burrow, false);
        assert_eq!(states(&rows), [Interrupted, Pending]);
        assert!(rows[0].commands[0].due, "the next attach runs it whatever the last one did");
    }

    #[test]
    fn a_recorded_command_line_has_its_own_row() {
        let mut failed = entry(PostCreate, Exec, Fate::Interrupted);
        let stages = [stage(PostCreate, Devcontainer), stage(PostStart, Burrow)];
        let rows = plan(&stages, &entries([failed.clone()]), &container(), Runner::Tool, false);
        assert_eq!(states(&rows), [External, Interrupted, Blocked], "its failure holds back what comes after");

        failed.within = Some(RunId { number: 1, hook: PostCreate });
        let rows = plan(&stages, &entries([failed]), &container(), Runner::Tool, false);
        assert_eq!(states(&rows), [External, Interrupted, Pending], "within a run, that run answers for it");
    }

    #[test]
    fn what_needs_attention_is_the_state_of_the_whole() {
        for (states, expected, why) in [
            (vec![Succeeded, Failed, Running], Running, "it goes on"),
            (vec![Succeeded, Failed, Pending], Failed, "a failure is told first"),
            (vec![Succeeded, Pending], Pending, "one is yet to run"),
            (vec![Succeeded, Skipped], Succeeded, "what ran counts more than what was passed over"),
        ] {
            assert_eq!(overall(states), expected, "{why}");
        }
    }
}
