//! Debug ports and who else is on the network: another user, another machine, one that falls silent, and a machine
//! without IPv6. Each daemon runs in a network namespace of its own; the tests need root for that.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use burrow_protocol::debug::{LeaseEndpoint, LeaseState, LeaseStatus};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space, set_thread_uid};
use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::editor::Editor;
use super::{address, assert_nothing_left, debuggable, lease, state, stopped_in_main};
use crate::sandbox::{Sandbox, eventually};

const SOON: Duration = Duration::from_secs(60);
const NOBODY: u32 = 65534;
/// The daemon's machine, the gateway of its default route, and another machine behind that.
const HERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);
pub(super) const HELLO: &[u8] =
    b"Content-Length: 121\r\n\r\n{\"seq\":1,\"type\":\"request\",\"command\":\"initialize\",\
    \"arguments\":{\"adapterID\":\"go\",\"linesStartAt1\":true,\"pathFormat\":\"path\"}}";

/// Two machines and a cable: the daemon's, and the one that its default route leads to.
struct Network {
    here: String,
    there: String,
}

impl Network {
    fn new(sandbox: &Sandbox) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("burrow-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let network = Self { here: format!("{name}-here"), there: format!("{name}-there") };
        let Self { here, there } = &network;
        for line in [
            format!("netns add {here}"),
            format!("netns add {there}"),
            format!("-n {here} link add cable type veth peer name cable netns {there}"),
            format!("-n {here} addr add {HERE}/24 dev cable"),
            format!("-n {there} addr add {GATEWAY}/24 dev cable"),
            format!("-n {there} addr add {NEIGHBOUR}/24 dev cable"),
            format!("-n {here} link set lo up"),
            format!("-n {here} link set cable up"),
            format!("-n {there} link set cable up"),
            format!("-n {here} route add default via {GATEWAY}"),
        ] {
            ip(sandbox, &line);
        }
        network
    }

    /// Starts the sandbox's daemon on this side.
    fn start_daemon(&self, sandbox: &Sandbox) {
        sandbox.burrow(["stop"]).exits(0);
        self.run_here(sandbox, &[crate::sandbox::BURROW, "start"]);
    }

    fn run_here(&self, sandbox: &Sandbox, words: &[&str]) {
        let mut command = sandbox.command("ip");
        command.args(["netns", "exec", &self.here]).args(words);
        sandbox.run(command).exits(0);
    }

    /// From now on nothing gets through the cable, and nobody is told.
    fn drop_packets(&self, sandbox: &Sandbox) {
        for chain in ["INPUT", "OUTPUT"] {
            let mut command = sandbox.command("ip");
            command.args(["netns", "exec", &self.there, "iptables", "-w", "-A", chain, "-j", "DROP"]);
            sandbox.run(command).exits(0);
        }
    }

    /// Does something on the daemon's side of the cable, or on the other.
    fn on<T: Send>(&self, name: &str, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{name}")).expect("a network namespace");
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("enter it");
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn here<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.on(&self.here, work)
    }

    fn there<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.on(&self.there, work)
    }
}

impl Drop for Network {
    #[expect(clippy::disallowed_methods, reason = "a test removes what it made, also where its sandbox is gone")]
    fn drop(&mut self) {
        for name in [&self.here, &self.there] {
            let _ = std::process::Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn ip(sandbox: &Sandbox, line: &str) {
    let mut command = sandbox.command("ip");
    command.args(line.split(' '));
    sandbox.run(command).exits(0);
}

/// A connection to `to` from the address `from`.
fn connect_from(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&to.into(), SOON)?;
    socket.set_read_timeout(Some(SOON))?;
    Ok(socket.into())
}

/// What comes back to a debug client's hello: an answer, or nothing.
fn says_hello(mut stream: TcpStream) -> Option<TcpStream> {
    stream.write_all(HELLO).ok()?;
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).ok()?;
    assert_eq!(&answer, b"Content-Length:");
    Some(stream)
}

fn port(lease: &LeaseStatus) -> u16 {
    let LeaseEndpoint::Port { port } = lease.endpoint else { panic!("{:?}", lease.endpoint) };
    port
}

fn release(sandbox: &Sandbox, lease: &LeaseStatus) {
    sandbox.burrow(["debug", "release", &lease.id]).exits(0);
    assert_nothing_left(sandbox);
}

/// Ports listen on the loopback interface. `bind: "all"` opens them to the gateway, `allow` to who is named, and status
/// says so.
#[test]
fn other_machines_as_root() {
    let sandbox = debuggable();
    let network = Network::new(&sandbox);
    network.start_daemon(&sandbox);
    let closed = lease(&sandbox);
    assert_eq!(closed.open_to, Vec::<String>::new());
    let to = SocketAddr::from((HERE, port(&closed)));
    let refused = network.there(|| connect_from(GATEWAY, to)).expect_err("nobody listens there");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    release(&sandbox, &closed);

    let sandbox = sandbox.setting("debug", json!({ "bind": "all" }));
    let open = lease(&sandbox);
    assert_eq!(open.open_to, [GATEWAY.to_string()]);
    let to = SocketAddr::from((HERE, port(&open)));
    assert!(
        network.there(|| connect_from(NEIGHBOUR, to).ok().and_then(says_hello)).is_none(),
        "a neighbour is not let in"
    );
    assert_eq!(state(&sandbox, &open), Some(LeaseState::Leased));
    let client = network.there(|| connect_from(GATEWAY, to).ok().and_then(says_hello));
    drop(client.expect("the gateway is let in"));
    assert_nothing_left(&sandbox);

    let sandbox = sandbox.setting("debug", json!({ "bind": "all", "allow": [format!("{NEIGHBOUR}/32")] }));
    let allowed = lease(&sandbox);
    assert_eq!(allowed.open_to, [GATEWAY.to_string(), format!("{NEIGHBOUR}/32")]);
    let to = SocketAddr::from((HERE, port(&allowed)));
    drop(network.there(|| connect_from(NEIGHBOUR, to).ok().and_then(says_hello)).expect("it is named"));
    assert_nothing_left(&sandbox);

    // The machine itself, by its own address and by loopback, is judged by its users.
    for (host, uid, let_in) in [(HERE, 0, true), (Ipv4Addr::LOCALHOST, 0, true), (HERE, NOBODY, false)] {
        let lease = lease(&sandbox);
        if uid == NOBODY {
            // Root's daemon lets root in, so the stranger is another user.
            let turned = network.here(|| {
                set_thread_uid(rustix::process::Uid::from_raw(uid)).expect("another user");
                connect_from(host, (host, port(&lease)).into()).ok().and_then(says_hello).is_none()
            });
            assert!(turned, "{host} as {uid}");
            release(&sandbox, &lease);
            continue;
        }
        let client = network.here(|| connect_from(host, (host, port(&lease)).into()).ok().and_then(says_hello));
        assert_eq!(client.is_some(), let_in, "{host} as {uid}");
        drop(client);
        assert_nothing_left(&sandbox);
    }
    sandbox.burrow(["stop"]).exits(0);
}

/// A setting that is not understood opens nothing.
#[test]
fn broken_settings_open_no_port() {
    let sandbox = debuggable().setting("debug", json!({ "bind": "all", "allow": ["10.0.0.0/99"] }));
    sandbox.burrow(["debug", "lease"]).exits(1).tells("BUR203").tells("10.0.0.0/99");
    let sandbox = sandbox.setting("debug", json!({ "bind": "everything" }));
    let lease = lease(&sandbox);
    assert_eq!(lease.open_to, Vec::<String>::new(), "it counts as not set");
    release(&sandbox, &lease);
}

/// A peer that falls silent without a word (a laptop that sleeps, a cable that breaks) is noticed within a minute, whether
/// its program prints or not; with it go dlv and the program.
#[test]
fn lost_peer_is_noticed_as_root() {
    let ticking = "package main\n\nimport (\n\t\"fmt\"\n\t\"time\"\n)\n\nfunc main() {\n\tfor {\n\
                   \t\tfmt.Println(\"tick\")\n\t\ttime.Sleep(100 * time.Millisecond)\n\t}\n}\n";
    let sandbox = debuggable().setting("debug", json!({ "bind": "all" })).write("ticking/main.go", ticking);
    let network = Network::new(&sandbox);
    network.start_daemon(&sandbox);
    let idle = lease(&sandbox);
    let to = SocketAddr::from((HERE, port(&idle)));
    let client = network.there(|| connect_from(GATEWAY, to).ok().and_then(says_hello)).expect("let in");
    let printing = lease(&sandbox);
    let to = SocketAddr::from((HERE, port(&printing)));
    let mut editor = network.there(|| Editor::connect(to));
    editor.launch(json!({ "mode": "debug", "program": sandbox.workspace().join("ticking") }));
    editor.run_to(&[]);
    for lease in [&idle, &printing] {
        assert_eq!(state(&sandbox, lease), Some(LeaseState::Connected));
    }
    let silent = Instant::now();
    network.drop_packets(&sandbox);
    for lost in [&idle, &printing] {
        let left = Duration::from_secs(60).saturating_sub(silent.elapsed());
        eventually("the lease is over", left, || {
            state(&sandbox, lost).map_or(Ok(()), |state| Err(format!("{state:?} after {:?}", silent.elapsed())))
        });
    }
    assert!(silent.elapsed() > Duration::from_secs(10), "it is noticed by silence, not by a hang-up");
    assert_nothing_left(&sandbox);
    drop((client, editor));
    sandbox.burrow(["stop"]).exits(0);
}

/// A user who connects, writes and closes again and again, some of them with dlv's own first words, neither gets in nor
/// keeps the owner out.
#[test]
fn flood_of_another_user_as_root() {
    let sandbox = debuggable();
    let lease = lease(&sandbox);
    let to = address(&lease);
    let flood = move |enough: &dyn Fn(u32) -> bool| {
        set_thread_uid(rustix::process::Uid::from_raw(NOBODY)).expect("another user");
        let mut count = 0;
        while !enough(count) {
            if let Ok(mut stream) = TcpStream::connect(to) {
                // Closed at once: a row without an owner says uid 0.
                let _ = stream.write_all(HELLO);
            }
            count += 1;
        }
    };
    let attackers: Vec<_> = (0..4).map(|_| std::thread::spawn(move || flood(&|count| count >= 100))).collect();
    for attacker in attackers {
        attacker.join().expect("an attacker");
    }
    assert_eq!(state(&sandbox, &lease), Some(LeaseState::Leased), "nobody got in");

    let over = Arc::new(AtomicBool::new(false));
    let attackers: Vec<_> = (0..2)
        .map(|_| {
            let over = Arc::clone(&over);
            std::thread::spawn(move || flood(&|_| over.load(Ordering::Relaxed)))
        })
        .collect();
    let editor = stopped_in_main(&sandbox, to);
    assert_eq!(state(&sandbox, &lease), Some(LeaseState::Connected), "the owner comes through");
    over.store(true, Ordering::Relaxed);
    for attacker in attackers {
        attacker.join().expect("an attacker");
    }
    assert_eq!(state(&sandbox, &lease), Some(LeaseState::Connected), "and stays");
    editor.disconnect(true);
    assert_nothing_left(&sandbox);
}

/// A machine whose IPv6 is switched off has its eleven ports all the same.
#[test]
fn machine_without_ipv6_as_root() {
    let sandbox = debuggable();
    let network = Network::new(&sandbox);
    network.run_here(&sandbox, &["sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1"]);
    network.start_daemon(&sandbox);
    let lease = lease(&sandbox);
    let mut editor = network.here(|| Editor::connect(address(&lease)));
    editor.launch(json!({ "mode": "debug", "program": sandbox.workspace() }));
    editor.run_to(&["main.main"]);
    editor.stopped();
    editor.disconnect(true);
    assert_nothing_left(&sandbox);
    sandbox.burrow(["stop"]).exits(0);
}

/// Nobody claims a lease: it ends after `debug.idleTimeout`, and says so.
#[test]
fn unclaimed_lease_expires() {
    let sandbox = debuggable().setting("debug", json!({ "idleTimeout": "200ms" }));
    lease(&sandbox);
    assert_nothing_left(&sandbox);
    let log = std::fs::read_to_string(sandbox.state_dir().join("daemon.log")).expect("a log");
    assert!(log.contains("Ended(Expired)"), "{log}");
}

/// Who waits for a port waits in turn, and gives the place up by going.
#[test]
fn waiting_is_fair() {
    let sandbox = debuggable();
    let leases: Vec<_> = sandbox.ports().map(|_| lease(&sandbox)).collect();
    let wait = |purpose: &str| {
        let waiting = sandbox.spawn(["debug", "lease", "--wait", "--purpose", purpose, "--json"]);
        // Its place is taken once its request is there; the daemon answers requests of one connection in their order.
        eventually("it waits", SOON, || {
            let log = std::fs::read_to_string(sandbox.state_dir().join("daemon.log")).unwrap_or_default();
            if log.contains(&format!("purpose=Some(\"{purpose}\")")) { Ok(()) } else { Err(log) }
        });
        waiting
    };
    let (first, second, third) = (wait("first"), wait("second"), wait("third"));
    first.wait_for_stderr("waiting in turn");
    let goes = second;
    goes.interrupt();
    assert_ne!(goes.finish().code(), 0);
    let granted = |waiting: crate::sandbox::Background| -> LeaseStatus { waiting.finish().exits(0).parse() };
    sandbox.burrow(["debug", "release", &leases[7].id]).exits(0);
    let one = granted(first);
    assert_eq!((one.purpose.as_deref(), port(&one)), (Some("first"), port(&leases[7])));
    sandbox.burrow(["debug", "release", &leases[2].id]).exits(0);
    let other = granted(third);
    assert_eq!((other.purpose.as_deref(), port(&other)), (Some("third"), port(&leases[2])), "the second has gone");
    for (_, lease) in leases.iter().enumerate().filter(|(index, _)| ![2, 7].contains(index)) {
        sandbox.burrow(["debug", "release", &lease.id]).exits(0);
    }
    for lease in [one, other] {
        sandbox.burrow(["debug", "release", &lease.id]).exits(0);
    }
    assert_nothing_left(&sandbox);
}

/// A port that somebody else had goes to who has waited for it, not to who asks when it is free.
#[test]
fn a_foreign_port_goes_to_who_waits() {
    let sandbox = debuggable();
    sandbox.burrow(["stop"]).exits(0);
    let ports: Vec<u16> = sandbox.ports().collect();
    let foreign = std::net::TcpListener::bind(("127.0.0.1", ports[0])).expect("bind");
    sandbox.burrow(["start"]).exits(0);
    let wanted = ports[0].to_string();
    let waiting = sandbox.spawn(["debug", "lease", "--wait", "--port", &wanted, "--purpose", "first", "--json"]);
    eventually("it waits", SOON, || {
        let log = std::fs::read_to_string(sandbox.state_dir().join("daemon.log")).unwrap_or_default();
        if log.contains("purpose=Some(\"first\")") { Ok(()) } else { Err(log) }
    });
    drop(foreign);
    sandbox.burrow(["debug", "lease", "--port", &wanted]).exits(1).tells("BUR503");
    let granted: LeaseStatus = waiting.finish().exits(0).parse();
    assert_eq!((granted.purpose.as_deref(), port(&granted)), (Some("first"), ports[0]));
    release(&sandbox, &granted);
}
