//! The machine, without one process.

use std::sync::Arc;

use burrow_protocol::hooks::HookName::{self, OnCreate, PostAttach, PostCreate, PostStart};
use burrow_protocol::hooks::HookOrigin::{self, Burrow, Devcontainer};
use burrow_protocol::hooks::HookState;
use burrow_protocol::model::{ContainerKind, ContainerStatus};
use burrow_protocol::settings::SingleCommand;

use proptest::prelude::*;

use super::{Cancel, Cause, CommandEnd, Machine, Row, RunId, Selection, Settle, masked};
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
        jobs: None,
    });
    machine.configure(stages.collect());
    machine
}

fn what(hook: HookName) -> Selection {
    Selection { hook, command: None }
}

fn end(machine: &mut Machine, run: RunId, name: &str, fate: Fate) -> Option<Settle> {
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
    machine.rows().iter().map(Row::state).collect()
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
fn asking_for_a_command_that_is_not_under_way_queues_it() {
    let mut machine = machine(&[(PostCreate, Devcontainer, &["a", "b"])]);
    let one = |name: &str| Selection { hook: PostCreate, command: Some(name.to_owned()) };
    let first = machine.run(&one("a"), None, &caller()).unwrap();
    assert_eq!(machine.run(&one("a"), None, &caller()).unwrap(), first);
    let second = machine.run(&one("b"), None, &caller()).unwrap();
    assert_ne!(second, first);
    assert_eq!(machine.up(&caller()), [first, second].concat(), "nothing is queued twice");
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
    assert_eq!(machine.run(&Selection { hook: PostStart, command: None }, None, &caller()).unwrap(), []);
}

#[test]
fn secrets_in_arguments_are_masked() {
    let argv = ["curl", "-H", "token: hunter2"].map(str::to_owned);
    let expected = ["curl", "-H", "token: ***"].map(str::to_owned).to_vec();
    assert_eq!(masked(&argv, &["hunter2".to_owned()]), SingleCommand::Exec(expected));
}

/// Something that happens to the machine.
#[derive(Clone, Debug)]
enum Happening {
    Up,
    Retry,
    Again(HookName),
    Skip(HookName),
    Begin,
    /// The nth command in flight ends.
    End(usize, Fate),
    /// What begins next cannot be written down.
    Unwritable,
    /// The nth run that waits is cancelled.
    Cancel(usize),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let hook = prop_oneof![Just(OnCreate), Just(PostCreate), Just(PostStart)];
    let fate =
        prop_oneof![4 => Just(DONE), 1 => Just(FAILED), 1 => Just(Fate::Interrupted), 1 => Just(Fate::NeverStarted)];
    let happening = prop_oneof![
        3 => Just(Happening::Up),
        1 => Just(Happening::Retry),
        1 => hook.clone().prop_map(Happening::Again),
        1 => hook.prop_map(Happening::Skip),
        6 => Just(Happening::Begin),
        8 => (0..4_usize, fate).prop_map(|(nth, fate)| Happening::End(nth, fate)),
        1 => Just(Happening::Unwritable),
        1 => (0..4_usize).prop_map(Happening::Cancel),
    ];
    proptest::collection::vec(happening, 0..60)
}

/// The commands in flight, as the records say.
fn in_flight(machine: &Machine) -> Vec<(RunId, String)> {
    let running = machine.active().flat_map(|record| {
        let open = record.commands.iter().filter(|command| command.fate == Fate::Running);
        open.map(|command| (record.run, command.name.clone())).collect::<Vec<_>>()
    });
    running.collect()
}

proptest! {
    /// Whatever happens in whatever order: one hook runs at a time; what is due by itself never runs when it is done or
    /// something before it did not succeed; the ledger says `running` of exactly what runs; numbers only grow.
    #[test]
    fn rules_hold_under_any_events(happenings in happenings()) {
        let mut machine = machine(&[
            (OnCreate, Burrow, &["a", "b"]),
            (OnCreate, Devcontainer, &[""]),
            (PostCreate, Devcontainer, &["x", "y"]),
            (PostStart, Devcontainer, &[""]),
        ]);
        let mut newest = 0;
        for happening in happenings {
            match happening {
                Happening::Up => drop(machine.up(&caller())),
                Happening::Retry => drop(machine.retry(None, &caller())),
                Happening::Again(hook) => drop(machine.run_again(&what(hook), None, &caller())),
                Happening::Skip(hook) => {
                    let lines = machine.skip(&what(hook), None).unwrap_or_default();
                    machine.apply(lines);
                }
                Happening::Begin | Happening::Unwritable => {
                    let before = machine.rows();
                    let Some(begin) = machine.next(NOW) else { continue };
                    prop_assert!(begin.job.run.number > newest, "runs begin in the order of their numbers");
                    newest = begin.job.run.number;
                    let row = before.iter().find(|row| row.hook == begin.job.run.hook && row.origin == begin.job.origin);
                    let row = row.unwrap();
                    for command in &begin.job.commands {
                        let standing = row.commands.iter().find(|standing| standing.name == command.name).unwrap();
                        prop_assert_ne!(standing.state, HookState::Running, "nothing runs twice at once");
                        if begin.job.cause == Cause::Due {
                            let was_open = matches!(standing.state, HookState::Pending);
                            prop_assert!(was_open, "{:?} is not due", standing.state);
                        }
                    }
                    if matches!(happening, Happening::Unwritable) {
                        machine.not_recorded(begin.job.run);
                        prop_assert_eq!(machine.rows(), before, "as if it had not been tried");
                    }
                }
                Happening::End(nth, fate) => {
                    if let Some((run, name)) = in_flight(&machine).get(nth) {
                        prop_assert!(end(&mut machine, *run, name, fate).is_some(), "an end is written down");
                    }
                }
                Happening::Cancel(nth) => {
                    let run = machine.queue().nth(nth).map(|job| job.run);
                    if let Some(run) = run {
                        prop_assert_eq!(machine.cancel(run).unwrap(), Cancel::Unqueued);
                    }
                }
            }
            prop_assert!(machine.active().count() <= 1, "one hook at a time");
            let running = machine.rows().iter().flat_map(|row| &row.commands).filter(|it| it.state == HookState::Running).count();
            prop_assert_eq!(running, in_flight(&machine).len(), "the ledger says running of what runs");
        }
    }
}
