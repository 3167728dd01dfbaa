//! What a module proxy can do to a download: the right error each time, nothing half-installed, and the next repair succeeds.

use std::time::Duration;

use burrow_protocol::toolchain::{OperationResult, RepairVerb, ToolState, ToolsReport};
use serde_json::json;

use super::http::{Fault, HttpProxy};
use super::proxy::{LOCK, MODULE, Proxy, installed, workspace};
use crate::sandbox::{BURROW, Sandbox};

/// Enough for a `go` that is given up after a minute of silence, on a busy machine.
const LONG: Duration = Duration::from_secs(400);

#[track_caller]
fn nothing_is_installed(sandbox: &Sandbox, why: &str) {
    assert!(!sandbox.store_dir().join("tools").exists(), "no binary is kept; {why}");
    assert_eq!(sandbox.read(LOCK), None, "no version is locked; {why}");
    assert_eq!(sandbox.workspace_status().generation, None, "{why}");
    let left: Vec<_> = sandbox.state_dir().join("work").read_dir_utf8().unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}; {why}");
}

#[test]
fn a_proxy_that_fails_is_told_and_leaves_nothing() {
    let proxy = Proxy::with(&["v1.0.0"]);
    let http = HttpProxy::of(&proxy);
    let sandbox = workspace(&proxy, "v1.0.0").env("GOPROXY", http.url()).limit(LONG);
    for (fault, words) in [
        (Fault::Status(404), "404"),
        (Fault::Status(500), "500"),
        (Fault::CutOff, "unexpected EOF"),
        (Fault::Garbage, "not a valid zip file"),
    ] {
        http.fault(fault);
        let run = sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR405 download-failed]").tells(words);
        let error = run.stderr().lines().find(|line| line.contains("BUR405")).unwrap();
        assert_eq!(error.matches(&format!("{MODULE}@v1.0.0")).count(), 1, "the module is named once: {error}");
        nothing_is_installed(&sandbox, words);
    }
    http.fault(Fault::Slow);
    sandbox.burrow(["tools", "repair"]).exits(0);
    let report: ToolsReport = sandbox.burrow(["tools", "verify", "--full", "--json"]).exits(0).parse();
    assert_eq!(report.generation, Some(1));
}

/// Go itself would wait for ever.
#[test]
fn a_proxy_that_hangs_is_given_up() {
    let proxy = Proxy::with(&["v1.0.0"]);
    let http = HttpProxy::of(&proxy);
    let sandbox = workspace(&proxy, "v1.0.0").env("GOPROXY", http.url()).limit(LONG);
    http.fault(Fault::Hangs);
    sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR405 download-failed]").tells("nothing came for 60 seconds");
    nothing_is_installed(&sandbox, "it hangs");
    assert_eq!(sandbox.processes().len(), 1, "the daemon alone is left: {:?}", sandbox.processes().len());
    http.fault(Fault::None);
    sandbox.burrow(["tools", "repair"]).exits(0);
}

/// Ctrl-C ends the work and its `go`, and so does the daemon's own end; neither leaves anything.
#[test]
fn cancelled_work_leaves_nothing() {
    let proxy = Proxy::with(&["v1.0.0"]);
    let sandbox = workspace(&proxy, "v1.0.0").limit(LONG);
    let repair = sandbox.spawn(["tools", "repair"]);
    repair.wait_for_stderr("building dlv");
    repair.interrupt();
    repair.finish().exits(1).tells("[BUR415 tools-cancelled]");
    nothing_is_installed(&sandbox, "cancelled");
    assert_eq!(sandbox.processes().len(), 1, "the daemon alone is left");
    assert!(sandbox.workspace_status().reasons.iter().all(|reason| reason.code.as_deref() != Some("BUR415")));

    let repair = sandbox.spawn(["tools", "repair"]);
    repair.wait_for_stderr("building dlv");
    sandbox.burrow(["stop"]).exits(0);
    repair.finish();
    let left: Vec<_> = sandbox.state_dir().join("work").read_dir_utf8().unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(sandbox.processes().is_empty(), "no `go` outlives the daemon");

    sandbox.burrow(["start"]).exits(0);
    sandbox.burrow(["tools", "repair"]).exits(0);
}

/// Without network and without a set that is whole, tools are built from the downloads that are kept, or from those that the
/// user's own Go has; what is there is checked as a download is.
#[test]
fn kept_downloads_replace_the_network() {
    let proxy = Proxy::with(&["v1.0.0"]);
    let sandbox = workspace(&proxy, "v1.0.0").limit(LONG);
    sandbox.burrow(["tools", "repair"]).exits(0);
    let tools = sandbox.store_dir().join("tools");
    let sandbox = sandbox.env("GOPROXY", "http://127.0.0.1:9");
    std::fs::remove_dir_all(&tools).unwrap();
    let result: OperationResult = sandbox.burrow(["tools", "repair", "--json"]).exits(0).parse();
    assert!(result.done.iter().any(|action| action.verb == RepairVerb::Build), "{:?}", result.done);
    assert!(result.notes[0].contains("built from downloads that were kept"), "{:?}", result.notes);
    sandbox.burrow(["tools", "verify", "--full"]).exits(0);

    // Nothing is kept any more, and the user's Go has the module.
    std::fs::remove_dir_all(&tools).unwrap();
    std::fs::remove_dir_all(sandbox.state_dir().join("modules")).unwrap();
    let users = sandbox.root().join("users");
    let sandbox = sandbox.env("GOMODCACHE", users.as_str());
    let query = format!("{MODULE}@v1.0.0");
    let mut download = sandbox.command("go");
    download.args(["mod", "download", "-modcacherw", &query]).env("GOPROXY", proxy.url());
    sandbox.run(download).exits(0);
    sandbox.burrow(["tools", "repair"]).exits(0).tells("built from downloads that were kept");

    // Somebody changed what the user's Go has: the lock file knows the sum.
    std::fs::remove_dir_all(&tools).unwrap();
    let other = Proxy::with(&[]);
    other.publish("v1.0.0", "package main\n\nfunc main() { println(\"another\") }\n");
    let zip = format!("{MODULE}/@v/v1.0.0.zip");
    std::fs::copy(other.path().join(&zip), users.join("cache/download").join(&zip)).unwrap();
    sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR406 checksum-mismatch]").tells("the lock file");
    assert!(!tools.exists(), "nothing of it is kept");

    // And with nothing at all, what would be needed is said.
    std::fs::remove_dir_all(&users).unwrap();
    let run = sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR405 download-failed]").tells("hint: ");
    assert!(run.stderr().contains(&format!("{MODULE}@v1.0.0")), "{}", run.whole());
}

/// An older set that is whole comes before a build from what is kept.
#[test]
fn installed_tools_stay_in_use_without_network() {
    let sandbox = installed();
    let settings = super::proxy::tools("v1.9.0");
    // The lock file is gone, so that the pin alone decides.
    std::fs::remove_file(sandbox.workspace().join(LOCK)).unwrap();
    let sandbox = sandbox.setting("tools", settings);
    let run = sandbox.burrow(["tools", "repair"]).exits(3).tells("generation 1 stays in use").tells("[BUR405]");
    assert!(!run.stderr().contains("nothing to do"), "{}", run.whole());
    let failed = sandbox.workspace_status().reasons.into_iter().next().unwrap();
    assert_eq!(failed.code.as_deref(), Some("BUR405"), "the status says why: {failed:?}");
    sandbox.burrow(["up", "--only", "tools"]).exits(3).tells("[BUR405]");
}

/// One tool that nobody can download does not hold up the others, and stays told.
#[test]
fn one_tool_that_is_not_to_be_had_is_told_and_the_others_come() {
    let proxy = Proxy::with(&["v1.0.0"]);
    let mut settings = super::proxy::tools("v1.0.0");
    settings["typo"] = json!({ "package": format!("{MODULE}/cmd/gopls"), "version": "v1.7.0" });
    let sandbox = workspace(&proxy, "v1.0.0").setting("tools", settings.clone());
    sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR405 download-failed]").tells("v1.7.0");
    let status = sandbox.workspace_status();
    assert_eq!(status.generation, Some(1));
    let failed: Vec<_> = status.tools.iter().filter(|tool| tool.state == ToolState::Failed).collect();
    assert_eq!(failed.len(), 1, "{:?}", status.tools);
    assert_eq!(status.reasons[0].code.as_deref(), Some("BUR405"), "{:?}", status.reasons);

    // Another one joins while it still fails; what is there stays.
    settings["more"] = json!({ "package": format!("{MODULE}/cmd/dlv"), "version": "v1.0.0" });
    settings["gopls"]["version"] = "v1.7.0".into();
    std::fs::remove_file(sandbox.workspace().join(LOCK)).unwrap();
    let sandbox = sandbox.setting("tools", settings);
    sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR405 download-failed]");
    let run = sandbox.burrow(["tools", "list"]).exits(3).says("more       v1.0.0  unverified");
    assert!(run.stdout().contains("gopls      v1.0.0  drifted"), "{}", run.whole());
    let run = sandbox.burrow(["up", "--only", "tools"]).exits(3).tells("[BUR405");
    assert!(!run.stderr().contains("nothing to do"), "{}", run.whole());
}

/// A disk that fills up is told as that, and nothing else is tried instead.
#[test]
fn a_full_disk_under_go_is_told_as_root() {
    let proxy = Proxy::with(&["v1.0.0"]);
    let sandbox = workspace(&proxy, "v1.0.0");
    let work = sandbox.state_dir().join("work");
    sandbox.make_state_dir();
    std::fs::create_dir(&work).unwrap();
    let mut command = sandbox.command("unshare");
    let mount = "mount -t tmpfs -o size=8m none \"$0\" && exec \"$@\"";
    command.args(["--mount", "--propagation", "private", "--", "sh", "-c", mount, work.as_str(), BURROW]);
    command.args(["tools", "repair"]);
    let run = sandbox.run(command).exits(1).tells("no space left on device").tells("hint: free some space");
    assert!(!run.stderr().contains("BUR405"), "it is no matter of the network: {}", run.whole());
    assert_eq!(sandbox.workspace_status().generation, None);
}
