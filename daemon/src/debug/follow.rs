//! A debug client that stays while the program it attached to by name ends and starts anew: what another tool rebuilds
//! and runs (Air, a supervisor) is attached to again each time, in the one session.
//!
//! dlv serves one attachment; the lease starts the next dlv when one has ended. The relay says the client's `initialize`
//! and `attach` to it, the process in the place of its name, and the client hears `initialized`, as after dlv's own
//! restart: it sends its breakpoints again.
//! State: the client's two requests, what it waits for, the processes that were attached to.
//! Invariants: a process is attached to once, and again only where its dlv ended before it said whether it was; no dlv that
//! is about to end is taken for the next one; the process is looked for here (dlv looks at each process once, and misses one
//! that it saw before its exec); a client that attaches by number, or launches, is served as by any relay.

use std::collections::{HashMap, HashSet};
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use camino::Utf8Path;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tokio_util::bytes::BytesMut;

use super::binaries;
use super::dap::codec::{self, Frame};
use super::dap::stream::{Message, Piece, Stream};
use super::launch::{Launched, Launches, Passing, by_number, tell};
use super::printed::Printed;
use super::process_tree;
use super::relay::{DebugClient, RelayEnd};
use super::upstream::{Adapter, Connection, Upstream};

/// Between two looks for the process.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long the next dlv may take to listen.
const DLV_DEADLINE: Duration = Duration::from_secs(20);
/// Between two tries to reach it.
const DIAL_AGAIN: Duration = Duration::from_millis(5);
/// The numbers of the relay's own requests to dlv, above those of any client.
const OWN_INITIALIZE: i64 = 1 << 40;
const OWN_ATTACH: i64 = OWN_INITIALIZE + 1;

/// A process, and when it started.
pub(super) type Identity = (u32, u64);

/// Serves `client` until it leaves. `cwd` and `launches` are as for any launch.
pub(super) async fn serve(client: DebugClient, adapter: Adapter, cwd: &Utf8Path, launches: &Launches) -> RelayEnd {
    let (reader, writer) = client.stream.into_split();
    let Adapter { upstream, printing, .. } = adapter;
    let (dlv, socket) = match dial(&upstream, None).await {
        Ok(dialled) => dialled,
        Err(error) => {
            tracing::warn!(%error, %upstream, "dlv does not answer");
            return RelayEnd::DlvLeft;
        }
    };
    let mut session = Following {
        client: Stream::new(reader, BytesMut::from(&client.opening[..])),
        to_client: writer,
        dlv: Some(dlv),
        socket,
        printed: Printed::of(printing),
        launched: false,
        initialize: None,
        attach: None,
        name: None,
        attached: false,
        leaving: false,
        pending: HashMap::new(),
        seen: HashSet::new(),
        attaching: None,
        search: None,
    };
    match session.run(&upstream, cwd, launches).await {
        Ok(end) => end,
        Err(error) => {
            tracing::debug!(%error, "a session that follows its program broke");
            RelayEnd::ClientLeft
        }
    }
}

struct Dlv {
    reader: Stream<tokio::net::unix::OwnedReadHalf>,
    writer: tokio::net::unix::OwnedWriteHalf,
}

struct Following {
    client: Stream<OwnedReadHalf>,
    to_client: OwnedWriteHalf,
    /// `None` while the program is waited for.
    dlv: Option<Dlv>,
    /// The socket on which that one listened, or the one before.
    socket: Option<String>,
    /// What is printed, which is the program's where it was launched.
    printed: Printed,
    /// Whether the client launched a program.
    launched: bool,
    initialize: Option<Value>,
    attach: Option<Value>,
    /// What the program's command line begins with, once the client has said so.
    name: Option<String>,
    /// Whether the client's own `attach` was answered.
    attached: bool,
    /// Whether the client said goodbye.
    leaving: bool,
    /// Requests at dlv: number and command.
    pending: HashMap<i64, String>,
    /// Processes that were attached to.
    seen: HashSet<Identity>,
    /// The one of them of which dlv has not said yet whether it is attached.
    attaching: Option<Identity>,
    search: Option<Pin<Box<dyn Future<Output = Identity> + Send>>>,
}

/// What happens next.
enum Next {
    Client(Option<Frame>),
    Dlv(Option<Message>),
    Printed,
    Found(Identity),
}

impl Following {
    async fn run(&mut self, upstream: &Upstream, cwd: &Utf8Path, launches: &Launches) -> io::Result<RelayEnd> {
        loop {
            let next = {
                let Self { client, dlv, search, printed, launched, .. } = self;
                let from_dlv = async {
                    match dlv {
                        Some(dlv) => dlv.reader.message().await,
                        None => pending().await,
                    }
                };
                let found = async {
                    match search {
                        Some(search) => search.await,
                        None => pending().await,
                    }
                };
                tokio::select! {
                    frame = client.next() => Next::Client(frame?),
                    message = from_dlv => Next::Dlv(message.unwrap_or(None)),
                    () = printed.grown(), if *launched => Next::Printed,
                    process = found => Next::Found(process),
                }
            };
            match next {
                Next::Client(None) => return Ok(RelayEnd::ClientLeft),
                Next::Client(Some(frame)) => {
                    if let Some(end) = self.hear_client(&frame, cwd, launches).await? {
                        return Ok(end);
                    }
                }
                Next::Dlv(Some(Message::Whole(frame))) => self.hear_dlv(&frame).await?,
                Next::Dlv(Some(Message::Long(beginning))) => self.pass_long(&beginning).await?,
                Next::Dlv(None) if self.leaving || self.name.is_none() => {
                    self.catch_up().await?;
                    return Ok(RelayEnd::DlvLeft);
                }
                // dlv ended without a word: its program with it.
                Next::Dlv(None) => {
                    if let Some(process) = self.attaching.take() {
                        // Or it never came to that: then the process is still to be attached to.
                        self.seen.remove(&process);
                    }
                    self.wait_for_the_next().await?;
                }
                Next::Printed => {
                    self.printed.pass(&mut self.to_client).await?;
                }
                Next::Found(process) => {
                    self.search = None;
                    self.attach_to(process, upstream).await?;
                }
            }
        }
    }

    async fn hear_client(
        &mut self,
        frame: &Frame,
        cwd: &Utf8Path,
        launches: &Launches,
    ) -> io::Result<Option<RelayEnd>> {
        let Ok(message) = serde_json::from_slice::<Value>(frame.body()) else {
            self.send(frame.whole()).await?;
            return Ok(None);
        };
        let command = message["command"].as_str().unwrap_or_default().to_owned();
        if let Some(launched) = Launched::in_frame(frame.body(), cwd) {
            tell(launches, Passing::Asked(launched)).await;
        }
        match command.as_str() {
            "initialize" => self.initialize = Some(message.clone()),
            "launch" => self.launched = true,
            "attach" => {
                if let Some(name) = message["arguments"]["waitFor"].as_str().filter(|name| !name.is_empty()) {
                    self.name = Some(name.to_owned());
                    self.attach = Some(message);
                    self.look_for_the_program();
                    return Ok(None);
                }
            }
            "disconnect" | "terminate" => {
                self.leaving = true;
                if self.dlv.is_none() || self.search.is_some() {
                    self.respond(&message, true, None).await?;
                    return Ok(Some(RelayEnd::ClientLeft));
                }
            }
            _ => {}
        }
        if self.dlv.is_none() {
            let threads = json!({ "threads": [] });
            let is_threads = command == "threads";
            self.respond(&message, is_threads, is_threads.then_some(&threads)).await?;
            return Ok(None);
        }
        if let Some(seq) = message["seq"].as_i64().filter(|_| message["type"] == "request") {
            self.pending.insert(seq, command);
        }
        self.send(frame.whole()).await?;
        Ok(None)
    }

    async fn hear_dlv(&mut self, frame: &Frame) -> io::Result<()> {
        let Ok(message) = serde_json::from_slice::<Value>(frame.body()) else {
            return self.to_client.write_all(frame.whole()).await;
        };
        if message["type"] == "response" {
            let seq = message["request_seq"].as_i64().unwrap_or_default();
            match seq {
                OWN_INITIALIZE => return Ok(()),
                OWN_ATTACH => {
                    self.attaching = None;
                    if message["success"] == false {
                        let why = message["body"]["error"]["format"].as_str().unwrap_or_default().to_owned();
                        self.tell(&format!("{why}\n")).await?;
                        self.wait_for_the_next().await?;
                    }
                    return Ok(());
                }
                _ => {}
            }
            if self.pending.remove(&seq).as_deref() == Some("attach") {
                self.attaching = None;
                self.attached = message["success"] == true;
            }
        }
        if matches!(message["event"].as_str(), Some("stopped" | "exited" | "terminated")) {
            self.catch_up().await?;
        }
        let over = message["type"] == "event" && message["event"] == "terminated";
        if over && self.attached && !self.leaving {
            return self.wait_for_the_next().await;
        }
        self.to_client.write_all(frame.whole()).await
    }

    /// Passes on an answer that is too long to be looked into.
    async fn pass_long(&mut self, beginning: &Piece) -> io::Result<()> {
        if let Some(seq) = beginning.answers() {
            self.pending.remove(&seq);
        }
        match &mut self.dlv {
            Some(dlv) => dlv.reader.pass(beginning, &mut self.to_client).await,
            None => Ok(()),
        }
    }

    /// What a launched program printed before dlv says what follows.
    async fn catch_up(&mut self) -> io::Result<()> {
        if self.launched { self.printed.catch_up(&mut self.to_client).await } else { Ok(()) }
    }

    /// The program has ended: lets this dlv go, and looks for the program's next start.
    async fn wait_for_the_next(&mut self) -> io::Result<()> {
        self.dlv = None;
        for (seq, command) in std::mem::take(&mut self.pending) {
            if command == "attach" {
                // It is asked again of the next dlv.
                continue;
            }
            self.respond(&json!({ "seq": seq, "command": command }), false, None).await?;
        }
        // One that stopped at a breakpoint is shown so until it goes on.
        let body = json!({ "threadId": 1, "allThreadsContinued": true });
        self.say(&json!({ "seq": 0, "type": "event", "event": "continued", "body": body })).await?;
        let name = self.name.clone().unwrap_or_default();
        self.tell(&format!("{name} has ended; waiting for it to start again\n")).await?;
        self.look_for_the_program();
        Ok(())
    }

    fn look_for_the_program(&mut self) {
        let (name, seen) = (self.name.clone().unwrap_or_default(), self.seen.clone());
        self.search = Some(Box::pin(find(name, seen)));
    }

    async fn attach_to(&mut self, process: Identity, upstream: &Upstream) -> io::Result<()> {
        self.seen.insert(process);
        self.attaching = Some(process);
        let Some(mut attach) = self.attach.clone() else { return Ok(()) };
        if self.dlv.is_none() {
            let (dlv, socket) = dial(upstream, self.socket.take()).await?;
            (self.dlv, self.socket) = (Some(dlv), socket);
            if let Some(mut initialize) = self.initialize.clone() {
                initialize["seq"] = OWN_INITIALIZE.into();
                self.send(&encode(&initialize)?).await?;
            }
        }
        if self.attached {
            attach["seq"] = OWN_ATTACH.into();
            self.tell(&format!("attaching to process {}\n", process.0)).await?;
        } else if let Some(seq) = attach["seq"].as_i64() {
            self.pending.insert(seq, "attach".to_owned());
        }
        self.send(&by_number(attach.to_string().as_bytes(), process.0)?).await
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.dlv {
            // One that ends is heard of by its reader.
            Some(dlv) => dlv.writer.write_all(bytes).await.or(Ok(())),
            None => Ok(()),
        }
    }

    async fn respond(&mut self, request: &Value, success: bool, body: Option<&Value>) -> io::Result<()> {
        let message = if success { Value::Null } else { "the program is not running; it is waited for".into() };
        self.say(&json!({
            "seq": 0, "type": "response", "request_seq": request["seq"], "command": request["command"],
            "success": success, "message": message, "body": body,
        }))
        .await
    }

    /// A line for the debug console.
    async fn tell(&mut self, text: &str) -> io::Result<()> {
        let body = json!({ "category": "console", "output": text });
        self.say(&json!({ "seq": 0, "type": "event", "event": "output", "body": body })).await
    }

    async fn say(&mut self, message: &Value) -> io::Result<()> {
        self.to_client.write_all(&encode(message)?).await
    }
}

fn encode(message: &Value) -> io::Result<Vec<u8>> {
    codec::encode(message).map_err(io::Error::other)
}

/// Connects to the lease's dlv, which may be about to listen: it is this lease's alone, so nobody is disturbed. Gives its
/// socket, too: the dlv of the `last` one may still take connections, and is about to end.
async fn dial(upstream: &Upstream, last: Option<String>) -> io::Result<(Dlv, Option<String>)> {
    let Upstream::Unix(path) = upstream else { return Err(io::ErrorKind::Unsupported.into()) };
    let until = Instant::now() + DLV_DEADLINE;
    loop {
        let look_at = path.clone();
        // A look that panics has seen nothing.
        let socket = spawn_blocking(move || binaries::stamp(&look_at)).await.unwrap_or_default();
        let dialled = if socket.is_some() && socket == last {
            Err(io::ErrorKind::ConnectionRefused.into())
        } else {
            upstream.dial().await
        };
        match dialled {
            Ok(Connection::Unix(stream)) => {
                let (reader, writer) = stream.into_split();
                return Ok((Dlv { reader: Stream::new(reader, BytesMut::new()), writer }, socket));
            }
            Ok(Connection::Tcp(_)) => return Err(io::ErrorKind::Unsupported.into()),
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => sleep(DIAL_AGAIN).await,
        }
    }
}

/// Waits for a process whose command line begins with `name` and that was not `seen`.
pub(super) async fn find(name: String, seen: HashSet<Identity>) -> Identity {
    loop {
        let (wanted, known) = (name.clone(), seen.clone());
        // A look that panics has found nothing.
        if let Ok(Some(process)) = spawn_blocking(move || look(&wanted, &known)).await {
            return process;
        }
        sleep(LOOK_AGAIN).await;
    }
}

fn look(name: &str, seen: &HashSet<Identity>) -> Option<Identity> {
    process_tree::all_pids().into_iter().find_map(|pid| {
        if !process_tree::arguments(pid).join(" ").starts_with(name) {
            return None;
        }
        let process = (pid, process_tree::start_ticks(pid)?);
        (!seen.contains(&process)).then_some(process)
    })
}
