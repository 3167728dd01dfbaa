//! Debugging in a dev container from outside of it: through a published port, from its network namespace, from a sibling.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use super::SOON;
use super::editor::Editor;
use super::network::HELLO;
use crate::container::devcontainer::DevContainer;
use crate::container::engine::{self, docker, docker_prints};
use crate::sandbox::{Sandbox, eventually};

/// The port of the host that leads to the container's 40000.
fn published(container: &DevContainer) -> SocketAddr {
    docker_prints(["port", container.id(), "40000/tcp"]).lines().next().unwrap().parse().unwrap()
}

fn lease(container: &DevContainer) -> Value {
    // The one before may still be ending.
    eventually("the port is free", SOON, || {
        let run = container.exec(["burrow", "debug", "lease", "--port", "40000", "--json"]);
        if run.code() == 0 { Ok(run.json()) } else { Err(run.whole()) }
    })
}

/// What a pod's port-forward does: a process of root's, in the container's network namespace and no other of its.
fn from_its_network(container: &DevContainer) -> bool {
    let pid = docker_prints(["inspect", "--format", "{{.State.Pid}}", container.id()]);
    let namespace = std::fs::File::open(format!("/proc/{pid}/ns/net")).unwrap();
    std::thread::spawn(move || {
        rustix::thread::move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&namespace),
            Some(rustix::thread::LinkNameSpaceType::Network),
        )
        .unwrap();
        says_hello(SocketAddr::from(([127, 0, 0, 1], 40000)))
    })
    .join()
    .unwrap()
}

fn says_hello(to: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&to, SOON) else { return false };
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut answer = [0; 15];
    stream.write_all(HELLO).is_ok() && stream.read_exact(&mut answer).is_ok() && &answer == b"Content-Length:"
}

/// From the host, through a port that the engine publishes, to a breakpoint; and who else gets there.
#[test]
#[ignore = "slow: part of `make test-all`"]
fn a_breakpoint_through_a_published_port() {
    let sandbox = Sandbox::fixture("hello-api")
        .with_tools()
        .property("runArgs", json!(["--publish", "127.0.0.1::40000", "--label", "of=hello"]))
        .setting("debug", json!({ "bind": "all" }));
    let socket = "type=bind,source=/var/run/docker.sock,target=/var/run/docker.sock";
    let mut container = DevContainer::new(sandbox).with_mount(socket);
    container.up().exits(0);

    lease(&container);
    let mut editor = Editor::connect(published(&container));
    editor.launch(json!({ "mode": "debug", "program": "/workspaces/workspace" }));
    editor.run_to(&["main.main"]);
    let stopped = editor.stopped();
    assert_eq!(editor.frame(&stopped).name, "main.main");
    editor.disconnect(true);

    lease(&container);
    assert!(from_its_network(&container), "a pod's port-forward gets there");
    lease(&container);
    let address = docker_prints(["inspect", "--format", "{{.NetworkSettings.IPAddress}}", container.id()]);
    let script = format!(
        "exec 3<>/dev/tcp/{address}/40000 || exit 4; printf %s \"$HELLO\" >&3; head -c 1 <&3 | grep -q . && exit 0; exit 5"
    );
    let hello = format!("HELLO={}", std::str::from_utf8(HELLO).unwrap());
    let sibling = docker(["run", "--rm", "--env", &hello, engine::IMAGE, "bash", "-c", &script]);
    assert_eq!(sibling.status.code(), Some(5), "a sibling container is turned away: {sibling:?}");

    // remoteUser may not speak to the engine: that is told, and nothing fails.
    let told = container.exec(["burrow", "status"]).stdout().to_owned();
    assert!(told.contains("BUR702") && told.contains("Permission denied"), "{told}");
    let group = docker_prints(["exec", "--user", "root", container.id(), "stat", "-c", "%g", "/var/run/docker.sock"]);
    let join = format!("groupadd -o -g {group} engine && usermod -aG engine vscode");
    container.exec_as("root", ["sh", "-c", &join]).exits(0);
    container.restart();
    let around = eventually("the engine is asked", SOON, || {
        let status = container.exec(["burrow", "status", "--json"]).stdout().to_owned();
        let around =
            serde_json::from_str::<Value>(&status).map(|status| status["surroundings"].clone()).unwrap_or_default();
        if around["knownBy"] == "engine" { Ok(around) } else { Err(status) }
    });
    let host_port = published(&container).port();
    assert_eq!(around["published"], json!([{ "port": 40000, "hostAddress": "127.0.0.1", "hostPort": host_port }]));
    assert_eq!(around["labels"]["of"], "hello");
    let local = container.sandbox().workspace().as_str();
    assert_eq!(around["labels"]["devcontainer.local_folder"], local);
    let told = container.exec(["burrow", "status"]).stdout().to_owned();
    assert!(told.contains(&format!("published: 40000 on 127.0.0.1:{host_port}")), "{told}");
    assert!(told.contains(&format!("on the host, /workspaces/workspace is {local}")), "{told}");
}
