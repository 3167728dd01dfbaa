//! The daemon killed at each write of `burrow up`, and each of its writes failing: the next `up` finishes the work, no hook
//! runs twice, and what is on record is what happened.
//!
//! One traced run lists the writes. Then one run each, from fresh state, ends the daemon with SIGKILL as it is about to
//! make that write, or has the write fail as on a full or a broken disk. `make test` takes one of eight writes, another
//! eighth each day (`BURROW_TEST_EIGHTH` chooses one); `make test-all` takes all.

mod toolchain; // the tools: install, switch, rollback
pub(crate) mod trace; // what strace is asked, and what it answers

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use burrow::durable::{self, StateLayout};
use burrow_protocol::hooks::{HookState, HookStatus};
use burrow_protocol::model::WorkspaceState;
use serde_json::json;

use crate::sandbox::{Background, Sandbox, eventually};
use crate::wire::Peer;
use trace::{Fault, Write};

/// The evidence that each hook leaves: a line a run.
const EVIDENCE: [&str; 5] =
    ["ran-onCreate", "ran-updateContent", "ran-postCreate-a", "ran-postCreate-b", "ran-postStart"];

#[test]
fn daemon_killed_at_any_write_of_up() {
    sweep("daemon_killed_at_any_write_of_up", &[Fault::Kill], |_| true);
}

/// A write that fails costs no hook its run, and none runs twice.
#[test]
fn disk_fails_at_any_write_of_the_hooks() {
    let faults = [Fault::Error("ENOSPC"), Fault::Error("EIO")];
    sweep("disk_fails_at_any_write_of_the_hooks", &faults, Write::is_of_hooks);
}

/// A run that is in the ledger, and of which nobody knows whether it is on disk, is taken back: it has not started.
#[test]
fn run_that_could_not_be_recorded_is_taken_back() {
    let write = Write::new("state/workspaces/KEY/ledger.jsonl", "fdatasync", 1);
    assert!(survives(&write, Fault::Error("EIO")), "the daemon syncs its ledger");
}

/// A run that is refused, as it could not be recorded, leaves on record what came before it: what is done stays done, and
/// what failed stays failed.
#[test]
fn refused_run_leaves_what_is_on_record() {
    for (command, code, state) in
        [("echo x >> ran", 0, HookState::Succeeded), ("echo x >> ran; exit 7", 7, HookState::Failed)]
    {
        let sandbox = Sandbox::bare().hook("postCreate", command);
        sandbox.burrow(["hook", "run", "postCreate"]).exits(code);
        sandbox.burrow(["stop"]).exits(0);
        let write = Write::new("state/workspaces/KEY/ledger.jsonl", "fdatasync", 1);
        let daemon = traced_daemon(&sandbox, &write.injection(Fault::Error("EIO"), sandbox.root(), &key(&sandbox)));
        sandbox.burrow(["hook", "run", "postCreate", "--again"]).exits(1).tells("BUR305");
        let trace = std::fs::read_to_string(sandbox.root().join("trace")).unwrap();
        assert!(trace.contains("(INJECTED)"), "{trace}");
        for restarted in [false, true] {
            if restarted {
                sandbox.burrow(["restart"]).exits(0);
            }
            let hooks: Vec<HookStatus> = sandbox.burrow(["hook", "list", "--json"]).parse();
            assert_eq!((hooks[0].state, hooks[0].attempt), (state, 1), "restarted: {restarted}");
        }
        sandbox.burrow(["up"]);
        assert_eq!(sandbox.read("ran").as_deref(), Some("x\n"), "it ran once");
        sandbox.burrow(["stop"]).exits(0);
        drop(daemon);
    }
}

/// A ledger most of whose lines no longer count is rewritten while the daemon runs. Killed at that, or without room for it,
/// nothing of it is lost.
#[test]
fn daemon_killed_as_it_rewrites_its_ledger() {
    let write = Write::new("state/workspaces/KEY/ledger.jsonl", "renameat", 1);
    for (fault, fewer) in [(None, true), (Some(Fault::Kill), true), (Some(Fault::Error("ENOSPC")), false)] {
        let sandbox = sandbox();
        sandbox.burrow(["up"]).exits(0);
        sandbox.burrow(["stop"]).exits(0);
        let ledger = sandbox.state_dir().join("workspaces").join(key(&sandbox)).join("ledger.jsonl");
        let lines = || std::fs::read_to_string(&ledger).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
        let mut long = lines();
        long.resize(512, long.last().unwrap().clone());
        durable::replace(&ledger, (long.join("\n") + "\n").as_bytes()).unwrap();

        let injection = fault.map(|fault| write.injection(fault, sandbox.root(), &key(&sandbox)));
        let daemon = traced_daemon(&sandbox, &injection.unwrap_or_else(trace::all_writes));
        assert_eq!(lines().len(), 512, "it is not too long yet");
        sandbox.burrow(["hook", "exec", "postStart/one-more", "--", "true"]);
        let trace = std::fs::read_to_string(sandbox.root().join("trace")).unwrap();
        assert_eq!(trace.contains("killed by SIGKILL"), fault == Some(Fault::Kill), "{trace}");
        assert_eq!(trace.contains("(INJECTED)"), matches!(fault, Some(Fault::Error(_))), "{trace}");
        sandbox.burrow(["up"]).exits(0);
        assert_done_once(&sandbox, &format!("{fault:?} at {write}"));
        assert_eq!(lines().len() < 100, fewer, "{fault:?}: {} lines", lines().len());
        sandbox.burrow(["stop"]).exits(0);
        drop(daemon);
    }
}

/// What a window wants is started once, wherever the daemon dies between the window and the run.
#[test]
fn daemon_killed_as_a_window_starts_a_hook() {
    let ledger = "state/workspaces/KEY/ledger.jsonl";
    let mut met = 0;
    for (call, nth) in [("write", 1), ("write", 2), ("write", 3), ("fdatasync", 1), ("fdatasync", 2)] {
        let write = Write::new(ledger, call, nth);
        let sandbox = Sandbox::bare().burrow_hook("onStartup", "echo ran >> ran");
        let mut daemon = traced_daemon(&sandbox, &write.injection(Fault::Kill, sandbox.root(), &key(&sandbox)));
        let window = Peer::open(&sandbox.socket(), &[sandbox.workspace()]);
        eventually("it has run, or the daemon is dead", Duration::from_secs(30), || {
            if daemon.has_ended() || sandbox.read("ran").is_some() { Ok(()) } else { Err("neither") }
        });
        drop(window);
        if !daemon.has_ended() {
            sandbox.burrow(["stop"]);
        }
        let trace = std::fs::read_to_string(sandbox.root().join("trace")).unwrap();
        met += u32::from(trace.contains("killed by SIGKILL"));
        sandbox.burrow(["start"]).exits(0);
        let _window = Peer::open(&sandbox.socket(), &[sandbox.workspace()]).unwrap();
        sandbox.burrow(["hook", "await", "--timeout", "1m"]);
        assert_eq!(sandbox.read("ran").as_deref(), Some("ran\n"), "killed at {write}");
        sandbox.burrow(["stop"]).exits(0);
    }
    assert!(met >= 2, "{met} of the writes were met");
}

/// Tries `faults` at every chosen one of the `wanted` writes.
fn sweep(name: &str, faults: &[Fault], wanted: fn(&Write) -> bool) {
    let writes: Vec<_> = writes_of_a_clean_run().into_iter().filter(wanted).collect();
    assert!(writes.len() > 15, "the trace saw the daemon's writes: {writes:#?}");
    let writes: Vec<_> =
        writes.into_iter().flat_map(|write| faults.iter().map(move |fault| (write.clone(), *fault))).collect();
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
                .name(format!("faults::{name}"))
                .spawn_scoped(scope, || {
                    while let Some((write, fault)) = { queue.lock().unwrap().next() } {
                        if !survives(&write, fault) {
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

/// One run with `fault` at `write`; false when the daemon never came to it.
fn survives(write: &Write, fault: Fault) -> bool {
    let sandbox = sandbox();
    let daemon = traced_daemon(&sandbox, &write.injection(fault, sandbox.root(), &key(&sandbox)));
    // Whatever it says: its daemon may be gone, or have told that it cannot write.
    sandbox.burrow(["up"]);
    let trace = std::fs::read_to_string(sandbox.root().join("trace")).unwrap_or_default();
    let met = match fault {
        Fault::Kill => trace.contains("killed by SIGKILL"),
        Fault::Error(_) => {
            // What it knows and could not write down, the next one has to find out.
            if sandbox.daemon_pid().is_some() {
                sandbox.kill_daemon();
            }
            trace.contains("(INJECTED)")
        }
    };

    let repeated = sandbox.burrow(["up"]);
    assert_eq!(repeated.code(), 0, "`up` after {fault:?} at {write}: {}", repeated.whole());
    assert_done_once(&sandbox, &format!("{fault:?} at {write}"));
    sandbox.burrow(["stop"]).exits(0);
    drop(daemon);
    met
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
        // A window that trusted the folder would be written down.
        Peer::open_as(&sandbox.socket(), &[sandbox.workspace()], false).map(drop)
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
