//! The caller's environment reaches a hook, and is never written down.

use std::fs;
use std::process::Stdio;

use camino::Utf8Path;
use serde_json::json;

use crate::sandbox::{Background, Sandbox, fixtures};

/// What the window's environment has, and nothing else.
const VARIABLE: &str = "WINDOW_TOKEN";
/// Long, so that it is nowhere by chance.
const TOKEN: &str = "burrow-test-5fd2c8a1e64b";

/// Go asks this for credentials (GOAUTH); it knows them from the environment alone.
const HELPER: &str = r#"#!/bin/sh
[ -n "$WINDOW_TOKEN" ] || { echo "WINDOW_TOKEN is not set" >&2; exit 1; }
printf '%s/\n\nAuthorization: Basic %s\n\n' "$GOPROXY" "$(printf 'user:%s' "$WINDOW_TOKEN" | base64)"
"#;

/// A workspace that needs a module of a private proxy, and the proxy. All but the credentials is in devcontainer.json.
fn sandbox() -> (Sandbox, Background) {
    let sandbox = Sandbox::bare();
    let (server, cert) = (sandbox.root().join("server"), sandbox.root().join("cert.pem"));
    let mut build = sandbox.command("go");
    build.args(["build", "-o", server.as_str(), "."]).current_dir(fixtures().join("private-modules"));
    sandbox.run(build).exits(0);
    let mut serve = sandbox.command(server);
    serve.args([cert.as_str(), TOKEN]).stdin(Stdio::piped());
    let proxy = sandbox.start(serve);
    let url = proxy.wait_for_line();
    sandbox.change("../helper", HELPER);
    let helper = sandbox.root().join("helper");
    fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let sandbox = sandbox
        .write("go.mod", "module example.com/shop\n\ngo 1.24\n\nrequire private.example.test/secret v1.0.0\n")
        .property(
            "remoteEnv",
            json!({
                "GOPROXY": url,
                "GOAUTH": helper,
                "GOSUMDB": "off",
                "GOFLAGS": "-mod=mod -modcacherw",
                "GOMODCACHE": "${containerWorkspaceFolder}/../modules",
                "SSL_CERT_FILE": cert,
            }),
        )
        .hook("postCreate", "go mod download -x && echo fetched > fetched");
    (sandbox, proxy)
}

#[test]
fn a_private_module_is_fetched_with_the_windows_credentials_and_no_trace_of_them_is_kept() {
    let (sandbox, proxy) = sandbox();
    let sandbox = sandbox.env(VARIABLE, TOKEN);
    sandbox.burrow(["hook", "run", "postCreate"]).exits(0);
    assert_eq!(sandbox.read("fetched").as_deref(), Some("fetched\n"));
    assert!(sandbox.root().join("modules/private.example.test/secret@v1.0.0/secret.go").exists());

    let written = files_with(&sandbox.state_dir(), TOKEN.as_bytes());
    assert!(written.is_empty(), "the value is on disk: {written:?}");
    // A search that finds nothing at all would pass as well.
    assert!(!files_with(&sandbox.state_dir(), b"go mod download").is_empty());
    let environ = fs::read(format!("/proc/{}/environ", sandbox.daemon_pid().unwrap())).unwrap();
    assert!(!contains(&environ, TOKEN.as_bytes()), "the daemon was started with it");
    drop(proxy);
}

#[test]
fn without_the_windows_credentials_it_is_not_fetched() {
    let (sandbox, proxy) = sandbox();
    let sandbox = sandbox.env(VARIABLE, "one that the proxy does not know");
    sandbox.burrow(["hook", "run", "postCreate"]).exits(1);
    let sandbox = sandbox.without_env(VARIABLE);
    let retry = sandbox.burrow(["hook", "retry"]).exits(3).tells("WINDOW_TOKEN is not set");
    retry.tells("the run that failed had WINDOW_TOKEN in its environment, and this call has not");
    assert_eq!(sandbox.read("fetched"), None);
    let sandbox = sandbox.env(VARIABLE, TOKEN);
    sandbox.burrow(["hook", "retry"]).exits(0);
    assert_eq!(sandbox.read("fetched").as_deref(), Some("fetched\n"), "the retry has its own caller's environment");
    drop(proxy);
}

fn files_with(folder: &Utf8Path, text: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in folder.read_dir_utf8().unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_with(entry.path(), text));
        } else if kind.is_file() && contains(&fs::read(entry.path()).unwrap(), text) {
            found.push(entry.path().to_string());
        }
    }
    found
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}
