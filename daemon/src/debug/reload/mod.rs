//! A debug session whose program is built and restarted when its files change: the one place where the relay parses what
//! it passes on.
//!
//! The relay has dlv launch what Burrow built (`mode: exec`), and speaks dlv's own `restart` once a newer program is
//! built. dlv then says `initialized`, and the client sends its breakpoints again, as it does after any restart.
//! Source: `onRestartRequest` in `service/dap/server.go` of Delve 1.27.1. It kills the program before it would build, so
//! building comes first; and `rebuild: false` is heard only beside `request: "launch"`.
//!
//! State: the program's file, one newer file at most, and where the session stands ([`phase`]).
//! Invariants: a program is replaced only by one that was built; what the client does not ask for and must not see (the
//! relay's own requests, dlv's pause before a restart, the end of a program whose session goes on) does not reach it;
//! everything else passes byte for byte.

mod phase; // pure: where a session stands
mod undebugged; // a session without a debugger
mod wish; // pure: what a launch says of reloading

use std::io;
use std::sync::Arc;

use burrow_protocol::settings::WhenStopped;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio_util::bytes::BytesMut;

use super::dap::codec::{self, Frame};
use super::dap::stream::{Message, Stream};
use super::printed::Printed;
use super::relay::{Conversation, RelayEnd};
use super::upstream::{Adapter, FromAdapter, ToAdapter};
use crate::coded::with_causes;
use crate::durable;
use crate::rebuild::{Rebuild, RebuildOrder, Rebuilds};
use phase::{Action, Input, Phase, Session};
use wish::Wish;

/// The numbers of the relay's own requests to dlv, above those of any client.
const OWN: i64 = 1 << 40;
/// An event of our own, said where the client is to decide: its `restart` runs what was built, its `continue` does not.
const BUILT: &str = "burrow/reload/built";
/// dlv's number for a launch that failed (`service/dap/error_ids.go`).
const FAILED_TO_LAUNCH: i64 = 3000;

/// Who builds a program again whenever its files change.
pub trait Rebuilder: Send + Sync {
    /// Begins; it ends when the answer is dropped. Called from any runtime.
    fn begin(&self, order: RebuildOrder) -> Rebuilds;
}

/// How the sessions of a lease may reload.
#[derive(Clone)]
pub(super) struct Reloads {
    pub(super) builder: Arc<dyn Rebuilder>,
    pub(super) workspace: Utf8PathBuf,
    /// The environment of builds.
    pub(super) env: std::collections::BTreeMap<String, String>,
    /// Whether a launch that says nothing of `reload` does.
    pub(super) by_default: bool,
    pub(super) when_stopped: WhenStopped,
    /// Where the program lies; its own.
    pub(super) folder: Utf8PathBuf,
    /// Ends dlv with its program and starts another, which is sent; dropped where there is none.
    pub(super) again: mpsc::Sender<oneshot::Sender<Adapter>>,
}

impl std::fmt::Debug for Reloads {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Reloads");
        shown.field("workspace", &self.workspace).field("by_default", &self.by_default).finish_non_exhaustive()
    }
}

/// A launch that was held back, since it is to reload, and what the client said after it.
#[derive(Debug)]
pub(super) struct Held {
    wish: Wish,
    rest: BytesMut,
}

impl Reloads {
    /// Whether the message in `frame` is a launch that reloads. `cwd` is dlv's folder.
    pub(super) fn hold(&self, frame: &[u8], cwd: &Utf8Path) -> Option<Held> {
        wish::read(frame, self.by_default, cwd).map(|wish| Held { wish, rest: BytesMut::new() })
    }
}

impl Held {
    /// The same, with what the client said after the launch.
    pub(super) fn followed_by(self, rest: BytesMut) -> Self {
        Self { rest, ..self }
    }
}

/// Serves a session from its launch to its end.
pub(super) async fn serve(conversation: Conversation, held: Held, reloads: &Reloads) -> RelayEnd {
    let Held { wish, rest } = held;
    let mut env = reloads.env.clone();
    for (name, value) in &wish.env {
        match value {
            Some(value) => env.insert(name.clone(), value.clone()),
            None => env.remove(name),
        };
    }
    let mut builds = reloads.builder.begin(RebuildOrder {
        workspace: reloads.workspace.clone(),
        env,
        cwd: wish.cwd.clone(),
        package: wish.package.clone(),
        test: wish.test,
        flags: wish.flags.clone(),
    });
    let name = wish.cwd.join(&wish.package);
    let name = name.canonicalize_utf8().unwrap_or(name);
    let program = Program { path: reloads.folder.join(name.file_name().unwrap_or("program")), newer: None };
    let Conversation { from_client, to_client, from_dlv: mut dlv, to_dlv, printed } = conversation;
    let mut client = Stream::new(from_client, rest);
    let end = if wish.debugs {
        let mut relay = Relaying {
            session: Session::new(wish.when_stopped.unwrap_or(reloads.when_stopped)),
            program,
            exit_code: None,
            next: OWN,
            wish,
            to_client: Client(to_client),
            to_dlv,
            printed,
        };
        relay.run(&mut client, &mut dlv, &mut builds).await
    } else {
        undebugged::serve(wish, program, client, Client(to_client), (dlv, to_dlv, printed), builds, &reloads.again)
            .await
    };
    end.unwrap_or_else(|error| {
        tracing::debug!(%error, "a session that reloads broke");
        RelayEnd::ClientLeft
    })
}

/// The program that dlv runs, and what it runs next.
struct Program {
    path: Utf8PathBuf,
    /// A newer one, built and not yet in its place.
    newer: Option<Utf8PathBuf>,
}

impl Program {
    /// A newer one is there.
    async fn is_renewed_by(&mut self, file: Utf8PathBuf) {
        if let Some(older) = self.newer.replace(file) {
            remove(older).await;
        }
    }

    /// Puts the newer program in the place of the one that dlv knows: it runs the file at that path.
    async fn swap(&mut self, client: &mut Client) -> io::Result<bool> {
        let Some(newer) = self.newer.take() else { return Ok(true) };
        let program = self.path.clone();
        let swapped = spawn_blocking(move || {
            if let Some(folder) = program.parent() {
                durable::create_dir(folder)?;
            }
            durable::rename(&newer, &program)
        });
        match swapped.await.map_err(io::Error::other)? {
            Ok(()) => Ok(true),
            Err(error) => {
                client.tell("stderr", &format!("{}\n", with_causes(&error))).await?;
                Ok(false)
            }
        }
    }
}

/// The way to the client.
struct Client(OwnedWriteHalf);

impl Client {
    /// Text for the debug console.
    async fn tell(&mut self, category: &str, text: &str) -> io::Result<()> {
        let body = json!({ "category": category, "output": text });
        self.say(&json!({ "seq": 0, "type": "event", "event": "output", "body": body })).await
    }

    async fn refuse(&mut self, launch: &Value, why: &str) -> io::Result<()> {
        let error = json!({ "id": FAILED_TO_LAUNCH, "format": why });
        self.say(&json!({
            "seq": 0, "type": "response", "request_seq": launch["seq"], "command": "launch",
            "success": false, "message": "Failed to launch", "body": { "error": error },
        }))
        .await
    }

    async fn say(&mut self, message: &Value) -> io::Result<()> {
        self.0.write_all(&encode(message)?).await
    }

    /// Passes on what was printed before what dlv says now.
    async fn catch_up(&mut self, printed: &mut Printed) -> io::Result<()> {
        printed.catch_up(&mut self.0).await
    }
}

struct Relaying {
    session: Session,
    wish: Wish,
    program: Program,
    /// What dlv said of the program's end.
    exit_code: Option<i64>,
    /// The number of the next request of our own.
    next: i64,
    to_client: Client,
    to_dlv: ToAdapter,
    printed: Printed,
}

impl Relaying {
    async fn run(
        &mut self,
        client: &mut Stream<OwnedReadHalf>,
        dlv: &mut Stream<FromAdapter>,
        builds: &mut Rebuilds,
    ) -> io::Result<RelayEnd> {
        self.to_client.tell("stdout", &format!("Building {}\n", self.wish.package)).await?;
        let mut building = true;
        loop {
            tokio::select! {
                frame = client.next() => match frame? {
                    Some(frame) => self.client_said(&frame).await?,
                    None => return Ok(RelayEnd::ClientLeft),
                },
                message = dlv.message() => match message {
                    Ok(Some(Message::Whole(frame))) => self.dlv_said(&frame).await?,
                    // No event, and no answer from which anything follows, is that long.
                    Ok(Some(Message::Long(beginning))) => dlv.pass(&beginning, &mut self.to_client.0).await?,
                    Ok(None) | Err(_) => {
                        self.to_client.catch_up(&mut self.printed).await?;
                        // The client hears of it by the end of the stream.
                        self.to_client.0.shutdown().await?;
                        return Ok(if self.session.phase() == Phase::Over { RelayEnd::ClientLeft } else { RelayEnd::DlvLeft });
                    }
                },
                () = self.printed.grown() => {
                    self.printed.pass(&mut self.to_client.0).await?;
                }
                build = builds.recv(), if building => match build {
                    Some(build) => self.build(build).await?,
                    None => building = false,
                },
            }
        }
    }

    async fn build(&mut self, build: Rebuild) -> io::Result<()> {
        match build {
            Rebuild::Built(file) => {
                self.program.is_renewed_by(file).await;
                self.step(Input::Built).await
            }
            Rebuild::Failed { command, output } => {
                self.to_client.tell("stderr", &format!("Build Error: {command}\n{output}\n")).await?;
                if self.session.phase() == Phase::Building {
                    let why = "Failed to launch: Build error: Check the debug console for details.";
                    self.refuse_launch(why).await?;
                }
                Ok(())
            }
            Rebuild::Told(text) => self.to_client.tell("console", &format!("{text}\n")).await,
        }
    }

    async fn client_said(&mut self, frame: &Frame) -> io::Result<()> {
        let Ok(mut message) = serde_json::from_slice::<Value>(frame.body()) else {
            return self.to_dlv.write_all(frame.whole()).await;
        };
        match message["command"].as_str().unwrap_or_default() {
            "disconnect" | "terminate" => self.step(Input::Leaves).await?,
            "restart" => {
                self.step(Input::Restart).await?;
                // It cannot build what it was given as a binary.
                message["arguments"] = self.wish.restart(&self.program.path);
                return self.to_dlv.write_all(&encode(&message)?).await;
            }
            "continue" => {
                let actions = self.session.step(Input::Continue);
                if actions.contains(&Action::Answer) {
                    self.to_client
                        .say(&json!({
                            "seq": 0, "type": "response", "request_seq": message["seq"], "command": "continue",
                            "success": true, "body": { "allThreadsContinued": true },
                        }))
                        .await?;
                    return self.act(actions).await;
                }
            }
            _ => {}
        }
        self.to_dlv.write_all(frame.whole()).await
    }

    async fn dlv_said(&mut self, frame: &Frame) -> io::Result<()> {
        let Ok(message) = serde_json::from_slice::<Value>(frame.body()) else {
            return self.to_client.0.write_all(frame.whole()).await;
        };
        let before = self.session.phase();
        let input = match (message["type"].as_str(), message["command"].as_str(), message["event"].as_str()) {
            (Some("response"), _, _) if message["request_seq"].as_i64() >= Some(OWN) => {
                // The first answer only says that it was heard.
                return if message["success"] == true { Ok(()) } else { self.refused(&message).await };
            }
            (Some("response"), Some("launch"), _) if message["success"] == true => Some(Input::Launched),
            (Some("response"), Some("launch"), _) => Some(Input::NotLaunched),
            (Some("response"), Some(command), _) if message["success"] == true => match command {
                "configurationDone" => Some(Input::Configured),
                "continue" | "next" | "stepIn" | "stepOut" | "stepBack" | "reverseContinue" => Some(Input::GoesOn),
                _ => None,
            },
            (Some("event"), _, Some("initialized")) => Some(Input::Initialized),
            (Some("event"), _, Some("continued")) => Some(Input::GoesOn),
            (Some("event"), _, Some("stopped")) => Some(Input::Stops),
            (Some("event"), _, Some("terminated")) => Some(Input::Ends),
            (Some("event"), _, Some("exited")) => {
                self.exit_code = message["body"]["exitCode"].as_i64();
                None
            }
            _ => None,
        };
        let hidden = match (input, before) {
            // dlv pauses what it restarts.
            (Some(Input::Stops), Phase::Restarting) => true,
            // The session goes on.
            (Some(Input::Ends), phase) => !matches!(phase, Phase::Over | Phase::Building | Phase::Launching),
            (None, phase) if message["event"] == "exited" => phase != Phase::Over,
            _ => false,
        };
        if matches!(input, Some(Input::Stops | Input::Ends)) || message["event"] == "exited" {
            self.to_client.catch_up(&mut self.printed).await?;
        }
        if !hidden {
            self.to_client.0.write_all(frame.whole()).await?;
        }
        match input {
            Some(input) => self.step(input).await,
            None => Ok(()),
        }
    }

    async fn refused(&mut self, message: &Value) -> io::Result<()> {
        let why = message["body"]["error"]["format"].as_str().or(message["message"].as_str()).unwrap_or_default();
        self.to_client
            .tell("stderr", &format!("dlv does not restart the program: {why}; starting a new session\n"))
            .await?;
        self.step(Input::Refused).await
    }

    async fn step(&mut self, input: Input) -> io::Result<()> {
        let stopped = self.session.phase() == Phase::Stopped;
        let actions = self.session.step(input);
        if stopped && actions.contains(&Action::Restart) {
            // The client shows it as stopped, and did not ask for what comes.
            let body = json!({ "threadId": 1, "allThreadsContinued": true });
            self.to_client.say(&json!({ "seq": 0, "type": "event", "event": "continued", "body": body })).await?;
        }
        self.act(actions).await
    }

    async fn act(&mut self, actions: Vec<Action>) -> io::Result<()> {
        for action in actions {
            match action {
                Action::Launch => {
                    if self.program.swap(&mut self.to_client).await? {
                        let launch = encode(&self.wish.to_dlv(&self.program.path))?;
                        self.to_dlv.write_all(&launch).await?;
                    } else {
                        self.refuse_launch("Failed to launch: the program could not be put in its place").await?;
                    }
                }
                Action::Restart => {
                    self.program.swap(&mut self.to_client).await?;
                    self.to_client.tell("console", "built again; restarting\n").await?;
                    let arguments = self.wish.restart(&self.program.path);
                    let request =
                        json!({ "seq": self.next, "type": "request", "command": "restart", "arguments": arguments });
                    self.next += 1;
                    self.to_dlv.write_all(&encode(&request)?).await?;
                }
                Action::Swap => {
                    self.program.swap(&mut self.to_client).await?;
                }
                Action::TellWaits => {
                    self.to_client.tell("console", "built again; it is restarted when you continue\n").await?;
                }
                Action::TellAsk => {
                    self.to_client.tell("console", "built again; restart the session to run it\n").await?;
                    // For an editor that asks in a way of its own; others have the line above.
                    self.to_client.say(&json!({ "seq": 0, "type": "event", "event": BUILT, "body": {} })).await?;
                }
                Action::TellEnded => {
                    let code = self.exit_code.take().map(|code| format!(" with exit code {code}")).unwrap_or_default();
                    let text = format!("the program has ended{code}; it is started again by the next change\n");
                    self.to_client.tell("console", &text).await?;
                }
                Action::AskForNewSession => {
                    let body = json!({ "restart": true });
                    self.to_client
                        .say(&json!({ "seq": 0, "type": "event", "event": "terminated", "body": body }))
                        .await?;
                }
                // The one who heard the wish has answered it.
                Action::Answer => {}
            }
        }
        Ok(())
    }

    async fn refuse_launch(&mut self, why: &str) -> io::Result<()> {
        self.to_client.refuse(&self.wish.launch, why).await?;
        // Nothing follows from it.
        let _ = self.session.step(Input::NotLaunched);
        Ok(())
    }
}

fn encode(message: &Value) -> io::Result<Vec<u8>> {
    codec::encode(message).map_err(io::Error::other)
}

/// A program that nobody will run. What is left is removed with the session.
async fn remove(file: Utf8PathBuf) {
    match spawn_blocking(move || durable::remove_file(&file)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a program could not be removed"),
        Err(error) => tracing::error!(%error, "removing a program failed"),
    }
}
