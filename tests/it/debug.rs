//! Debug ports, leases and sessions: through the built binary, with the real dlv and a real program.
#![expect(clippy::disallowed_methods, reason = "a test dials the relay as an editor, and as others who should not")]

mod editor; // the debug client
mod following; // a program that starts anew
mod kinds; // what can be launched, attached to, leased
mod network; // who else is on the network
pub(crate) mod output; // what a program shows
mod published; // from outside of a dev container
mod recipes; // how other tools reach the ports

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use burrow_protocol::debug::{LeaseEndpoint, LeaseState, LeaseStatus, PortState, PortStatus};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::sandbox::{Sandbox, eventually};
use crate::wire::Peer;
use editor::Editor;

/// How long an end may take to be complete, on a machine that has other work to do.
const SOON: Duration = Duration::from_secs(40);

/// The fixture with the real tools.
fn debuggable() -> Sandbox {
    let sandbox = Sandbox::fixture("hello-api").with_tools().limit(Duration::from_secs(300));
    sandbox.burrow(["up", "--only", "tools"]).exits(0);
    sandbox
}

/// An editor knows a folder by the path by which it was opened: what that leads to is the workspace.
#[test]
fn a_lease_finds_the_workspace_behind_a_link() {
    let sandbox = Sandbox::bare().write("api/go.mod", "module example.com/api\n").write("main.go", "package main\n");
    sandbox.burrow(["start"]).exits(0);
    let adapter = std::os::unix::net::UnixListener::bind(sandbox.root().join("own.sock")).expect("listen");
    let (link, api) = (sandbox.root().join("link"), sandbox.workspace().join("api"));
    std::os::unix::fs::symlink(sandbox.workspace(), &link).expect("link");
    let mut peer = Peer::open(&sandbox.socket(), &[&link, &api]).expect("connect");
    for (path, expected, why) in [
        (link.clone(), sandbox.workspace(), "the folder itself"),
        (link.join("main.go"), sandbox.workspace(), "a file in it"),
        (link.join("api/go.mod"), api.as_path(), "the innermost workspace around it"),
    ] {
        let to = format!("unix:{}/own.sock", sandbox.root());
        let params = json!({ "workspace": path, "kind": "adopt", "to": to });
        let answer = peer.request("burrow/debug/lease", &params).expect("answer");
        assert_eq!(answer["result"]["lease"]["workspace"], expected.as_str(), "{why}: {answer}");
    }
    let refused = peer.request("burrow/debug/lease", &json!({ "workspace": sandbox.root(), "kind": "dap" }));
    assert_eq!(refused.expect("answer")["error"]["data"]["code"], "BUR204", "no workspace is around it");
    drop(adapter);
}

/// `burrow debug try` stops where it is told, shows what is there, and leaves nothing.
#[test]
fn self_test_shows_where_the_program_stopped() {
    let sandbox = debuggable();
    let tried = sandbox.burrow(["debug", "try"]).exits(0);
    assert!(tried.stdout().starts_with("stopped in main.main at main.go:"), "{}", tried.whole());
    assert_nothing_left(&sandbox);

    let line = line_of(&sandbox, "visits[name]++");
    let target = format!("main.go:{line}");
    let tried = sandbox.burrow(["debug", "try", &target, "--request", "GET /greet?name=Ada", "--json"]).exits(0).json();
    let stop = &tried["stops"][0];
    assert_eq!(stop["function"], "main.(*Greeter).greet");
    assert_eq!(stop["line"], line);
    assert_eq!(stop["source"], "visits[name]++");
    let variables = stop["variables"].as_array().expect("variables");
    assert!(variables.contains(&json!({ "name": "name", "type": "string", "value": "\"Ada\"" })), "{variables:?}");
    assert_eq!(tried["response"]["status"], "HTTP/1.1 200 OK");
    assert!(tried["response"]["body"].as_str().expect("a body").contains("Hello, Ada!"), "{tried}");
    assert_nothing_left(&sandbox);
}

/// A failing self-test says which step failed and why, with its code, and leaves nothing.
#[test]
fn self_test_says_what_is_wrong() {
    let sandbox = debuggable();
    let nowhere = sandbox.burrow(["debug", "try", "main.nowhere"]).exits(1);
    nowhere.tells("BUR507").tells("main.nowhere");
    assert_nothing_left(&sandbox);

    sandbox.change("main_broken.go", "package main\n\nfunc broken() { return 1 }\n");
    sandbox.burrow(["debug", "try"]).exits(1).tells("BUR508").tells("main_broken.go:3").tells("too many return values");
    assert_nothing_left(&sandbox);

    sandbox.change("main_broken.go", "package main\n");
    sandbox.change("cmd/one/main.go", "package main\n\nfunc main() {}\n");
    sandbox.burrow(["debug", "try", "--program", "cmd"]).exits(1).tells("BUR111").tells("./cmd/one");
}

/// Connect-and-close, a web page's POST and another protocol leave the lease to the debug client that comes later; from
/// then on the port refuses, and when the client is gone without a word, so is everything else.
#[test]
fn lease_is_for_the_first_debug_client() {
    let sandbox = debuggable();
    let lease = lease(&sandbox);
    let address = address(&lease);
    drop(TcpStream::connect(address).expect("connect"));
    let post = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";
    for said in [&post[..], b"SSH-2.0-probe\r\n", b"content-length: 2\r\n\r\n{}"] {
        assert_hung_up(address, said);
    }
    let silent = TcpStream::connect(address).expect("connect");
    assert_eq!(state(&sandbox, &lease), Some(LeaseState::Leased), "nobody has used it up");

    let editor = stopped_in_main(&sandbox, address);
    assert_eq!(state(&sandbox, &lease), Some(LeaseState::Connected));
    let refused = TcpStream::connect(address).expect_err("a second client is refused");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(!debug_binaries(&sandbox).is_empty(), "dlv builds where the lease says");

    drop((editor, silent));
    assert_nothing_left(&sandbox);
}

/// dlv killed by a signal leaves neither the program, nor its binary, nor the lease.
#[test]
fn killed_dlv_leaves_nothing() {
    let sandbox = debuggable();
    let lease = lease(&sandbox);
    let _editor = stopped_in_main(&sandbox, address(&lease));
    signal(lease.pid.expect("dlv's process"), Signal::KILL);
    assert_nothing_left(&sandbox);
}

/// A daemon killed in a session takes dlv and the program with it; the next one removes what is left, and has its ports.
#[test]
fn killed_daemon_leaves_nothing_to_the_next() {
    let sandbox = debuggable();
    let lease = lease(&sandbox);
    let _editor = stopped_in_main(&sandbox, address(&lease));
    sandbox.kill_daemon();
    sandbox.burrow(["start"]).exits(0);
    assert_nothing_left(&sandbox);
    for port in sandbox.ports() {
        assert!(TcpListener::bind(("127.0.0.1", port)).is_err(), "{port} is held");
    }
    let next = self::lease(&sandbox);
    assert_ne!(next.id, lease.id, "a name means one lease");
    sandbox.burrow(["debug", "release", &next.id]).exits(0).tells("has ended: released");
    assert_nothing_left(&sandbox);
}

/// Daemon and dlv killed at one time: neither has removed the binary, and the next daemon does.
#[test]
fn next_daemon_removes_what_both_left() {
    let sandbox = debuggable();
    let lease = lease(&sandbox);
    let _editor = stopped_in_main(&sandbox, address(&lease));
    let daemon = sandbox.daemon_pid().expect("a daemon");
    signal(daemon, Signal::STOP);
    signal(lease.pid.expect("dlv's process"), Signal::KILL);
    sandbox.kill_daemon();
    assert_eq!(debug_binaries(&sandbox).len(), 1, "nobody was there to remove it");
    sandbox.burrow(["start"]).exits(0);
    assert_nothing_left(&sandbox);
}

/// `burrow stop` ends a session within its five seconds.
#[test]
fn stopped_daemon_ends_its_sessions() {
    let sandbox = debuggable();
    let lease = lease(&sandbox);
    let mut editor = stopped_in_main(&sandbox, address(&lease));
    let stopped = sandbox.burrow(["stop"]).exits(0);
    assert!(stopped.took() < Duration::from_secs(6), "{:?}", stopped.took());
    editor.sees_the_end();
    assert_eq!(debug_binaries(&sandbox), Vec::<String>::new());
    sandbox.burrow(["start"]).exits(0);
    assert_nothing_left(&sandbox);
}

/// Eleven leases at one time; the twelfth is told who has them, and which port can be taken back.
#[test]
fn twelfth_lease_is_told_who_has_the_ports() {
    let sandbox = debuggable();
    let leases: Vec<_> = sandbox.ports().map(|_| lease(&sandbox)).collect();
    let first = *sandbox.ports().start();
    let refused = sandbox.burrow(["debug", "lease"]).exits(1);
    let refused = refused.tells("BUR501").tells(&format!("burrow debug reclaim {first}"));
    for (lease, port) in leases.iter().zip(sandbox.ports()) {
        assert!(refused.stderr().contains(&format!("{port}: ")), "{}", refused.whole());
        assert!(refused.stderr().contains(&lease.id), "{}", refused.whole());
    }
    let wanted = first.to_string();
    sandbox.burrow(["debug", "lease", "--port", &wanted]).exits(1).tells("BUR503").tells(&leases[0].id);
    sandbox.burrow(["debug", "reclaim", &wanted]).exits(0).tells("its port was reclaimed");
    let again = lease(&sandbox);
    assert_eq!(again.endpoint, LeaseEndpoint::Port { port: first });
    for lease in leases.iter().skip(1).chain([&again]) {
        sandbox.burrow(["debug", "release", &lease.id]).exits(0);
    }
    assert_nothing_left(&sandbox);
}

/// Ports that somebody else has are foreign, named by process, and come back once they are free.
#[test]
fn foreign_ports_are_named_and_tried_again() {
    let sandbox = debuggable();
    sandbox.burrow(["stop"]).exits(0);
    let listeners: Vec<_> = sandbox.ports().map(|port| TcpListener::bind(("0.0.0.0", port)).expect("bind")).collect();
    sandbox.burrow(["start"]).exits(0);
    let own = std::process::id();
    let port = *sandbox.ports().start();
    let taken = sandbox.burrow(["debug", "lease"]).exits(1).tells("BUR501");
    assert_eq!(taken.stderr().matches(&format!("(pid {own})")).count(), listeners.len(), "{}", taken.whole());
    let wanted = port.to_string();
    sandbox.burrow(["debug", "lease", "--port", &wanted]).exits(1).tells("BUR502").tells(&format!("(pid {own})"));

    drop(listeners);
    let lease = lease(&sandbox);
    assert_eq!(lease.endpoint, LeaseEndpoint::Port { port }, "asking tries them again at once");
    sandbox.burrow(["debug", "release", &lease.id]).exits(0);
    assert_nothing_left(&sandbox);
}

/// An outgoing connection that happens to sit on a port is told as one; the other ports serve.
#[test]
fn outgoing_connection_on_a_port_is_told() {
    let sandbox = debuggable();
    sandbox.burrow(["stop"]).exits(0);
    let port = *sandbox.ports().start();
    let server = TcpListener::bind("127.0.0.1:0").expect("bind");
    let far = server.local_addr().expect("address");
    let outgoing = Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket");
    outgoing.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into()).expect("bind");
    outgoing.connect(&far.into()).expect("connect");
    sandbox.burrow(["start"]).exits(0);

    let foreign = eventually("the holder is named", SOON, || {
        let status = port_status(&sandbox, port);
        if status.pid == Some(std::process::id()) { Ok(status) } else { Err(format!("{status:?}")) }
    });
    assert_eq!(foreign.state, PortState::Foreign);
    let holder = foreign.holder.expect("a holder");
    assert!(holder.ends_with(&format!(", connected to {far}")), "{holder}");
    let lease = lease(&sandbox);
    assert_eq!(lease.endpoint, LeaseEndpoint::Port { port: port + 1 });
    sandbox.burrow(["debug", "release", &lease.id]).exits(0);

    // A reset leaves no TIME_WAIT.
    outgoing.set_linger(Some(Duration::ZERO)).expect("linger");
    drop((outgoing, server));
    sandbox.burrow(["debug", "reclaim", &port.to_string()]).exits(0);
    assert_nothing_left(&sandbox);
}

/// What is asked wrongly is refused with its code.
#[test]
fn wrong_requests_are_refused() {
    let sandbox = Sandbox::fixture("hello-api");
    sandbox.burrow(["start"]).exits(0);
    sandbox.burrow(["debug", "lease"]).exits(1).tells("BUR505").tells("burrow up --only tools");
    sandbox.burrow(["debug", "lease", "--port", "80"]).exits(1).tells("BUR509");
    sandbox.burrow(["debug", "release", "lease-99"]).exits(1).tells("BUR504");
    sandbox.burrow(["debug", "reclaim", "80"]).exits(1).tells("BUR509");
    let free = sandbox.ports().start().to_string();
    sandbox.burrow(["debug", "reclaim", &free]).exits(0).tells("was free");
    sandbox.burrow(["debug", "try", "main.go:0"]).exits(2);
    assert_nothing_left(&sandbox);
}

/// A lease that somebody ends while its program is still being built is told as what it is to who asked for it.
#[test]
fn a_lease_that_ends_while_it_begins_says_why() {
    let sandbox = debuggable();
    sandbox.change("wait.sh", "#!/bin/sh\ntouch begun\nwhile :; do sleep 0.05; done\n");
    let script = sandbox.workspace().join("wait.sh");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mode");
    // The compiler waits for ever.
    let sandbox = sandbox.env("GOFLAGS", format!("-toolexec={script}"));
    let port = sandbox.ports().start().to_string();
    for (ends, code, said) in [
        (&["debug", "release", "lease-1"][..], 1, "released"),
        (&["debug", "reclaim", &port], 1, "its port was reclaimed"),
        (&["stop"], 4, "BUR101"),
    ] {
        let asking = sandbox.spawn(["debug", "lease", "--headless", "debug", "."]);
        let begun = sandbox.workspace().join("begun");
        eventually("the build is under way", SOON, || std::fs::remove_file(&begun));
        sandbox.burrow(ends.iter().copied()).exits(0);
        asking.finish().exits(code).tells(said);
    }
    sandbox.burrow(["start"]).exits(0);
    assert_nothing_left(&sandbox);
}

/// What dlv printed can be read, also when the lease is over.
#[test]
fn log_of_a_lease_outlives_it() {
    let sandbox = debuggable();
    let lease = lease(&sandbox);
    sandbox.burrow(["debug", "release", &lease.id]).exits(0);
    let mut peer = Peer::open(&sandbox.socket(), &[sandbox.workspace()]).expect("connect");
    let params = json!({ "id": lease.id, "offset": 0 });
    let piece = peer.request("burrow/debug/readLog", &params).expect("answer")["result"].take();
    let reads = piece["reads"].as_array().expect("reads");
    let text: String = reads.iter().filter_map(|read| read["text"].as_str()).collect();
    assert!(text.contains("DAP server listening at:"), "{piece}");
    let rest = json!({ "id": lease.id, "offset": piece["next"] });
    assert_eq!(peer.request("burrow/debug/readLog", &rest).expect("answer")["result"]["ended"], true);
    assert_nothing_left(&sandbox);
}

/// Debugs the sandbox's program, which stands in `main.main` when this returns.
fn stopped_in_main(sandbox: &Sandbox, address: SocketAddr) -> Editor {
    let mut editor = Editor::connect(address);
    editor.launch(json!({ "mode": "debug", "program": sandbox.workspace() }));
    editor.run_to(&["main.main"]);
    editor.stopped();
    editor
}

/// `burrow debug lease`.
fn lease(sandbox: &Sandbox) -> LeaseStatus {
    let lease: LeaseStatus = sandbox.burrow(["debug", "lease", "--json"]).exits(0).parse();
    assert_eq!(lease.state, LeaseState::Leased);
    lease
}

fn address(lease: &LeaseStatus) -> SocketAddr {
    let LeaseEndpoint::Port { port } = lease.endpoint else { panic!("{:?}", lease.endpoint) };
    ([127, 0, 0, 1], port).into()
}

fn state(sandbox: &Sandbox, lease: &LeaseStatus) -> Option<LeaseState> {
    sandbox.status().leases.iter().find(|known| known.id == lease.id).map(|known| known.state)
}

fn port_status(sandbox: &Sandbox, port: u16) -> PortStatus {
    sandbox.status().ports.into_iter().find(|status| status.port == port).expect("a debug port")
}

/// Says `bytes`, and is hung up on without an answer.
fn assert_hung_up(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(SOON)).expect("timeout");
    stream.write_all(bytes).expect("write");
    let mut answer = Vec::new();
    // Bytes that nobody read make the close a reset.
    let end = stream.read_to_end(&mut answer);
    let reset = matches!(&end, Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset);
    assert!(end.is_ok() || reset, "{end:?}");
    assert_eq!(answer, b"", "nobody answers");
}

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
    kill_process(pid, signal).expect("signal");
}

/// The line of main.go that contains `text`, from 1.
fn line_of(sandbox: &Sandbox, text: &str) -> usize {
    let source = sandbox.read("main.go").expect("main.go");
    source.lines().position(|line| line.contains(text)).expect("the line") + 1
}

fn debug_binaries(sandbox: &Sandbox) -> Vec<String> {
    let entries = sandbox.workspace().read_dir_utf8().expect("workspace");
    entries.flatten().map(|entry| entry.file_name().to_owned()).filter(|name| name.starts_with("__debug_bin")).collect()
}

/// Soon there is no lease, no process of a session, no debug binary, no socket of dlv's, and every port is free.
fn assert_nothing_left(sandbox: &Sandbox) {
    let daemon = sandbox.daemon_pid();
    eventually("nothing of the session is left", SOON, || {
        let status = sandbox.status();
        let mut left: Vec<Value> = status.leases.iter().map(|lease| json!({ "lease": lease.id })).collect();
        let busy = status.ports.iter().filter(|port| port.state != PortState::Free);
        left.extend(busy.map(|port| json!({ "port": port.port, "state": port.state })));
        left.extend(debug_binaries(sandbox).into_iter().map(|name| json!({ "binary": name })));
        let processes = sandbox.processes().into_iter().filter(|process| Some(process.pid) != daemon);
        left.extend(processes.map(|process| json!({ "process": process.to_string() })));
        let sockets = sandbox.state_dir().join("debug").read_dir_utf8().into_iter().flatten().flatten();
        let sockets = sockets.map(|entry| entry.path().join("dlv.sock")).filter(|path| path.exists());
        left.extend(sockets.map(|path| json!({ "socket": path })));
        if left.is_empty() { Ok(()) } else { Err(Value::from(left)) }
    });
}
