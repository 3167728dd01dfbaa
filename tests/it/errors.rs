//! What can be wrong with a machine or a workspace: each is told with its code and the next step, and holds up nothing else.

use std::net::TcpListener;

use burrow_protocol::debug::PortState;
use burrow_protocol::error::ErrorCode;
use burrow_protocol::model::WorkspaceState;

use crate::sandbox::{Run, Sandbox};

/// `up` ends with "attention needed"; it and the status tell `code`, with a hint and `words`.
#[track_caller]
fn up_tells(sandbox: &Sandbox, code: ErrorCode, words: &[&str]) {
    let up = sandbox.burrow(["up"]).exits(3);
    tells(&up, code, words);
    let workspace = sandbox.workspace_status();
    assert_eq!(workspace.state, WorkspaceState::Attention);
    let reason = workspace.reasons.iter().find(|reason| reason.code.as_deref() == Some(code.code()));
    let reason = reason.unwrap_or_else(|| panic!("{} is among {:?}", code.code(), workspace.reasons));
    assert!(reason.hint.is_some(), "the status has the next step: {reason:?}");
    for word in words {
        assert!(reason.message.contains(word), "the status tells {word:?}: {}", reason.message);
    }
}

#[track_caller]
fn tells(run: &Run, code: ErrorCode, words: &[&str]) {
    let told = format!("{}{}", run.stdout(), run.stderr());
    for word in [code.code(), "hint: "].iter().chain(words) {
        assert!(told.contains(word), "{word:?} is told: {}", run.whole());
    }
}

#[test]
fn no_go_on_path() {
    let has_go = |folder: &std::path::PathBuf| folder.join("go").exists();
    let path = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(std::env::split_paths(&path).filter(|folder| !has_go(folder))).unwrap();
    let sandbox = Sandbox::new().env("PATH", path.into_string().unwrap()).hook("postStart", "echo ran >> ran");
    up_tells(&sandbox, ErrorCode::NoGo, &["Go"]);
    assert_eq!(sandbox.read("ran").as_deref(), Some("ran\n"), "hooks run all the same");
}

#[test]
fn go_older_than_the_workspace_asks_for() {
    let sandbox = Sandbox::new().env("GOTOOLCHAIN", "local").write("go.mod", "module example.com/new\n\ngo 1.99\n");
    up_tells(&sandbox, ErrorCode::GoTooOld, &["1.99", "go.mod"]);
}

#[test]
fn no_network() {
    // Nobody listens there: that is how a proxy looks without a network.
    let sandbox = Sandbox::new().env("GOPROXY", "http://127.0.0.1:9").hook("postStart", "echo ran >> ran");
    up_tells(&sandbox, ErrorCode::Download, &["127.0.0.1:9"]);
    assert_eq!(sandbox.read("ran").as_deref(), Some("ran\n"), "hooks run all the same");
}

#[test]
fn broken_devcontainer_json() {
    let text = "{\n  \"postCreateCommand\": \"echo ran >> ran\"\n  \"name\": \"no comma before it\"\n}\n";
    let sandbox = Sandbox::new().write(".devcontainer/devcontainer.json", text);
    up_tells(&sandbox, ErrorCode::ConfigSyntax, &[".devcontainer/devcontainer.json:2:41"]);
}

#[test]
fn devcontainer_json_with_a_value_of_the_wrong_kind() {
    let sandbox = Sandbox::new().hook("postCreate", "echo ran >> ran").hook("postStart", 7);
    up_tells(&sandbox, ErrorCode::ConfigValue, &["devcontainer.json", "postStartCommand"]);
    assert_eq!(sandbox.read("ran").as_deref(), Some("ran\n"), "a mistake does not hide the rest");

    let sandbox = Sandbox::new().hook("postCreate", 7).hook("postStart", "echo ran >> ran");
    up_tells(&sandbox, ErrorCode::ConfigValue, &["devcontainer.json", "postCreateCommand"]);
    assert_eq!(sandbox.read("ran"), None, "what comes after it waits until it is mended");
}

#[test]
fn no_module_at_all() {
    up_tells(&Sandbox::bare(), ErrorCode::NoModule, &["go.mod"]);
}

/// The nearest module below the root decides, where the root has none.
#[test]
fn modules_below_the_root_are_found() {
    let sandbox = Sandbox::bare().write("services/api/go.mod", "module example.com/api\n\ngo 1.24\n").with_tools();
    sandbox.burrow(["up"]).exits(0);
    assert_eq!(sandbox.workspace_status().state, WorkspaceState::Ready);
}

#[test]
fn all_debug_ports_taken() {
    let sandbox = Sandbox::new().with_tools();
    let _taken: Vec<_> = sandbox.ports().map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap()).collect();
    sandbox.burrow(["start"]).exits(0);
    let lease = sandbox.burrow(["debug", "lease"]).exits(1);
    tells(&lease, ErrorCode::PortsTaken, &[&sandbox.ports().start().to_string()]);
}

/// No list of listeners shows it, and yet nobody can bind the port.
#[test]
fn outgoing_connection_on_a_debug_port() {
    let sandbox = Sandbox::new().with_tools();
    let port = *sandbox.ports().start();
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let outgoing = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    outgoing.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
    outgoing.connect(&peer.local_addr().unwrap().into()).unwrap();

    sandbox.burrow(["start"]).exits(0);
    let status = sandbox.status();
    let states: Vec<_> = status.ports.iter().map(|port| port.state).collect();
    assert_eq!(states[0], PortState::Foreign, "the port is known to be somebody else's");
    assert_eq!(states[1..], [PortState::Free; 10], "the others are held");
    let lease = sandbox.burrow(["debug", "lease", "--port", &port.to_string()]).exits(1);
    tells(&lease, ErrorCode::PortForeign, &[&port.to_string()]);
}

/// A state directory that cannot be made, here below a file.
#[test]
fn state_directory_that_cannot_be_made() {
    let sandbox = Sandbox::new().write("file", "");
    let below = sandbox.workspace().join("file/state").into_string();
    let sandbox = sandbox.env("BURROW_STATE_DIR", below);
    for command in ["start", "up"] {
        tells(&sandbox.burrow([command]).exits(1), ErrorCode::StateUnwritable, &["file/state"]);
    }
}

#[test]
fn settings_that_make_no_sense() {
    let sandbox = Sandbox::new().env("BURROW_PORTS", "x").env("BURROW_STORE_DIR", "relative");
    let start = sandbox.burrow(["start"]).exits(1);
    tells(&start, ErrorCode::BadSetting, &["BURROW_PORTS=x", "BURROW_STORE_DIR=relative"]);
}

#[test]
fn a_folder_that_is_none() {
    let sandbox = Sandbox::new();
    let up = sandbox.burrow(["up", "--workspace", "/nowhere/at/all"]).exits(1);
    tells(&up, ErrorCode::NoFolder, &["/nowhere/at/all"]);
}

/// What needs a mount of its own. Left out by `make test` where it is not root.
mod as_root {
    use super::{ErrorCode, Sandbox, tells};
    use crate::sandbox::BURROW;

    #[test]
    fn read_only_state_directory() {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.state_dir()).unwrap();
        for subcommand in ["start", "up"] {
            let mut command = sandbox.command("unshare");
            let mount = "mount -t tmpfs -o ro,mode=700 none \"$0\" && exec \"$@\"";
            command.args([
                "--mount",
                "--propagation",
                "private",
                "--",
                "sh",
                "-c",
                mount,
                sandbox.state_dir().as_str(),
            ]);
            command.args([BURROW, subcommand]);
            tells(&sandbox.run(command).exits(1), ErrorCode::StateUnwritable, &[sandbox.state_dir().as_str()]);
        }
    }
}
