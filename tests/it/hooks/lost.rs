//! Commands whose shims died: how they ended is not known, and what goes on of them is not forgotten.

use burrow_protocol::hooks::{HookName, HookState};

use super::services::is_alive;
use super::{HELD, SOON, kill, sandbox, up, wait_for_file, wait_for_state};
use crate::sandbox::{Process, Sandbox, eventually};

/// A shim that dies leaves a hook of which nobody knows how it ended: it is told, and never run again by itself.
#[test]
fn shim_killed_in_the_middle_of_a_hook() {
    let sandbox = sandbox().hook("postCreate", HELD);
    lose(&sandbox);
    sandbox.change("go", "");
    let lost = wait_for_state(&sandbox, HookName::PostCreate, HookState::Interrupted);
    let told = "its shim died, how it ended is not known, something of it went on";
    assert_eq!(lost.reason.as_deref(), Some(told));
    up(&sandbox).exits(3);
    assert_eq!(sandbox.read("runs").as_deref(), Some("x\n"), "not run again by itself");
    sandbox.burrow(["hook", "retry", "postCreate"]).exits(0);
    assert_eq!(sandbox.read("runs").as_deref(), Some("x\nx\n"));
}

/// What goes on of a command whose shim died is ended before the command runs again, and by whoever asks for its end.
#[test]
fn what_a_dead_shim_left_is_ended() {
    let survivors = |sandbox: &Sandbox| {
        let pids = sandbox.read("pids").unwrap_or_default();
        pids.lines().filter(|pid| is_alive(pid.parse().unwrap())).count()
    };
    let script = "echo $$ >> pids; echo x >> runs; until [ -e go ]; do sleep 0.01; done";
    for again in [&["retry", "postCreate"][..], &["run", "postCreate", "--again"]] {
        let sandbox = sandbox().hook("postCreate", script);
        lose(&sandbox);
        assert_eq!(survivors(&sandbox), 1, "it goes on");
        let client = sandbox.spawn(["hook"].iter().chain(again).copied());
        eventually("it runs again", SOON, || match sandbox.read("runs").as_deref() {
            Some("x\nx\n") => Ok(()),
            other => Err(format!("{other:?}")),
        });
        assert_eq!(survivors(&sandbox), 1, "{again:?}: nothing runs beside it");
        sandbox.change("go", "");
        client.finish().exits(0);
    }
    let sandbox = sandbox().hook("postCreate", script);
    lose(&sandbox);
    sandbox.burrow(["hook", "cancel", "postCreate"]).exits(0);
    eventually("it has ended", SOON, || if survivors(&sandbox) == 0 { Ok(()) } else { Err("it goes on") });
    sandbox.burrow(["hook", "cancel", "postCreate"]).exits(1).tells("nothing of it runs or waits");
    let sandbox = sandbox.hook("postStart", script);
    std::fs::remove_file(sandbox.workspace().join("runs")).unwrap();
    sandbox.burrow(["hook", "skip", "postCreate"]).exits(0);
    lose(&sandbox);
    sandbox.burrow(["stop", "--hooks"]).exits(0);
    assert_eq!(survivors(&sandbox), 0, "it ended before the daemon did");
}

/// Lets `up` run a hook that leaves `runs`, and kills its shim.
fn lose(sandbox: &Sandbox) {
    let client = sandbox.spawn(["up"]);
    wait_for_file(sandbox, "runs");
    let is_shim = |process: &Process| process.to_string().contains(" shim");
    let shims: Vec<_> = sandbox.processes().into_iter().filter(is_shim).collect();
    assert_eq!(shims.len(), 1, "one shim a command");
    kill(shims[0].pid);
    client.finish().exits(3);
}
