//! Which container this is, and what its engine says of it and of no other.

use std::time::Duration;

use serde_json::{Value, json};

use super::engine::docker_prints;
use super::plain::PlainContainer;
use super::starts::identity;
use crate::sandbox::{Sandbox, eventually};

const SOON: Duration = Duration::from_secs(60);
const SOCKET: &str = "/var/run/docker.sock";

fn around(container: &PlainContainer) -> Value {
    container.exec_as("root", ["burrow", "status", "--json"]).json()["surroundings"].clone()
}

/// What the engine says, once it was asked.
fn told_by_engine(container: &PlainContainer) -> Value {
    eventually("the engine is asked", SOON, || {
        let around = around(container);
        if around["knownBy"] == "engine" { Ok(around) } else { Err(around.to_string()) }
    })
}

fn inspect(container: &PlainContainer, what: &str) -> String {
    docker_prints(["inspect", "--format", what, container.id()])
}

/// `/etc/hostname` is the other container's there, as in a dev container with `network_mode: service:db`.
#[test]
fn in_the_network_of_another_container_it_is_itself() {
    let publish = ["--publish", "127.0.0.1::40000", "--label", "of=db"];
    let db = PlainContainer::entrypoint(Sandbox::bare(), &publish, &["sleep", "infinity"]);
    let (network, mount) = (format!("container:{}", db.id()), format!("{SOCKET}:{SOCKET}"));
    let options = ["--network", &network, "--volume", &mount, "--label", "of=app"];
    let app = PlainContainer::entrypoint(Sandbox::bare(), &options, &["sleep", "infinity"]);
    let first = identity(&app);
    assert_ne!(first["id"], identity(&db)["id"]);
    let copy = app.beside(true, &options);
    let second = identity(&copy);
    assert_ne!(second["id"], first["id"], "a copy in the same network is another container");

    for container in [&app, &copy] {
        let around = told_by_engine(container);
        assert_eq!(around["engineId"], container.id());
        assert_eq!(around["name"], inspect(container, "{{.Name}}").trim_start_matches('/'));
        assert_eq!(around["image"], inspect(container, "{{.Config.Image}}"));
        assert_eq!(around["labels"]["of"], "app");
        let workspace = container.sandbox().workspace().as_str();
        assert!(around["mounts"].as_array().unwrap().iter().any(|mount| mount["hostPath"] == workspace), "{around:#}");
        let host_port: u16 = docker_prints(["port", db.id(), "40000/tcp"]).rsplit(':').next().unwrap().parse().unwrap();
        let published = json!([{ "port": 40000, "hostAddress": "127.0.0.1", "hostPort": host_port }]);
        assert_eq!(around["published"], published, "who reaches the network's ports reaches this container's");
    }

    let of_host = app.sandbox().workspace().as_str();
    let refused = app.exec_as("root", ["burrow", "--workspace", of_host, "up"]);
    refused.exits(1).tells("that is its path on the host: name /workspaces/workspace");

    docker_prints(["restart", "--time", "1", app.id()]);
    assert_eq!(identity(&app)["id"], first["id"], "a restart is no other container");
}

/// The Feature docker-outside-of-docker puts the socket where it belongs after Burrow's own entrypoint ran; and a user
/// follows the hints.
#[test]
fn what_gets_better_is_seen() {
    let mount = format!("{SOCKET}:/var/run/docker-host.sock");
    let container = PlainContainer::entrypoint(Sandbox::bare(), &["--volume", &mount], &["sleep", "infinity"]);
    identity(&container);
    let as_root = |line: &str| container.exec_as("root", ["sh", "-c", line]).exits(0);
    as_root("mkdir -p /var/cache/burrow/mod && chown 77:77 /var/cache/burrow/mod && burrow restart");
    let hint = eventually("whose the folder is", SOON, || {
        let around = around(&container);
        let hint = around["notes"][0]["hint"].as_str().map(str::to_owned);
        if around["knownBy"] == "proc" { hint.ok_or(around.to_string()) } else { Err(around.to_string()) }
    });
    as_root(hint.strip_prefix("as root: ").unwrap());
    eventually("the note is gone", SOON, || {
        let around = around(&container);
        if around["notes"] == json!([]) { Ok(()) } else { Err(around.to_string()) }
    });
    as_root(&format!("ln -s docker-host.sock {SOCKET}"));
    assert_eq!(told_by_engine(&container)["engineId"], container.id());
}
