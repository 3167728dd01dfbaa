//! Once a container, and once a start of it: every way in which containers are started, stopped and copied.

use std::time::Duration;

use serde_json::Value;

use super::engine::{self, docker_prints};
use super::plain::PlainContainer;
use crate::sandbox::{BURROW, Run, Sandbox, eventually};

const SOON: Duration = Duration::from_secs(60);
const HOOKS: [&str; 2] = ["postCreate", "postStart"];

fn sandbox() -> Sandbox {
    HOOKS.into_iter().fold(Sandbox::bare(), |sandbox, hook| sandbox.hook(hook, format!("echo x >>{hook}")))
}

/// How often each hook ran.
fn counts(container: &PlainContainer) -> [usize; 2] {
    HOOKS.map(|hook| container.sandbox().read(hook).map_or(0, |text| text.lines().count()))
}

/// Brings what is due, as root: no Feature says that anybody else is meant.
fn up(container: &PlainContainer) {
    container.exec_as("root", ["burrow", "up"]);
}

/// The container's identity, from the daemon that its entrypoint started.
pub(super) fn identity(container: &PlainContainer) -> Value {
    eventually("the daemon is there", SOON, || {
        let run = container.exec_as("root", ["burrow", "status", "--json"]);
        if matches!(run.code(), 0 | 3) { Ok(run.json()["container"].clone()) } else { Err(run.whole()) }
    })
}

#[test]
fn a_start_is_a_start_and_a_copy_is_another_container() {
    let container = PlainContainer::entrypoint(sandbox(), &[], &["sleep", "infinity"]);
    let first = identity(&container);
    up(&container);
    up(&container);
    assert_eq!(counts(&container), [1, 1], "a new container");

    docker_prints(["restart", "--time", "1", container.id()]);
    let restarted = identity(&container);
    assert_eq!(restarted["id"], first["id"]);
    assert_ne!(restarted["startId"], first["startId"]);
    up(&container);
    assert_eq!(counts(&container), [1, 2], "a restart");

    let copy = container.beside(true, &[]);
    assert_ne!(identity(&copy)["id"], first["id"], "it has the first one's files, and is another");
    up(&copy);
    assert_eq!(counts(&copy), [2, 3], "a copy is a new container");

    let other = container.beside(false, &[]);
    up(&other);
    assert_eq!(counts(&other), [3, 4], "two containers on one workspace: each for itself");
    up(&container);
    assert_eq!(counts(&other), [3, 4], "and what one did changes nothing for the other");
}

/// The first process is the machine's or another container's there, and its start does not change with this container's.
#[test]
#[ignore = "slow: part of `make test-all`"]
fn a_shared_pid_namespace() {
    let other = PlainContainer::start(Sandbox::bare());
    let others = format!("container:{}", other.id());
    for options in [["--pid", "host"].as_slice(), &["--pid", "host", "--init"], &["--pid", &others]] {
        let container = PlainContainer::entrypoint(sandbox(), options, &["sleep", "infinity"]);
        let first = identity(&container);
        assert_eq!(identity(&container), first, "{options:?}");
        up(&container);
        assert_eq!(counts(&container), [1, 1], "{options:?}");
        docker_prints(["stop", "--time", "1", container.id()]);
        docker_prints(["start", container.id()]);
        let second = identity(&container);
        assert_eq!(second["id"], first["id"], "{options:?}");
        assert_ne!(second["startId"], first["startId"], "{options:?}");
        up(&container);
        assert_eq!(counts(&container), [1, 2], "{options:?}");
    }
}

/// Compose by its own tool.
#[test]
#[ignore = "slow: part of `make test-all`"]
fn a_service_of_compose() {
    engine::require(&Sandbox::cache_dir());
    let sandbox = sandbox();
    let text = format!(
        "version: \"3.7\"\nservices:\n  app:\n    image: {}\n    working_dir: /w\n    volumes: [\"{BURROW}:/usr/local/bin/burrow:ro\", \"{}:/w\"]\n    \
         entrypoint: [burrow, entrypoint, --]\n    command: [sleep, infinity]\n",
        engine::IMAGE,
        sandbox.workspace()
    );
    sandbox.change("compose.yaml", &text);
    let project = Project { sandbox: &sandbox };
    let compose = |words: &[&str]| project.compose(words);
    compose(&["up", "-d"]).exits(0);
    let count = |hook| sandbox.read(hook).map_or(0, |text| text.lines().count());
    compose(&["exec", "-T", "app", "burrow", "up"]);
    assert_eq!((count("postCreate"), count("postStart")), (1, 1), "a new container");
    compose(&["restart", "-t", "1"]).exits(0);
    eventually("the daemon is there", SOON, || {
        let run = compose(&["exec", "-T", "app", "burrow", "status"]);
        if matches!(run.code(), 0 | 3) { Ok(()) } else { Err(run.whole()) }
    });
    compose(&["exec", "-T", "app", "burrow", "up"]);
    assert_eq!((count("postCreate"), count("postStart")), (1, 2), "a restart");
}

/// What compose.yaml of a sandbox's workspace makes; it is taken down on drop.
struct Project<'a> {
    sandbox: &'a Sandbox,
}

impl Project<'_> {
    fn compose(&self, words: &[&str]) -> Run {
        let name = self.sandbox.root().file_name().unwrap().to_lowercase().replace('.', "");
        let mut command = self.sandbox.command("docker-compose");
        command.args(["-f", "compose.yaml", "-p", &name]).args(words);
        self.sandbox.run(command)
    }
}

impl Drop for Project<'_> {
    fn drop(&mut self) {
        self.compose(&["down", "-t", "1"]);
    }
}
