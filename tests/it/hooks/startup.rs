//! `onStartup`: a window starts it by being there, once.

use burrow_protocol::hooks::{HookName, HookState};
use camino::Utf8PathBuf;
use serde_json::{Value, json};

use super::{SOON, hook, runs_folder, sandbox, up, wait_for_state};
use crate::sandbox::{Sandbox, eventually};
use crate::wire::Peer;

fn starting() -> Sandbox {
    let sandbox = sandbox().burrow_hook("onStartup", "echo x >> started");
    sandbox.burrow(["start"]).exits(0);
    sandbox
}

fn open(sandbox: &Sandbox, trusted: bool) -> Peer {
    Peer::open_as(&sandbox.socket(), &[sandbox.workspace()], trusted).unwrap()
}

/// How often it ran, once nothing runs or waits any more.
fn starts(sandbox: &Sandbox) -> usize {
    sandbox.burrow(["hook", "await", "--timeout", "1m"]);
    sandbox.read("started").map_or(0, |text| text.lines().count())
}

fn ledger(sandbox: &Sandbox) -> Utf8PathBuf {
    runs_folder(sandbox).with_file_name("ledger.jsonl")
}

/// What is written down of the windows.
fn windows(sandbox: &Sandbox) -> Option<Value> {
    let text = std::fs::read_to_string(ledger(sandbox)).unwrap_or_default();
    let mut lines = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.find_map(|mut line| Some(line.get_mut("windows")?.take()))
}

/// Closes a window, and waits until that is known.
fn close(sandbox: &Sandbox, window: Peer) {
    drop(window);
    eventually("the window is gone", SOON, || match windows(sandbox) {
        Some(windows) if windows["open"] == false => Ok(()),
        seen => Err(format!("{seen:?}")),
    });
}

/// The daemon ends, and what it wrote of the windows becomes older than a minute: nobody waits for that here.
fn stop_and_let_time_pass(sandbox: &Sandbox) {
    sandbox.burrow(["stop"]).exits(0);
    let mut windows = windows(sandbox).unwrap();
    windows["at"] = json!(windows["at"].as_i64().unwrap() - 60);
    let mut text = std::fs::read_to_string(ledger(sandbox)).unwrap();
    text.push_str(&format!("{}\n", json!({"schema": 1, "windows": windows})));
    burrow::durable::replace(&ledger(sandbox), text.as_bytes()).unwrap();
    sandbox.burrow(["start"]).exits(0);
}

/// The first window that trusts the folder starts it; no other one does, nor the same one reloaded, nor a daemon that comes
/// between.
#[test]
fn first_trusted_window_starts_it_once() {
    let sandbox = starting();
    let untrusted = open(&sandbox, false);
    assert_eq!(starts(&sandbox), 0, "it does not trust the folder");
    drop(untrusted);
    // The daemon that comes then has no window at all.
    sandbox.burrow(["restart"]).exits(0);

    let first = open(&sandbox, true);
    assert_eq!(starts(&sandbox), 1);
    let second = open(&sandbox, true);
    assert_eq!(starts(&sandbox), 1, "a second window beside it");
    drop(second);
    close(&sandbox, first);
    let reloaded = open(&sandbox, true);
    assert_eq!(starts(&sandbox), 1, "it was away for a moment");

    drop(reloaded);
    sandbox.burrow(["restart"]).exits(0);
    let window = open(&sandbox, true);
    assert_eq!(starts(&sandbox), 1, "the daemon was restarted in between");
    sandbox.kill_daemon();
    drop(window);
    sandbox.burrow(["start"]).exits(0);
    let window = open(&sandbox, true);
    assert_eq!(starts(&sandbox), 1, "the daemon was killed in between");
    close(&sandbox, window);

    stop_and_let_time_pass(&sandbox);
    assert_eq!(starts(&sandbox), 1, "a new daemon alone starts nothing");
    let _window = open(&sandbox, true);
    assert_eq!(starts(&sandbox), 2, "nobody was there for a minute");
}

/// One window that does not trust the folder stops it, for as long as it is there.
#[test]
fn untrusted_window_stops_it() {
    let sandbox = starting();
    let untrusted = open(&sandbox, false);
    let _trusted = open(&sandbox, true);
    assert_eq!(starts(&sandbox), 0, "{:?}", windows(&sandbox));
    drop(untrusted);
    eventually("it starts once that one is closed", SOON, || match starts(&sandbox) {
        1 => Ok(()),
        seen => Err(seen),
    });
}

/// It comes after what `up` runs, and a failure there holds it back over a daemon's death, until it is mended.
#[test]
fn it_starts_once_the_hooks_before_it_are_done() {
    let sandbox = starting().hook("postCreate", "test -e mended");
    let window = open(&sandbox, true);
    assert_eq!(hook(&sandbox, HookName::OnStartup).reason.as_deref(), Some("starts after postCreate"));
    up(&sandbox).exits(3);
    assert_eq!(hook(&sandbox, HookName::OnStartup).state, HookState::Blocked);
    sandbox.kill_daemon();
    drop(window);
    sandbox.change("mended", "");
    sandbox.burrow(["start"]).exits(0);
    let _window = open(&sandbox, true);
    assert_eq!(starts(&sandbox), 0);
    sandbox.burrow(["hook", "retry", "postCreate"]).exits(0);
    wait_for_state(&sandbox, HookName::OnStartup, HookState::Succeeded);
    assert_eq!(starts(&sandbox), 1);
}

/// What it runs has the environment of the window that is there.
#[test]
fn it_runs_in_the_environment_of_the_window() {
    let sandbox = sandbox().burrow_hook("onStartup", "echo $TOKEN > token");
    sandbox.burrow(["start"]).exits(0);
    let path = std::env::var("PATH").unwrap();
    let environment = json!({ "PATH": path, "HOME": sandbox.root(), "TOKEN": "of-the-window" });
    let _window = Peer::open_with(&sandbox.socket(), &[sandbox.workspace()], true, &environment).unwrap();
    wait_for_state(&sandbox, HookName::OnStartup, HookState::Succeeded);
    assert_eq!(sandbox.read("token").as_deref(), Some("of-the-window\n"));
}
