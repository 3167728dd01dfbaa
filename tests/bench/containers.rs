//! A hook of Burrow's beside the same hook of the Dev Containers CLI, in one container.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use camino::Utf8PathBuf;
use serde_json::json;

use crate::engine::{self, docker, docker_prints};
use crate::home::{Home, program, time};
use crate::report::{Report, Samples};

/// One `true` as postAttach, which both run each time they are asked.
pub(crate) fn beside_the_reference(home: &Home, report: &mut Report) -> Result<()> {
    const RUNS: usize = 10;
    let cache = cache_dir()?;
    engine::require(&cache);
    let workspace = &home.workspaces[2];
    let config = workspace.join(".devcontainer/devcontainer.json");
    let settings = json!({
        "image": "unused", "postAttachCommand": "true", "userEnvProbe": "none",
        // Where the reference is to work: else it takes a folder that this container does not have.
        "workspaceFolder": workspace, "workspaceMount": format!("source={workspace},target={workspace},type=bind"),
    });
    write(&config, &settings.to_string())?;
    let container = Container::start(home.binary.as_str(), workspace.as_str())?;

    let cli = engine::cli(&cache);
    let (mut bare, mut theirs, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..=RUNS {
        bare.push(container.exec(&["true"])?);
        theirs.push(container.reference(&cli, workspace.as_str())?);
        ours.push(container.exec(&["burrow", "hook", "run", "--again", "postAttach"])?);
    }
    // The first of each prepares what later ones find.
    let (bare, theirs, ours) = (&bare[1..], &theirs[1..], &ours[1..]);
    report.median("bare `docker exec`", &Samples::of(bare.to_vec()), None, "exec to exit of `docker exec ID true`");
    let (theirs, ours) = (Samples::pairs(theirs, bare), Samples::pairs(ours, bare));
    let definition = "`devcontainer run-user-commands` with one postAttachCommand `true`, above the bare `docker exec` right before it";
    report.median("a hook, reference", &theirs, None, definition);
    let definition =
        "`docker exec ID burrow hook run --again postAttach` of the same, in the same container, above the same";
    report.median("a hook, Burrow", &ours, None, definition);
    let ratio = theirs.median() / ours.median();
    report.at_least("reference / Burrow", ratio, "times", 10.0, "the medians, taken in turn in one run");
    Ok(())
}

/// A container that does nothing, with the binary and the workspace in it.
struct Container {
    id: String,
}

impl Container {
    fn start(binary: &str, workspace: &str) -> Result<Self> {
        let (binary, folder) = (format!("{binary}:/usr/local/bin/burrow:ro"), format!("{workspace}:{workspace}"));
        let id = docker_prints([
            "run",
            "--detach",
            "--init",
            "--volume",
            &binary,
            "--volume",
            &folder,
            "--workdir",
            workspace,
            engine::IMAGE,
            "sleep",
            "infinity",
        ]);
        Ok(Self { id })
    }

    fn reference(&self, cli: &Utf8PathBuf, workspace: &str) -> Result<Duration> {
        time(program(cli.as_str()).args([
            "run-user-commands",
            "--container-id",
            &self.id,
            "--workspace-folder",
            workspace,
        ]))
    }

    fn exec(&self, command: &[&str]) -> Result<Duration> {
        time(program("docker").args(["exec", &self.id]).args(command))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // What is left of it says so by its name in `docker ps`.
        let _ = docker(["rm", "--force", &self.id]);
    }
}

/// The tests' caches, as `CONTRIBUTING.md` names them.
pub(crate) fn cache_dir() -> Result<Utf8PathBuf> {
    if let Ok(path) = std::env::var("BURROW_TEST_CACHE") {
        return Ok(path.into());
    }
    let home = std::env::var("HOME").context("HOME")?;
    let cache = Utf8PathBuf::from(home).join(".cache/burrow-tests");
    ensure!(cache.is_dir(), "{cache} is not there: run `make test` once");
    Ok(cache)
}

#[expect(clippy::disallowed_methods, reason = "a bench writes what the daemon then reads")]
fn write(path: &Utf8PathBuf, text: &str) -> Result<()> {
    Ok(std::fs::write(path, text)?)
}
