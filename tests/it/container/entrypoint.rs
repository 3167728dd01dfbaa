//! `burrow entrypoint`: a container's first process, and what an image needs for it.

use std::time::Duration;

use super::engine::{docker, docker_prints};
use super::image::Image;
use super::plain::PlainContainer;
use crate::sandbox::{Sandbox, eventually};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn the_command_takes_the_place_of_the_entrypoint() {
    let sandbox = Sandbox::new();
    sandbox.burrow(["entrypoint", "--", "sh", "-c", "exit 7"]).exits(7);
    assert!(sandbox.daemon_pid().is_some(), "the daemon was started first, and outlives the command");
    sandbox.burrow(["entrypoint", "--", "/nothing"]).exits(127).tells("run /nothing");
    sandbox.burrow(["entrypoint", "--", "/etc/passwd"]).exits(126);
}

/// Whatever keeps the daemon from starting, the container starts.
#[test]
fn a_container_starts_without_a_daemon() {
    let sandbox = Sandbox::new().env("BURROW_STATE_DIR", "/proc/nothing");
    sandbox.burrow(["entrypoint"]).exits(0).tells("BUR104");
    sandbox.burrow(["entrypoint", "--", "sh", "-c", "exit 7"]).exits(7).tells("BUR104");
    let sandbox = Sandbox::new().env("BURROW_PORTS", "none");
    sandbox.burrow(["entrypoint"]).exits(0).tells("BURROW_PORTS=none");
}

/// It is started again by nobody: not by a hook, and not by an entrypoint that is called in the same start.
#[test]
fn a_daemon_that_the_user_stopped_stays_stopped() {
    let sandbox = Sandbox::new();
    sandbox.burrow(["entrypoint"]).exits(0);
    sandbox.burrow(["stop"]).exits(0);
    sandbox.burrow(["entrypoint"]).exits(0).tells("BUR110");
    assert_eq!(sandbox.daemon_pid(), None);
}

/// PID 1 has no default for any signal, and every orphan of the container is its own.
#[test]
fn pid_1_forwards_signals_reaps_orphans_and_ends_the_daemon_in_order() {
    let script =
        "trap 'echo told; exit 3' USR1; (sleep 0.01 & echo $! >/tmp/orphan); while :; do sleep 60 & wait $!; done";
    let container = PlainContainer::entrypoint(Sandbox::new(), &[], &["sh", "-c", script]);
    eventually("the orphan is reaped", SOON, || {
        let orphan = container.exec_as("root", ["sh", "-c", "cat /proc/$(cat /tmp/orphan)/stat"]);
        if orphan.code() == 0 { Err(orphan.whole()) } else { Ok(()) }
    });
    container.exec_as("root", ["cat", "/tmp/orphan"]).exits(0);
    container.exec_as("root", ["burrow", "status"]).exits(0);
    docker_prints(["kill", "--signal", "USR1", container.id()]);
    assert_eq!(docker_prints(["wait", container.id()]), "3", "the command's own code");
    assert!(docker_prints(["logs", container.id()]).contains("told"));
    let left = docker(["cp", &format!("{}:/var/lib/burrow/0/daemon.json", container.id()), "-"]);
    assert!(!left.status.success(), "the daemon said goodbye: its rendezvous is gone");
}

/// An image may have any signal for its end, as systemd has.
#[test]
fn pid_1_forwards_a_real_time_signal() {
    let script = "trap 'exit 4' 37; echo ready; while :; do sleep 60 & wait $!; done";
    let container = PlainContainer::entrypoint(Sandbox::new(), &["--stop-signal", "SIGRTMIN+3"], &["sh", "-c", script]);
    eventually("the command runs", SOON, || {
        let logs = docker_prints(["logs", container.id()]);
        if logs.contains("ready") { Ok(()) } else { Err(logs) }
    });
    docker_prints(["stop", "--time", "30", container.id()]);
    assert_eq!(docker_prints(["wait", container.id()]), "4", "the command's own code");
}

/// A user may leave anything in a state directory of his own; root looks into it at each start of the container.
#[test]
fn a_fifo_holds_up_no_start() {
    let sandbox = Sandbox::new();
    sandbox.make_state_dir();
    for name in ["daemon.json", "stopped"] {
        sandbox.run_program("mkfifo", [sandbox.state_dir().join(name).as_str()]).exits(0);
    }
    sandbox.burrow(["entrypoint"]).exits(0);
    sandbox.burrow(["status"]).exits(0);
}

/// Where an init is there, it reaps, and the command is what the engine talks to.
#[test]
fn under_an_init_the_command_is_alone() {
    let container = PlainContainer::entrypoint(Sandbox::new(), &["--init"], &["sleep", "infinity"]);
    eventually("the command runs", SOON, || {
        let run = container.exec_as("root", ["sh", "-c", "cat /proc/[0-9]*/comm"]);
        let names: Vec<_> = run.stdout().lines().map(str::to_owned).collect();
        let here = |name: &str| names.iter().filter(|found| found.as_str() == name).count();
        if here("sleep") == 1 && here("burrow") == 1 { Ok(()) } else { Err(names.join(" ")) }
    });
    container.exec_as("root", ["burrow", "status"]).exits(0);
}

/// No shell, no accounts, no /tmp, no /var, no locale.
#[test]
fn an_image_of_the_binary_alone() {
    let image = Image::of_the_binary();
    image.run(&[], ["/burrow", "status"]).exits(0).says("debug ports: 0 of 11 leased");
    image.run(&["--init"], ["/burrow", "status"]).exits(0).says("debug ports: 0 of 11 leased");
    image.run(&[], ["/burrow", "hook", "exec", "postCreate", "--", "/burrow", "hook", "list"]).exits(0);
    image.run(&[], ["/burrow", "hook", "exec", "postCreate", "--", "sh", "-c", "true"]).exits(1).tells("No such file");
    image.run(&[], []).exits(2).tells("name one, such as `CMD");
    // Nobody but root can make a folder in it: the container starts all the same.
    image.run(&["--user", "1234"], ["/burrow", "--version"]).exits(0).tells("BUR104");
    let state = ["--user", "1234", "--tmpfs", "/state:mode=1777", "--env", "BURROW_STATE_DIR=/state/mine"];
    image.run(&state, ["/burrow", "status"]).exits(0);
}

/// Alpine's C library, and its shell.
#[test]
fn an_image_with_musl() {
    let image = Image::of_musl();
    image.run(&[], ["sh", "-c", "burrow status && burrow hook exec postCreate -- sh -c 'exit 5'"]).exits(5);
}
