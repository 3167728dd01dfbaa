//! The daemon killed at each write of `burrow up`: the next `up` finishes the work, and no hook runs twice.
//!
//! One traced run lists the writes. Then one run each, from fresh state, ends the daemon with SIGKILL as it is about to
//! make that write. `make test` takes one of eight writes, another eighth each day (`BURROW_TEST_EIGHTH` chooses one);
//! `make test-all` takes all.

mod toolchain; // the tools: install, switch, rollback
mod trace; // what strace is asked, and what it answers

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use burrow::durable::StateLayout;
use burrow_protocol::hooks::HookState;
use burrow_protocol::model::WorkspaceState;
use serde_json::json;

use crate::sandbox::{Background, Sandbox, eventually};
use crate::wire::Peer;
use trace::Write;

/// The evidence that each hook leaves: a line a run.
const EVIDENCE: [&str; 5] =
    ["ran-onCreate", "ran-updateContent", "ran-postCreate-a", "ran-postCreate-b", "ran-postStart"];

#[test]
fn daemon_killed_at_any_write_of_up() {
    let writes = writes_of_a_clean_run();
    assert!(writes.len() > 20, "the trace saw the daemon's writes: {writes:#?}");
    let chosen: Vec<_> = match eighth() {
        None => writes,
        Some(eighth) => {
            writes.into_iter().enumerate().filter(|(n, _)| n % 8 == eighth).map(|(_, write)| write).collect()
        }
    };

    let (count, queue) = (chosen.len(), Mutex::new(chosen.into_iter()));
    let missed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            thread::Builder::new()
                .name("faults::daemon_killed_at_any_write_of_up".to_owned())
                .spawn_scoped(scope, || {
                    while let Some(write) = { queue.lock().unwrap().next() } {
                        if !survives(&write) {
                            missed.lock().unwrap().push(write.to_string());
                        }
                    }
                })
                .unwrap();
        }
    });
    // A write that another thread makes this time is not met. Most must be, or nothing was tried.
    let missed = missed.into_inner().unwrap();
    assert!(missed.len() * 3 <= count, "{} of {count} writes were not met: {missed:#?}", missed.len());
}

/// Three hooks of devcontainer.json and one of Burrow's, and the tools from the store.
fn sandbox() -> Sandbox {
    Sandbox::new()
        .hook("onCreate", "echo ran >> ran-onCreate")
        .hook("updateContent", json!(["sh", "-c", "echo ran >> ran-updateContent"]))
        .hook("postCreate", json!({ "a": "echo ran >> ran-postCreate-a", "b": "echo ran >> ran-postCreate-b" }))
        .burrow_hook("postStart", "echo ran >> ran-postStart")
        .with_tools()
}

fn writes_of_a_clean_run() -> Vec<Write> {
    let sandbox = sandbox();
    let daemon = traced_daemon(&sandbox, &trace::all_writes());
    sandbox.burrow(["up"]).exits(0);
    assert_done_once(&sandbox, "a clean run");
    // Read before `stop`, which writes too.
    let trace = std::fs::read_to_string(sandbox.root().join("trace")).unwrap();
    sandbox.burrow(["stop"]).exits(0);
    daemon.finish().exits(0);
    trace::writes(&trace, sandbox.root(), &key(&sandbox))
}

/// One run with the daemon killed at `write`; false when the daemon never came to it.
fn survives(write: &Write) -> bool {
    let sandbox = sandbox();
    let daemon = traced_daemon(&sandbox, &write.injection(sandbox.root(), &key(&sandbox)));
    // Whatever it says: its daemon may be gone.
    sandbox.burrow(["up"]);
    let trace = std::fs::read_to_string(sandbox.root().join("trace")).unwrap_or_default();
    let killed = trace.contains("killed by SIGKILL");

    let repeated = sandbox.burrow(["up"]);
    assert_eq!(repeated.code(), 0, "`up` after the daemon was killed at {write}: {}", repeated.whole());
    assert_done_once(&sandbox, &format!("killed at {write}"));
    sandbox.burrow(["stop"]).exits(0);
    drop(daemon);
    killed
}

/// `burrow daemon` under strace; returns once it answers, or is dead.
fn traced_daemon(sandbox: &Sandbox, arguments: &[String]) -> Background {
    let mut strace = sandbox.command("strace");
    strace.args(["-f", "-y", "-q", "-s", "0", "-o"]).arg(sandbox.root().join("trace"));
    strace.args(arguments).args([crate::sandbox::BURROW, "daemon"]);
    let mut daemon = sandbox.start(strace);
    eventually("the daemon answers, or is dead", Duration::from_secs(20), || {
        if daemon.has_ended() {
            return Ok(());
        }
        Peer::open(&sandbox.socket(), &[sandbox.workspace()]).map(drop)
    });
    daemon
}

/// The name of the workspace's folder in the state directory: it differs from sandbox to sandbox.
fn key(sandbox: &Sandbox) -> String {
    let layout = StateLayout::new(sandbox.state_dir()).workspace(sandbox.workspace());
    layout.dir().file_name().unwrap().to_owned()
}

fn assert_done_once(sandbox: &Sandbox, why: &str) {
    for file in EVIDENCE {
        assert_eq!(sandbox.read(file).as_deref(), Some("ran\n"), "{file} ran once; {why}");
    }
    let workspace = sandbox.workspace_status();
    assert_eq!(workspace.state, WorkspaceState::Ready, "{why}: {:?}", workspace.reasons);
    for hook in &workspace.hooks {
        assert_eq!(hook.state, HookState::Succeeded, "{} {:?}; {why}", hook.name, hook.reason);
    }
}

/// Which eighth of the writes this run takes; `None`: all.
fn eighth() -> Option<usize> {
    if std::env::var_os("BURROW_TEST_ALL").is_some() {
        return None;
    }
    let chosen = std::env::var("BURROW_TEST_EIGHTH").ok().and_then(|number| number.parse::<usize>().ok());
    let days = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let eighth = chosen.unwrap_or(usize::try_from(days).unwrap()) % 8;
    println!("eighth {eighth} of the writes (BURROW_TEST_EIGHTH chooses)");
    Some(eighth)
}
