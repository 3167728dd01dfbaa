//! Debug sessions whose program is built and restarted when its files change: through the relay, with the real dlv.
#![expect(clippy::disallowed_methods, reason = "a test dials the relay as an editor")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use burrow_protocol::debug::{LeaseEndpoint, LeaseStatus};
use serde_json::{Value, json};

use super::assert_nothing_left;
use crate::debug::output::log;
use crate::sandbox::Sandbox;

/// How long an editor waits: a build with a cold cache is in it.
const PATIENCE: Duration = Duration::from_secs(150);

/// A program that ticks until the file `stop` is there.
pub(super) fn ticking(version: &str) -> String {
    format!(
        "package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n\t\"time\"\n)\n\nfunc tick(count int) {{\n\
         \tversion := \"{version}\"\n\tfmt.Println(version, count) // here\n}}\n\nfunc main() {{\n\
         \tfor count := 0; ; count++ {{\n\t\tif _, err := os.Stat(\"stop\"); err == nil {{\n\t\t\tos.Exit(3)\n\t\t}}\n\
         \t\ttick(count)\n\t\ttime.Sleep(20 * time.Millisecond)\n\t}}\n}}\n"
    )
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new().write("main.go", &ticking("one")).with_tools().limit(Duration::from_secs(500));
    sandbox.burrow(["up", "--only", "tools"]).exits(0);
    sandbox
}

fn lease(sandbox: &Sandbox) -> Editor {
    named_lease(sandbox).1
}

/// A lease's name, and a client of it.
fn named_lease(sandbox: &Sandbox) -> (String, Editor) {
    let lease: LeaseStatus = sandbox.burrow(["debug", "lease", "--json"]).exits(0).parse();
    let LeaseEndpoint::Port { port } = lease.endpoint else { panic!("{:?}", lease.endpoint) };
    (lease.id, Editor::connect(port))
}

/// A debug client that keeps all it was told.
pub(super) struct Editor {
    stream: TcpStream,
    buffer: Vec<u8>,
    seq: u32,
    /// Everything that came, in order.
    pub(super) heard: Vec<Value>,
    /// How much of it was waited for already.
    passed: usize,
}

impl Editor {
    pub(super) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        Self { stream, buffer: Vec::new(), seq: 0, heard: Vec::new(), passed: 0 }
    }

    pub(super) fn send(&mut self, command: &str, arguments: &Value) -> u32 {
        self.seq += 1;
        let message = json!({ "seq": self.seq, "type": "request", "command": command, "arguments": arguments });
        let body = message.to_string();
        write!(self.stream, "Content-Length: {}\r\n\r\n{body}", body.len()).expect("write");
        self.seq
    }

    /// The next message that `wanted` says yes to; what comes before it is passed over.
    pub(super) fn wait(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            while let Some(message) = self.heard.get(self.passed) {
                self.passed += 1;
                if wanted(message) {
                    return message.clone();
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what} does not come; heard: {:#?}", self.heard);
            self.stream.set_read_timeout(Some(left)).expect("timeout");
            let mut chunk = [0; 16 * 1024];
            let length = self.stream.read(&mut chunk).unwrap_or_default();
            assert!(length > 0, "the session ended before {what}; heard: {:#?}", self.heard);
            self.buffer.extend_from_slice(&chunk[..length]);
            self.take_messages();
        }
    }

    fn take_messages(&mut self) {
        while let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let header = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
            let length: usize = header.trim_start_matches("Content-Length: ").parse().expect("a length");
            if self.buffer.len() < end + 4 + length {
                return;
            }
            let message = serde_json::from_slice(&self.buffer[end + 4..end + 4 + length]).expect("JSON");
            self.buffer.drain(..end + 4 + length);
            self.heard.push(message);
        }
    }

    pub(super) fn event(&mut self, name: &str) -> Value {
        self.wait(name, |message| message["event"] == name)
    }

    pub(super) fn console(&mut self, text: &str) -> Value {
        self.wait(text, |message| {
            message["event"] == "output"
                && message["body"]["output"].as_str().is_some_and(|output| output.contains(text))
        })
    }

    /// Sends a request and waits for its answer.
    fn call(&mut self, command: &str, arguments: &Value) -> Value {
        let seq = self.send(command, arguments);
        self.wait(command, |message| message["request_seq"] == seq)
    }

    pub(super) fn done(&mut self, command: &str, arguments: &Value) -> Value {
        let answer = self.call(command, arguments);
        assert_eq!(answer["success"], true, "{answer}");
        answer["body"].clone()
    }

    pub(super) fn launch(&mut self, sandbox: &Sandbox, more: &Value) -> u32 {
        self.done("initialize", &json!({ "clientID": "test", "adapterID": "go", "linesStartAt1": true }));
        let mut arguments = json!({
            "mode": "debug", "program": sandbox.workspace(), "cwd": sandbox.workspace(), "outputMode": "remote",
        });
        for (name, value) in more.as_object().expect("an object") {
            arguments[name] = value.clone();
        }
        self.send("launch", &arguments)
    }

    /// What an editor says after `initialized`: its breakpoints, and that they are all.
    pub(super) fn configure(&mut self, sandbox: &Sandbox, stops: bool) {
        self.breakpoints(sandbox, stops);
        let passed = self.passed;
        self.done("configurationDone", &json!({}));
        // The program runs: what it does may be told before the answer.
        self.passed = passed;
    }

    fn breakpoints(&mut self, sandbox: &Sandbox, stops: bool) {
        let text = sandbox.read("main.go").expect("main.go");
        let line = text.lines().position(|line| line.contains("// here")).expect("the line") + 1;
        let breakpoints = if stops { vec![json!({ "line": line })] } else { Vec::new() };
        let source = json!({ "path": sandbox.workspace().join("main.go") });
        self.done("setBreakpoints", &json!({ "source": source, "breakpoints": breakpoints }));
    }

    /// The value of `version` where the program stands.
    fn version(&mut self) -> String {
        let stopped = self.wait("stopped", |message| message["event"] == "stopped");
        assert_eq!(stopped["body"]["reason"], "breakpoint", "{stopped}");
        self.version_in(stopped["body"]["threadId"].as_i64().expect("a thread"))
    }

    fn version_in(&mut self, thread: i64) -> String {
        let frames = self.done("stackTrace", &json!({ "threadId": thread, "levels": 1 }));
        let frame = frames["stackFrames"][0]["id"].clone();
        let value = self.done("evaluate", &json!({ "expression": "version", "frameId": frame, "context": "watch" }));
        value["result"].as_str().expect("a value").to_owned()
    }
}

/// A session lives through changes: while the program runs, stands at a breakpoint, and has ended. Breakpoints are kept, a
/// program that does not compile changes nothing.
#[test]
fn a_session_lives_through_changes() {
    let sandbox = sandbox();
    let (lease, mut editor) = named_lease(&sandbox);
    editor.launch(&sandbox, &json!({ "reload": true }));
    editor.event("initialized");
    editor.configure(&sandbox, false);
    editor.console("one 0");

    // It runs: at once.
    sandbox.change("main.go", &ticking("two"));
    editor.console("built again; restarting");
    editor.event("initialized");
    editor.configure(&sandbox, false);
    // What the next program prints comes as the first one's did.
    editor.console("two 0");
    editor.breakpoints(&sandbox, true);
    assert_eq!(editor.version(), "\"two\"");

    // It stands at a breakpoint: when it is let go on. A mistake before that is told, and changes nothing.
    sandbox.change("main.go", &ticking("three").replace("version :=", "version = "));
    editor.console("Build Error: go build");
    sandbox.change("main.go", &ticking("three"));
    editor.console("built again; it is restarted when you continue");
    editor.done("threads", &json!({}));
    editor.done("continue", &json!({ "threadId": 1 }));
    editor.event("initialized");
    editor.configure(&sandbox, true);
    assert_eq!(editor.version(), "\"three\"");

    // It ends by itself: the session does not.
    editor.done(
        "setBreakpoints",
        &json!({ "source": { "path": sandbox.workspace().join("main.go") }, "breakpoints": [] }),
    );
    editor.done("continue", &json!({ "threadId": 1 }));
    sandbox.change("stop", "");
    editor.console("it is started again by the next change");
    std::fs::remove_file(sandbox.workspace().join("stop")).expect("remove");
    sandbox.change("main.go", &ticking("four"));
    editor.event("initialized");
    editor.configure(&sandbox, true);
    assert_eq!(editor.version(), "\"four\"");

    // The editor's own restart runs what is there, too.
    editor.done("restart", &json!({ "arguments": { "mode": "debug", "program": sandbox.workspace() } }));
    editor.event("initialized");
    editor.configure(&sandbox, true);
    assert_eq!(editor.version(), "\"four\"");

    editor.send("disconnect", &json!({ "terminateDebuggee": true }));
    let unseen = |message: &&Value| {
        let pause = message["event"] == "stopped" && message["body"]["threadId"].is_null();
        pause || message["request_seq"].as_u64() > Some(1 << 32)
    };
    let unseen: Vec<_> = editor.heard.iter().filter(unseen).collect();
    assert!(unseen.is_empty(), "what an editor must not see: {unseen:#?}");
    assert!(!editor.heard.iter().any(|message| message["event"] == "terminated"), "the session went on");
    drop(editor);
    assert_nothing_left(&sandbox);
    let log = log(&sandbox, &lease);
    assert!(log.contains("one 0\n") && log.contains("two 0\n"), "{log}");
    assert!(!sandbox.read("main.go").expect("main.go").is_empty());
    let left = sandbox.workspace().read_dir_utf8().expect("workspace").flatten();
    let left: Vec<_> =
        left.map(|entry| entry.file_name().to_owned()).filter(|name| name.contains("debug_bin")).collect();
    assert_eq!(left, Vec::<String>::new(), "nothing is built into the workspace");
}

/// `whenStopped` may ask, or restart at once; the settings say so for all sessions, a configuration for its own.
#[test]
fn what_a_change_does_at_a_breakpoint_can_be_chosen() {
    let sandbox = sandbox().setting("reload", json!({ "onSave": true, "whenStopped": "restart" }));
    let mut editor = lease(&sandbox);
    editor.launch(&sandbox, &json!({}));
    editor.event("initialized");
    editor.configure(&sandbox, true);
    assert_eq!(editor.version(), "\"one\"");
    sandbox.change("main.go", &ticking("two"));
    editor.event("continued");
    editor.event("initialized");
    editor.configure(&sandbox, true);
    assert_eq!(editor.version(), "\"two\"");
    editor.send("disconnect", &json!({ "terminateDebuggee": true }));
    drop(editor);

    let mut editor = lease(&sandbox);
    editor.launch(&sandbox, &json!({ "reload": { "whenStopped": "ask" } }));
    editor.event("initialized");
    editor.configure(&sandbox, true);
    editor.version();
    sandbox.change("main.go", &ticking("three"));
    editor.console("restart the session to run it");
    editor.event("burrow/reload/built");
    editor.done("restart", &json!({}));
    editor.event("initialized");
    editor.configure(&sandbox, true);
    assert_eq!(editor.version(), "\"three\"");
    editor.send("disconnect", &json!({ "terminateDebuggee": true }));
    drop(editor);
    assert_nothing_left(&sandbox);
}

/// A first build that fails is told as dlv tells it; a session that does not ask for it is passed on as it is.
#[test]
fn only_those_who_ask_are_reloaded() {
    let sandbox = sandbox().write("main.go", "package main\n\nfunc main() { oops }\n");
    let mut editor = lease(&sandbox);
    let launch = editor.launch(&sandbox, &json!({ "reload": true }));
    editor.console("undefined: oops");
    let refused = editor.wait("an answer", |message| message["request_seq"] == launch);
    assert_eq!((&refused["success"], &refused["body"]["error"]["id"]), (&json!(false), &json!(3000)), "{refused}");
    editor.send("disconnect", &json!({}));
    drop(editor);

    sandbox.change("main.go", &ticking("one"));
    let mut editor = lease(&sandbox);
    editor.launch(&sandbox, &json!({}));
    editor.event("initialized");
    editor.configure(&sandbox, true);
    assert_eq!(editor.version(), "\"one\"");
    editor.send("disconnect", &json!({ "terminateDebuggee": true }));
    editor.event("terminated");
    drop(editor);

    // `burrow dev --debug` says why it ends, where that was not asked of it.
    let dev = sandbox.spawn(["dev", "--debug", "--json"]);
    dev.wait_for_stdout("\"port\"");
    let lease = sandbox.status().leases.pop().expect("a lease");
    sandbox.burrow(["debug", "release", &lease.id]).exits(0);
    dev.finish().exits(1).tells("has ended: released");
    let dev = sandbox.spawn(["dev", "--debug", "--json"]);
    dev.wait_for_stdout("\"port\"");
    let LeaseEndpoint::Port { port } = sandbox.status().leases[0].endpoint else { panic!("a port") };
    drop(initialized(port));
    dev.finish().exits(0).tells("has ended: the debug client disconnected");

    // It asks for whoever comes, and ends what it leased.
    let dev = sandbox.spawn(["dev", "--debug", "--json"]);
    dev.wait_for_stdout("\"port\"");
    let lease = sandbox.status().leases.pop().expect("a lease");
    let LeaseEndpoint::Port { port } = lease.endpoint else { panic!("{:?}", lease.endpoint) };
    let mut editor = Editor::connect(port);
    editor.launch(&sandbox, &json!({}));
    editor.event("initialized");
    editor.configure(&sandbox, false);
    sandbox.change("main.go", &ticking("two"));
    editor.event("initialized");
    editor.configure(&sandbox, true);
    assert_eq!(editor.version(), "\"two\"");
    super::ended(dev);
    drop(editor);
    assert_nothing_left(&sandbox);
}

/// A client that has said hello.
fn initialized(port: u16) -> Editor {
    let mut editor = Editor::connect(port);
    editor.done("initialize", &json!({ "clientID": "test", "adapterID": "go", "linesStartAt1": true }));
    editor
}

/// A message longer than the relay keeps is passed on like any other, and the session goes on.
#[test]
fn a_value_of_many_megabytes_does_not_end_a_session_that_reloads() {
    const ROWS: usize = 60_000;
    let program = format!(
        "package main\n\nimport (\n\t\"fmt\"\n\t\"strings\"\n)\n\nfunc show(rows []string) int {{ return len(rows) }}\n\n\
         func main() {{\n\trows := make([]string, {ROWS})\n\tfor n := range rows {{\n\
         \t\trows[n] = fmt.Sprintf(\"row %d %s\", n, strings.Repeat(\"burrow\", 10))\n\t}}\n\tfmt.Println(show(rows))\n}}\n"
    );
    let sandbox = sandbox().write("main.go", &program);
    let mut editor = lease(&sandbox);
    editor.launch(&sandbox, &json!({ "reload": true }));
    editor.event("initialized");
    editor.done("setFunctionBreakpoints", &json!({ "breakpoints": [{ "name": "main.show" }] }));
    editor.send("configurationDone", &json!({}));
    let stopped = editor.event("stopped");
    let frames = editor.done("stackTrace", &json!({ "threadId": stopped["body"]["threadId"], "levels": 1 }));
    let frame = &frames["stackFrames"][0]["id"];
    let rows = editor.done("evaluate", &json!({ "expression": "rows", "frameId": frame, "context": "watch" }));
    let all = json!({
        "variablesReference": rows["variablesReference"], "filter": "indexed", "start": 0, "count": ROWS,
    });
    let rows = editor.done("variables", &all);
    let rows = rows["variables"].as_array().expect("rows");
    assert_eq!(rows.len(), ROWS);
    assert!(Value::from(rows.clone()).to_string().len() > 8 << 20, "or it tests nothing");
    editor.done("threads", &json!({}));
    editor.send("disconnect", &json!({ "terminateDebuggee": true }));
    drop(editor);
    assert_nothing_left(&sandbox);
}

/// Without a debugger the program is ended and started anew, in the one session: dlv itself restarts no such program.
#[test]
fn a_program_without_a_debugger_is_started_anew() {
    let sandbox = sandbox();
    let (lease, mut editor) = named_lease(&sandbox);
    let launch = editor.launch(&sandbox, &json!({ "noDebug": true, "reload": true }));
    editor.wait("the answer", |message| message["request_seq"] == launch && message["success"] == true);
    editor.console("one 0");

    // A mistake changes nothing.
    sandbox.change("main.go", &ticking("two").replace("version :=", "version = "));
    editor.console("Build Error: go build");
    editor.console("one ");
    sandbox.change("main.go", &ticking("two"));
    editor.console("built again; restarting");
    editor.console("two 0");
    let running = |sandbox: &Sandbox| {
        let binary = |process: &str| process.contains("/bin/") && process.ends_with("workspace");
        sandbox.processes().into_iter().filter(|process| binary(&process.command)).count()
    };
    assert_eq!(running(&sandbox), 1, "the old one has ended: {:?}", sandbox.processes());

    // It ends by itself: the session does not. The client may start it again, too.
    sandbox.change("stop", "");
    editor.console("the program has ended with exit code 3; it is started again by the next change");
    std::fs::remove_file(sandbox.workspace().join("stop")).expect("remove");
    editor.done("restart", &json!({}));
    editor.console("two 0");
    sandbox.change("main.go", &ticking("three"));
    editor.console("three 0");

    editor.done("disconnect", &json!({ "terminateDebuggee": true }));
    assert!(editor.heard.iter().all(|message| message["request_seq"].as_u64() < Some(1 << 32)), "{:#?}", editor.heard);
    drop(editor);
    assert_nothing_left(&sandbox);
    let log = log(&sandbox, &lease);
    assert!(["one 0\n", "two 0\n", "three 0\n"].iter().all(|line| log.contains(line)), "{log}");
}
