//! Whoever waits for a hook sees it through, also where the daemon ends or is replaced meanwhile.

use burrow_protocol::hooks::HookName;
use serde_json::json;

use super::{HELD, hook, sandbox, up, wait_for_file};
use crate::sandbox::Sandbox;

fn end_of_the_daemon(sandbox: &Sandbox, is_killed: bool) {
    if is_killed {
        sandbox.kill_daemon();
    } else {
        sandbox.burrow(["restart"]).exits(0);
    }
}

/// What had not begun begins in the next daemon, in the environment of the caller that waits, and the output has neither a
/// gap nor a repeat.
#[test]
fn a_hook_run_goes_on_in_the_next_daemon() {
    for is_killed in [false, true] {
        let commands = json!({"first": {"run": HELD}, "second": {"run": "echo $WORD", "needs": ["first"]}});
        let sandbox = sandbox().burrow_hook("postCreate", json!({ "commands": commands }));
        let mut command = sandbox.burrow_command(["hook", "run", "postCreate"]);
        command.env("WORD", "of-the-caller");
        let client = sandbox.start(command);
        client.wait_for_stdout("before");
        end_of_the_daemon(&sandbox, is_killed);
        client.wait_for_stderr("another one is there");
        sandbox.change("go", "");
        let run = client.finish().exits(0);
        assert_eq!(run.stdout(), "[first] before\n[first] after\nof-the-caller\n", "{}", run.whole());
        assert_eq!(sandbox.read("runs").as_deref(), Some("x\n"), "it ran once");
    }
}

/// `up` does the rest of its job.
#[test]
fn up_goes_on_in_the_next_daemon() {
    let sandbox = sandbox().hook("postCreate", HELD).hook("postStart", "echo x >> started");
    let client = sandbox.spawn(["up"]);
    client.wait_for_stderr("before");
    sandbox.kill_daemon();
    client.wait_for_stderr("another one is there");
    sandbox.change("go", "");
    client.finish().says("postStart  succeeded");
    assert_eq!((sandbox.read("runs").as_deref(), sandbox.read("started").as_deref()), (Some("x\n"), Some("x\n")));
}

/// Those that only wait or look.
#[test]
fn others_wait_on_in_the_next_daemon() {
    let sandbox = sandbox().hook("postCreate", "true");
    let script = "echo x >> runs; until [ -e go ]; do sleep 0.01; done; echo the end; exit 9";
    let exec = sandbox.spawn(["hook", "exec", "postCreate/seed", "--", "sh", "-c", script]);
    wait_for_file(&sandbox, "runs");
    let log = sandbox.spawn(["hook", "log", "postCreate/seed", "--follow"]);
    let awaited = sandbox.spawn(["hook", "await"]);
    sandbox.burrow(["restart"]).exits(0);
    for client in [&exec, &log, &awaited] {
        client.wait_for_stderr("another one is there");
    }
    sandbox.change("go", "");
    assert_eq!(exec.finish().exits(9).stdout(), "the end\n");
    assert_eq!(log.finish().exits(0).stdout(), "the end\n");
    awaited.finish().exits(3);
}

/// A user who stops the daemon means it: nobody who waits starts it again, and the hook goes on.
#[test]
fn a_stop_ends_the_waiting() {
    let sandbox = sandbox().hook("postCreate", HELD);
    let client = sandbox.spawn(["hook", "run", "postCreate"]);
    client.wait_for_stdout("before");
    sandbox.burrow(["stop"]).exits(0);
    client.finish().exits(4).tells("stopped");
    assert_eq!(sandbox.daemon_pid(), None);
    sandbox.change("go", "");
    up(&sandbox);
    assert_eq!((hook(&sandbox, HookName::PostCreate).attempt, sandbox.read("runs").as_deref()), (1, Some("x\n")));
}
