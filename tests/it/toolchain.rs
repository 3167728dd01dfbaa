//! The Go tools, through the real binary: what is missing is said, what is broken is repaired, what is locked stays.

mod choice; // which versions a workspace gets
mod credentials; // who logs in where modules come from
mod drift; // what is noticed by itself
mod garbage; // what is no longer used
mod http; // the proxy over HTTP, with faults
mod live; // a switch while a tool runs
mod network; // what a network does
mod older_go; // real tools for an older Go
pub(crate) mod proxy; // a module proxy in a folder
mod shim; // a `go` that is no installation
mod trust; // what is never trusted

use std::os::unix::fs::{FileExt, PermissionsExt};
use std::time::Duration;

use burrow_protocol::lock::LockFile;
use burrow_protocol::model::WorkspaceState;
use burrow_protocol::toolchain::{OperationResult, RepairPlan, RepairVerb, ToolState, ToolsReport, VerifiedBy};
use camino::Utf8Path;
use insta::assert_snapshot;
use serde_json::Value;

use crate::sandbox::{Run, Sandbox, eventually};
use proxy::{Built, LOCK, Proxy, binary, installed, tools, workspace};

/// The tools that fit come from the lock file and the store, without network, and are what the table says.
#[test]
fn real_tools_are_verified_by_the_lock_file() {
    let sandbox = Sandbox::new().with_tools();
    sandbox.burrow(["tools", "repair"]).exits(0);
    let report: ToolsReport = sandbox.burrow(["tools", "verify", "--full", "--json"]).exits(0).parse();
    let lock: LockFile = serde_json::from_str(&sandbox.read(LOCK).unwrap()).unwrap();
    assert_eq!(report.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["dlv", "goimports", "gopls"]);
    for tool in &report.tools {
        assert_eq!((tool.state, tool.by), (ToolState::Verified, Some(VerifiedBy::Sha256)), "{tool:?}");
        assert_eq!(tool.version, lock.tools[&tool.name].version);
        assert_eq!(tool.built_with, report.go);
    }
    // What the machine was measured with; another Go has other versions, which the unit tests know.
    if report.go.as_deref() == Some("go1.26.8") {
        let versions: Vec<_> = report.tools.iter().map(|tool| tool.version.as_str()).collect();
        assert_eq!(versions, ["v1.27.1", "v0.49.0", "v0.23.0"]);
    }
}

/// An installation leaves tools, a generation and a lock file, whatever the environment tells Go; a second one does nothing.
#[test]
fn installs_locks_and_then_has_nothing_to_do() {
    let proxy = Proxy::with(&["v1.0.0"]);
    let sandbox = workspace(&proxy, "v1.0.0")
        .env("GOFLAGS", "-toolexec=/nonexistent -mod=vendor")
        .env("GOOS", "plan9")
        .env("CGO_ENABLED", "1")
        .env("GOTOOLCHAIN", "local");
    // As `go env -w` leaves it.
    let written = "GOFLAGS=-toolexec=/nonexistent\nGOOS=plan9\nGOARCH=arm\nGOAMD64=v3\nGOEXPERIMENT=nodwarf5\n";
    write(&sandbox.root().join("home/.config/go/env"), written);
    let plan: RepairPlan = sandbox.burrow(["tools", "repair", "--dry-run", "--json"]).exits(0).parse();
    assert_eq!(plan.actions.last().map(|action| action.verb), Some(RepairVerb::Activate));

    // Nothing was tried, so nothing has failed.
    sandbox.burrow(["tools", "rollback"]).exits(1).tells("[BUR411 no-generation]");
    assert!(sandbox.workspace_status().tools.iter().all(|tool| tool.state == ToolState::Missing));

    let run = sandbox.burrow(["tools", "repair"]).exits(0).tells("building dlv v1.0.0").tells("wrote ");
    assert_snapshot!(run, @r"
    dlv        v1.0.0  unverified  locked, as pinned in devcontainer.json
    goimports  v1.0.0  unverified  locked, as pinned in devcontainer.json
    gopls      v1.0.0  unverified  locked, as pinned in devcontainer.json
    ");
    let lock: LockFile = serde_json::from_str(&sandbox.read(LOCK).unwrap()).unwrap();
    assert_eq!(lock.tools["gopls"].binaries.len(), 1);
    assert!(binary(&sandbox, "gopls").starts_with(sandbox.store_dir()));
    assert_eq!(sandbox.workspace_status().state, WorkspaceState::Ready);
    let left = sandbox.state_dir().join("work").read_dir_utf8().unwrap().count();
    assert_eq!(left, 0, "caches of a repair do not outlive it");

    let again: OperationResult = sandbox.burrow(["tools", "repair", "--json"]).exits(0).parse();
    assert_eq!((again.done, again.notes), (Vec::new(), Vec::new()), "a second repair has nothing to do");
}

/// Without network and with nothing at hand: what would be needed is said, and nothing is left half done.
#[test]
fn no_network_is_told() {
    let sandbox = Sandbox::new();
    sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR405 download-failed]").tells("hint: ").tells("GOPROXY");
    assert!(!sandbox.store_dir().join("tools").exists());
    assert_eq!(sandbox.read(LOCK), None);
    let status = sandbox.workspace_status();
    assert_eq!((status.state, status.generation), (WorkspaceState::Attention, None));
    assert_eq!(status.reasons[0].code.as_deref(), Some("BUR405"));
    let states: Vec<_> = status.tools.iter().map(|tool| tool.state).collect();
    assert_eq!(states, [ToolState::Failed; 3], "each is shown, with the failure of the last try");
}

/// A changed byte in a binary is noticed at once; without network an older set that is whole takes over, and with it the
/// binary is built again.
#[test]
fn tampered_binary_is_repaired() {
    let sandbox = installed();
    let gopls = binary(&sandbox, "gopls");
    std::fs::set_permissions(&gopls, std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&gopls).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    file.write_all_at(b"tampered", 4096).unwrap();
    // Size and modification time as before: the change time still tells.
    file.set_modified(modified).unwrap();
    drop(file);

    let run = sandbox.burrow(["tools", "verify"]).exits(3);
    assert_snapshot!(run, @r"
    dlv        v1.0.0  verified by sha256
    goimports  v1.0.0  verified by sha256
    gopls      v1.0.0  drifted             its binary was changed
    ");
    sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR405 download-failed]");

    let proxy = Proxy::with(&["v1.0.0"]);
    let sandbox = sandbox.env("GOPROXY", proxy.url());
    let result: OperationResult = sandbox.burrow(["tools", "repair", "--json"]).exits(0).parse();
    let built: Vec<_> = result.done.iter().filter(|action| action.verb == RepairVerb::Build).collect();
    assert_eq!(built.len(), 1, "only the changed one is built: {:?}", result.done);
    sandbox.burrow(["tools", "verify", "--full"]).exits(0);
    assert_eq!(gopls, binary(&sandbox, "gopls"), "byte for byte the same again");
}

/// Deleted links come back from the store, without network.
#[test]
fn deleted_links_come_back() {
    let sandbox = installed();
    let bin = sandbox.state_dir().join("current").canonicalize_utf8().unwrap();
    for name in ["dlv", "gopls"] {
        std::fs::remove_file(bin.join(name)).unwrap();
    }
    sandbox.burrow(["tools", "list"]).exits(3).says("dlv        v1.0.0  missing             its link is gone");
    let plan = sandbox.burrow(["tools", "repair", "--dry-run"]).exits(0);
    assert_snapshot!(plan, @r"
    relink dlv v1.0.0: its link is gone or leads elsewhere
    relink gopls v1.0.0: its link is gone or leads elsewhere
    ");
    sandbox.burrow(["tools", "repair"]).exits(0);
    assert!(binary(&sandbox, "dlv").exists());
    // All of the folder gone is no more than that, nor is the one link that editors follow.
    std::fs::remove_dir_all(&bin).unwrap();
    std::fs::remove_file(sandbox.state_dir().join("current")).unwrap();
    sandbox.burrow(["tools", "repair"]).exits(0);
    assert!(binary(&sandbox, "gopls").exists());
    std::fs::remove_file(sandbox.state_dir().join("current")).unwrap();
    sandbox.burrow(["tools", "repair"]).exits(0);
    assert!(binary(&sandbox, "gopls").exists());
}

/// The locked version stays until an update moves it; a rollback goes back to what was there before.
#[test]
fn lock_is_honoured_until_an_update_moves_it() {
    let sandbox = installed();
    let proxy = Proxy::with(&["v1.0.0", "v1.1.0"]);
    let before = sandbox.read(LOCK).unwrap();
    let sandbox = sandbox.setting("tools", tools("v1.1.0")).env("GOPROXY", proxy.url()).limit(Duration::from_secs(300));

    sandbox.burrow(["tools", "repair"]).exits(3).says("the lock file has v1.0.0, and v1.1.0 is pinned");
    sandbox.burrow(["tools", "repair", "--locked"]).exits(3).tells("[BUR408 drifted]");
    assert_eq!(sandbox.read(LOCK).unwrap(), before, "a repair never changes a row");

    let old = binary(&sandbox, "gopls");
    sandbox.burrow(["tools", "update"]).exits(0).tells("gopls v1.0.0 -> v1.1.0");
    assert_ne!(binary(&sandbox, "gopls"), old);
    let lock: LockFile = serde_json::from_str(&sandbox.read(LOCK).unwrap()).unwrap();
    assert_eq!(lock.tools["gopls"].version, "v1.1.0");
    sandbox.burrow(["tools", "repair", "--locked"]).exits(0);

    sandbox.burrow(["tools", "rollback"]).exits(0).says("gopls      v1.0.0");
    assert_eq!(binary(&sandbox, "gopls"), old);
    sandbox.burrow(["tools", "rollback"]).exits(1).tells("[BUR411 no-generation]");
    // It is a choice: nothing nags, and `up` leaves it alone.
    let choice = "gopls      v1.0.0  unverified  rolled back: v1.1.0 is asked for, and `burrow tools repair` brings it";
    sandbox.burrow(["tools", "list"]).exits(0).says(choice);
    sandbox.burrow(["up"]).exits(0).says(choice);
    assert_eq!(sandbox.workspace_status().reasons, Vec::new());
    assert_eq!(binary(&sandbox, "gopls"), old);
    // Its links are kept in order all the same.
    std::fs::remove_file(sandbox.state_dir().join("current").canonicalize_utf8().unwrap().join("gopls")).unwrap();
    sandbox.burrow(["up"]).exits(0).says(choice);
    assert_eq!(binary(&sandbox, "gopls"), old);
    // Nothing is built for the way forward again.
    let sandbox = sandbox.env("GOPROXY", "off");
    sandbox.burrow(["tools", "repair"]).exits(0).says("gopls      v1.1.0");

    // Without network and without the binary, the older set takes over.
    std::fs::remove_file(binary(&sandbox, "gopls")).unwrap();
    sandbox.burrow(["tools", "repair"]).exits(3).tells("generation 1 is used instead").says("gopls      v1.0.0");
    assert_eq!(binary(&sandbox, "gopls"), old);
    sandbox.burrow(["up", "--only", "tools", "--locked"]).exits(3).tells("generation 1 stays in use");
}

/// Two branches that moved different tools are merged by Git alone, and what comes of it is what is installed.
#[test]
fn lock_files_of_two_branches_are_merged() {
    let sandbox = installed();
    let git = |args: &[&str]| {
        let mut git = sandbox.command("git");
        git.args(["-c", "user.name=t", "-c", "user.email=t@example.test", "-C", sandbox.workspace().as_str()])
            .args(args);
        sandbox.run(git).exits(0)
    };
    let newer = Built::at("v1.1.0").ask_for("v1.1.0", Sandbox::new());
    let newer: LockFile = serde_json::from_str(&newer.read(LOCK).unwrap()).unwrap();
    let base = sandbox.read(LOCK).unwrap();
    let with = |name: &str| {
        let mut lock: LockFile = serde_json::from_str(&base).unwrap();
        lock.tools.insert(name.to_owned(), newer.tools[name].clone());
        serde_json::to_string_pretty(&lock).unwrap() + "\n"
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "base"]);
    for (branch, tool) in [("one", "dlv"), ("other", "goimports")] {
        git(&["checkout", "-q", "-b", branch, "main"]);
        sandbox.change(LOCK, &with(tool));
        git(&["commit", "-q", "-a", "-m", branch]);
    }
    git(&["merge", "-q", "--no-edit", "one"]);
    let merged: LockFile = serde_json::from_str(&sandbox.read(LOCK).unwrap()).unwrap();
    let versions: Vec<_> = merged.tools.values().map(|tool| tool.version.as_str()).collect();
    assert_eq!(versions, ["v1.1.0", "v1.1.0", "v1.0.0"]);

    let lock = sandbox.read(LOCK).unwrap();
    let mut pins = tools("v1.1.0");
    pins["gopls"] = tools("v1.0.0")["gopls"].clone();
    let sandbox = Built::at("v1.1.0").ask_for("v1.1.0", sandbox).write(LOCK, &lock).setting("tools", pins);
    sandbox.burrow(["tools", "repair", "--locked"]).exits(0).says("dlv        v1.1.0").says("gopls      v1.0.0");
}

/// A daemon that is killed while Go builds leaves nothing that counts; the next repair does the work.
#[test]
fn killed_repair_is_done_again() {
    let proxy = Proxy::with(&["v1.0.0"]);
    let sandbox = workspace(&proxy, "v1.0.0");
    let repair = sandbox.spawn(["tools", "repair"]);
    repair.wait_for_stderr("building dlv");
    sandbox.kill_daemon();
    repair.finish().exits(4);
    assert!(!sandbox.store_dir().join("tools").exists() && sandbox.read(LOCK).is_none());
    sandbox.burrow(["tools", "repair"]).exits(0);
    // Its `go` was ended with it by the next daemon: nothing wrote there any more.
    eventually("the work of the dead daemon is removed", Duration::from_secs(30), || {
        let left = sandbox.state_dir().join("work").read_dir_utf8().unwrap().count();
        if left == 0 { Ok(()) } else { Err(left) }
    });
}

/// A proxy that serves other content than was locked is refused before anything of it is built.
#[test]
fn other_content_than_locked_is_refused() {
    let sandbox = installed();
    let proxy = Proxy::with(&[]);
    proxy.publish("v1.0.0", "package main\n\nfunc main() { println(\"another\") }\n");
    std::fs::remove_dir_all(sandbox.store_dir().join("tools")).unwrap();
    let sandbox = sandbox.env("GOPROXY", proxy.url());
    sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR406 checksum-mismatch]").tells("the lock file");
    assert!(!sandbox.store_dir().join("tools").exists(), "nothing of it is kept");
}

/// What does not compile is told with what the compiler said.
#[test]
fn broken_source_is_told() {
    let proxy = Proxy::with(&[]);
    proxy.publish("v1.0.0", "package main\n\nfunc main() { undefined() }\n");
    let sandbox = workspace(&proxy, "v1.0.0");
    sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR407 build-failed]").tells("undefined: undefined");
    assert_eq!(sandbox.workspace_status().generation, None);
}

/// A damaged lock file is told with its line and column, and is not replaced.
#[test]
fn damaged_lock_file_is_told_with_its_place() {
    let damaged = "{\n  \"schema\": 1,\n  \"tools\": { \"gopls\": 7 }\n}\n";
    let sandbox = Sandbox::new().setting("tools", tools("v1.0.0")).write(LOCK, damaged);
    sandbox
        .burrow(["tools", "repair"])
        .exits(1)
        .tells("burrow-lock.json:3:")
        .tells("[BUR409 lock-invalid]")
        .tells("restore ");
    assert_eq!(sandbox.read(LOCK).as_deref(), Some(damaged));
}

/// A lock file that is a link out of the workspace is not followed.
#[test]
fn lock_file_out_of_the_workspace_is_refused() {
    let sandbox = Sandbox::new().setting("tools", tools("v1.0.0"));
    std::os::unix::fs::symlink(sandbox.root().join("outside"), sandbox.workspace().join(LOCK)).unwrap();
    sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR205 link-outside]");
    assert!(!sandbox.root().join("outside").exists());
}

/// Without `.devcontainer` the repository stays as it is.
#[test]
fn without_the_folder_the_lock_lies_in_the_state() {
    let sandbox = installed();
    let settings = sandbox.read(".devcontainer/devcontainer.json").unwrap();
    std::fs::remove_dir_all(sandbox.workspace().join(".devcontainer")).unwrap();
    let sandbox = sandbox.write(".devcontainer.json", &settings);
    // The binaries of the active generation are still there, so nothing has to be fetched.
    sandbox.burrow(["tools", "repair"]).exits(0).tells("there is no .devcontainer folder");
    assert!(!sandbox.workspace().join(".devcontainer").exists());
    let again: OperationResult = sandbox.burrow(["tools", "repair", "--json"]).exits(0).parse();
    assert_eq!(again.notes, Vec::<String>::new(), "it is told once");
}

/// No Go on PATH, a Go that is too old, no module: each has its code, and a next step.
#[test]
fn what_go_lacks_is_told() {
    let sandbox = Sandbox::new();
    let (empty, old) = (sandbox.root().join("empty"), sandbox.root().join("old"));
    std::fs::create_dir(&empty).unwrap();
    install_go(&old, "go1.20.14");

    let sandbox = sandbox.env("PATH", empty.as_str());
    sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR401 no-go]").tells("hint: install Go");

    let sandbox = sandbox.env("PATH", old.join("bin").as_str()).env("GOTOOLCHAIN", "local");
    let run = sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR402 go-too-old]");
    let switches = |run: &Run| run.stderr().contains("GOTOOLCHAIN=auto");
    assert!(run.stderr().contains("golang:1.24") && !switches(&run), "{}", run.whole());
    let sandbox = sandbox.env("GOTOOLCHAIN", "auto");
    sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR402 go-too-old]").tells("before 1.21 fetches no other");
    write(&old.join("VERSION"), "go1.22.12");
    let sandbox = sandbox.env("GOTOOLCHAIN", "local");
    let run = sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR402 go-too-old]");
    assert!(run.stderr().contains("golang:1.24") && switches(&run), "{}", run.whole());
    assert_eq!(sandbox.workspace_status().state, WorkspaceState::Attention);

    let bare = Sandbox::bare();
    bare.burrow(["tools", "list"]).exits(1).tells("[BUR206 no-module]").tells("go mod init");
    bare.change("services/api/go.mod", "module api\n\ngo 1.24\n");
    let report: Value = bare.burrow(["tools", "list", "--json"]).exits(3).json();
    assert_eq!(report["tools"].as_array().map(Vec::len), Some(3), "modules below are found");
}

/// A `go` in the workspace, and a `go1.99.0` that a toolchain line names, are never run.
#[test]
fn nothing_of_the_workspace_is_run() {
    let sandbox = Sandbox::new().write("go.mod", "module m\n\ngo 1.24\n\ntoolchain go1.99.0\n");
    for (folder, program) in [("work/bin", "go"), ("path", "go1.99.0")] {
        let base = if folder == "path" { sandbox.root() } else { sandbox.workspace() };
        install_program(&base.join(folder).join(program), "#!/bin/sh\ntouch \"$HOME/was-run\"\n");
    }
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}/work/bin:{}/path:{path}", sandbox.workspace(), sandbox.root());
    let sandbox = sandbox.env("PATH", path).env("GOTOOLCHAIN", "auto");
    sandbox.burrow(["tools", "list"]);
    sandbox.burrow(["tools", "repair"]);
    assert!(!sandbox.root().join("home/was-run").exists());
}

/// A pin that cannot work with this Go is refused with the versions that do.
#[test]
fn pin_that_cannot_work_names_those_that_do() {
    let mut pins = tools("v1.0.0");
    pins["dlv"] = "v1.21.0".into();
    let sandbox = Sandbox::new().setting("tools", pins);
    let run = sandbox.burrow(["tools", "list"]).exits(3).says("dlv").says("failed");
    assert!(run.stdout().contains("it works for Go 1.18 to 1.21"), "{}", run.whole());
    let status = sandbox.workspace_status();
    let reason = status.reasons.iter().find(|reason| reason.code.as_deref() == Some("BUR404")).unwrap();
    assert!(reason.hint.as_ref().unwrap().contains("\"auto\" or one of v1."), "{reason:?}");
}

/// A Go installation as far as a look goes: it would fail if it were run.
fn install_go(root: &Utf8Path, version: &str) {
    install_program(&root.join("bin/go"), "#!/bin/sh\nexit 1\n");
    write(&root.join("VERSION"), version);
}

fn install_program(path: &Utf8Path, text: &str) {
    write(path, text);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a test writes what the daemon then reads")]
fn write(path: &Utf8Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
