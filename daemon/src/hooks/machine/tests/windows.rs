//! What a window asks for by being there.

use burrow_protocol::hooks::HookName::{OnStartup, PostAttach, PostCreate};
use burrow_protocol::hooks::HookOrigin::{Burrow, Devcontainer};
use burrow_protocol::hooks::HookState;

use super::{DONE, FAILED, begin, caller, drain, end, machine, states, what};
use crate::hooks::fate::Fate;
use crate::hooks::machine::{Cancel, Machine};

const ON_STARTUP: [&str; 1] = ["1-onStartup/Burrow"];

/// A window opens, and what may start is queued.
fn open(machine: &mut Machine) {
    assert!(machine.saw_window(true, 5).is_some(), "it is to be written down");
    machine.start_up(&caller());
}

#[test]
fn it_comes_after_what_up_runs() {
    let mut machine = machine(&[(PostCreate, Devcontainer, &[""]), (OnStartup, Burrow, &[""])]);
    open(&mut machine);
    assert!(machine.next("").is_none(), "postCreate is due, and no window starts that");
    let waits = |machine: &Machine| machine.rows()[1].commands[0].waits.clone();
    assert_eq!(waits(&machine).as_deref(), Some("starts after postCreate"));
    machine.up(&caller());
    let run = begin(&mut machine).unwrap();
    machine.start_up(&caller());
    assert!(machine.next("").is_none() && machine.queue().count() == 0, "nor while it runs");
    end(&mut machine, run, "", DONE);
    machine.start_up(&caller());
    assert_eq!(waits(&machine), None);
    assert_eq!(drain(&mut machine, |_| DONE), ["2-onStartup/Burrow"]);
    machine.start_up(&caller());
    assert!(machine.is_idle(), "once");
}

#[test]
fn a_failure_holds_it_back_until_it_is_mended() {
    let mut machine = machine(&[(PostCreate, Burrow, &[""]), (OnStartup, Burrow, &[""])]);
    machine.up(&caller());
    drain(&mut machine, |_| FAILED);
    open(&mut machine);
    assert_eq!((states(&machine)[1], machine.is_idle()), (HookState::Blocked, true));
    machine.retry(None, &caller()).unwrap();
    drain(&mut machine, |_| DONE);
    machine.start_up(&caller());
    assert_eq!(drain(&mut machine, |_| DONE), ["3-onStartup/Burrow"], "the window is still there");
}

#[test]
fn it_is_queued_once_and_a_cancel_takes_it_back() {
    let mut machine = machine(&[(PostAttach, Burrow, &[""]), (OnStartup, Burrow, &[""])]);
    machine.run(&what(PostAttach), None, &caller()).unwrap();
    let attached = begin(&mut machine).unwrap();
    open(&mut machine);
    machine.start_up(&caller());
    let queued: Vec<_> = machine.queue().map(|job| job.run).collect();
    assert_eq!(queued.len(), 1);
    assert_eq!(machine.cancel(queued[0], None).unwrap(), Cancel::Unqueued);
    end(&mut machine, attached, "", DONE);
    machine.start_up(&caller());
    assert!(machine.is_idle(), "somebody said no");
}

#[test]
fn what_did_not_begin_is_still_wanted() {
    let mut machine = machine(&[(OnStartup, Burrow, &[""])]);
    open(&mut machine);
    let run = machine.next("").unwrap().run;
    machine.not_recorded(run);
    machine.start_up(&caller());
    let run = begin(&mut machine).unwrap();
    end(&mut machine, run, "", Fate::NeverStarted);
    machine.start_up(&caller());
    assert_eq!(drain(&mut machine, |_| DONE), ["3-onStartup/Burrow"]);
}

#[test]
fn what_somebody_runs_by_hand_is_not_run_again() {
    let mut machine = machine(&[(OnStartup, Burrow, &[""])]);
    machine.saw_window(true, 5);
    machine.run(&what(OnStartup), None, &caller()).unwrap();
    assert_eq!(drain(&mut machine, |_| DONE), ON_STARTUP);
    machine.start_up(&caller());
    assert!(machine.is_idle());
}
