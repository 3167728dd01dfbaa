//! The steps that a hook's command may use: with the real Go, and a module proxy in a folder.

use std::io::Write as _;

use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::sandbox::{Run, Sandbox};

const DEPENDENCY: &str = "dep.example.test/dep";
const MOD: &str = "module example.com/shop\n\ngo 1.24\n\nrequire dep.example.test/dep v1.0.0\n";
const MAIN: &str = "package main\n\nimport \"dep.example.test/dep\"\n\nfunc main() { dep.Do() }\n";

/// An empty workspace that reaches one module, `dep`, in the versions 1.0.0 and 1.1.0.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::bare();
    let folder = sandbox.root().join("proxy").join(DEPENDENCY).join("@v");
    std::fs::create_dir_all(&folder).unwrap();
    let go_mod = format!("module {DEPENDENCY}\n\ngo 1.24\n");
    for version in ["v1.0.0", "v1.1.0"] {
        let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (path, text) in [("go.mod", go_mod.as_str()), ("dep.go", "package dep\n\nfunc Do() {}\n")] {
            zip.start_file(format!("{DEPENDENCY}@{version}/{path}"), SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        let zip = zip.finish().unwrap().into_inner();
        for (suffix, content) in [
            ("info", json!({ "Version": version }).to_string().into_bytes()),
            ("mod", go_mod.clone().into_bytes()),
            ("zip", zip),
        ] {
            let path = folder.join(format!("{version}.{suffix}"));
            std::fs::File::options().write(true).create_new(true).open(path).unwrap().write_all(&content).unwrap();
        }
    }
    let (proxy, modules) = (sandbox.root().join("proxy"), sandbox.root().join("modules"));
    sandbox
        .env("GOPROXY", format!("file://{proxy}"))
        .env("GOSUMDB", "off")
        .env("GOMODCACHE", modules)
        .env("GOFLAGS", "-modcacherw")
}

fn go<'a>(sandbox: &Sandbox, args: impl IntoIterator<Item = &'a str>) {
    sandbox.run_program("go", args).exits(0);
}

fn step(sandbox: &Sandbox, name: &str) -> Run {
    sandbox.burrow(["step", name])
}

fn is_downloaded(sandbox: &Sandbox, version: &str) -> bool {
    sandbox.root().join("modules").join(format!("{DEPENDENCY}@{version}")).is_dir()
}

#[test]
fn modules_are_downloaded_and_verified_by_a_hook() {
    let commands = json!({"commands": {"deps": {"uses": "modules"}, "warm": {"uses": "build", "needs": ["deps"]}}});
    let sandbox = sandbox().write("go.mod", MOD).write("main.go", MAIN).burrow_hook("postCreate", commands);
    go(&sandbox, ["mod", "tidy"]);
    go(&sandbox, ["clean", "-modcache"]);
    assert!(!is_downloaded(&sandbox, "v1.0.0"));
    sandbox.burrow(["hook", "run", "postCreate"]).exits(0);
    assert!(is_downloaded(&sandbox, "v1.0.0"));
    sandbox.burrow(["hook", "log", "postCreate/deps"]).exits(0).says("all modules verified");
}

#[test]
fn modules_that_were_changed_are_told() {
    let sandbox = sandbox().write("go.mod", MOD).write("main.go", MAIN);
    go(&sandbox, ["mod", "tidy"]);
    sandbox.change(&format!("../modules/{DEPENDENCY}@v1.0.0/dep.go"), "package dep\n\nfunc Do() { println() }\n");
    step(&sandbox, "modules").exits(1).tells("dir has been modified").tells("BUR406");
}

#[test]
fn vendored_modules_are_not_downloaded_and_have_to_agree() {
    let sandbox = sandbox().write("go.mod", MOD).write("main.go", MAIN);
    go(&sandbox, ["mod", "tidy"]);
    go(&sandbox, ["mod", "vendor"]);
    go(&sandbox, ["clean", "-modcache"]);
    step(&sandbox, "modules").exits(0).tells("vendor agrees with go.mod: nothing is downloaded");
    assert!(!is_downloaded(&sandbox, "v1.0.0"));

    let sandbox = sandbox.write("go.mod", &MOD.replace("v1.0.0", "v1.1.0"));
    step(&sandbox, "modules")
        .exits(1)
        .tells("dep.example.test/dep@v1.1.0: is explicitly required in go.mod, but not marked as explicit")
        .tells("vendor does not agree with go.mod [BUR210")
        .tells("run `go mod vendor`");

    let sandbox = sandbox.env("GOFLAGS", "-mod=mod -modcacherw");
    step(&sandbox, "modules").exits(0).tells("vendor does not count: GOFLAGS says -mod=mod");
    assert!(is_downloaded(&sandbox, "v1.1.0"));
}

#[test]
fn the_modules_of_a_workspace_are_downloaded_together() {
    let sandbox = sandbox()
        .write("go.work", "go 1.24\n\nuse ./api\nuse ./web\n")
        .write("api/go.mod", &MOD.replace("shop", "api"))
        .write("api/main.go", MAIN)
        .write("web/go.mod", "module example.com/web\n\ngo 1.24\n")
        .write("web/main.go", "package main\n\nfunc main() {}\n");
    step(&sandbox, "modules").exits(0).tells("go mod download").says("all modules verified");
    assert!(is_downloaded(&sandbox, "v1.0.0"));
    step(&sandbox, "build").exits(0).tells("go build ./... (in api)").tells("go test -run '^$' ./... (in web)");

    go(&sandbox, ["work", "vendor"]);
    step(&sandbox, "modules").exits(0).tells("vendor agrees with go.mod");
    let sandbox = sandbox.write("api/go.mod", &MOD.replace("shop", "api").replace("v1.0.0", "v1.1.0"));
    step(&sandbox, "modules").exits(1).tells("run `go work vendor`");
}

#[test]
fn modules_without_a_workspace_are_taken_one_by_one() {
    let sandbox = sandbox()
        .write("api/go.mod", &MOD.replace("shop", "api"))
        .write("web/go.mod", "module example.com/web\n\ngo 1.24\n");
    step(&sandbox, "modules").exits(0).tells("go mod download (in api)").tells("go mod download (in web)");
    assert!(is_downloaded(&sandbox, "v1.0.0"));
}

#[test]
fn everything_is_compiled_and_no_test_is_run() {
    let test = "package main\n\nimport \"testing\"\n\nfunc TestX(t *testing.T) { t.Fatal(\"ran\") }\n";
    let sandbox = sandbox()
        .write("go.mod", "module example.com/shop\n\ngo 1.24\n")
        .write("main.go", "package main\n\nfunc main() {}\n")
        .write("main_test.go", test);
    step(&sandbox, "build").exits(0);
    let sandbox = sandbox.write("main_test.go", &test.replace("t.Fatal", "t.Fetal"));
    step(&sandbox, "build").exits(1).tells("t.Fetal undefined").tells("does not compile [BUR508");
}

#[test]
fn what_is_missing_is_told() {
    let nothing = sandbox();
    step(&nothing, "modules").exits(1).tells("there is no Go module in").tells("BUR206");
    let unreachable = sandbox().write("go.mod", &MOD.replace("v1.0.0", "v9.0.0"));
    step(&unreachable, "modules").exits(1).tells("could be downloaded [BUR405");
    let empty = sandbox().write("go.mod", "module example.com/shop\n\ngo 1.24\n");
    step(&empty, "build").exits(0).tells("has no packages");
    let no_go = empty.env("PATH", "/usr/bin:/bin");
    step(&no_go, "build").exits(1).tells("there is no Go on PATH [BUR401");
}

#[test]
fn the_tools_can_be_a_step_of_a_hook() {
    let commands = json!({"commands": {"tools": {"uses": "toolchain"}}});
    let sandbox = Sandbox::new().with_tools().burrow_hook("onCreate", commands);
    sandbox.burrow(["hook", "run", "onCreate"]).exits(0);
    let tools = sandbox.workspace_status().tools;
    assert!(
        !tools.is_empty() && tools.iter().all(|tool| tool.state == burrow_protocol::toolchain::ToolState::Verified)
    );
}
