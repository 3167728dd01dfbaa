//! The machine, without one process.

mod services; // background services, and the next daemon
mod windows; // what a window asks for

use std::sync::Arc;

use burrow_protocol::hooks::HookName::{self, OnCreate, PostAttach, PostCreate, PostStart};
use burrow_protocol::hooks::HookOrigin::{self, Burrow, Devcontainer};
use burrow_protocol::hooks::HookState;
use burrow_protocol::model::{ContainerKind, ContainerStatus};
use burrow_protocol::settings::SingleCommand;

use super::{Cancel, Cause, CommandEnd, Ended, Machine, Row, RunId, Selection, Settle, masked};
use crate::hooks::command::{Command, Stage};
use crate::hooks::error::HookError;
use crate::hooks::evidence::Runner;
use crate::hooks::fate::{Failure, Fate};
use crate::hooks::ledger::{Entries, Line};
use crate::hooks::plan::Configured;
use crate::hooks::status;
use crate::process::Caller;

pub(super) const NOW: &str = "2026-01-01T00:00:00Z";
pub(super) const DONE: Fate = Fate::Succeeded { duration_ms: 1 };
pub(super) const FAILED: Fate = Fate::Failed { failure: Failure::Exited { code: 1 }, duration_ms: 1 };

pub(super) fn caller() -> Caller {
    Caller { env: Arc::default(), cwd: "/".into(), trusted: true }
}

pub(super) fn command(name: &str) -> Command {
    Command::new(name, SingleCommand::Shell("true".to_owned()))
}

pub(super) fn machine(stages: &[(HookName, HookOrigin, &[&str])]) -> Machine {
    let container = ContainerStatus { kind: ContainerKind::Docker, id: "c".to_owned(), start_id: "s".to_owned() };
    let mut machine = Machine::new(container, Entries::default(), 1, 0);
    let stages = stages.iter().map(|(hook, origin, names)| Stage {
        hook: *hook,
        origin: *origin,
        commands: names.iter().map(|name| command(name)).collect(),
        jobs: None,
    });
    configure(&mut machine, stages.collect());
    machine
}

pub(super) fn configure(machine: &mut Machine, stages: Vec<Stage>) {
    machine.configure(Configured { stages, ..Configured::default() });
}

pub(super) fn what(hook: HookName) -> Selection {
    Selection { hook, command: None }
}

fn end(machine: &mut Machine, run: RunId, name: &str, fate: Fate) -> Option<Settle> {
    match machine.ended(run, name, CommandEnd::bare(fate))? {
        Ended::Over(settle) => Some(settle),
        Ended::Pause { .. } | Ended::Anew { .. } => panic!("{name} is to be over"),
    }
}

/// Begins the next run and starts what may start of it.
fn begin(machine: &mut Machine) -> Option<RunId> {
    let run = machine.next(NOW)?.run;
    machine.launches(NOW);
    Some(run)
}

/// Runs all that may start, each command ending as `fate` says.
fn drain(machine: &mut Machine, fate: impl Fn(HookName) -> Fate) -> Vec<String> {
    let mut order = Vec::new();
    while let Some(begin) = machine.next(NOW) {
        loop {
            let launches = machine.launches(NOW);
            if launches.is_empty() {
                break;
            }
            for launch in launches {
                end(machine, begin.run, &launch.command.name, fate(begin.run.hook));
            }
        }
        order.push(format!("{}/{:?}", begin.run, begin.record.origin));
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
    let first = begin(&mut machine).unwrap();
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
    let run = begin(&mut machine).unwrap();
    let first = end(&mut machine, run, "a", FAILED).unwrap();
    assert_eq!(first.record, None, "the run goes on");
    assert_eq!(states(&machine), [HookState::Running]);
    let last = end(&mut machine, run, "b", DONE).unwrap();
    let fates: Vec<_> = last.record.unwrap().commands.into_iter().map(|command| command.fate).collect();
    assert_eq!(fates, [FAILED, DONE]);
    assert_eq!(states(&machine), [HookState::Failed]);
    machine.retry(None, &caller()).unwrap();
    let names: Vec<_> = machine.next(NOW).unwrap().record.commands.into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["a"], "only what did not succeed is retried");
}

#[test]
fn asking_again_joins_what_is_under_way() {
    let mut machine = machine(&[(PostCreate, Devcontainer, &[""]), (PostStart, Devcontainer, &[""])]);
    let first = machine.up(&caller());
    assert_eq!(machine.up(&caller()), first, "both wait");
    begin(&mut machine).unwrap();
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
    let run = begin(&mut machine).unwrap();
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
    let outer = begin(&mut machine).unwrap();
    let cause = || Cause::Exec { argv: vec!["make".to_owned()], cwd: "/".into(), within: Some(outer) };
    let inner = machine.exec(PostCreate, command(""), cause(), &caller()).unwrap();
    assert_eq!(begin(&mut machine).unwrap(), inner, "else the hook would wait for itself");
    assert!(machine.exec(PostCreate, command(""), cause(), &caller()).is_err(), "the same twice");
    end(&mut machine, inner, "", FAILED);
    end(&mut machine, outer, "", DONE);
    assert!(machine.retry(None, &caller()).is_err(), "its arguments are its caller's");
}

#[test]
fn what_waits_is_dropped_and_what_runs_is_told() {
    let mut machine = machine(&[(PostCreate, Devcontainer, &[""]), (PostStart, Devcontainer, &[""])]);
    let runs = machine.up(&caller());
    begin(&mut machine).unwrap();
    let tell = Cancel::Tell { commands: vec![String::new()], settle: None };
    assert_eq!(machine.cancel(runs[0], None).unwrap(), tell);
    assert_eq!(machine.cancel(runs[1], None).unwrap(), Cancel::Unqueued);
    assert!(machine.cancel(runs[1], None).is_err(), "it no longer waits");
}

#[test]
fn one_command_of_a_run_that_waits_is_dropped_alone() {
    let mut machine = machine(&[(OnCreate, Devcontainer, &[""]), (PostCreate, Devcontainer, &["a", "b", "c"])]);
    let runs = machine.up(&caller());
    let first = begin(&mut machine).unwrap();
    assert!(machine.cancel(runs[1], Some("d")).is_err(), "it has no such command");
    assert_eq!(machine.cancel(runs[1], Some("b")).unwrap(), Cancel::Unqueued);
    assert!(machine.cancel(runs[1], Some("b")).is_err(), "it no longer waits");
    end(&mut machine, first, "", DONE);
    let record = machine.next(NOW).unwrap().record;
    assert_eq!(record.commands.iter().map(|command| command.name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
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
    let argv = ["git", "clone", "https://me:hunter2@example.com/x"].map(str::to_owned);
    let SingleCommand::Exec(shown) = masked(&argv, &[]) else { panic!("an array") };
    assert!(!shown.concat().contains("hunter2"), "who logs in within a URL: {shown:?}");
}

/// A machine with one hook of Burrow's own.
fn ordered(commands: Vec<Command>, jobs: Option<usize>) -> Machine {
    let mut machine = machine(&[]);
    let later = Stage { hook: PostStart, origin: Burrow, commands: vec![command("")], jobs: None };
    let stage = Stage { hook: PostCreate, origin: Burrow, commands, jobs };
    configure(&mut machine, vec![stage, later]);
    machine
}

fn needing(name: &str, needs: &[&str]) -> Command {
    Command { needs: needs.iter().map(|need| (*need).to_owned()).collect(), ..command(name) }
}

fn launched(machine: &mut Machine) -> Vec<String> {
    machine.launches(NOW).into_iter().map(|launch| launch.command.name).collect()
}

/// How each command of the first row stands, with what it waits for.
fn standings(machine: &Machine) -> Vec<(HookState, Option<String>)> {
    let commands = machine.rows().remove(0).commands;
    commands.into_iter().map(|it| (it.state, it.blocked_by.or(it.waits))).collect()
}

#[test]
fn a_command_starts_when_what_it_needs_is_done() {
    let mut machine = ordered(vec![needing("c", &["a", "b"]), needing("a", &[]), needing("b", &["a"])], None);
    machine.up(&caller());
    let run = machine.next(NOW).unwrap().run;
    assert_eq!(launched(&mut machine), ["a"]);
    assert_eq!(standings(&machine)[0], (HookState::Pending, Some("needs a".to_owned())));
    end(&mut machine, run, "a", DONE);
    assert_eq!(launched(&mut machine), ["b"]);
    end(&mut machine, run, "b", DONE);
    assert_eq!(launched(&mut machine), ["c"]);
    assert!(end(&mut machine, run, "c", DONE).unwrap().record.is_some(), "the last one ends the run");
    assert_eq!(machine.next(NOW).unwrap().run.hook, PostStart);
}

#[test]
fn a_failure_blocks_what_needs_it_and_nothing_else_of_the_hook() {
    let commands = vec![needing("a", &[]), needing("b", &["a"]), needing("c", &["b"]), needing("free", &[])];
    let mut machine = ordered(commands, None);
    machine.up(&caller());
    let run = machine.next(NOW).unwrap().run;
    assert_eq!(launched(&mut machine), ["a", "free"]);
    let settle = end(&mut machine, run, "a", FAILED).unwrap();
    assert_eq!(settle.lines.len(), 3, "a and the two that it blocks");
    let record = end(&mut machine, run, "free", DONE).unwrap().record.unwrap();
    let fates: Vec<_> = record.commands.into_iter().map(|command| command.fate).collect();
    let blocked = Fate::Blocked { by: "postCreate/a".to_owned() };
    assert_eq!(fates, [FAILED, blocked.clone(), blocked, DONE]);
    let by_a = (HookState::Blocked, Some("postCreate/a".to_owned()));
    assert_eq!(standings(&machine)[1..3], [by_a.clone(), by_a]);
    assert!(machine.next(NOW).is_none(), "the later hook is held back");

    machine.retry(Some(&what(PostCreate)), &caller()).unwrap();
    let run = machine.next(NOW).unwrap().run;
    assert_eq!(launched(&mut machine), ["a"], "free was done");
    end(&mut machine, run, "a", DONE);
    assert_eq!(launched(&mut machine), ["b"], "a retry brings what was blocked");
}

#[test]
fn what_may_be_done_about_a_hook_is_told() {
    let commands = vec![needing("a", &[]), needing("b", &["a"]), needing("free", &[])];
    let mut machine = ordered(commands, None);
    // Of postCreate with its commands, then of postStart, which comes after it: may it be retried, skipped?
    let told = |machine: &Machine| {
        let hooks = status::part(machine, None).hooks;
        let commands = hooks[0].commands.iter().map(|it| (it.can_retry, it.can_skip)).collect::<Vec<_>>();
        let of_hook = |index: usize| (hooks[index].can_retry, hooks[index].can_skip);
        (of_hook(0), commands, of_hook(1))
    };
    assert_eq!(told(&machine), ((false, true), vec![(false, true); 3], (false, true)), "all is due");
    machine.up(&caller());
    let run = machine.next(NOW).unwrap().run;
    assert_eq!(told(&machine).0, (false, false), "it runs");
    launched(&mut machine);
    end(&mut machine, run, "a", Fate::Cancelled { duration_ms: 1 });
    end(&mut machine, run, "free", DONE);
    assert!(machine.next(NOW).is_none(), "postStart is held back");
    let open = (true, true);
    assert_eq!(
        told(&machine),
        (open, vec![open, open, (false, false)], (false, true)),
        "a was cancelled, b is held back"
    );
    machine.retry(None, &caller()).unwrap();
    assert_eq!(told(&machine).0, (false, false), "it waits for its turn");
}

#[test]
fn no_more_run_at_once_than_jobs() {
    let mut machine = ordered(["a", "b", "c"].map(|name| needing(name, &[])).to_vec(), Some(2));
    machine.up(&caller());
    let run = machine.next(NOW).unwrap().run;
    assert_eq!(launched(&mut machine), ["a", "b"]);
    assert_eq!(standings(&machine)[2], (HookState::Pending, Some("waits for its turn".to_owned())));
    end(&mut machine, run, "b", DONE);
    assert_eq!(launched(&mut machine), ["c"]);
}

#[test]
fn who_waits_for_a_place_alone_is_next_in_line() {
    let commands =
        vec![needing("a", &[]), needing("b", &[]), needing("c", &["b"]), needing("d", &[]), needing("e", &[])];
    let mut machine = ordered(commands, Some(1));
    machine.up(&caller());
    let run = machine.next(NOW).unwrap().run;
    let in_line = |machine: &Machine| machine.next_in_line().into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    assert_eq!(launched(&mut machine), ["a"]);
    assert_eq!(in_line(&machine), ["b"], "as many as run at once");
    end(&mut machine, run, "a", DONE);
    assert_eq!(launched(&mut machine), ["b"]);
    assert_eq!(in_line(&machine), ["d"], "whether c will run is not known");
    machine.cancel(run, None).unwrap();
    assert!(in_line(&machine).is_empty(), "nothing more will start");
}

#[test]
fn one_command_is_asked_for_with_what_it_needs() {
    let commands = || vec![needing("a", &[]), needing("b", &["a"]), needing("c", &[])];
    let one = |name: &str| Selection { hook: PostCreate, command: Some(name.to_owned()) };
    let names = |machine: &mut Machine| -> Vec<String> {
        machine.next(NOW).unwrap().record.commands.into_iter().map(|command| command.name).collect()
    };
    let mut machine = ordered(commands(), None);
    machine.run(&one("b"), None, &caller()).unwrap();
    assert_eq!(names(&mut machine), ["a", "b"]);

    let mut machine = ordered(commands(), None);
    machine.up(&caller());
    let run = machine.next(NOW).unwrap().run;
    launched(&mut machine);
    end(&mut machine, run, "a", FAILED);
    end(&mut machine, run, "c", FAILED);
    machine.retry(Some(&one("b")), &caller()).unwrap();
    assert_eq!(names(&mut machine), ["a", "b"], "what failed before it goes before it, c does not");
}

#[test]
fn a_failed_command_is_tried_again_as_often_as_it_may() {
    let mut machine = ordered(vec![Command { retries: 2, ..command("a") }], None);
    machine.up(&caller());
    let run = machine.next(NOW).unwrap().run;
    for (start, seconds) in [(2, 1), (3, 2)] {
        assert_eq!(launched(&mut machine), ["a"]);
        let ended = machine.ended(run, "a", CommandEnd::bare(FAILED)).unwrap();
        let Ended::Pause { line: Line::Command(entry), start: next, pause } = ended else { panic!("a pause") };
        assert_eq!((next, pause.as_secs()), (start, seconds));
        assert_eq!(entry.fate, FAILED, "a daemon that comes now takes that for the end");
        assert!(entry.note.unwrap().contains("not made"), "and tells what was left out");
        let waits = format!("starts again in {seconds} s, after exit code 1");
        assert_eq!(standings(&machine)[0], (HookState::Running, Some(waits)));
        assert_eq!(launched(&mut machine), [""; 0], "not before its time");
        machine.resume(run, "a", start);
    }
    let launch = machine.launches(NOW).remove(0);
    let again = launch.again.unwrap();
    assert_eq!((launch.start, again.record.unwrap().commands[0].attempts.len()), (3, 2), "the history is kept");
    end(&mut machine, run, "a", FAILED).unwrap();
    let rows = machine.rows();
    let entry = rows[0].commands[0].entry.as_ref().unwrap();
    assert_eq!((entry.attempt, entry.note.as_deref()), (3, Some("after exit code 1")));
    assert_eq!(states(&machine), [HookState::Failed, HookState::Blocked]);
}

#[test]
fn what_somebody_ended_is_not_tried_again() {
    for fate in [Fate::Cancelled { duration_ms: 1 }, Fate::Interrupted] {
        let mut machine = ordered(vec![Command { retries: 2, ..command("a") }], None);
        machine.up(&caller());
        let run = machine.next(NOW).unwrap().run;
        launched(&mut machine);
        assert!(end(&mut machine, run, "a", fate).unwrap().record.is_some());
    }
}

#[test]
fn cancelling_a_run_closes_what_has_not_begun() {
    let mut machine = ordered(vec![needing("a", &[]), needing("b", &["a"])], None);
    machine.up(&caller());
    let run = machine.next(NOW).unwrap().run;
    launched(&mut machine);
    let Cancel::Tell { commands, settle } = machine.cancel(run, None).unwrap() else { panic!("it runs") };
    assert_eq!((commands, settle.unwrap().lines.len()), (vec!["a".to_owned()], 1));
    end(&mut machine, run, "a", Fate::Cancelled { duration_ms: 1 });
    assert_eq!(standings(&machine).iter().map(|it| it.0).collect::<Vec<_>>(), [HookState::Cancelled; 2]);
}

#[test]
fn a_retry_tells_what_it_lacks() {
    let with = |names: &[&str]| {
        let env = names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
        Caller { env: Arc::new(env), ..caller() }
    };
    let mut machine = machine(&[(PostCreate, Burrow, &[""])]);
    machine.up(&with(&["HOME", "GIT_ASKPASS"]));
    drain(&mut machine, |_| FAILED);
    let runs = machine.retry(None, &with(&["HOME"])).unwrap();
    let told = machine.what_retry_lacks(&runs, &with(&["HOME"])).unwrap();
    assert_eq!(told, "the run that failed had GIT_ASKPASS in its environment, and this call has not");
    drain(&mut machine, |_| FAILED);
    let note = machine.rows()[0].commands[0].entry.as_ref().unwrap().note.clone();
    assert_eq!(note.as_deref(), Some("after exit code 1, without GIT_ASKPASS"));
    let runs = machine.retry(None, &with(&["HOME"])).unwrap();
    let again = machine.what_retry_lacks(&runs, &with(&["HOME"]));
    assert_eq!(again.as_ref(), Some(&told), "a retry that lacked it does not make it needless");

    let record = machine.next(NOW).unwrap().record;
    assert_eq!(record.variables, ["GIT_ASKPASS", "HOME"], "the next daemon has the last run's record alone");
}

/// Nobody waits for himself, whatever he asks for.
#[test]
fn a_command_inside_a_hook_waits_for_nothing_that_comes_after_it() {
    let mut machine = machine(&[(PostCreate, Devcontainer, &["a", "b"]), (PostStart, Devcontainer, &[""])]);
    let runs = machine.up(&caller());
    begin(&mut machine);
    let inside = machine.inside(runs[0], "a").unwrap();
    let (now, later) = machine.divide(Some(&inside), runs.clone());
    assert_eq!((now, later), (vec![], runs.clone()), "neither its own run nor the next");
    assert!(machine.waits_for_itself(&inside, None));
    assert!(machine.waits_for_itself(&inside, Some(PostCreate)));
    assert!(machine.waits_for_itself(&inside, Some(PostStart)), "it has no turn before this one ends");
    assert!(!machine.waits_for_itself(&inside, Some(OnCreate)), "there is nothing to wait for");

    // A recorded command line within the hook is a part of it.
    let cause = Cause::Exec { argv: vec!["make".to_owned()], cwd: "/".into(), within: inside.run() };
    let inner = machine.exec(PostAttach, command(""), cause, &caller()).unwrap();
    let outer = inside;
    begin(&mut machine);
    assert_eq!(machine.divide(Some(&outer), vec![inner]), (vec![inner], vec![]), "it runs beside its caller");
    assert!(!machine.waits_for_itself(&outer, Some(PostAttach)), "and ends without it");
    let inside = machine.inside(inner, "").unwrap();
    assert!(machine.waits_for_itself(&inside, Some(PostCreate)) && machine.waits_for_itself(&inside, Some(PostStart)));
    end(&mut machine, runs[0], "a", DONE);
    assert!(machine.inside(runs[0], "a").is_none(), "what has ended waits for nothing");
}

#[test]
fn a_recorded_command_line_of_a_tool_may_wait_for_burrows_hooks() {
    let mut machine = machine(&[(PostStart, Burrow, &[""])]);
    let cause = Cause::Exec { argv: vec!["make".to_owned()], cwd: "/".into(), within: None };
    let run = machine.exec(PostCreate, command(""), cause, &caller()).unwrap();
    begin(&mut machine);
    let inside = machine.inside(run, "").unwrap();
    assert!(!machine.waits_for_itself(&inside, Some(PostStart)), "it holds up no hook");
    assert!(machine.waits_for_itself(&inside, Some(PostCreate)), "but it is a part of its own");
    let runs = machine.up(&caller());
    assert_eq!(machine.divide(Some(&inside), runs.clone()), (runs[1..].to_vec(), vec![run]));
}
