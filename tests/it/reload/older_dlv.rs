//! dlvs that are older than what today's can do: built once a machine by an older Go, which is fetched for it.

use std::fs;
use std::time::Duration;

use burrow_protocol::debug::{LeaseEndpoint, LeaseGranted};
use camino::Utf8PathBuf;
use serde_json::{Value, json};

use super::assert_nothing_left;
use super::debugging::{Editor, ticking};
use crate::debug::output::log;
use crate::sandbox::{Sandbox, tool_cache};
use crate::wire::Peer;

/// A Go that these dlvs were made for.
const GO: &str = "go1.22.12";
/// The last one that knows no Unix sockets.
const NO_SOCKETS: &str = "v1.22.0";
/// One that knows no `restart`: that came with 1.25.1.
const NO_RESTART: &str = "v1.24.0";

/// A workspace with that Go, and this dlv.
fn workspace(version: &str) -> (Sandbox, Utf8PathBuf) {
    let sandbox = Sandbox::bare()
        .write("go.mod", "module example.com/sandbox\n\ngo 1.21\n")
        .write("main.go", &ticking("one"))
        .online()
        .env("GOTOOLCHAIN", GO)
        .limit(Duration::from_secs(30 * 60));
    let folder = tool_cache().join(format!("dlv-{version}-{GO}"));
    fs::create_dir_all(&folder).expect("folder");
    // Test processes that run at one time build it once; the lock falls with its file.
    let file = folder.join("lock");
    let lock = fs::OpenOptions::new().create(true).truncate(false).write(true).open(file).expect("lock file");
    lock.lock().expect("lock");
    let dlv = folder.join("dlv");
    if !dlv.exists() {
        let mut install = sandbox.command("go");
        let package = format!("github.com/go-delve/delve/cmd/dlv@{version}");
        install.args(["install", "-trimpath", &package]).env("GOBIN", &folder).env("CGO_ENABLED", "0");
        sandbox.run(install).exits(0);
    }
    sandbox.burrow(["start"]).exits(0);
    (sandbox, dlv)
}

/// A lease's name and a client of it; `more`: of its request.
fn lease(sandbox: &Sandbox, dlv: &Utf8PathBuf, more: &Value) -> (String, Editor) {
    let mut peer = Peer::open(&sandbox.socket(), &[sandbox.workspace()]).expect("connect");
    let mut params =
        json!({ "workspace": sandbox.workspace(), "kind": "dap", "env": environment(sandbox), "dlv": dlv });
    for (name, value) in more.as_object().expect("an object") {
        params[name] = value.clone();
    }
    let mut answer = peer.request("burrow/debug/lease", &params).expect("answer");
    assert!(answer.get("error").is_none(), "{answer}");
    let granted: LeaseGranted = serde_json::from_value(answer["result"].take()).expect("a lease");
    let LeaseEndpoint::Port { port } = granted.lease.endpoint else { panic!("{:?}", granted.lease.endpoint) };
    (granted.lease.id, Editor::connect(port))
}

/// What a `burrow` in the sandbox has for its environment.
fn environment(sandbox: &Sandbox) -> Value {
    let command = sandbox.command("env");
    let pairs = command.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)));
    pairs.map(|(name, value)| (name.to_owned(), json!(value))).collect::<serde_json::Map<_, _>>().into()
}

/// A dlv that cannot restart: the client is asked to start a new session, and the old one ends.
#[test]
#[ignore = "slow: part of `make test-all`"]
fn a_client_of_a_dlv_without_restart_is_asked_for_a_new_session() {
    let (sandbox, dlv) = workspace(NO_RESTART);
    let (_, mut editor) = lease(&sandbox, &dlv, &json!({}));
    editor.launch(&sandbox, &json!({ "reload": true }));
    editor.event("initialized");
    editor.configure(&sandbox, false);
    editor.console("one 0");
    sandbox.change("main.go", &ticking("two"));
    editor.console("dlv does not restart the program");
    let terminated = editor.event("terminated");
    assert_eq!(terminated["body"], json!({ "restart": true }));
    editor.done("disconnect", &json!({ "terminateDebuggee": true }));
    drop(editor);
    assert_nothing_left(&sandbox);

    // What a client does then.
    let (_, mut editor) = lease(&sandbox, &dlv, &json!({}));
    editor.launch(&sandbox, &json!({ "reload": true }));
    editor.event("initialized");
    editor.configure(&sandbox, false);
    editor.console("two 0");
    editor.done("disconnect", &json!({ "terminateDebuggee": true }));
    drop(editor);
    assert_nothing_left(&sandbox);
}

/// A dlv that knows no Unix sockets dials back, and debugs, reloads and serves many clients all the same.
#[test]
#[ignore = "slow: part of `make test-all`"]
fn a_dlv_without_sockets_debugs() {
    let (sandbox, dlv) = workspace(NO_SOCKETS);
    let (name, mut editor) = lease(&sandbox, &dlv, &json!({}));
    editor.launch(&sandbox, &json!({}));
    editor.event("initialized");
    editor.configure(&sandbox, false);
    editor.console("one 0");
    editor.done("disconnect", &json!({ "terminateDebuggee": true }));
    drop(editor);
    assert_nothing_left(&sandbox);
    assert!(log(&sandbox, &name).contains("one 0\n"));

    let (_, mut editor) = lease(&sandbox, &dlv, &json!({}));
    editor.launch(&sandbox, &json!({ "noDebug": true, "reload": true }));
    editor.console("one 0");
    sandbox.change("main.go", &ticking("two"));
    editor.console("two 0");
    editor.done("disconnect", &json!({ "terminateDebuggee": true }));
    drop(editor);
    assert_nothing_left(&sandbox);

    let target =
        json!({ "mode": "debug", "target": ".", "core": null, "args": [], "buildFlags": null, "running": false });
    let (name, mut editor) = lease(&sandbox, &dlv, &json!({ "kind": "headless", "headless": target }));
    editor.done("initialize", &json!({ "adapterID": "go", "linesStartAt1": true }));
    editor.send("attach", &json!({ "mode": "remote" }));
    editor.event("initialized");
    drop(editor);
    sandbox.burrow(["debug", "release", &name]).exits(0);
    assert_nothing_left(&sandbox);
}
