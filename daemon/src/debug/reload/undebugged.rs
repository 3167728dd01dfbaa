//! A session that reloads without a debugger (`noDebug`): dlv refuses to restart such a program, and launches one alone. So
//! the program is ended with its dlv, and the next dlv, with which the relay speaks in the client's place, launches the
//! new one. For the client it is one session.
//!
//! Invariants: a program is ended only when a newer one was built; its end by itself does not end the session.

use std::io;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{mpsc, oneshot};
use tokio_util::bytes::BytesMut;

use super::super::dap::codec::Frame;
use super::super::dap::stream::{Message, Stream};
use super::super::printed::Printed;
use super::super::relay::RelayEnd;
use super::super::upstream::{Adapter, FromAdapter, ToAdapter};
use super::wish::Wish;
use super::{Client, OWN, Program, encode};
use crate::rebuild::{Rebuild, Rebuilds};

/// dlv, and what it prints.
type Dlv = (Stream<FromAdapter>, ToAdapter, Printed);

struct Undebugged<'a> {
    wish: Wish,
    program: Program,
    client: Client,
    dlv: Dlv,
    again: &'a mpsc::Sender<oneshot::Sender<Adapter>>,
    /// Whether a program was launched.
    launched: bool,
    /// Whether the client said goodbye, or has no program to wait for.
    over: bool,
}

/// Serves a session from its launch to its end.
pub(super) async fn serve(
    wish: Wish,
    program: Program,
    mut from_client: Stream<OwnedReadHalf>,
    client: Client,
    dlv: Dlv,
    mut builds: Rebuilds,
    again: &mpsc::Sender<oneshot::Sender<Adapter>>,
) -> io::Result<RelayEnd> {
    let mut session = Undebugged { wish, program, client, dlv, again, launched: false, over: false };
    let text = format!("Building {}\n", session.wish.package);
    session.client.tell("stdout", &text).await?;
    let mut building = true;
    loop {
        let (from_dlv, _, printed) = &mut session.dlv;
        tokio::select! {
            frame = from_client.next() => match frame? {
                Some(frame) => session.client_said(&frame).await?,
                None => return Ok(RelayEnd::ClientLeft),
            },
            message = from_dlv.message() => match message {
                Ok(Some(Message::Whole(frame))) => session.dlv_said(&frame).await?,
                Ok(Some(Message::Long(beginning))) => session.dlv.0.pass(&beginning, &mut session.client.0).await?,
                Ok(None) | Err(_) => {
                    session.client.catch_up(&mut session.dlv.2).await?;
                    session.client.0.shutdown().await?;
                    return Ok(if session.over { RelayEnd::ClientLeft } else { RelayEnd::DlvLeft });
                }
            },
            () = printed.grown() => {
                printed.pass(&mut session.client.0).await?;
            }
            build = builds.recv(), if building => match build {
                Some(build) => session.build(build).await?,
                None => building = false,
            },
        }
    }
}

impl Undebugged<'_> {
    async fn build(&mut self, build: Rebuild) -> io::Result<()> {
        match build {
            Rebuild::Built(_) if self.over => Ok(()),
            Rebuild::Built(file) => {
                self.program.is_renewed_by(file).await;
                if self.launched {
                    self.client.tell("console", "built again; restarting\n").await?;
                    return self.launch_again().await;
                }
                if self.program.swap(&mut self.client).await? {
                    self.launched = true;
                    let launch = encode(&self.wish.to_dlv(&self.program.path))?;
                    return self.dlv.1.write_all(&launch).await;
                }
                self.refuse("Failed to launch: the program could not be put in its place").await
            }
            Rebuild::Failed { command, output } => {
                self.client.tell("stderr", &format!("Build Error: {command}\n{output}\n")).await?;
                if self.launched || self.over {
                    return Ok(());
                }
                self.refuse("Failed to launch: Build error: Check the debug console for details.").await
            }
            Rebuild::Told(text) => self.client.tell("console", &format!("{text}\n")).await,
        }
    }

    async fn refuse(&mut self, why: &str) -> io::Result<()> {
        self.over = true;
        self.client.refuse(&self.wish.launch, why).await
    }

    /// Ends the program with its dlv, and has the next one launch the newest.
    async fn launch_again(&mut self) -> io::Result<()> {
        let (reply, adapter) = oneshot::channel();
        let gone = || io::Error::from(io::ErrorKind::ConnectionAborted);
        self.again.send(reply).await.map_err(|_| gone())?;
        let adapter = adapter.await.map_err(|_| gone())?;
        // What the old program printed last.
        self.client.catch_up(&mut self.dlv.2).await?;
        let (from_dlv, to_dlv) = adapter.dial().await?.into_split();
        let printed = Printed::of(adapter.printing);
        self.dlv = (Stream::new(from_dlv, BytesMut::new()), to_dlv, printed);
        if !self.program.swap(&mut self.client).await? {
            return Ok(());
        }
        let hello = json!({ "adapterID": "go", "pathFormat": "path", "linesStartAt1": true, "columnsStartAt1": true });
        let initialize = json!({ "seq": OWN, "type": "request", "command": "initialize", "arguments": hello });
        let mut launch = self.wish.to_dlv(&self.program.path);
        launch["seq"] = (OWN + 1).into();
        self.dlv.1.write_all(&encode(&initialize)?).await?;
        self.dlv.1.write_all(&encode(&launch)?).await
    }

    async fn client_said(&mut self, frame: &Frame) -> io::Result<()> {
        let message: Value = serde_json::from_slice(frame.body()).unwrap_or_default();
        match message["command"].as_str().unwrap_or_default() {
            "disconnect" | "terminate" => self.over = true,
            "restart" if self.launched => {
                let answer = json!({
                    "seq": 0, "type": "response", "request_seq": message["seq"], "command": "restart", "success": true,
                });
                self.client.say(&answer).await?;
                return self.launch_again().await;
            }
            _ => {}
        }
        self.dlv.1.write_all(frame.whole()).await
    }

    async fn dlv_said(&mut self, frame: &Frame) -> io::Result<()> {
        let message: Value = serde_json::from_slice(frame.body()).unwrap_or_default();
        if message["type"] == "response" && message["request_seq"].as_i64() >= Some(OWN) {
            let why = message["body"]["error"]["format"].as_str().or(message["message"].as_str()).unwrap_or_default();
            return match message["success"] == false {
                true => self.client.tell("stderr", &format!("{why}\n")).await,
                false => Ok(()),
            };
        }
        if message["type"] == "response" && message["command"] == "launch" && message["success"] == false {
            self.over = true;
        }
        let event = message["event"].as_str().unwrap_or_default();
        if matches!(event, "exited" | "terminated") {
            self.client.catch_up(&mut self.dlv.2).await?;
            if !self.over {
                if event == "exited" {
                    let code = message["body"]["exitCode"].as_i64().unwrap_or_default();
                    let text = format!(
                        "the program has ended with exit code {code}; it is started again by the next change\n"
                    );
                    self.client.tell("console", &text).await?;
                }
                return Ok(());
            }
        }
        self.client.0.write_all(frame.whole()).await
    }
}
