//! The Docker engine and the Dev Containers CLI that `tests/container/setup` brings.
//!
//! Not here: sandboxes and assertions, so that a bench may use it as well.

use std::process::{Command, Output};

use camino::{Utf8Path, Utf8PathBuf};

/// Debian without anything, but for certificates and the user `vscode` (uid 1000).
pub(crate) const IMAGE: &str = "debian:bookworm-local";
/// The CLI's version, as in `tests/container/setup`.
const CLI: &str = "0.89.0";

/// The CLI's program, in the tests' cache `cache`.
pub(crate) fn cli(cache: &Utf8Path) -> Utf8PathBuf {
    cache.join(format!("devcontainers-cli-{CLI}/node_modules/.bin/devcontainer"))
}

/// Fails by name where a part is missing.
pub(crate) fn require(cache: &Utf8Path) {
    let get = "get it: run tests/setup as root";
    assert!(cli(cache).exists(), "the Dev Containers CLI {CLI} is missing\n  {get}");
    assert!(docker(["info"]).status.success(), "no Docker engine answers\n  {get}");
    assert!(docker(["image", "inspect", IMAGE]).status.success(), "the image {IMAGE} is missing\n  {get}");
}

/// Runs `docker ARGS` to its end.
#[expect(clippy::disallowed_methods, reason = "a test drives the machine's own engine")]
pub(crate) fn docker<'a>(args: impl IntoIterator<Item = &'a str>) -> Output {
    Command::new("docker").args(args).output().expect("docker on PATH\n  get it: run tests/setup as root")
}

/// What `docker ARGS` prints.
pub(crate) fn docker_prints<'a>(args: impl IntoIterator<Item = &'a str>) -> String {
    let output = docker(args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
