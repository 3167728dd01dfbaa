//! What the relay costs: against the same peer without it, in turns, in one run.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use burrow_protocol::debug::{LeaseEndpoint, LeaseGranted};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use crate::home::Home;
use crate::report::Report;
use crate::wire::Peer;

/// Messages that are measured, each directly and through the relay.
const PAIRS: usize = 1_000;
/// The length of each.
const MESSAGE: usize = 200;
/// Bytes that the program prints.
const BULK: usize = 16 << 20;
const BULK_ROUNDS: usize = 5;
const START_ROUNDS: usize = 31;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program that waits, or prints much.
const PROGRAM: &str = "package main

import (
	\"bufio\"
	\"os\"
	\"strconv\"
	\"strings\"
	\"time\"
)

func main() {
	bytes, _ := strconv.Atoi(os.Args[1])
	out := bufio.NewWriterSize(os.Stdout, 64*1024)
	line := strings.Repeat(\"burrow \", 14) + \"\\n\"
	for n := 0; n < bytes; n += len(line) {
		out.WriteString(line)
	}
	out.Flush()
	for bytes == 0 {
		time.Sleep(time.Hour)
	}
}
";

/// All of it.
pub(crate) fn measure(home: &Home, report: &mut Report) -> Result<()> {
    let bench = Bench::new(home)?;
    echo(&bench, report)?;
    round_trip(&bench, report)?;
    bulk(&bench, report)?;
    start(&bench, report)
}

/// What the relay's rows and those of reloading sessions share.
pub(crate) struct Bench<'a> {
    pub(crate) home: &'a Home,
    workspace: &'a Utf8Path,
    pub(crate) dlv: Utf8PathBuf,
    program: Utf8PathBuf,
}

impl<'a> Bench<'a> {
    /// With the workspace's own dlv, which is installed where it is not there.
    pub(crate) fn new(home: &'a Home) -> Result<Self> {
        let workspace = home.workspaces[0].as_path();
        home.burrow(workspace, &["up", "--only", "tools"])?;
        let mut peer = Peer::open(&home.socket(), &[workspace])?;
        let tools =
            peer.status()?.workspaces.into_iter().find(|known| known.path == workspace).context("the workspace")?;
        let dlv = tools.tools.into_iter().find(|tool| tool.name == "dlv").and_then(|tool| tool.path);
        let folder = workspace.join("bench");
        std::fs::create_dir_all(&folder)?;
        let program = folder.join("program");
        let mut source =
            std::fs::OpenOptions::new().create(true).truncate(true).write(true).open(folder.join("main.go"))?;
        source.write_all(PROGRAM.as_bytes())?;
        let mut build = crate::home::program("go");
        build.args(["build", "-o", program.as_str(), "./bench"]).current_dir(workspace);
        crate::home::time(&mut build)?;
        Ok(Self { home, workspace, dlv: dlv.context("dlv's path")?.into(), program })
    }

    /// A lease, in the words of its request; where it listens, and how to end it.
    fn lease(&self, more: &Value) -> Result<Lease> {
        let mut peer = Peer::open(&self.home.socket(), &[self.workspace])?;
        let mut params = json!({ "workspace": self.workspace, "kind": "dap", "env": {} });
        for (name, value) in more.as_object().into_iter().flatten() {
            params[name] = value.clone();
        }
        let mut answer = peer.request("burrow/debug/lease", &params)?;
        ensure!(answer.get("error").is_none(), "{answer}");
        let granted: LeaseGranted = serde_json::from_value(answer["result"].take())?;
        let LeaseEndpoint::Port { port } = granted.lease.endpoint else { bail!("a port") };
        Ok(Lease { peer, id: granted.lease.id, address: ([127, 0, 0, 1], port).into() })
    }

    /// `dlv dap` on a port, as an editor starts it; returns when it says that it listens.
    pub(crate) fn direct(&self) -> Result<Direct> {
        let mut command = crate::home::program(self.dlv.as_str());
        command.args(["dap", "--listen=127.0.0.1:0"]).current_dir(self.workspace).stdout(Stdio::piped());
        Direct::start(&mut command)
    }

    /// A session in which the program was started with `argument`.
    fn session(&self, address: SocketAddr, argument: usize) -> Result<Dap> {
        let mut dap = Dap::connect(address)?;
        dap.request("initialize", &json!({ "adapterID": "go", "pathFormat": "path", "linesStartAt1": true }))?;
        let arguments = json!({
            "mode": "exec", "program": self.program, "args": [argument.to_string()], "stopOnEntry": argument == 0,
            "outputMode": "remote",
        });
        // dlv says that it is ready before it answers.
        dap.send("launch", &arguments)?;
        dap.until("initialized")?;
        Ok(dap)
    }
}

struct Lease {
    peer: Peer,
    id: String,
    address: SocketAddr,
}

impl Lease {
    fn release(mut self) -> Result<()> {
        self.peer.request("burrow/debug/release", &json!({ "id": self.id }))?;
        Ok(())
    }
}

/// A dlv without Burrow.
pub(crate) struct Direct {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Direct {
    /// Starts it; returns when it says that it listens.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.spawn()?;
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().context("its output")?);
        stdout.read_line(&mut line)?;
        let address = line.trim().rsplit(' ').next().context("an address")?.parse().context(line.clone())?;
        // What it prints later has to go somewhere.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Ok(Self { child, address })
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        // It ends with its client, too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A debug client that does nothing but frames.
pub(crate) struct Dap {
    stream: BufReader<TcpStream>,
    seq: u32,
    body: Vec<u8>,
}

impl Dap {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "a bench is a debug client")]
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::with_capacity(256 * 1024, stream), seq: 0, body: Vec::new() })
    }

    pub(crate) fn send(&mut self, command: &str, arguments: &Value) -> Result<()> {
        self.seq += 1;
        let message =
            json!({ "seq": self.seq, "type": "request", "command": command, "arguments": arguments }).to_string();
        self.stream.get_mut().write_all(&frame(&message))?;
        Ok(())
    }

    /// Sends a request, and reads to its answer.
    pub(crate) fn request(&mut self, command: &str, arguments: &Value) -> Result<()> {
        self.ask(command, arguments).map(drop)
    }

    /// The same; what the answer holds.
    pub(crate) fn ask(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        self.send(command, arguments)?;
        let wanted = format!("\"request_seq\":{},", self.seq);
        loop {
            let message = self.read()?;
            if memchr(message, wanted.as_bytes()) {
                let mut message: Value = serde_json::from_slice(message)?;
                ensure!(message["success"] == true, "{message}");
                return Ok(message["body"].take());
            }
        }
    }

    /// Reads to an event; how many bytes came until then.
    pub(crate) fn until(&mut self, event: &str) -> Result<usize> {
        let wanted = format!("\"event\":\"{event}\"");
        let mut bytes = 0;
        loop {
            let message = self.read()?;
            bytes += message.len();
            // An event's name stands at its front.
            if memchr(&message[..message.len().min(100)], wanted.as_bytes()) {
                return Ok(bytes);
            }
        }
    }

    fn read(&mut self) -> Result<&[u8]> {
        let mut length = 0;
        loop {
            let mut line = String::new();
            ensure!(self.stream.read_line(&mut line)? > 0, "the debug adapter hung up");
            match line.trim_end().strip_prefix("Content-Length: ") {
                Some(text) => length = text.parse()?,
                None if line.trim_end().is_empty() => break,
                None => {}
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        Ok(&self.body)
    }

    /// Sends [`MESSAGE`] bytes that ask for the threads, and waits for the answer.
    fn threads(&mut self) -> Result<Duration> {
        self.seq += 1;
        let start = format!("{{\"seq\":{},\"type\":\"request\",\"command\":\"threads\",\"pad\":\"", self.seq);
        let header = format!("Content-Length: {}\r\n\r\n", MESSAGE - 23);
        let pad = "x".repeat(MESSAGE - header.len() - start.len() - 2);
        let message = format!("{header}{start}{pad}\"}}");
        ensure!(message.len() == MESSAGE, "{} bytes", message.len());
        let wanted = format!("\"request_seq\":{},", self.seq);
        let begun = Instant::now();
        self.stream.get_mut().write_all(message.as_bytes())?;
        while !memchr(self.read()?, wanted.as_bytes()) {}
        Ok(begun.elapsed())
    }
}

fn frame(message: &str) -> Vec<u8> {
    format!("Content-Length: {}\r\n\r\n{message}", message.len()).into_bytes()
}

fn memchr(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}

/// The median.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Which of two goes first, in turns.
fn in_turns<T>(round: usize, first: impl FnOnce() -> Result<T>, second: impl FnOnce() -> Result<T>) -> Result<(T, T)> {
    if round.is_multiple_of(2) {
        let one = first()?;
        Ok((one, second()?))
    } else {
        let other = second()?;
        Ok((first()?, other))
    }
}

fn echo(bench: &Bench<'_>, report: &mut Report) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let peer = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || pass(&stream, &stream));
        }
    });
    let lease = bench.lease(&json!({ "kind": "adopt", "to": peer.to_string() }))?;
    let (mut direct, mut relayed) = (Dap::connect(peer)?, Dap::connect(lease.address)?);
    let message = [b"Content-Length: 180\r\n\r\n".as_slice(), &[b'x'; MESSAGE - 23]].concat();
    let bounce = |dap: &mut Dap| {
        let mut back = [0; MESSAGE];
        let begun = Instant::now();
        dap.stream.get_mut().write_all(&message)?;
        dap.stream.get_mut().read_exact(&mut back)?;
        anyhow::Ok(begun.elapsed())
    };
    let (direct_us, difference) = pairs(|| bounce(&mut direct), || bounce(&mut relayed))?;
    told(report, "relay, echo", direct_us, difference, "a thread that sends back what it reads");
    lease.release()?;

    let mut between = Dap::connect(bare_relay(peer)?)?;
    let (_, difference) = pairs(|| bounce(&mut direct), || bounce(&mut between))?;
    let definition =
        "the same through two threads that copy bytes: the least that anybody between costs on this machine";
    report.once("relay, echo, bare", difference, "us", None, definition);
    Ok(())
}

/// A relay to `peer` for one client that does nothing but copy; where it listens.
fn bare_relay(peer: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        let (client, _) = listener.accept()?;
        #[expect(clippy::disallowed_methods, reason = "a relay dials")]
        let upstream = TcpStream::connect(peer)?;
        std::thread::scope(|scope| {
            scope.spawn(|| pass(&client, &upstream));
            pass(&upstream, &client)
        })
    });
    Ok(address)
}

/// Passes what comes, to the end.
fn pass(mut from: &TcpStream, mut to: &TcpStream) -> Result<()> {
    to.set_nodelay(true)?;
    let mut buffer = [0; 64 * 1024];
    while let length @ 1.. = from.read(&mut buffer)? {
        to.write_all(&buffer[..length])?;
    }
    Ok(())
}

fn round_trip(bench: &Bench<'_>, report: &mut Report) -> Result<()> {
    let (lease, dlv) = (bench.lease(&json!({}))?, bench.direct()?);
    let mut relayed = bench.session(lease.address, 0)?;
    let mut direct = bench.session(dlv.address, 0)?;
    for session in [&mut relayed, &mut direct] {
        // dlv says that the program stands at its entry before it answers.
        session.send("configurationDone", &json!({}))?;
        session.until("stopped")?;
    }
    let (direct_us, difference) = pairs(|| direct.threads(), || relayed.threads())?;
    told(
        report,
        "relay, dlv",
        direct_us,
        difference,
        "dlv, asked for the threads of a program that stands at its entry",
    );
    lease.release()
}

/// Medians in microseconds: of the direct times, and of the paired differences.
fn pairs(
    mut direct: impl FnMut() -> Result<Duration>,
    mut relayed: impl FnMut() -> Result<Duration>,
) -> Result<(f64, f64)> {
    const WARM: usize = 100;
    let (mut alone, mut differences) = (Vec::new(), Vec::new());
    for round in 0..PAIRS + WARM {
        let (one, other) = in_turns(round, &mut direct, &mut relayed)?;
        if round >= WARM {
            alone.push(one.as_secs_f64() * 1e6);
            differences.push((other.as_secs_f64() - one.as_secs_f64()) * 1e6);
        }
    }
    Ok((median(alone), median(differences)))
}

fn told(report: &mut Report, name: &str, direct: f64, difference: f64, peer: &str) {
    let definition = format!(
        "median of {PAIRS} paired differences of a round trip of {MESSAGE} bytes, through a lease's port less directly \
         (median {direct:.0} us), in turns; the peer: {peer}"
    );
    report.once(name, difference, "us", Some(30.0), &definition);
}

fn bulk(bench: &Bench<'_>, report: &mut Report) -> Result<()> {
    let run = |address: SocketAddr| {
        let mut session = bench.session(address, BULK)?;
        let begun = Instant::now();
        session.request("configurationDone", &json!({}))?;
        let bytes = session.until("terminated")?;
        let took = begun.elapsed();
        ensure!(bytes > BULK, "{bytes} bytes came");
        Ok(took.as_secs_f64())
    };
    let (mut direct, mut relayed) = (Vec::new(), Vec::new());
    for round in 0..BULK_ROUNDS {
        let (one, other) = in_turns(
            round,
            || {
                let dlv = bench.direct()?;
                run(dlv.address)
            },
            || {
                let lease = bench.lease(&json!({}))?;
                let took = run(lease.address)?;
                lease.release().map(|()| took)
            },
        )?;
        direct.push(one);
        relayed.push(other);
    }
    let (direct, relayed) = (median(direct), median(relayed));
    let definition = format!(
        "throughput of {} MiB that a program under dlv prints, as output events, from configurationDone to terminated: \
         directly over through a lease's port; medians of {BULK_ROUNDS} in turns ({:.0} and {:.0} MiB/s); 1.11 is 0.9 of direct",
        BULK >> 20,
        mebibytes(direct),
        mebibytes(relayed),
    );
    report.once("relay, bulk", relayed / direct, "", Some(1.11), &definition);
    Ok(())
}

fn mebibytes(seconds: f64) -> f64 {
    f64::from(u32::try_from(BULK >> 20).unwrap_or(u32::MAX)) / seconds
}

fn start(bench: &Bench<'_>, report: &mut Report) -> Result<()> {
    let hello = |address: SocketAddr| {
        let mut dap = Dap::connect(address)?;
        dap.request("initialize", &json!({ "adapterID": "go", "pathFormat": "path", "linesStartAt1": true }))
            .map(|()| dap)
    };
    let (mut direct, mut leased) = (Vec::new(), Vec::new());
    for round in 0..START_ROUNDS {
        let mut peer = Peer::open(&bench.home.socket(), &[bench.workspace])?;
        let (one, other) = in_turns(
            round,
            || {
                let begun = Instant::now();
                let dlv = bench.direct()?;
                let _dap = hello(dlv.address)?;
                Ok(begun.elapsed().as_secs_f64())
            },
            || {
                let begun = Instant::now();
                let params = json!({ "workspace": bench.workspace, "kind": "dap", "env": {} });
                let mut answer = peer.request("burrow/debug/lease", &params)?;
                let granted: LeaseGranted = serde_json::from_value(answer["result"].take())?;
                let LeaseEndpoint::Port { port } = granted.lease.endpoint else { bail!("a port") };
                let dap = hello(([127, 0, 0, 1], port).into())?;
                let took = begun.elapsed().as_secs_f64();
                drop(dap);
                peer.request("burrow/debug/release", &json!({ "id": granted.lease.id }))?;
                Ok(took)
            },
        )?;
        direct.push(one);
        leased.push(other);
    }
    let (direct, leased) = (median(direct), median(leased));
    let definition = format!(
        "from `burrow/debug/lease` on an open connection to `initialize` answered, over spawning `dlv dap`, waiting for its \
         line, dialling it and the same; medians of {START_ROUNDS} in turns ({:.1} and {:.1} ms)",
        leased * 1e3,
        direct * 1e3,
    );
    report.once("lease to initialize", leased / direct, "", Some(1.1), &definition);
    Ok(())
}
