//! Background services, and what the next daemon makes of them.

use burrow_protocol::hooks::HookName::{PostCreate, PostStart};
use burrow_protocol::hooks::HookOrigin::Burrow;
use burrow_protocol::hooks::HookState;
use burrow_protocol::model::{ContainerKind, ContainerStatus};

use super::{DONE, FAILED, NOW, caller, command, configure, end, launched, needing, ordered, standings, states, what};
use crate::hooks::command::{Command, Stage};
use crate::hooks::fate::{Failure, Fate};
use crate::hooks::ledger::{Entries, Line};
use crate::hooks::machine::{Cancel, CommandEnd, Ended, Machine, RunId};
use crate::hooks::record::RunRecord;

fn service(name: &str) -> Command {
    Command { background: true, ..command(name) }
}

/// A machine whose service `db` runs, before what needs it.
fn serving() -> (Machine, RunId) {
    let mut machine = ordered(vec![service("db"), needing("seed", &["db"])], None);
    machine.up(&caller());
    let run = machine.next(NOW).unwrap().run;
    assert_eq!(launched(&mut machine), ["db"]);
    (machine, run)
}

#[test]
fn a_ready_service_lets_pass_what_needs_it_and_holds_up_nothing() {
    let (mut machine, run) = serving();
    assert_eq!(launched(&mut machine), [""; 0], "it runs, and is not ready");
    assert!(machine.ready(run, "db").unwrap().record.is_none());
    assert_eq!(launched(&mut machine), ["seed"]);
    assert!(end(&mut machine, run, "seed", DONE).unwrap().record.is_some(), "at rest");
    assert_eq!(states(&machine)[0], HookState::Succeeded);
    assert_eq!(standings(&machine)[0], (HookState::Running, Some("ready".to_owned())));
    let later = machine.next(NOW).unwrap();
    assert_eq!(later.run.hook, PostStart);
    launched(&mut machine);
    end(&mut machine, later.run, "", DONE);
    assert!(machine.is_idle() && machine.is_settled(PostCreate) && machine.has_services());
    assert_eq!(machine.up(&caller()), [], "a service that runs is not due");
}

#[test]
fn a_service_that_ends_is_started_anew_once_it_was_ready() {
    let (mut machine, run) = serving();
    let ended = end(&mut machine, run, "db", FAILED).unwrap();
    assert!(ended.record.is_some(), "it never was ready, and what needs it never runs");
    assert_eq!(states(&machine)[0], HookState::Failed);

    let (mut machine, run) = serving();
    machine.ready(run, "db");
    launched(&mut machine);
    end(&mut machine, run, "seed", DONE);
    let anew = |machine: &mut Machine, duration_ms| {
        let fate = Fate::Failed { failure: Failure::Exited { code: 1 }, duration_ms };
        let Some(Ended::Anew { start, pause }) = machine.ended(run, "db", CommandEnd::bare(fate)) else {
            panic!("its next start has the pause in it")
        };
        let launch = machine.launches(NOW).remove(0);
        assert_eq!((launch.start, launch.pause), (start, pause), "it is started at once, and holds itself back");
        assert_eq!(states(machine)[0], HookState::Running, "it is not ready before that is over");
        machine.resume(run, "db", start);
        assert_eq!(states(machine)[0], HookState::Succeeded);
        pause.as_secs()
    };
    let pauses = [1, 1_500, 2_500, 4_500].map(|duration_ms| anew(&mut machine, duration_ms));
    assert_eq!(pauses, [1, 2, 4, 8]);
    assert_eq!(anew(&mut machine, 68_000), 1, "it lived long, the pause of 8 s not counted");
    assert_eq!(anew(&mut machine, 60_999), 2, "it did not");
}

#[test]
fn a_service_that_cannot_even_pause_is_not_started_in_a_loop() {
    let (mut machine, run) = serving();
    machine.ready(run, "db");
    for _ in 0..2 {
        let ended = machine.ended(run, "db", CommandEnd::bare(Fate::not_started("no memory".to_owned())));
        let Some(Ended::Pause { line: Line::Command(entry), start, .. }) = ended else { panic!("a pause: {ended:?}") };
        assert!(matches!(entry.fate, Fate::Stopped { .. }), "the next daemon finds it due: {:?}", entry.fate);
        assert!(!launched(&mut machine).contains(&"db".to_owned()));
        machine.resume(run, "db", start);
        assert!(launched(&mut machine).contains(&"db".to_owned()));
    }
    machine.ended(run, "db", CommandEnd::bare(FAILED)).unwrap();
    launched(&mut machine);
    let ended = machine.ended(run, "db", CommandEnd::bare(FAILED));
    assert!(matches!(ended, Some(Ended::Pause { .. })), "it ended within its pause: {ended:?}");
}

#[test]
fn a_service_that_is_not_ready_in_time_has_timed_out() {
    let (mut machine, run) = serving();
    assert!(machine.not_ready(run, "db", None));
    assert!(!machine.not_ready(run, "db", None), "told once");
    end(&mut machine, run, "db", Fate::Cancelled { duration_ms: 7 });
    assert_eq!(states(&machine)[0], HookState::TimedOut);
}

#[test]
fn services_end_with_the_daemon_and_are_due_after_it() {
    let (mut machine, run) = serving();
    machine.ready(run, "db");
    launched(&mut machine);
    end(&mut machine, run, "seed", DONE);
    let (tell, settled) = machine.stop_services();
    assert_eq!((tell, settled.len()), (vec![(run, "db".to_owned())], 0));
    end(&mut machine, run, "db", Fate::Cancelled { duration_ms: 1 });
    assert!(!machine.has_services());
    assert_eq!(standings(&machine)[0].0, HookState::Pending);
    assert_eq!(machine.up(&caller()).len(), 2, "the service is due, and so is the later hook");
}

#[test]
fn nothing_begins_while_the_daemon_ends() {
    let (mut machine, run) = serving();
    machine.stop_services();
    end(&mut machine, run, "db", Fate::Cancelled { duration_ms: 1 });
    assert_eq!(launched(&mut machine), [""; 0], "what needs the service has none");
    assert!(machine.next(NOW).is_none());
    let pending: Vec<_> = standings(&machine).into_iter().map(|it| it.0).collect();
    assert_eq!(pending, [HookState::Pending; 2], "all of it is due after that");
}

#[test]
fn a_cancelled_service_stays_ended() {
    let (mut machine, run) = serving();
    machine.ready(run, "db");
    launched(&mut machine);
    let tell = Cancel::Tell { commands: vec!["db".to_owned()], settle: None };
    assert_eq!(machine.cancel(run, Some("db")).unwrap(), tell);
    end(&mut machine, run, "db", Fate::Cancelled { duration_ms: 1 });
    assert_eq!(standings(&machine)[0].0, HookState::Cancelled);
    end(&mut machine, run, "seed", DONE);
    machine.retry(Some(&what(PostCreate)), &caller()).unwrap();
    machine.next(NOW).unwrap();
    assert_eq!(launched(&mut machine), ["db"]);
}

/// A machine that goes on with what another one has begun.
fn successor(stages: Vec<Stage>, record: RunRecord, lines: Vec<Line>) -> Machine {
    let container = ContainerStatus { kind: ContainerKind::Docker, id: "c".to_owned(), start_id: "s".to_owned() };
    let mut entries = Entries::default();
    lines.into_iter().for_each(|line| entries.apply(line));
    let mut machine = Machine::new(container, entries, 9, 0);
    configure(&mut machine, stages);
    machine.adopt(record);
    machine
}

#[test]
fn the_next_daemon_tries_again_only_with_the_environment() {
    for known in [true, false] {
        let commands = vec![Command { retries: 1, ..command("a") }];
        let stage = Stage { hook: PostCreate, origin: Burrow, commands: commands.clone(), jobs: None };
        let mut first = ordered(commands, None);
        first.up(&caller());
        let begin = first.next(NOW).unwrap();
        let mut next = successor(vec![stage], begin.record, begin.lines);
        if known {
            next.recovered(begin.run, "a", [("A".to_owned(), "1".to_owned())].into());
        }
        let ended = next.ended(begin.run, "a", CommandEnd::bare(FAILED)).unwrap();
        assert_eq!(matches!(ended, Ended::Pause { .. }), known);
        if known {
            next.resume(begin.run, "a", 2);
            let launch = next.launches(NOW).remove(0);
            assert_eq!(launch.job.caller.env.get("A").map(String::as_str), Some("1"));
        }
    }
}

#[test]
fn a_service_is_taken_over_and_one_that_died_with_its_container_is_due() {
    for (start, expected) in [("s", HookState::Interrupted), ("earlier", HookState::Pending)] {
        let stage = Stage { hook: PostCreate, origin: Burrow, commands: vec![service("db")], jobs: None };
        let mut first = ordered(vec![service("db")], None);
        first.up(&caller());
        let begin = first.next(NOW).unwrap();
        first.launches(NOW);
        let settle = first.ready(begin.run, "db").unwrap();
        let record = RunRecord { container_start: start.to_owned(), ..settle.record.unwrap() };
        let mut next = successor(vec![stage], record, [begin.lines, settle.lines].concat());
        assert!(next.is_idle() && next.has_services(), "nobody waits for it");
        assert_eq!(states(&next), [HookState::Succeeded]);
        end(&mut next, begin.run, "db", Fate::Interrupted);
        assert_eq!(states(&next), [expected], "{start}");
    }
}
