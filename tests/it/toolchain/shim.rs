//! A `go` on PATH that belongs to no installation, as version managers have one: it is asked after trust, once, and not for ever.

use std::time::Duration;

use burrow_protocol::toolchain::ToolsReport;
use camino::Utf8PathBuf;
use serde_json::json;

use super::install_program;
use super::proxy::{Built, binary};
use crate::sandbox::{Sandbox, eventually};
use crate::wire::Peer;

/// The machine's own `go`, where PATH leads.
fn real_go() -> Utf8PathBuf {
    let path = std::env::var("PATH").unwrap();
    let programs = path.split(':').map(|folder| Utf8PathBuf::from(folder).join("go"));
    programs.filter_map(|program| program.canonicalize_utf8().ok()).next().expect("a `go` on PATH")
}

/// A sandbox whose `go` is a script that notes each call and then does `rest`.
fn with_shim(sandbox: Sandbox, rest: &str) -> Sandbox {
    let shims = sandbox.root().join("shims");
    let script = format!("#!/bin/sh\necho \"$$ $PWD $GOTOOLCHAIN $GOFLAGS $*\" >> \"$HOME/asked\"\n{rest}\n");
    install_program(&shims.join("go"), &script);
    sandbox.env("PATH", format!("{shims}:/usr/bin:/bin"))
}

/// The calls of the shim so far.
fn asked(sandbox: &Sandbox) -> Vec<String> {
    let text = std::fs::read_to_string(sandbox.root().join("home/asked")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_shim_is_asked_for_its_go_once() {
    let sandbox = with_shim(Sandbox::new(), &format!("exec {} \"$@\"", real_go()));
    let sandbox = Built::at("v1.0.0").ask_for("v1.0.0", sandbox);
    let sandbox = sandbox.env("GOFLAGS", "-toolexec=/nonexistent").env("GOTOOLCHAIN", "auto");
    sandbox.burrow(["tools", "repair"]).exits(0);
    let report: ToolsReport = sandbox.burrow(["tools", "list", "--json"]).exits(0).parse();
    let mut version = sandbox.command(real_go());
    version.args(["env", "GOVERSION"]).env_remove("GOFLAGS").env("GOTOOLCHAIN", "local").current_dir("/");
    assert_eq!(report.go.as_deref(), Some(sandbox.run(version).exits(0).stdout().trim()));
    assert!(binary(&sandbox, "gopls").is_file());
    let calls = asked(&sandbox);
    let [call] = calls.as_slice() else { panic!("it is asked once, whatever is looked at: {calls:?}") };
    let said = call.split_once(' ').unwrap().1;
    assert_eq!(said, format!("{} local  env GOVERSION GOROOT", sandbox.workspace()), "with nothing that downloads");

    // What chooses a version is another now.
    let sandbox = sandbox.write(".go-version", "1.99.0\n");
    sandbox.burrow(["tools", "list"]).exits(0);
    assert_eq!(asked(&sandbox).len(), 2);
}

#[test]
fn a_shim_that_hangs_or_fails_is_told() {
    let sandbox = with_shim(Sandbox::new(), "exec sleep 600");
    let run = sandbox.burrow(["tools", "list"]).exits(1).tells("[BUR401 no-go]").tells("belongs to no Go installation");
    assert!(run.stderr().contains("GOVERSION GOROOT"), "{}", run.whole());
    sandbox.burrow(["tools", "list"]).exits(1).tells("[BUR401 no-go]");
    let calls = asked(&sandbox);
    assert_eq!(calls.len(), 1, "no look after it waits as long: {calls:?}");
    let process = format!("/proc/{}", calls[0].split(' ').next().unwrap());
    eventually("it is ended", Duration::from_secs(30), || {
        if std::fs::exists(&process).unwrap() { Err(&process) } else { Ok(()) }
    });

    let sandbox = with_shim(sandbox, "echo 'no version is set for http://ann:secret@example.test' >&2; exit 1");
    let run = sandbox.burrow(["tools", "list"]).exits(1).tells("no version is set for");
    assert!(!run.stderr().contains("secret"), "{}", run.whole());
    let sandbox = with_shim(sandbox, "echo go1.26.8; echo /nonexistent");
    sandbox.burrow(["tools", "list"]).exits(1).tells("names /nonexistent, which has no bin/go");
}

/// For a window that does not trust the folder nothing is run, and another `go` on PATH that needs no asking counts.
#[test]
fn a_shim_is_not_run_without_trust() {
    let sandbox = with_shim(Sandbox::new(), &format!("exec {} \"$@\"", real_go()));
    sandbox.burrow(["start"]).exits(0);
    let mut window = Peer::open_as(&sandbox.socket(), &[sandbox.workspace()], false).unwrap();
    let workspace = json!({ "workspace": sandbox.workspace() });
    let answer = window.request("burrow/toolchain/list", &workspace).unwrap();
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("it is not run, since the folder is not trusted"), "{answer}");
    // Neither does a file that changes have it run, nor another setting.
    sandbox.change("go.mod", "module m\n\ngo 1.24\n");
    let sandbox = sandbox.setting("autoRepair", true);
    window.request("burrow/toolchain/list", &workspace).unwrap();
    assert_eq!(asked(&sandbox), Vec::<String>::new());
    drop(window);
    // Who calls from a shell may, and what was said then is known to all.
    sandbox.burrow(["tools", "list"]).exits(3);
    assert_eq!(asked(&sandbox).len(), 1);
    let mut window = Peer::open_as(&sandbox.socket(), &[sandbox.workspace()], false).unwrap();
    let answer = window.request("burrow/toolchain/list", &workspace).unwrap();
    assert!(answer["result"]["go"].is_string(), "{answer}");
    assert_eq!(asked(&sandbox).len(), 1);
}
