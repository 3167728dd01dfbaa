//! Background commands: ready, started anew, handed over, ended with the daemon.

use burrow_protocol::hooks::{CommandStatus, HookName, HookState};
use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{SOON, find_hook, hook, kill, sandbox, up};
use crate::sandbox::{Process, Sandbox, eventually};

/// Writes its process id, says so, and goes on until it is told to end.
const SERVE: &str = "echo $$ >> pids; echo $WORD >> words; echo listening; while :; do sleep 0.01; done";

fn serving() -> Sandbox {
    sandbox().burrow_hook(
        "postStart",
        json!({"commands": {
            "db": {"run": SERVE, "background": true, "ready": {"log": "^listen"}, "timeout": "1m"},
            "seed": {"run": "test -e pids && echo x >> seeded", "needs": ["db"]}
        }}),
    )
}

fn pids(sandbox: &Sandbox) -> Vec<u32> {
    sandbox.read("pids").unwrap_or_default().lines().map(|line| line.parse().unwrap()).collect()
}

fn service(sandbox: &Sandbox) -> Result<CommandStatus, String> {
    Ok(find_hook(sandbox, HookName::PostStart)?.commands.swap_remove(0))
}

pub(super) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn wait_for_starts(sandbox: &Sandbox, count: usize) -> u32 {
    eventually(&format!("{count} starts"), SOON, || {
        let pids = pids(sandbox);
        if pids.len() == count { Ok(pids[count - 1]) } else { Err(format!("{pids:?}")) }
    })
}

/// Waits until the service is shown as one that `is_it` means.
fn wait_for_service(sandbox: &Sandbox, what: &str, is_it: impl Fn(&CommandStatus) -> bool) -> CommandStatus {
    eventually(what, SOON, || {
        let service = service(sandbox)?;
        if is_it(&service) { Ok(service) } else { Err(format!("{service:?}")) }
    })
}

/// A service counts as done once it is ready; `up` comes back, and the service runs on until the daemon is stopped.
#[test]
fn ready_service_lets_pass_what_needs_it() {
    let sandbox = serving().hook("postAttach", "true");
    sandbox.burrow(["hook", "run", "postStart"]).exits(0).says("[db] listening");
    assert_eq!(sandbox.read("seeded").as_deref(), Some("x\n"));
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(0), @r"
    postStart (burrow)  succeeded
      db  running  ready
      seed  succeeded
    postAttach  pending
    ");
    sandbox.burrow(["hook", "await", "postStart"]).exits(0);
    sandbox.burrow(["hook", "run", "postAttach"]).exits(0);
    up(&sandbox);
    assert_eq!(pids(&sandbox).len(), 1, "it is not due while it runs");

    let pid = pids(&sandbox)[0];
    sandbox.burrow(["stop"]).exits(0);
    assert!(!is_alive(pid), "it ended before the daemon did");
    up(&sandbox);
    assert_eq!((pids(&sandbox).len(), sandbox.read("seeded").as_deref()), (2, Some("x\n")), "only the service is due");
}

/// A service that ends by itself is started anew.
#[test]
fn service_that_ends_is_started_anew() {
    let sandbox = serving();
    up(&sandbox);
    kill(pids(&sandbox)[0]);
    let second = wait_for_starts(&sandbox, 2);
    let told = wait_for_service(&sandbox, "the second start is told", |service| service.attempt == 2 && service.ready);
    assert_eq!(told.reason.as_deref(), Some("started again, after signal 9"));
    assert_eq!((told.state, hook(&sandbox, HookName::PostStart).state), (HookState::Running, HookState::Succeeded));
    assert!(is_alive(second));
    eventually("both starts are in the log", SOON, || {
        let log = sandbox.burrow(["hook", "log", "postStart/db"]).exits(0).stdout().to_owned();
        if log == "listening\nlistening\n" { Ok(()) } else { Err(log) }
    });
}

/// Another daemon takes a service over, whether it was handed over or found, and starts it anew in its own environment.
#[test]
fn service_outlives_the_daemon() {
    for handed_over in [true, false] {
        let sandbox = serving();
        let mut command = sandbox.burrow_command(["up"]);
        command.env("WORD", "of-the-caller");
        sandbox.run(command);
        let pid = pids(&sandbox)[0];
        if handed_over {
            sandbox.burrow(["restart"]).exits(0);
        } else {
            sandbox.kill_daemon();
        }
        let taken = wait_for_service(&sandbox, "it is taken over", |service| service.ready);
        assert_eq!((taken.state, taken.attempt, pids(&sandbox).len()), (HookState::Running, 1, 1));
        assert!(is_alive(pid));
        kill(pid);
        let second = wait_for_starts(&sandbox, 2);
        eventually("the caller's environment is known", SOON, || {
            let words = sandbox.read("words").unwrap_or_default();
            if words == "of-the-caller\nof-the-caller\n" { Ok(()) } else { Err(words) }
        });
        sandbox.burrow(["stop"]).exits(0);
        assert!(!is_alive(second));
    }
}

/// The pause before the next start goes on when the daemon is restarted, or killed, and the next start has the environment
/// of whoever asked for the first one.
#[test]
fn pause_of_a_service_outlives_the_daemon() {
    for handed_over in [true, false] {
        let sandbox = serving();
        let mut command = sandbox.burrow_command(["up"]);
        command.env("WORD", "of-the-caller");
        sandbox.run(command);
        kill(pids(&sandbox)[0]);
        kill(wait_for_starts(&sandbox, 2));
        kill(wait_for_starts(&sandbox, 3));
        let paused = wait_for_service(&sandbox, "it pauses", |service| service.attempt == 4);
        assert_eq!(paused.state, HookState::Running, "{paused:?}");
        if handed_over {
            sandbox.burrow(["restart"]).exits(0);
        } else {
            // One that is killed before its shim knows the command takes the caller's environment with it.
            eventually("the pause has begun", SOON, || {
                let processes = sandbox.processes();
                let pauses = |process: &Process| process.command.starts_with("/proc/self/exe after 4000 ");
                if processes.iter().any(pauses) { Ok(()) } else { Err(format!("{processes:?}")) }
            });
            sandbox.kill_daemon();
        }
        let fourth = wait_for_starts(&sandbox, 4);
        let taken = wait_for_service(&sandbox, "it is taken over", |service| service.ready);
        assert_eq!((taken.state, taken.attempt), (HookState::Running, 4), "{taken:?}");
        eventually("the caller's environment is known", SOON, || {
            let words = sandbox.read("words").unwrap_or_default();
            if words == "of-the-caller\n".repeat(4) { Ok(()) } else { Err(words) }
        });
        sandbox.burrow(["stop"]).exits(0);
        assert!(!is_alive(fourth));
    }
}

/// `burrow stop` ends a service also while it pauses.
#[test]
fn stop_ends_a_service_that_pauses() {
    let sandbox = serving();
    up(&sandbox);
    kill(pids(&sandbox)[0]);
    kill(wait_for_starts(&sandbox, 2));
    wait_for_service(&sandbox, "it pauses", |service| service.attempt == 3);
    sandbox.burrow(["stop"]).exits(0);
    let left = sandbox.processes();
    assert!(left.is_empty(), "{left:?}");
    up(&sandbox);
    assert!(service(&sandbox).unwrap().ready, "it is due again");
}

/// A service that ends before it was ready has failed, and one that takes too long has timed out: nothing of it is left.
#[test]
fn service_that_does_not_become_ready() {
    let hook_of = |run: &str, ready: Value| {
        json!({"commands": {
            "db": {"run": run, "background": true, "ready": ready, "timeout": "2s"},
            "seed": {"run": "touch seeded", "needs": ["db"]}
        }})
    };
    let sandbox = sandbox().burrow_hook("postStart", hook_of("exit 3", json!({"log": "x"})));
    up(&sandbox).exits(3);
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(3), @r"
    postStart (burrow)  failed  exit code 3 before it was ready
      db  failed  exit code 3 before it was ready
      seed  blocked  by postStart/db
    ");
    let sandbox = sandbox.burrow_hook("postStart", hook_of(SERVE, json!({"command": "test -e never"})));
    sandbox.burrow(["hook", "retry", "postStart"]).exits(3);
    let service = service(&sandbox).unwrap();
    assert_eq!((service.state, service.ready), (HookState::TimedOut, false));
    assert!(!is_alive(pids(&sandbox)[0]));
    assert_eq!(sandbox.read("seeded"), None);
}

/// A port where another process listens says nothing of a service.
#[test]
fn port_of_somebody_else_makes_no_service_ready() {
    let foreign = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hook_of = |run: &str, timeout: &str| {
        let ready = json!({ "port": foreign.local_addr().unwrap().port() });
        json!({"commands": {
            "db": {"run": run, "background": true, "ready": ready, "timeout": timeout},
            "seed": {"run": "touch seeded", "needs": ["db"]}
        }})
    };
    let sandbox = sandbox().burrow_hook("postStart", hook_of("sleep 0.5; exit 1", "1m"));
    up(&sandbox).exits(3);
    let ended = service(&sandbox).unwrap();
    assert_eq!((ended.state, ended.reason.as_deref()), (HookState::Failed, Some("exit code 1 before it was ready")));
    let sandbox = sandbox.burrow_hook("postStart", hook_of(SERVE, "1s"));
    sandbox.burrow(["hook", "retry", "postStart"]).exits(3);
    let told = service(&sandbox).unwrap().reason.unwrap_or_default();
    assert!(told.contains(&format!("(process {}) listens there", std::process::id())), "{told}");
    assert_eq!(sandbox.read("seeded"), None);
}

/// A port is the service's own whatever process below it listens, also one without the mark of its run.
#[test]
fn port_of_the_service_makes_it_ready() {
    let port = portpicker::pick_unused_port().unwrap();
    let listen = format!("import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(300)");
    let run = format!("env -i PATH=/usr/bin:/bin python3 -c \"{listen}\" & wait");
    let db = json!({"run": run, "background": true, "ready": {"port": port}, "timeout": "1m"});
    let sandbox = sandbox().burrow_hook("postStart", json!({"commands": {"db": db}}));
    sandbox.burrow(["hook", "run", "postStart"]).exits(0);
    assert!(service(&sandbox).unwrap().ready);
}

/// `hook cancel` ends a service for good, `hook retry` brings it back.
#[test]
fn service_is_cancelled_and_retried() {
    let sandbox = serving();
    up(&sandbox);
    sandbox.burrow(["hook", "cancel", "postStart/db"]).exits(0);
    let cancelled = wait_for_service(&sandbox, "it has ended", |service| service.state == HookState::Cancelled);
    assert!(!cancelled.ready && !is_alive(pids(&sandbox)[0]));
    sandbox.burrow(["hook", "retry", "postStart/db"]).exits(0);
    assert!(is_alive(pids(&sandbox)[1]));
}

/// A daemon that is told to end by a signal takes its services along.
#[test]
fn services_end_with_the_daemon() {
    let sandbox = serving();
    up(&sandbox);
    let daemon = rustix::process::Pid::from_raw(sandbox.daemon_pid().unwrap().try_into().unwrap()).unwrap();
    rustix::process::kill_process(daemon, rustix::process::Signal::TERM).unwrap();
    eventually("the daemon has ended", SOON, || sandbox.daemon_pid().map_or(Ok(()), Err));
    assert!(!is_alive(pids(&sandbox)[0]));
}

/// Whatever a start of a service left behind ends with it: the next start would add another.
#[test]
fn children_that_a_service_left_are_ended() {
    let daemonizes = json!({ "run": "sleep 300 & echo $! >> pids", "background": true });
    let sandbox = sandbox().burrow_hook("postStart", json!({ "commands": { "daemonizes": daemonizes } }));
    sandbox.burrow(["hook", "run", "postStart"]);
    eventually("it was started anew", SOON, || if pids(&sandbox).len() > 1 { Ok(()) } else { Err("it was not") });
    let first = pids(&sandbox)[0];
    eventually("what the first start left has ended", SOON, || if is_alive(first) { Err(first) } else { Ok(()) });
    sandbox.burrow(["stop"]).exits(0);
}
