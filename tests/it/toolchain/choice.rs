//! Which versions a workspace gets: pins in the files that projects have, versions that only a proxy knows, several modules.

use std::time::Duration;

use burrow_protocol::lock::LockFile;
use burrow_protocol::toolchain::{OperationResult, ToolState, ToolStatus, ToolsReport};
use serde_json::json;

use super::proxy::{LOCK, MODULE, Proxy, tools};
use crate::sandbox::{Run, Sandbox};

/// What builds for another platform builds the standard library for it.
const LIMIT: Duration = Duration::from_secs(300);

/// The tools of a report by name, each with its version and why.
fn listed(run: &Run) -> Vec<(String, String, String)> {
    let report: ToolsReport = run.parse();
    report.tools.into_iter().map(|ToolStatus { name, version, why, .. }| (name, version, why)).collect()
}

/// What a project pins already, in go.mod, .bingo, mise.toml and .tool-versions, counts in this order, and is told.
#[test]
fn pins_in_the_files_that_projects_have() {
    let sandbox = Sandbox::new()
        .write(
            "go.mod",
            "module m\n\ngo 1.24\n\ntool golang.org/x/tools/cmd/goimports\n\nrequire golang.org/x/tools v0.36.0 // indirect\n",
        )
        .write(".bingo/goimports.mod", "module _\nrequire golang.org/x/tools v0.30.0 // cmd/goimports\n")
        .write(".bingo/gofumpt.mod", "module _\nrequire mvdan.cc/gofumpt v0.9.2\n")
        .write("mise.toml", "[tools]\ngofumpt = '0.8.0'\nstaticcheck = '2025.1.1'\n\"go:golang.org/x/tools/gopls\" = '0.20'\n")
        .write(".tool-versions", "golang 1.26.8\ngolangci-lint 1.64.8\nstaticcheck 0.7.0\n")
        .setting("tools", json!({ "dlv": "v1.27.0", "gotestsum": "auto" }))
        .env("GOTOOLCHAIN", "local");
    let found = listed(&sandbox.burrow(["tools", "list", "--json"]).exits(3));
    let version = |tool: &str| {
        let found = found.iter().find(|(name, ..)| name == tool).unwrap_or_else(|| panic!("{tool} in {found:?}"));
        (found.1.as_str(), found.2.as_str())
    };
    assert_eq!(version("goimports"), ("v0.36.0", "pinned in go.mod"));
    assert_eq!(version("gofumpt"), ("v0.9.2", "pinned in .bingo/gofumpt.mod"));
    assert_eq!(version("staticcheck"), ("v0.6.1", "pinned in mise.toml"));
    assert_eq!(version("golangci-lint"), ("v1.64.8", "pinned in .tool-versions"));
    assert_eq!(version("dlv"), ("v1.27.0", "pinned in devcontainer.json"));
    let (gopls, why) = version("gopls");
    assert_eq!(gopls, "v0.20.0");
    assert!(why.starts_with("newest of 0.20 that works with Go ") && why.ends_with("pinned in mise.toml"), "{why}");
    assert!(version("gotestsum").1.starts_with("newest that works with Go "), "{found:?}");
    // What nobody names is not installed.
    assert_eq!(found.len(), 7, "{found:?}");
    let why = sandbox.burrow(["tools", "list", "--why"]).exits(3);
    assert!(why.stdout().contains("pinned in .bingo/gofumpt.mod"), "{}", why.whole());
}

/// `latest` and a part of a version are looked up once; then the lock file holds them until an update.
#[test]
fn latest_is_looked_up_once_and_then_locked() {
    let proxy = Proxy::with(&["v1.0.0", "v1.1.0", "v1.1.1", "v1.2.0", "v1.3.0-rc.1"]);
    let mut pins = tools("latest");
    pins["dlv"]["version"] = "v1.1".into();
    pins["goimports"]["version"] = "auto".into();
    let sandbox = Sandbox::new().setting("tools", pins).env("GOPROXY", "off").env("GOSUMDB", "off").limit(LIMIT);
    let found = listed(&sandbox.burrow(["tools", "list", "--json"]).exits(3));
    assert_eq!(found[2].1, "latest", "a look asks nobody: {found:?}");
    sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR405 download-failed]").tells("GOPROXY");

    let sandbox = sandbox.env("GOPROXY", proxy.url());
    sandbox.burrow(["tools", "repair"]).exits(0);
    let locked = |sandbox: &Sandbox| {
        let lock: LockFile = serde_json::from_str(&sandbox.read(LOCK).unwrap()).unwrap();
        lock.tools.into_values().map(|tool| tool.version).collect::<Vec<_>>()
    };
    assert_eq!(locked(&sandbox), ["v1.1.1", "v1.2.0", "v1.2.0"], "no pre-release, and no other minor version");
    proxy.publish("v1.4.0", "package main\n\nfunc main() {}\n");
    sandbox.burrow(["tools", "repair"]).exits(0).tells("nothing to do");
    let listed = sandbox.burrow(["tools", "list", "--why"]).exits(0);
    assert!(listed.stdout().contains("locked, as pinned in devcontainer.json"), "{}", listed.whole());

    sandbox.burrow(["tools", "update", "gopls"]).exits(0).tells("gopls v1.2.0 -> v1.4.0");
    assert_eq!(locked(&sandbox), ["v1.1.1", "v1.2.0", "v1.4.0"], "the one that was named");
}

/// A version that no release has is told, with what would have to change.
#[test]
fn a_part_of_a_version_that_nobody_published() {
    let proxy = Proxy::with(&["v1.0.0"]);
    let mut pins = tools("v1.0.0");
    pins["dlv"]["version"] = "v1.7".into();
    let sandbox = Sandbox::new().setting("tools", pins).env("GOPROXY", proxy.url()).env("GOSUMDB", "off");
    let run = sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR403 no-version-fits]");
    assert!(run.stderr().contains(&format!("{MODULE} has no v1.7")), "{}", run.whole());
    let states: Vec<_> = sandbox.workspace_status().tools.into_iter().map(|tool| tool.state).collect();
    assert!(states[1..].iter().all(|state| *state == ToolState::Unverified), "the others are in order: {states:?}");
}

/// Versions that no Go can build which there is: `latest` passes over them, a pin to one is refused, and neither is a matter of
/// the network.
#[test]
fn a_version_for_a_newer_go_is_not_chosen() {
    let proxy = Proxy::with(&["v1.0.0"]);
    proxy.publish_for_go("v1.1.0", "1.99");
    proxy.publish_for_go("v1.2.0", "1.99.1");
    let mut pins = tools("v1.0.0");
    pins["dlv"]["version"] = "latest".into();
    let sandbox = Sandbox::new().setting("tools", pins.clone()).env("GOPROXY", proxy.url()).env("GOSUMDB", "off");
    sandbox.burrow(["tools", "repair"]).exits(0).says("dlv        v1.0.0");
    let lock = sandbox.read(LOCK);

    pins["dlv"]["version"] = "1.2".into();
    let sandbox = sandbox.setting("tools", pins.clone());
    std::fs::remove_file(sandbox.workspace().join(LOCK)).unwrap();
    sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR403 no-version-fits]");

    pins["dlv"]["version"] = "v1.1.0".into();
    let sandbox = sandbox.setting("tools", pins);
    std::fs::remove_file(sandbox.workspace().join(LOCK)).unwrap();
    let run = sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR404 pin-cannot-work]").tells("asks for Go 1.99");
    assert!(run.stderr().contains("hint: pin an older version of dlv"), "{}", run.whole());
    assert_ne!(sandbox.read(LOCK), lock);
}

/// Modules without a go.work have a Go each: one set of tools serves them, or the conflict is told by name.
#[test]
fn several_modules_get_one_set_or_are_told_why_not() {
    let sandbox = Sandbox::new()
        .write(
            "go.mod",
            "module m\n\ngo 1.24\n\ntool golang.org/x/tools/cmd/goimports\n\nrequire golang.org/x/tools v0.36.0\n",
        )
        .write(
            "api/go.mod",
            "module api\n\ngo 1.24\n\ntool golang.org/x/tools/cmd/goimports\n\nrequire golang.org/x/tools v0.42.0\n",
        )
        .write("odd/go.mod", "module odd\n\ngo 1.99\n")
        .env("GOTOOLCHAIN", "local");
    sandbox.burrow(["tools", "list"]).exits(3);
    let status = sandbox.workspace_status();
    let reason = |code: &str| {
        let found = status.reasons.iter().find(|reason| reason.code.as_deref() == Some(code));
        found.unwrap_or_else(|| panic!("{code} in {:?}", status.reasons))
    };
    let conflict = reason("BUR414");
    assert!(conflict.message.contains("v0.36.0 in go.mod and v0.42.0 in api/go.mod"), "{conflict:?}");
    assert!(conflict.hint.as_ref().unwrap().contains("customizations.burrow.tools.goimports"), "{conflict:?}");
    let old = reason("BUR402");
    assert!(old.message.contains("odd/go.mod asks for go1.99"), "{old:?}");
    assert!(old.hint.as_ref().unwrap().contains("golang:1.99`"), "{old:?}");
    let gopls = status.tools.iter().find(|tool| tool.name == "gopls").unwrap();
    assert_eq!(gopls.state, ToolState::Missing, "a module that cannot be served holds up no other");

    sandbox.change(
        "api/go.mod",
        "module api\n\ngo 1.24\n\ntool golang.org/x/tools/cmd/goimports\n\nrequire golang.org/x/tools v0.36.0\n",
    );
    let found = listed(&sandbox.burrow(["tools", "list", "--json"]).exits(3));
    assert_eq!(found[1], ("goimports".into(), "v0.36.0".into(), "pinned in api/go.mod and go.mod".into()));
}

/// A file of pins that cannot be read leaves everything as it is, and is told with its line.
#[test]
fn a_damaged_file_of_pins_is_told() {
    let sandbox = Sandbox::new().write("mise.toml", "[tools]\ngopls = '0.20\n");
    sandbox
        .burrow(["tools", "repair"])
        .exits(1)
        .tells("[BUR416 pin-file]")
        .tells("mise.toml: line 2")
        .tells("hint: mend");
}

/// An update shows before and after, and locks the binaries of both platforms; into a repository without a
/// `.devcontainer` it writes once somebody agreed.
#[test]
fn an_update_locks_all_platforms_and_asks_first() {
    let proxy = Proxy::with(&["v1.0.0"]);
    let sandbox =
        Sandbox::new().setting("tools", tools("latest")).env("GOPROXY", proxy.url()).env("GOSUMDB", "off").limit(LIMIT);
    let settings = sandbox.read(".devcontainer/devcontainer.json").unwrap();
    std::fs::remove_dir_all(sandbox.workspace().join(".devcontainer")).unwrap();
    let sandbox = sandbox.write(".devcontainer.json", &settings);

    sandbox.burrow(["tools", "repair"]).exits(0).tells("there is no .devcontainer folder");
    sandbox.burrow(["tools", "update"]).exits(1).tells("[BUR418 consent-needed]").tells("--yes");
    assert!(!sandbox.workspace().join(".devcontainer").exists(), "nothing is written unasked");

    proxy.publish("v1.1.0", "package main\n\nfunc main() {}\n");
    let result: OperationResult = sandbox.burrow(["tools", "update", "--yes", "--json"]).exits(0).parse();
    let lock: LockFile = serde_json::from_str(&sandbox.read(LOCK).unwrap()).unwrap();
    for (tool, change) in lock.tools.values().zip(&result.changes) {
        assert_eq!((change.before.as_deref(), change.after.as_deref()), (Some("v1.0.0"), Some("v1.1.0")));
        assert_eq!(change.platforms, ["linux/amd64", "linux/arm64"]);
        let platforms: Vec<_> = tool.binaries.keys().filter_map(|key| key.split(' ').nth(1)).collect();
        assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
        let digests: std::collections::BTreeSet<_> = tool.binaries.values().collect();
        assert_eq!(digests.len(), 2, "each has its own binary");
    }
    let before = sandbox.read(LOCK).unwrap();
    sandbox.burrow(["tools", "update"]).exits(0).tells("gopls v1.1.0 stays").tells("nothing to do");
    sandbox.burrow(["up", "--only", "tools", "--locked"]).exits(0);
    assert_eq!(sandbox.read(LOCK).unwrap(), before);

    // Another machine's row is missing: that is no drift.
    let mut rows: LockFile = serde_json::from_str(&before).unwrap();
    for tool in rows.tools.values_mut() {
        tool.binaries.retain(|key, _| key.contains("plan9"));
    }
    let sandbox = sandbox.write(LOCK, &serde_json::to_string_pretty(&rows).unwrap());
    sandbox.burrow(["up", "--only", "tools", "--locked"]).exits(0);
    // A version that is not the pinned one is.
    for tool in rows.tools.values_mut() {
        tool.version = "no version".into();
    }
    let sandbox = sandbox.write(LOCK, &serde_json::to_string_pretty(&rows).unwrap());
    sandbox.burrow(["up", "--only", "tools", "--locked"]).exits(3).tells("[BUR408]");
}
