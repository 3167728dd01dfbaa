//! Every kind of launch, attach and lease, with the real dlv and a real program. After each nothing is left.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use burrow::debug::dap::types::{Disconnect, DisconnectArguments};
use burrow_protocol::debug::{LeaseEndpoint, LeaseKind, LeaseState, LeaseStatus};
use camino::Utf8PathBuf;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::editor::{AnyLaunch, Attach, Editor};
use super::{address, assert_nothing_left, lease, signal, state};
use crate::sandbox::{Background, Sandbox, eventually};

/// How long something may take that is not ours: a build, an end.
const SOON: Duration = Duration::from_secs(60);

/// A program that does what its first argument says.
const PROGRAM: &str = r#"package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

func tick(n int) { time.Sleep(5 * time.Millisecond) }

func show(rows []string) int { return len(rows) }

func add(a, b int) int { return a + b }

func main() {
	switch word := append(os.Args, "loop")[1]; word {
	case "panic":
		panic("broken on purpose")
	case "big":
		rows := make([]string, 10_000)
		for n := range rows {
			rows[n] = fmt.Sprintf("row %d %s", n, strings.Repeat("burrow", 10))
		}
		fmt.Println(show(rows))
		return
	case "print":
		fmt.Println("to standard output")
		fmt.Fprintln(os.Stderr, "to standard error")
		return
	case "children":
		child := exec.Command("sleep", "1000")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			panic(err)
		}
	}
	for n := 0; ; n++ {
		tick(n)
	}
}
"#;

const TESTS: &str = r#"package main

import "testing"

func TestAdd(t *testing.T) {
	if add(1, 2) != 3 {
		t.Fatal("cannot add")
	}
}
"#;

/// The program, with the real tools.
pub(super) fn program() -> Sandbox {
    let sandbox = Sandbox::new().write("main.go", PROGRAM).write("main_test.go", TESTS).with_tools();
    let sandbox = sandbox.limit(Duration::from_secs(600));
    sandbox.burrow(["up", "--only", "tools"]).exits(0);
    sandbox
}

/// Builds the program as a debugger wants it; where it lies.
pub(super) fn built(sandbox: &Sandbox) -> Utf8PathBuf {
    let binary = sandbox.workspace().join("target-program");
    let mut build = sandbox.command("go");
    build.args(["build", "-gcflags=all=-N -l", "-o"]).arg(&binary).arg(".");
    sandbox.run(build).exits(0);
    binary
}

/// Starts the built program.
fn start(sandbox: &Sandbox, binary: &Utf8PathBuf) -> Background {
    sandbox.start(sandbox.command(binary))
}

/// `burrow debug lease ARGS`.
pub(super) fn lease_as(sandbox: &Sandbox, args: &[&str]) -> LeaseStatus {
    sandbox.burrow(["debug", "lease", "--json"].into_iter().chain(args.iter().copied())).exits(0).parse()
}

fn dlv(sandbox: &Sandbox) -> Utf8PathBuf {
    let tools = sandbox.workspace_status().tools;
    tools.into_iter().find(|tool| tool.name == "dlv").and_then(|tool| tool.path).expect("dlv's path").into()
}

/// `launch` in the modes debug, test and exec: each stops where it is told.
#[test]
fn every_launch_stops() {
    let sandbox = program();
    let binary = built(&sandbox);
    let folder = sandbox.workspace().to_string();
    for (attributes, function) in [
        (json!({ "mode": "debug", "program": folder }), "main.tick"),
        (json!({ "mode": "test", "program": folder }), "main.TestAdd"),
        (json!({ "mode": "exec", "program": binary, "args": ["loop"] }), "main.tick"),
    ] {
        let lease = lease(&sandbox);
        let mut editor = Editor::connect(address(&lease));
        editor.launch(attributes.clone());
        editor.run_to(&[function]);
        let stopped = editor.stopped();
        // A test's package is told by its path.
        let name = editor.frame(&stopped).name;
        assert_eq!(name.rsplit('.').next(), function.rsplit('.').next(), "{attributes}: {name}");
        let shown = sandbox.status().leases.into_iter().find(|known| known.id == lease.id).expect("the lease");
        assert_eq!(shown.program.as_deref(), attributes["program"].as_str(), "what is debugged is listed");
        editor.disconnect(true);
        assert_nothing_left(&sandbox);
    }
}

/// A core that a program left is looked at, and nothing is run.
#[test]
fn core_is_looked_at() {
    let sandbox = program();
    let binary = built(&sandbox);
    let core = sandbox.workspace().join("core.dump");
    sandbox.change("dump.txt", &format!("break main.tick\ncontinue\ndump {core}\nexit\n"));
    let mut dump = sandbox.command(dlv(&sandbox));
    dump.args(["exec", binary.as_str(), "--allow-non-terminal-interactive=true", "--init", "dump.txt"]);
    sandbox.run(dump).exits(0);

    let lease = lease(&sandbox);
    let mut editor = Editor::connect(address(&lease));
    // Otherwise dlv shows the goroutine of whichever thread the dump begins with, and its dump has them in no order.
    editor.launch(json!({ "mode": "core", "program": binary, "coreFilePath": core, "stopOnEntry": true }));
    editor.run_to(&[]);
    let stopped = editor.stopped();
    let frame = editor.frame(&stopped);
    assert_eq!(frame.name, "main.tick");
    assert!(editor.locals(&frame).iter().any(|variable| variable.name == "n" && variable.value == "0"));
    editor.disconnect(true);
    assert_nothing_left(&sandbox);
}

/// A process that runs is attached to, by number and by name, and goes on afterwards.
#[test]
fn attached_process_goes_on() {
    let sandbox = program();
    let binary = built(&sandbox);
    for by_name in [false, true] {
        let lease = lease(&sandbox);
        let mut editor = Editor::connect(address(&lease));
        let early = (!by_name).then(|| start(&sandbox, &binary));
        let attributes = match &early {
            Some(running) => json!({ "mode": "local", "processId": running.pid() }),
            None => json!({ "mode": "local", "waitFor": binary }),
        };
        editor.send::<Attach>(&attributes);
        let running = early.unwrap_or_else(|| {
            eventually("the lease names what is waited for", SOON, || {
                let shown = sandbox.status().leases.into_iter().find(|known| known.id == lease.id);
                let program = shown.and_then(|lease| lease.program);
                if program.as_deref() == Some(binary.as_str()) { Ok(()) } else { Err(format!("{program:?}")) }
            });
            start(&sandbox, &binary)
        });
        editor.is_initialized();
        editor.run_to(&["main.tick"]);
        let stopped = editor.stopped();
        assert_eq!(editor.frame(&stopped).name, "main.tick");
        editor.disconnect(false);
        eventually("the lease is over", SOON, || {
            state(&sandbox, &lease).map_or(Ok(()), |state| Err(format!("{state:?}")))
        });
        assert!(sandbox.processes().iter().any(|process| process.pid == running.pid()), "the program goes on");
        drop(running);
        assert_nothing_left(&sandbox);
    }
}

/// One program for many clients: it outlives each of them, and ends with the lease.
#[test]
fn headless_program_outlives_its_clients() {
    let sandbox = program();
    let binary = built(&sandbox);
    let lease = lease_as(&sandbox, &["--headless", "exec", binary.as_str(), "--purpose", "a demo", "--", "loop"]);
    assert_eq!(lease.kind, LeaseKind::Headless);
    sandbox.burrow(["debug", "ports"]).exits(0).says("headless  for a demo");
    let target = |sandbox: &Sandbox| -> Vec<u32> {
        let all = sandbox.processes().into_iter().filter(|process| process.command == format!("{binary} loop"));
        all.map(|process| process.pid).collect()
    };
    // dlv says that it listens, then starts it.
    let first = eventually("the program is there before any client", SOON, || {
        let running = target(&sandbox);
        if running.len() == 1 { Ok(running) } else { Err(format!("{running:?}")) }
    });

    for round in 0..2 {
        let mut editor = Editor::connect(address(&lease));
        editor.send::<Attach>(&json!({ "mode": "remote" }));
        editor.is_initialized();
        editor.run_to(&["main.tick"]);
        let stopped = editor.stopped();
        assert_eq!(editor.frame(&stopped).name, "main.tick", "round {round}");
        // At the same time, in dlv's own protocol.
        let mut other = TcpStream::connect(address(&lease)).expect("connect");
        other.set_read_timeout(Some(SOON)).expect("timeout");
        other.write_all(b"{\"method\":\"RPCServer.ProcessPid\",\"params\":[{}],\"id\":1}").expect("write");
        let mut answer = String::new();
        BufReader::new(&other).read_line(&mut answer).expect("an answer");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["result"]["Pid"], first[0], "{answer}");
        assert_eq!(sandbox.status().leases[0].clients, 2);
        // The connections drop, without a word.
        drop((editor, other));
        eventually("nobody is connected", SOON, || match state(&sandbox, &lease) {
            Some(LeaseState::Leased) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        assert_eq!(target(&sandbox), first, "it is the same process");
    }
    sandbox.burrow(["debug", "release", &lease.id]).exits(0);
    assert_nothing_left(&sandbox);
}

/// Packages and tests are built first, and a build error is told with the compiler's words.
#[test]
fn headless_builds() {
    let sandbox = program();
    for (mode, function) in [("debug", "main.tick"), ("test", "main.TestAdd")] {
        let lease = lease_as(&sandbox, &["--headless", mode, "."]);
        let mut editor = Editor::connect(address(&lease));
        editor.send::<Attach>(&json!({ "mode": "remote" }));
        editor.is_initialized();
        editor.run_to(&[function]);
        let stopped = editor.stopped();
        let name = editor.frame(&stopped).name;
        assert_eq!(name.rsplit('.').next(), function.rsplit('.').next(), "{mode}: {name}");
        drop(editor);
        sandbox.burrow(["debug", "release", &lease.id]).exits(0);
        assert_nothing_left(&sandbox);
    }
    sandbox.change("broken.go", "package main\n\nfunc broken() { return 1 }\n");
    let refused = sandbox.burrow(["debug", "lease", "--headless", "debug", "."]).exits(1);
    refused.tells("BUR508").tells("broken.go:3");
    assert_nothing_left(&sandbox);
}

/// A process that a headless lease attached to goes on when the lease ends.
#[test]
fn headless_attach_lets_the_process_go() {
    let sandbox = program();
    let running = start(&sandbox, &built(&sandbox));
    let lease = lease_as(&sandbox, &["--headless", "attach", &running.pid().to_string()]);
    sandbox.burrow(["debug", "release", &lease.id]).exits(0);
    assert!(sandbox.processes().iter().any(|process| process.pid == running.pid()), "it goes on");
    drop(running);
    assert_nothing_left(&sandbox);
}

/// A dlv that somebody else started is relayed and listed, and stays when the lease ends; its own end ends the lease.
#[test]
fn adopted_dlv_is_not_ours() {
    let sandbox = program();
    let binary = built(&sandbox);
    let socket = sandbox.root().join("own.sock");
    let listen = format!("--listen=unix:{socket}");
    let mut own = sandbox.command(dlv(&sandbox));
    own.args(["exec", binary.as_str(), "--headless", "--accept-multiclient", "--api-version=2", &listen]);
    let own = sandbox.start(own);
    own.wait_for_stdout("API server listening at");

    let to = format!("unix:{socket}");
    let lease = lease_as(&sandbox, &["--to", &to]);
    assert_eq!((lease.kind, lease.pid, lease.to.as_deref()), (LeaseKind::Adopt, Some(own.pid()), Some(to.as_str())));
    let mut editor = Editor::connect(address(&lease));
    editor.send::<Attach>(&json!({ "mode": "remote" }));
    editor.is_initialized();
    editor.run_to(&["main.tick"]);
    editor.stopped();
    sandbox.burrow(["debug", "release", &lease.id]).exits(0);
    editor.sees_the_end();
    drop(editor);
    assert!(sandbox.processes().iter().any(|process| process.pid == own.pid()), "it was not ended");

    let again = lease_as(&sandbox, &["--to", &to]);
    assert_ne!(again.id, lease.id);
    let LeaseEndpoint::Port { port } = again.endpoint else { panic!("{:?}", again.endpoint) };
    let itself = format!("127.0.0.1:{port}");
    sandbox.burrow(["debug", "lease", "--to", &itself]).exits(1).tells("BUR111").tells("Burrow's own");
    signal(own.pid(), Signal::KILL);
    own.finish();
    assert_nothing_left(&sandbox);
    sandbox.burrow(["debug", "lease", "--to", &format!("unix:{}/none.sock", sandbox.root())]).exits(1).tells("BUR510");
    sandbox.burrow(["debug", "lease", "--to", "nonsense"]).exits(2);
}

/// What the program starts in sessions of its own ends with the lease.
#[test]
fn children_in_other_sessions_end_with_the_lease() {
    let sandbox = program();
    let binary = built(&sandbox);
    let child = |sandbox: &Sandbox| sandbox.processes().into_iter().any(|process| process.command == "sleep 1000");
    let children = |lease: &LeaseStatus| {
        let mut editor = Editor::connect(address(lease));
        editor.launch(json!({ "mode": "exec", "program": binary, "args": ["children"] }));
        editor.run_to(&["main.tick"]);
        editor.stopped();
        assert!(child(&sandbox), "it has a child");
        editor
    };
    drop(children(&lease(&sandbox)));
    assert_nothing_left(&sandbox);
    let killed = lease(&sandbox);
    let editor = children(&killed);
    signal(killed.pid.expect("dlv's process"), Signal::KILL);
    assert_nothing_left(&sandbox);
    drop(editor);
}

/// What the user builds where a session's binary was is the user's, also where nobody was left to remove that one.
#[test]
fn next_daemon_leaves_what_the_user_built() {
    let sandbox = program();
    let output = sandbox.workspace().join("chosen");
    let lease = lease(&sandbox);
    let mut editor = Editor::connect(address(&lease));
    editor.launch(json!({ "mode": "debug", "program": sandbox.workspace(), "output": output }));
    editor.run_to(&["main.tick"]);
    editor.stopped();
    signal(sandbox.daemon_pid().expect("a daemon"), Signal::STOP);
    signal(lease.pid.expect("dlv's process"), Signal::KILL);
    sandbox.kill_daemon();
    std::fs::remove_file(&output).expect("nobody has removed it");
    sandbox.change("chosen", "the user's");
    sandbox.burrow(["start"]).exits(0);
    assert_nothing_left(&sandbox);
    eventually("the sweep is over", SOON, || {
        let folder = sandbox.state_dir().join("debug").join(&lease.id);
        let record = std::fs::read_to_string(folder.join("lease.json")).unwrap_or_default();
        if record.contains("\"cleared\":true") { Ok(()) } else { Err(record) }
    });
    assert_eq!(sandbox.read("chosen").as_deref(), Some("the user's"));
}

/// A client that is gone while dlv builds leaves no build behind, whether or not it said goodbye: dlv, which builds, hears
/// nothing.
#[test]
fn client_gone_in_a_build() {
    let sandbox = program();
    for says_goodbye in [false, true] {
        let lease = lease(&sandbox);
        let mut editor = Editor::connect(address(&lease));
        // Everything is built anew: long enough to be met.
        editor.send::<AnyLaunch>(&json!({ "mode": "debug", "program": sandbox.workspace(), "buildFlags": "-a" }));
        eventually("the build runs", SOON, || {
            let running: Vec<_> = sandbox.processes().into_iter().map(|process| process.command).collect();
            if running.iter().any(|command| command.contains("/compile ")) { Ok(()) } else { Err(running.join("; ")) }
        });
        if says_goodbye {
            editor.send::<Disconnect>(&DisconnectArguments { terminate_debuggee: true });
        }
        drop(editor);
        assert_nothing_left(&sandbox);
    }
}

/// dlv killed where its client chose the folder and the name of the binary: neither is left, by this daemon or the next.
#[test]
fn chosen_binaries_are_removed() {
    let sandbox = program().write("sub/keep", "");
    let folder = sandbox.workspace().join("sub");
    let output = folder.join("chosen");
    for daemon_dies in [false, true] {
        for attributes in [json!({ "dlvCwd": folder }), json!({ "output": output })] {
            let lease = lease(&sandbox);
            let mut editor = Editor::connect(address(&lease));
            let mut launch = json!({ "mode": "debug", "program": sandbox.workspace() });
            for (name, value) in attributes.as_object().expect("attributes") {
                launch[name] = value.clone();
            }
            editor.launch(launch);
            editor.run_to(&["main.tick"]);
            editor.stopped();
            let left = || -> Vec<String> {
                let entries = folder.read_dir_utf8().expect("folder").flatten();
                entries.map(|entry| entry.file_name().to_owned()).filter(|name| name != "keep").collect()
            };
            assert_eq!(left().len(), 1, "{attributes}");
            if daemon_dies {
                signal(sandbox.daemon_pid().expect("a daemon"), Signal::STOP);
            }
            signal(lease.pid.expect("dlv's process"), Signal::KILL);
            if daemon_dies {
                sandbox.kill_daemon();
                sandbox.burrow(["start"]).exits(0);
            }
            assert_nothing_left(&sandbox);
            assert_eq!(left(), Vec::<String>::new(), "{attributes}");
        }
    }
}

/// Eleven programs at one time, each stopped in its own session; a twelfth client waits in turn for the first that ends.
#[test]
fn eleven_sessions_and_one_that_waits() {
    let sandbox = program();
    let binary = built(&sandbox);
    let mut editors = Vec::new();
    for _ in sandbox.ports() {
        let mut editor = Editor::connect(address(&lease(&sandbox)));
        editor.launch(json!({ "mode": "exec", "program": binary }));
        editor.run_to(&["main.tick"]);
        editors.push(editor);
    }
    for editor in &mut editors {
        let stopped = editor.stopped();
        assert_eq!(editor.frame(&stopped).name, "main.tick");
    }
    sandbox.burrow(["debug", "lease"]).exits(1).tells("BUR501").tells("--wait").tells("connected since");
    let waiting = sandbox.spawn(["debug", "lease", "--wait", "--json"]);
    editors.remove(4).disconnect(true);
    let lease: LeaseStatus = waiting.finish().exits(0).parse();
    assert_eq!(lease.endpoint, LeaseEndpoint::Port { port: sandbox.ports().start() + 4 });
    let mut editor = Editor::connect(address(&lease));
    editor.launch(json!({ "mode": "exec", "program": binary }));
    editor.run_to(&["main.tick"]);
    editor.stopped();
    editors.push(editor);
    for editor in editors {
        editor.disconnect(true);
    }
    assert_nothing_left(&sandbox);
}

/// Session after session on the ports as they come: nothing adds up.
#[test]
fn many_sessions_in_a_row() {
    let sandbox = program().limit(Duration::from_secs(900));
    let binary = built(&sandbox);
    let rounds = if std::env::var_os("BURROW_TEST_ALL").is_some() { 50 } else { 4 };
    for _ in 0..rounds {
        let mut editor = Editor::connect(address(&lease(&sandbox)));
        editor.launch(json!({ "mode": "exec", "program": binary }));
        editor.run_to(&["main.tick"]);
        editor.stopped();
        editor.disconnect(true);
    }
    assert_nothing_left(&sandbox);
}
