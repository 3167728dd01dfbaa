//! What is never trusted: the caches of the user's own Go, a store that others write to, a binary's own words.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use burrow_protocol::toolchain::{OperationResult, RepairVerb, ToolState, ToolsReport, VerifiedBy};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::proxy::{LOCK, MODULE, Proxy, binary, copy_binaries, installed, workspace};
use super::{install_program, write};
use crate::sandbox::{Run, Sandbox};

const LONG: Duration = Duration::from_secs(400);
const GENUINE: &str = "package main\n\nfunc main() { println(\"genuine\") }\n";

/// What the program at `path` prints.
fn words_of(sandbox: &Sandbox, path: &Utf8Path) -> String {
    sandbox.run(sandbox.command(path)).exits(0).stderr().trim().to_owned()
}

/// `go ARGS` with the user's own, shared caches.
fn go(sandbox: &Sandbox, proxy: &Proxy, bin: &Utf8Path) -> Run {
    let mut command = sandbox.command("go");
    command.args(["install", "-trimpath", &format!("{MODULE}/cmd/gopls@v1.0.0")]);
    command.env("GOPROXY", proxy.url()).env("GOBIN", bin).env("GOFLAGS", "-modcacherw").env("CGO_ENABLED", "0");
    sandbox.run(command).exits(0)
}

/// An edited source in GOMODCACHE and an edited archive in GOCACHE reach a build of Go's own, and no tool of Burrow's.
#[test]
fn poisoned_caches_reach_no_tool() {
    let proxy = Proxy::with(&[]);
    proxy.publish("v1.0.0", GENUINE);
    let sandbox = workspace(&proxy, "v1.0.0").limit(LONG);
    let (modules, cache) = (sandbox.root().join("shared/mod"), sandbox.root().join("shared/cache"));
    let sandbox = sandbox.env("GOMODCACHE", modules.as_str()).env("GOCACHE", cache.as_str());
    let (bins, other_cache) = (sandbox.root().join("bins"), sandbox.root().join("shared/other-cache"));
    let bin = |name: &str| bins.join(name);
    go(&sandbox, &proxy, &bin("clean"));
    assert_eq!(words_of(&sandbox, &bin("clean").join("gopls")), "genuine");

    // The archive: what Go compiled, under the name of what it was compiled from.
    let poisoned = files_below(&cache).into_iter().filter(|file| replace_bytes(file, b"genuine", b"archive")).count();
    assert!(poisoned > 0, "the cache has the compiled program");
    go(&sandbox, &proxy, &bin("archive"));
    assert_eq!(words_of(&sandbox, &bin("archive").join("gopls")), "archive", "Go takes what its cache has");

    // The source, as it was unpacked.
    let source = modules.join(format!("{MODULE}@v1.0.0/cmd/gopls/main.go"));
    assert!(replace_bytes(&source, b"genuine", b"sources"));
    let sandbox = sandbox.env("GOCACHE", other_cache.as_str());
    go(&sandbox, &proxy, &bin("source"));
    assert_eq!(words_of(&sandbox, &bin("source").join("gopls")), "sources", "Go takes what was unpacked");

    let sandbox = sandbox.env("GOCACHE", cache.as_str());
    sandbox.burrow(["tools", "repair"]).exits(0);
    assert_eq!(words_of(&sandbox, &binary(&sandbox, "gopls")), "genuine");
}

/// A toolchain that somebody put into GOMODCACHE is run by Go itself, and not by Burrow.
#[test]
fn poisoned_toolchain_is_not_run() {
    let proxy = Proxy::with(&["v1.0.0"]);
    let sandbox = workspace(&proxy, "v1.0.0").env("GOTOOLCHAIN", "auto");
    sandbox.change("go.mod", "module example.com/sandbox\n\ngo 1.99.1\n");
    let modules = sandbox.root().join("shared/mod");
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let version = format!("v0.0.1-go1.99.1.linux-{arch}");
    let toolchain = modules.join(format!("golang.org/toolchain@{version}"));
    install_program(&toolchain.join("bin/go"), "#!/bin/sh\ntouch \"$HOME/was-run\"\n");
    let cached = modules.join("cache/download/golang.org/toolchain/@v");
    write(&cached.join(format!("{version}.ziphash")), "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let sandbox = sandbox.env("GOMODCACHE", modules.as_str());
    let marker = sandbox.root().join("home/was-run");

    let mut version = sandbox.command("go");
    version.arg("version").env("GOPROXY", proxy.url());
    sandbox.run(version);
    assert!(marker.exists(), "Go itself runs it");
    std::fs::remove_file(&marker).unwrap();

    let run = sandbox.burrow(["tools", "repair"]).exits(1);
    assert!(!marker.exists(), "{}", run.whole());
}

/// A row of the lock file and a binary in a store that others write to prove nothing together.
#[test]
fn lock_row_alone_brings_no_binary_of_a_shared_store() {
    let sandbox = Sandbox::new().with_tools();
    let shared = sandbox.root().join("shared-store");
    copy_binaries(&sandbox.store_dir(), &shared);
    std::fs::remove_dir_all(sandbox.store_dir()).unwrap();
    // Somebody's own program, under its own digest, and a lock file that names it.
    let evil = sandbox.root().join("evil");
    install_program(&evil, "#!/bin/sh\ntouch \"$HOME/was-run\"\n");
    let digest = sandbox.run(command_with(&sandbox, "sha256sum", &[evil.as_str()])).exits(0);
    let digest = digest.stdout().split(' ').next().unwrap().to_owned();
    std::fs::create_dir_all(shared.join("tools").join(&digest)).unwrap();
    std::fs::copy(&evil, shared.join("tools").join(&digest).join("gopls")).unwrap();
    let mut lock: Value = serde_json::from_str(&sandbox.read(LOCK).unwrap()).unwrap();
    for row in lock["tools"]["gopls"]["binaries"].as_object_mut().unwrap().values_mut() {
        *row = digest.clone().into();
    }
    sandbox.change(LOCK, &lock.to_string());
    let sandbox = sandbox.env("BURROW_STORE_DIR", shared.as_str());
    // Without network they cannot be built, and so there are none: not the evil one, and not the genuine ones either.
    sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR405 download-failed]");
    let report: ToolsReport = sandbox.burrow(["tools", "list", "--json"]).exits(3).parse();
    assert_eq!(report.tools.iter().map(|tool| tool.state).collect::<Vec<_>>(), [ToolState::Missing; 3]);
    assert_eq!(report.generation, None);
}

/// Two daemons share a volume: both install at once, and each has all of its tools.
#[test]
fn two_daemons_share_a_store() {
    let proxy = Proxy::with(&["v1.0.0"]);
    let folder = tempfile::TempDir::new().unwrap();
    let shared = Utf8Path::from_path(folder.path()).unwrap().join("volume");
    let one = workspace(&proxy, "v1.0.0").env("BURROW_STORE_DIR", shared.as_str()).limit(LONG);
    let two = workspace(&proxy, "v1.0.0").env("BURROW_STORE_DIR", shared.as_str()).limit(LONG);
    let repairs = [one.spawn(["tools", "repair"]), two.spawn(["tools", "repair"])];
    for repair in repairs {
        repair.finish().exits(0);
    }
    for sandbox in [&one, &two] {
        sandbox.burrow(["tools", "verify", "--full"]).exits(0);
        assert!(binary(sandbox, "gopls").starts_with(&shared));
    }
    assert_eq!(shared.join("tools").read_dir_utf8().unwrap().count(), 3, "the same binaries, each once");
    assert_eq!(shared.join("holds").read_dir_utf8().unwrap().count(), 2, "each says what it uses");
    let random = |name: &str| name.starts_with('.');
    let left = files_below(&shared).into_iter().filter(|file| random(file.file_name().unwrap())).count();
    assert_eq!(left, 0, "nothing half-written is left");
}

/// What the compatibility table does not know, the checksum database does: a full verification asks it.
#[test]
fn full_verification_asks_the_checksum_database() {
    const MODULE: &str = "golang.org/x/sync";
    let mut pins = super::proxy::tools("v1.0.0");
    pins["sync"] = serde_json::json!({ "package": MODULE, "version": "v0.22.0" });
    let proxy = Proxy::with(&["v1.0.0"]);
    proxy.publish_main(MODULE, "v0.22.0", GENUINE);
    // From a proxy that serves another program under that name, and nobody asked the database.
    let sandbox = workspace(&proxy, "v1.0.0").limit(LONG).setting("tools", pins);
    sandbox.burrow(["tools", "repair"]).exits(0);
    let run = sandbox.burrow(["tools", "verify", "--full"]).exits(0);
    run.tells("sync: nobody vouches for golang.org/x/sync@v0.22.0");
    let sandbox = sandbox.online().env("GOSUMDB", "sum.golang.org").env("GONOSUMDB", super::proxy::HOST);
    let sandbox = sandbox.env("GONOPROXY", "none");
    let run = sandbox.burrow(["tools", "verify", "--full"]).exits(1).tells("[BUR406 checksum-mismatch]");
    let run = run.tells("from which the installed sync was built").tells("by the checksum database");
    assert!(!run.stdout().contains("verified by"), "{}", run.whole());
    sandbox.burrow(["tools", "list"]).exits(3).says("sync       v0.22.0  drifted     its binary was changed");
}

/// A binary that is not what its sources give is found by building it again, and replaced.
#[test]
fn deep_verification_builds_again() {
    let proxy = Proxy::with(&["v1.0.0"]);
    let sandbox = workspace(&proxy, "v1.0.0").limit(LONG);
    sandbox.burrow(["tools", "repair"]).exits(0);
    let result: OperationResult = sandbox.burrow(["tools", "verify", "--deep", "--json"]).exits(0).parse();
    assert!(result.done.len() == 3 && result.done.iter().all(|action| action.verb == RepairVerb::Verify));
    assert!(result.done[0].why.contains("the same byte for byte"), "{:?}", result.done);

    // Another program, with records that say that it is gopls: what an attacker with the state directory could do at best.
    let evil = sandbox.root().join("evil");
    install_program(&evil, "#!/bin/sh\n");
    let digest = sandbox.run(command_with(&sandbox, "sha256sum", &[evil.as_str()])).exits(0);
    let digest = digest.stdout().split(' ').next().unwrap().to_owned();
    std::fs::create_dir_all(sandbox.store_dir().join("tools").join(&digest)).unwrap();
    std::fs::copy(&evil, sandbox.store_dir().join("tools").join(&digest).join("gopls")).unwrap();
    let manifest =
        sandbox.state_dir().join("current").canonicalize_utf8().unwrap().parent().unwrap().join("manifest.json");
    let mut records: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    records["tools"]["gopls"]["sha256"] = digest.into();
    write(&manifest, &records.to_string());
    sandbox.burrow(["tools", "verify"]).exits(3).says("it is not the one of the lock file");
    sandbox.burrow(["tools", "verify", "--deep"]).exits(1).tells("[BUR417 not-reproduced]").tells("gopls");
    sandbox.burrow(["tools", "verify"]).exits(3).says("gopls      v1.0.0  drifted");
    sandbox.burrow(["tools", "repair"]).exits(0);
    sandbox.burrow(["tools", "verify", "--full"]).exits(0);
}

/// Damage of every part is seen, and mended without network as far as the rest goes.
#[test]
fn damage_is_mended() {
    let sandbox = installed();
    for damage in ["{\"schema\": 1, \"tools\": ", "", "{\"schema\": 99, \"tools\": {}}"] {
        let active = sandbox.state_dir().join("current").canonicalize_utf8().unwrap();
        let manifest = active.parent().unwrap().join("manifest.json");
        write(&manifest, damage);
        sandbox.burrow(["tools", "list"]).exits(3).says("missing");
        // The lock file and the store have what the manifest had.
        sandbox.burrow(["tools", "repair"]).exits(0);
        sandbox.burrow(["tools", "verify", "--full"]).exits(0);
        let report: ToolsReport = sandbox.burrow(["tools", "list", "--json"]).exits(0).parse();
        assert!(report.tools.iter().all(|tool| tool.by == Some(VerifiedBy::Sha256)), "{:?}", report.tools);
    }
    // A link that leads elsewhere, and a folder in its place.
    let bin = sandbox.state_dir().join("current").canonicalize_utf8().unwrap();
    std::fs::remove_file(bin.join("gopls")).unwrap();
    std::os::unix::fs::symlink("/bin/true", bin.join("gopls")).unwrap();
    std::fs::remove_file(bin.join("dlv")).unwrap();
    std::fs::create_dir(bin.join("dlv")).unwrap();
    sandbox.burrow(["tools", "repair"]).exits(0);
    assert!(binary(&sandbox, "gopls").starts_with(sandbox.store_dir()) && binary(&sandbox, "dlv").is_file());
    // A truncated binary cannot be mended without network: the error says so, and what is whole stays.
    let gopls = binary(&sandbox, "gopls");
    std::fs::set_permissions(&gopls, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::OpenOptions::new().write(true).open(&gopls).unwrap().set_len(1000).unwrap();
    sandbox.burrow(["tools", "verify"]).exits(3).says("its binary was changed");
    sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR405 download-failed]");
    sandbox.burrow(["tools", "list"]).exits(3).says("dlv        v1.0.0  verified by sha256");
}

/// The first daemon of a container's start reads every byte, and finds what no fingerprint tells.
#[test]
fn every_byte_is_read_once_a_start() {
    let sandbox = installed();
    sandbox.burrow(["stop"]).exits(0);
    let workspaces = sandbox.state_dir().join("workspaces");
    let state = workspaces.read_dir_utf8().unwrap().next().unwrap().unwrap().into_path();
    let seen = state.join("verified.json");
    let _ = std::fs::remove_file(&seen);
    // The record is made to fit a changed file: as if the disk itself had changed a byte.
    let gopls = binary(&sandbox, "gopls");
    assert!(replace_bytes(&gopls, b"runtime.main", b"runtime.mein"));
    let fingerprint = fingerprint(&gopls);
    let manifest =
        sandbox.state_dir().join("current").canonicalize_utf8().unwrap().parent().unwrap().join("manifest.json");
    let mut records: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    records["tools"]["gopls"]["fingerprint"] = fingerprint;
    write(&manifest, &records.to_string());
    sandbox.burrow(["start"]).exits(0);
    crate::sandbox::eventually("the change is found", Duration::from_secs(30), || {
        let status = sandbox.workspace_status();
        let tool = status.tools.into_iter().find(|tool| tool.name == "gopls").unwrap();
        if tool.state == ToolState::Drifted { Ok(()) } else { Err(format!("{tool:?}")) }
    });
    assert!(!seen.exists(), "it is read again until it is well");
}

fn fingerprint(path: &Utf8Path) -> Value {
    use std::os::unix::fs::MetadataExt;
    let metadata = path.metadata().unwrap();
    let time = |seconds: i64, rest: i64| seconds * 1_000_000_000 + rest;
    serde_json::json!({
        "size": metadata.size(),
        "mtime": time(metadata.mtime(), metadata.mtime_nsec()),
        "ctime": time(metadata.ctime(), metadata.ctime_nsec()),
        "inode": metadata.ino(),
    })
}

fn command_with(sandbox: &Sandbox, program: &str, args: &[&str]) -> std::process::Command {
    let mut command = sandbox.command(program);
    command.args(args);
    command
}

fn files_below(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_below(entry.path()));
        } else if kind.is_file() {
            found.push(entry.into_path());
        }
    }
    found
}

/// Replaces every `from` in a file by `to`, of the same length, in place; whether there was one.
fn replace_bytes(path: &Utf8Path, from: &[u8], to: &[u8]) -> bool {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(path).unwrap();
    let found: Vec<_> =
        bytes.windows(from.len()).enumerate().filter(|(_, window)| *window == from).map(|(at, _)| at).collect();
    for at in &found {
        bytes[*at..at + to.len()].copy_from_slice(to);
    }
    if !found.is_empty() {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
    }
    !found.is_empty()
}

/// What needs a mount of its own. Left out by `make test` where it is not root.
mod as_root {
    use super::super::proxy::{Proxy, workspace};
    use crate::sandbox::BURROW;

    #[test]
    fn read_only_store_is_told() {
        let proxy = Proxy::with(&["v1.0.0"]);
        let sandbox = workspace(&proxy, "v1.0.0");
        let store = sandbox.root().join("volume");
        std::fs::create_dir(&store).unwrap();
        let sandbox = sandbox.env("BURROW_STORE_DIR", store.as_str());
        let mut command = sandbox.command("unshare");
        let mount = "mount -t tmpfs -o ro none \"$0\" && exec \"$@\"";
        command.args(["--mount", "--propagation", "private", "--", "sh", "-c", mount, store.as_str(), BURROW]);
        command.args(["tools", "repair"]);
        sandbox
            .run(command)
            .exits(1)
            .tells("[BUR410 store-unwritable]")
            .tells("BURROW_STORE_DIR")
            .tells(store.as_str());
        assert_eq!(sandbox.workspace_status().generation, None);
    }
}
