//! What is planned for the commands of a hook, by example.

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
