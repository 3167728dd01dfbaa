//! A client of the daemon's socket that shares no code with the daemon's own, so that it may also misbehave.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use burrow_protocol::framing;
use burrow_protocol::methods::{Method, ModelStatus, NoParams};
use burrow_protocol::model::Status;
use camino::Utf8Path;
use serde_json::{Value, json};

/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// One connection.
pub(crate) struct Peer {
    stream: BufReader<UnixStream>,
    last_id: u32,
}

impl Peer {
    /// Connects, and says nothing yet.
    pub(crate) fn connect(socket: &Utf8Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_write_timeout(Some(ANSWER_LIMIT))?;
        Ok(Self { stream: BufReader::new(stream), last_id: 0 })
    }

    /// Connects and opens `workspaces` as a trusted window does.
    pub(crate) fn open(socket: &Utf8Path, workspaces: &[&Utf8Path]) -> io::Result<Self> {
        Self::open_as(socket, workspaces, true)
    }

    /// Connects and opens `workspaces` as a window does that trusts them or not.
    pub(crate) fn open_as(socket: &Utf8Path, workspaces: &[&Utf8Path], trusted: bool) -> io::Result<Self> {
        Self::open_with(socket, workspaces, trusted, &json!({}))
    }

    /// The same, as a window that has `environment`.
    pub(crate) fn open_with(
        socket: &Utf8Path,
        workspaces: &[&Utf8Path],
        trusted: bool,
        environment: &Value,
    ) -> io::Result<Self> {
        let mut peer = Self::connect(socket)?;
        let folder = |path: &&Utf8Path| json!({ "uri": format!("file://{path}"), "name": "test" });
        let options = json!({
            "protocol": burrow_protocol::PROTOCOL_VERSION, "kind": "window", "trusted": trusted,
            "environment": environment, "cwd": "/",
        });
        let answer = peer.request(
            "initialize",
            &json!({
                "processId": null, "capabilities": {}, "initializationOptions": options,
                "workspaceFolders": workspaces.iter().map(folder).collect::<Vec<_>>(),
            }),
        )?;
        assert!(answer.get("result").is_some(), "initialize: {answer}");
        peer.send(&json!({ "jsonrpc": "2.0", "method": "initialized", "params": {} }))?;
        Ok(peer)
    }

    /// Sends a request and gives its whole answer; what else the daemon says meanwhile is passed over.
    pub(crate) fn request(&mut self, method: &str, params: &Value) -> io::Result<Value> {
        self.last_id += 1;
        let id = self.last_id;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))?;
        loop {
            let message = self.receive()?;
            if message["id"] == id && message.get("method").is_none() {
                return Ok(message);
            }
        }
    }

    /// The status of everything.
    pub(crate) fn status(&mut self) -> io::Result<Status> {
        let params = serde_json::to_value(NoParams {})?;
        let mut answer = self.request(ModelStatus::NAME, &params)?;
        Ok(serde_json::from_value(answer["result"].take())?)
    }

    /// Sends bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Whether the daemon has closed the connection; waits for that or for [`ANSWER_LIMIT`].
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    fn send(&mut self, message: &Value) -> io::Result<()> {
        let body = message.to_string();
        self.send_raw(format!("{}{body}", framing::header(body.len())).as_bytes())
    }

    /// The next message, whatever it is.
    pub(crate) fn receive(&mut self) -> io::Result<Value> {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.parse().map_err(io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(serde_json::from_slice(&body)?)
    }
}
