//! What a program has to show: values, panics, what it prints.

use std::time::Duration;

use burrow::debug::dap::types::Event;
use serde_json::json;

use super::editor::{AnyLaunch, AnyVariables, Attach, Editor, Evaluate};
use super::kinds::{built, lease_as, program};
use super::{address, assert_nothing_left, lease};
use crate::sandbox::{Sandbox, eventually};
use crate::wire::Peer;

/// How long something may take that is not ours.
const SOON: Duration = Duration::from_secs(60);

/// Elements of the program's big value.
const ROWS: usize = 10_000;

/// A value of more than a megabyte on the wire and a panic come to the client.
#[test]
fn values_and_panics_arrive() {
    let sandbox = program();
    let binary = built(&sandbox);
    let session = |word: &str, functions: &[&str]| {
        let mut editor = Editor::connect(address(&lease(&sandbox)));
        editor.launch(json!({ "mode": "exec", "program": binary, "args": [word] }));
        editor.run_to(functions);
        editor
    };
    let mut editor = session("big", &["main.show"]);
    let stopped = editor.stopped();
    let frame = editor.frame(&stopped);
    let rows = json!({ "expression": "rows", "frameId": frame.id, "context": "watch" });
    let rows = editor.call::<Evaluate>(&rows).expect("a value").variables_reference;
    let all = json!({ "variablesReference": rows, "filter": "indexed", "start": 0, "count": ROWS });
    let rows = editor.call::<AnyVariables>(&all).expect("its elements").variables;
    let expected = (0..ROWS).map(|number| format!("\"row {number} {}\"", "burrow".repeat(10)));
    assert!(rows.iter().map(|row| row.value.clone()).eq(expected), "{} rows, {:?} ...", rows.len(), rows.first());
    editor.disconnect(true);

    let mut editor = session("panic", &[]);
    let stopped = editor.stopped();
    assert_eq!(stopped.reason, "exception");
    assert!(stopped.text.contains("broken on purpose"), "{stopped:?}");
    editor.disconnect(true);

    assert_nothing_left(&sandbox);
}

/// What the program prints comes to the client before its end is told, and is in the session's log, whichever way of dlv's
/// the client asked for.
#[test]
fn output_reaches_the_client_and_the_log() {
    let sandbox = program();
    let binary = built(&sandbox);
    for mode in [json!("remote"), json!("local"), json!(null)] {
        let lease = lease(&sandbox);
        let mut editor = Editor::connect(address(&lease));
        let mut attributes = json!({ "mode": "exec", "program": binary, "args": ["print"] });
        if !mode.is_null() {
            attributes["outputMode"] = mode.clone();
        }
        editor.call::<AnyLaunch>(&attributes).expect("launch");
        editor.is_initialized();
        editor.run_to(&[]);
        editor.wait_for("terminated", |event| matches!(event, Event::Terminated).then_some(()));
        for (category, text) in [("stdout", "to standard output\n"), ("stderr", "to standard error\n")] {
            let its = editor.output().iter().filter(|output| output.category == category);
            let said: String = its.map(|output| &*output.output).collect();
            assert_eq!(said, text, "{mode}: {category}");
        }
        editor.disconnect(true);
        let log = log(&sandbox, &lease.id);
        assert!(log.contains("to standard output\n") && log.contains("to standard error\n"), "{mode}: {log}");
    }
    assert_nothing_left(&sandbox);
}

/// What is printed for clients that come and go is followed from a terminal, to the end of the lease, and read afterwards.
#[test]
fn a_session_is_followed_by_its_log() {
    let sandbox = program();
    let binary = built(&sandbox);
    let lease = lease_as(&sandbox, &["--headless", "exec", binary.as_str(), "--", "print"]);
    let follower = sandbox.spawn(["debug", "log", &lease.id, "--follow"]);
    follower.wait_for_stdout("API server listening at:");
    let mut editor = Editor::connect(address(&lease));
    editor.send::<Attach>(&json!({ "mode": "remote" }));
    editor.is_initialized();
    editor.run_to(&[]);
    follower.wait_for_stdout("to standard output\n");
    follower.wait_for_stderr("to standard error\n");
    drop(editor);
    sandbox.burrow(["debug", "release", &lease.id]).exits(0);
    let followed = follower.finish().exits(0);
    let past = sandbox.burrow(["debug", "log", &lease.id]).exits(0);
    assert_eq!([past.stdout(), past.stderr()], [followed.stdout(), followed.stderr()]);
    sandbox.burrow(["debug", "log", "lease-99"]).exits(1).tells("BUR504");
    assert_nothing_left(&sandbox);
}

/// What was printed in the session `lease`, from dlv's first start to its last.
pub(crate) fn log(sandbox: &Sandbox, lease: &str) -> String {
    let mut peer = Peer::open(&sandbox.socket(), &[sandbox.workspace()]).expect("connect");
    let (mut text, mut offset, mut attempt) = (String::new(), json!(0), json!(1));
    eventually("the log is complete", SOON, || {
        let params = json!({ "id": lease, "offset": offset, "attempt": attempt });
        let piece = peer.request("burrow/debug/readLog", &params).expect("answer")["result"].take();
        let reads = piece["reads"].as_array().expect("reads");
        text.extend(reads.iter().filter_map(|read| read["text"].as_str()));
        (offset, attempt) = (piece["next"].clone(), piece["attempt"].clone());
        if piece["ended"] == true { Ok(()) } else { Err(piece.to_string()) }
    });
    text
}
