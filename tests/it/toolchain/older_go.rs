//! Workspaces with an older Go, fetched for the test: the tools that fit are installed for real, and work.

use std::time::Duration;

use burrow_protocol::lock::LockFile;
use burrow_protocol::toolchain::ToolsReport;
use camino::Utf8PathBuf;
use serde_json::json;

use super::proxy::{HOST, LOCK, Proxy, binary, tools_apart};
use crate::sandbox::Sandbox;

/// What is built here is built once a run, with whatever else the machine does.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// GOROOT of the Go `version`, which the machine's own fetches.
fn fetch(version: &str) -> Utf8PathBuf {
    let sandbox = Sandbox::new().online().env("GOTOOLCHAIN", version).limit(LIMIT);
    let mut command = sandbox.command("go");
    command.args(["env", "GOROOT"]).current_dir("/");
    Utf8PathBuf::from(sandbox.run(command).exits(0).stdout().trim())
}

/// The programs that do nothing.
fn proxy() -> Proxy {
    let proxy = Proxy::with(&[]);
    proxy.publish_apart("v1.0.0");
    proxy
}

/// A copy of a fixture that has this Go and no other, the tools of `real` from upstream, and the rest as programs that do nothing.
fn workspace(proxy: &Proxy, goroot: &Utf8PathBuf, real: &[(&str, &str)]) -> Sandbox {
    let mut pins = tools_apart("v1.0.0");
    for (name, version) in real {
        pins[*name] = json!(version);
    }
    let sandbox = Sandbox::fixture("hello-api").online().limit(LIMIT).setting("tools", pins);
    // The fixture may have been opened on this machine, with the tools of another Go.
    let _ = std::fs::remove_file(sandbox.workspace().join(LOCK));
    let upstream = std::env::var("GOPROXY").unwrap_or_else(|_| "https://proxy.golang.org,direct".to_owned());
    sandbox
        .env("GOPROXY", format!("{},{upstream}", proxy.url()))
        .env("GONOSUMDB", HOST)
        .env("GOTOOLCHAIN", "local")
        .env("PATH", format!("{goroot}/bin:/usr/bin:/bin"))
}

fn version(report: &ToolsReport, name: &str) -> String {
    report.tools.iter().find(|tool| tool.name == name).unwrap().version.clone()
}

/// The dlv that fits Go 1.24 is installed and debugs a program there; today's newest is refused, with those that do work.
#[test]
fn dlv_for_an_older_go_works_and_the_newest_is_refused() {
    debugs_with("go1.24.13", "v1.27.1", "it works for Go 1.25 to 1.27", "v1.26.3");
}

fn debugs_with(go: &str, refused: &str, why: &str, fitting: &str) {
    let (goroot, proxy) = (fetch(go), proxy());
    let sandbox = workspace(&proxy, &goroot, &[("dlv", refused)]);
    // The fixture's own line asks for Go 1.24.
    let sandbox = sandbox.write("go.mod", "module example.com/hello-api\n\ngo 1.21\n");
    let run = sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR404 pin-cannot-work]").tells(why);
    assert!(run.stderr().contains(fitting), "{}", run.whole());
    let mut pins = tools_apart("v1.0.0");
    pins["dlv"] = json!("auto");
    let sandbox = sandbox.setting("tools", pins);
    // The lock file has the tools that were in order without it.
    sandbox.burrow(["tools", "repair"]).exits(0);
    let report: ToolsReport = sandbox.burrow(["tools", "list", "--json"]).exits(0).parse();
    assert_eq!((report.go.as_deref(), version(&report, "dlv").as_str()), (Some(go), fitting));
    let tried = sandbox.burrow(["debug", "try"]).exits(0);
    assert!(tried.stdout().contains("main.go"), "it stopped in the program: {}", tried.whole());
}

/// As above for a Go before it, and its gopls answers a request there.
#[test]
#[ignore = "slow: part of `make test-all`"]
fn tools_for_a_still_older_go_work() {
    debugs_with("go1.22.12", "v1.27.1", "it works for Go 1.25 to 1.27", "v1.25.2");
    let (goroot, proxy) = (fetch("go1.22.12"), proxy());
    let sandbox = workspace(&proxy, &goroot, &[("gopls", "auto")]);
    let sandbox = sandbox.write("go.mod", "module example.com/hello-api\n\ngo 1.21\n");
    sandbox.burrow(["tools", "repair"]).exits(0);
    let report: ToolsReport = sandbox.burrow(["tools", "list", "--json"]).exits(0).parse();
    assert_eq!(version(&report, "gopls"), "v0.16.2");
    let mut gopls = sandbox.command(binary(&sandbox, "gopls"));
    gopls.args(["symbols", "main.go"]);
    let symbols = sandbox.run(gopls).exits(0);
    assert!(symbols.stdout().contains("main Function"), "{}", symbols.whole());
}

/// A tool that no table knows says in its own go.mod which Go it takes: one that is fetched builds it, pinned or looked up.
#[test]
#[ignore = "slow: part of `make test-all`"]
fn a_newer_go_is_fetched_for_what_asks_for_it() {
    let (goroot, proxy) = (fetch("go1.24.13"), proxy());
    let sandbox = workspace(&proxy, &goroot, &[]).env("GOTOOLCHAIN", "auto");
    let mut pins = tools_apart("v1.0.0");
    for (name, version) in [("pinned", "v1.1.0"), ("newest", "latest")] {
        let module = format!("{HOST}/{name}");
        proxy.publish_main_for_go(&module, "v1.1.0", "1.26.1");
        pins[name] = json!({ "package": module, "version": version });
    }
    let sandbox = sandbox.setting("tools", pins).write("go.mod", "module example.com/hello-api\n\ngo 1.21\n");
    sandbox.burrow(["tools", "repair"]).exits(0);
    let report: ToolsReport = sandbox.burrow(["tools", "verify", "--full", "--json"]).exits(0).parse();
    assert_eq!(report.go.as_deref(), Some("go1.24.13"));
    for (name, newer) in [("pinned", true), ("newest", true), ("gopls", false)] {
        let tool = report.tools.iter().find(|tool| tool.name == name).unwrap();
        assert_eq!(tool.built_with.as_deref() > Some("go1.26"), newer, "{tool:?}");
    }
    sandbox.burrow(["tools", "repair"]).exits(0).tells("nothing to do");

    // Without its row only the binary itself tells which Go it took.
    let mut lock: LockFile = serde_json::from_str(&sandbox.read(LOCK).unwrap()).unwrap();
    lock.tools.remove("pinned");
    let sandbox = sandbox.write(LOCK, &serde_json::to_string_pretty(&lock).unwrap());
    sandbox.burrow(["tools", "repair"]).exits(0).tells("nothing to do");
    // And no such Go can be had.
    std::fs::remove_file(binary(&sandbox, "pinned")).unwrap();
    let sandbox = sandbox.env("GOTOOLCHAIN", "local");
    sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR404 pin-cannot-work]").tells("asks for Go 1.26.1");
}

/// The linters that people use are known by their short names, and are installed for real.
#[test]
#[ignore = "slow: part of `make test-all`"]
fn linters_are_installed_by_their_short_names() {
    let proxy = proxy();
    let mut pins = tools_apart("v1.0.0");
    pins["staticcheck"] = json!("auto");
    pins["golangci-lint"] = json!("2");
    let upstream = std::env::var("GOPROXY").unwrap_or_else(|_| "https://proxy.golang.org,direct".to_owned());
    let sandbox = Sandbox::fixture("hello-api")
        .online()
        .limit(LIMIT)
        .setting("tools", pins)
        .env("GOPROXY", format!("{},{upstream}", proxy.url()))
        .env("GONOSUMDB", HOST);
    let _ = std::fs::remove_file(sandbox.workspace().join(LOCK));
    sandbox.burrow(["tools", "repair"]).exits(0);
    for (name, args) in [("staticcheck", ["./..."].as_slice()), ("golangci-lint", &["run", "./..."])] {
        let mut command = sandbox.command(binary(&sandbox, name));
        command.args(args);
        let run = sandbox.run(command);
        assert!(run.whole().len() < 64 * 1024, "it looked at the program: {}", run.whole());
        run.exits(0);
    }
}
