//! What is noticed by itself: changed pins, modules, lock and links. It is told, and nothing is installed unasked.

use std::time::Duration;

use burrow_protocol::model::WorkspaceState;
use burrow_protocol::toolchain::ToolsReport;
use serde_json::json;

use super::proxy::{Built, LOCK, binary, installed, tools};
use crate::sandbox::{Sandbox, eventually};
use crate::wire::Peer;

/// How long a change may take to be noticed on a machine that has other things to do.
const SOON: Duration = Duration::from_secs(60);

/// Waits until the status, which looks at nothing itself, has `text` among its reasons.
fn is_told(sandbox: &Sandbox, what: &str, text: &str) {
    eventually(what, SOON, || {
        let status = sandbox.workspace_status();
        let told = status.reasons.iter().any(|reason| reason.message.contains(text));
        if told && status.state == WorkspaceState::Attention { Ok(()) } else { Err(format!("{:?}", status.reasons)) }
    });
}

fn is_ready(sandbox: &Sandbox, what: &str) {
    eventually(what, SOON, || {
        let status = sandbox.workspace_status();
        if status.state == WorkspaceState::Ready { Ok(()) } else { Err(format!("{:?}", status.reasons)) }
    });
}

/// The link of the tool `name` in the active generation.
fn link(sandbox: &Sandbox, name: &str) -> camino::Utf8PathBuf {
    sandbox.state_dir().join("current").canonicalize_utf8().unwrap().join(name)
}

#[test]
fn drift_is_noticed_by_itself_and_nothing_is_installed() {
    let sandbox = installed();
    is_ready(&sandbox, "the tools are in order");
    let generation = sandbox.workspace_status().generation;
    let (lock, go_mod) = (sandbox.read(LOCK).unwrap(), sandbox.read("go.mod").unwrap());

    let sandbox = sandbox.setting("tools", tools("v1.1.0"));
    is_told(&sandbox, "a changed pin", "the lock file has v1.0.0, and v1.1.0 is pinned");
    let sandbox = sandbox.setting("tools", tools("v1.0.0"));
    is_ready(&sandbox, "the pin as it was");

    sandbox.change("go.mod", "module m\n\ngo 1.99\n");
    is_told(&sandbox, "a go.mod that asks for another Go", "go.mod asks for go1.99");
    sandbox.change("go.mod", &go_mod);
    is_ready(&sandbox, "go.mod as it was");

    sandbox.change("services/api/go.mod", "module api\n\ngo 1.99\n");
    is_told(&sandbox, "a module that is new", "services/api/go.mod asks for go1.99");
    sandbox.change("services/api/go.mod", "module api\n\ngo 1.24\n");
    is_ready(&sandbox, "a new module that can be served");

    sandbox.change("go.work", "go 1.24\n\nuse (\n\t.\n\t./services/api\n");
    is_told(&sandbox, "a go.work that is damaged", "go.work");
    std::fs::remove_file(sandbox.workspace().join("go.work")).unwrap();
    is_ready(&sandbox, "no go.work");

    sandbox.change(".tool-versions", "staticcheck 0.7.0\n");
    is_told(&sandbox, "a tool that a file of pins names", "staticcheck is not installed");
    std::fs::remove_file(sandbox.workspace().join(".tool-versions")).unwrap();
    is_ready(&sandbox, "no file of pins");

    sandbox.change(LOCK, &lock.replace("v1.0.0", "v1.0.1"));
    is_told(&sandbox, "a lock file that somebody changed", "the lock file has v1.0.1, and v1.0.0 is pinned");
    sandbox.change(LOCK, &lock);
    is_ready(&sandbox, "the lock file as it was");

    std::fs::remove_file(link(&sandbox, "gopls")).unwrap();
    is_told(&sandbox, "a link that is gone", "gopls is not installed");
    assert_eq!(sandbox.workspace_status().generation, generation, "nothing was installed behind anybody's back");
    assert!(!link(&sandbox, "gopls").exists());
}

/// With `autoRepair` a trusted window has the tools brought in order; one that is not trusted stops that.
#[test]
fn auto_repair_needs_the_setting_and_trust() {
    let sandbox = installed().setting("autoRepair", true);
    is_ready(&sandbox, "the tools are in order");
    let trusted = Peer::open(&sandbox.socket(), &[sandbox.workspace()]).unwrap();
    let mended = |name: &str| {
        eventually("the link is made anew", SOON, || if link(&sandbox, name).exists() { Ok(()) } else { Err("gone") });
        is_ready(&sandbox, "the tools are in order again");
    };
    std::fs::remove_file(link(&sandbox, "gopls")).unwrap();
    mended("gopls");

    let untrusted = Peer::open_as(&sandbox.socket(), &[sandbox.workspace()], false).unwrap();
    std::fs::remove_file(link(&sandbox, "dlv")).unwrap();
    is_told(&sandbox, "a link that is gone", "dlv is not installed");
    // What it would have done is done in an instant: a change after that is told, and still nobody made the link.
    std::fs::remove_file(link(&sandbox, "goimports")).unwrap();
    is_told(&sandbox, "two links that are gone", "dlv, goimports are not installed");
    assert!(!link(&sandbox, "dlv").exists(), "a window that is not trusted stops it");

    drop(untrusted);
    let sandbox_path = sandbox.workspace().join("go.mod");
    let text = sandbox.read("go.mod").unwrap();
    eventually("the daemon sees that the window is gone", SOON, || {
        sandbox.change("go.mod", &text);
        if link(&sandbox, "dlv").exists() { Ok(()) } else { Err(sandbox_path.as_str()) }
    });
    drop(trusted);
}

/// What somebody mistypes is told to him, and puts nothing into attention; what is wrong stays told beside a failure.
#[test]
fn a_mistyped_update_is_no_state_of_the_workspace() {
    let sandbox = installed();
    is_ready(&sandbox, "the tools are in order");
    let run = sandbox.burrow(["tools", "update", "goplz"]).exits(1).tells("[BUR413 tool-unknown]");
    assert!(run.stderr().contains("this workspace asks for dlv, goimports, gopls only"), "{}", run.whole());
    assert_eq!(sandbox.workspace_status().reasons, []);

    let sandbox = sandbox.setting("tools", tools("v1.1.0"));
    is_told(&sandbox, "a changed pin", "the lock file has v1.0.0, and v1.1.0 is pinned");
    let before = sandbox.workspace_status().reasons.len();
    sandbox.burrow(["tools", "update"]).exits(1).tells("[BUR405 download-failed]");
    let reasons = sandbox.workspace_status().reasons;
    assert_eq!(reasons.len(), before + 1, "the failure joins what is wrong: {reasons:?}");
    assert_eq!(reasons[0].code.as_deref(), Some("BUR405"));
    sandbox.burrow(["up", "--only", "tools"]).exits(3);
    sandbox.burrow(["up", "--only", "tools", "--locked"]).exits(3).tells("[BUR408]");
}

/// Somebody who went back is not overruled: not by `autoRepair`, not by the next daemon. What is asked for anew counts again.
#[test]
fn a_rollback_holds_until_something_else_is_asked_for() {
    let sandbox = installed();
    let gopls = binary(&sandbox, "gopls");
    let sandbox = Built::at("v1.1.0").ask_for("v1.1.0", sandbox);
    sandbox.burrow(["tools", "repair"]).exits(0);
    let newer = binary(&sandbox, "gopls");
    let sandbox = sandbox.setting("autoRepair", true);
    let window = Peer::open(&sandbox.socket(), &[sandbox.workspace()]).unwrap();
    sandbox.burrow(["tools", "rollback"]).exits(0);
    std::fs::remove_file(link(&sandbox, "dlv")).unwrap();
    eventually("the link is made anew", SOON, || if link(&sandbox, "dlv").exists() { Ok(()) } else { Err("gone") });
    is_ready(&sandbox, "what was gone back to is in order");
    assert_eq!(binary(&sandbox, "gopls"), gopls);
    drop(window);

    sandbox.burrow(["restart"]).exits(0);
    let report: ToolsReport = sandbox.burrow(["tools", "list", "--json"]).exits(0).parse();
    assert!(report.tools.iter().all(|tool| tool.rolled_back_from.as_deref() == Some("v1.1.0")), "{report:?}");

    let lock = sandbox.read(LOCK).unwrap();
    sandbox.change(LOCK, &lock.replace("v1.1.0", "v1.2.0"));
    let sandbox = sandbox.setting("tools", tools("v1.2.0"));
    sandbox.burrow(["tools", "list"]).exits(3).says("v1.2.0 is asked for (locked");
    sandbox.change(LOCK, &lock);
    let sandbox = sandbox.setting("tools", tools("v1.1.0"));
    // The lock file's tools are what `--locked` asks for.
    sandbox.burrow(["up", "--locked"]).exits(0);
    assert_eq!(binary(&sandbox, "gopls"), newer);
}

/// A `toolchain go1.99.0` in a folder that nobody trusts runs no `go1.99.0`, whatever a window asks for.
#[test]
fn nothing_is_run_for_a_window_that_is_not_trusted() {
    let sandbox = Sandbox::new().write("go.mod", "module m\n\ngo 1.24\n\ntoolchain go1.99.0\n");
    let path = std::env::var("PATH").unwrap();
    for (folder, program) in [("workspace/bin", "go"), ("path", "go1.99.0")] {
        let text = "#!/bin/sh\ntouch \"$HOME/was-run\"\n";
        super::install_program(&sandbox.root().join(folder).join(program), text);
    }
    let path = format!("{root}/workspace/bin:{root}/path:{path}", root = sandbox.root());
    let sandbox = sandbox.env("PATH", path).env("GOTOOLCHAIN", "auto").setting("autoRepair", true);
    sandbox.burrow(["start"]).exits(0);
    let mut window = Peer::open_as(&sandbox.socket(), &[sandbox.workspace()], false).unwrap();
    let workspace = json!({ "workspace": sandbox.workspace() });
    let report = window.request("burrow/toolchain/list", &workspace).unwrap();
    assert_eq!(report["result"]["go"], "go1.99.0", "it is known, and not asked: {report}");
    let plan = json!({ "workspace": sandbox.workspace(), "locked": false });
    window.request("burrow/toolchain/plan", &plan).unwrap();
    for method in ["repair", "update"] {
        let params = json!({ "workspace": sandbox.workspace(), "locked": false, "name": null });
        let answer = window.request(&format!("burrow/toolchain/{method}"), &params).unwrap();
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("the folder is not trusted"), "{method}: {answer}");
    }
    sandbox.change("go.mod", "module m\n\ngo 1.24\n\ntoolchain go1.98.0\n");
    window.request("burrow/toolchain/list", &workspace).unwrap();
    assert!(!sandbox.root().join("home/was-run").exists());
}
