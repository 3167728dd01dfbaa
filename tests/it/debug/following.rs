//! A client that stays while its program starts anew: `burrow debug lease --follow`.

use std::time::Duration;

use burrow::debug::dap::types::Event;
use burrow_protocol::debug::LeaseState;
use rustix::process::Signal;
use serde_json::json;

use super::editor::{AnyLaunch, Attach, Editor};
use super::kinds::{built, lease_as, program};
use super::{address, assert_nothing_left, signal, state};
use crate::sandbox::eventually;

/// How long something may take that is not ours.
const SOON: Duration = Duration::from_secs(60);

/// A program that another tool starts again and again is attached to each time, in the one session.
#[test]
fn followed_program_is_attached_to_again() {
    let sandbox = program();
    let binary = built(&sandbox);
    let lease = lease_as(&sandbox, &["--follow"]);
    let mut editor = Editor::connect(address(&lease));
    editor.send::<Attach>(&json!({ "mode": "local", "waitFor": binary }));
    for round in 0..3 {
        // A shell that becomes the program, as the tools that start one do it.
        let mut shell = sandbox.command("/bin/sh");
        shell.args(["-c", &format!("exec {binary} loop")]);
        let running = sandbox.start(shell);
        editor.is_initialized();
        editor.run_to(&["main.tick"]);
        let stopped = editor.stopped();
        assert_eq!(editor.frame(&stopped).name, "main.tick", "round {round}");
        editor.call::<super::editor::AnyBreakpoints>(&json!({ "breakpoints": [] })).expect("no breakpoints");
        editor.go_on(&stopped);
        signal(running.pid(), Signal::TERM);
        running.finish();
        assert_eq!(state(&sandbox, &lease), Some(LeaseState::Connected), "the session goes on");
    }
    eventually("the console says what is waited for", SOON, || {
        // Whatever is asked while there is no program is answered.
        let _ = editor.call::<super::editor::Pause>(&json!({ "threadId": 1 }));
        let said: String = editor.output().iter().map(|output| output.output.as_str()).collect();
        if said.matches("waiting for it to start again").count() == 3 { Ok(()) } else { Err(said) }
    });
    editor.disconnect(false);
    assert_nothing_left(&sandbox);
}

/// So is one that is started again at once, while the dlv of the one before has not ended.
#[test]
#[ignore = "slow: part of `make test-all`"]
fn a_program_that_is_restarted_at_once_is_never_missed() {
    let sandbox = program();
    let binary = built(&sandbox);
    let lease = lease_as(&sandbox, &["--follow"]);
    let mut editor = Editor::connect(address(&lease));
    editor.send::<Attach>(&json!({ "mode": "local", "waitFor": binary }));
    let mut shell = sandbox.command("/bin/sh");
    shell.args(["-c", &format!("while :; do {binary} loop; done")]);
    let supervisor = sandbox.start(shell);
    for round in 0..20 {
        editor.is_initialized();
        editor.run_to(&["main.tick"]);
        let stopped = editor.stopped();
        assert_eq!(editor.frame(&stopped).name, "main.tick", "round {round}");
        editor.call::<super::editor::AnyBreakpoints>(&json!({ "breakpoints": [] })).expect("no breakpoints");
        editor.go_on(&stopped);
        let command = format!("{binary} loop");
        let running = sandbox.processes().into_iter().find(|process| process.command == command).expect("the program");
        // A dlv that steps over a breakpoint just then waits for the killed thread for good.
        eventually("it runs", SOON, || if runs(running.pid) { Ok(()) } else { Err("it is stopped") });
        signal(running.pid, Signal::KILL);
    }
    drop(supervisor);
    for process in sandbox.processes().into_iter().filter(|process| process.command == format!("{binary} loop")) {
        signal(process.pid, Signal::KILL);
    }
    editor.disconnect(false);
    assert_nothing_left(&sandbox);
}

/// Whether no thread of it is stopped by whoever traces it.
fn runs(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("its threads").flatten();
    let mut stats = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
    stats.all(|stat| !stat.contains(") t "))
}

/// A client that launches is served as on any lease: what its program prints comes to it.
#[test]
fn a_launch_is_no_other_on_a_lease_that_follows() {
    let sandbox = program();
    let binary = built(&sandbox);
    let mut editor = Editor::connect(address(&lease_as(&sandbox, &["--follow"])));
    editor.call::<AnyLaunch>(&json!({ "mode": "exec", "program": binary, "args": ["print"] })).expect("launch");
    editor.is_initialized();
    editor.run_to(&[]);
    editor.wait_for("terminated", |event| matches!(event, Event::Terminated).then_some(()));
    for (category, text) in [("stdout", "to standard output\n"), ("stderr", "to standard error\n")] {
        let its = editor.output().iter().filter(|output| output.category == category);
        let said: String = its.map(|output| &*output.output).collect();
        assert_eq!(said, text, "{category}");
    }
    editor.disconnect(true);
    assert_nothing_left(&sandbox);
}
