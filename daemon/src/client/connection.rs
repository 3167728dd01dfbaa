//! One connection: requests with their answers, notifications as they come.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use burrow_protocol::error::{ErrorCode, ErrorData};
use burrow_protocol::framing::{self, Header};
use burrow_protocol::hooks::HookState;
use burrow_protocol::methods::{DaemonStop, Method, ModelStatus, NoParams, StopParams};
use burrow_protocol::session::{ClientOptions, ServerDetails};
use camino::Utf8Path;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tower_lsp::ls_types::Uri;

use super::ClientError;
use crate::process::Exit;

/// How many notifications may wait to be read before the oldest connection problem shows: the reader stops then.
const NOTIFICATIONS: usize = 1024;

/// Something that the daemon tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// Its name: `burrow/model/changed`, `$/progress`.
    pub method: String,
    /// What it says.
    pub params: Value,
}

/// How long a daemon may take to answer a stop, and then to end: debug sessions and hooks have their graces.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

type Waiting = Arc<Mutex<HashMap<u32, oneshot::Sender<Result<Value, ErrorData>>>>>;

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    /// What the daemon said of itself.
    pub server: ServerDetails,
    wire: Wire,
    notifications: mpsc::Receiver<Notification>,
}

#[derive(Debug)]
struct Wire {
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    waiting: Waiting,
    next: AtomicU32,
}

impl Client {
    /// Opens a conversation on `stream`, bound to the workspace `root` where there is one.
    ///
    /// # Errors
    /// [`ClientError::Connection`], or [`ClientError::Refused`].
    pub(super) async fn open(
        stream: UnixStream,
        options: ClientOptions,
        root: Option<&Utf8Path>,
    ) -> Result<Self, ClientError> {
        let (reader, writer) = stream.into_split();
        let waiting = Waiting::default();
        let (sender, notifications) = mpsc::channel(NOTIFICATIONS);
        tokio::spawn(read(reader, Arc::clone(&waiting), sender));
        let wire = Wire { writer: tokio::sync::Mutex::new(writer), waiting, next: AtomicU32::new(1) };
        let folders: Vec<_> = root.and_then(Uri::from_file_path).into_iter().collect();
        let folders: Vec<_> = folders.iter().map(|uri| json!({ "uri": uri, "name": "workspace" })).collect();
        let params = json!({
            "processId": std::process::id(),
            "rootUri": null,
            "capabilities": {},
            "workspaceFolders": folders,
            "initializationOptions": options,
        });
        let mut answer = wire.request("initialize", params).await?;
        let details = answer["capabilities"]["experimental"].take();
        let server = serde_json::from_value(details).map_err(|error| broken(&error.to_string()))?;
        wire.send(&json!({ "jsonrpc": "2.0", "method": "initialized", "params": {} })).await?;
        Ok(Self { server, wire, notifications })
    }

    /// Calls a method and waits for its answer.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the daemon's own code, or [`ClientError::Connection`].
    pub async fn call<M: Method>(&self, params: M::Params) -> Result<M::Result, ClientError> {
        let params = serde_json::to_value(params).map_err(|error| broken(&error.to_string()))?;
        let answer = self.wire.request(M::NAME, params).await?;
        serde_json::from_value(answer).map_err(|error| broken(&format!("answer of {}: {error}", M::NAME)))
    }

    /// Calls a method and hands each notification that comes meanwhile to `told`. Once `cancelled` is there, `C` is called
    /// besides, and the answer waited for all the same.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_while<M: Method, C: Method>(
        &mut self,
        params: M::Params,
        cancelled: impl Future<Output = ()>,
        cancel: C::Params,
        mut told: impl FnMut(&Notification),
    ) -> Result<M::Result, ClientError> {
        let params = serde_json::to_value(params).map_err(|error| broken(&error.to_string()))?;
        let cancel = serde_json::to_value(cancel).map_err(|error| broken(&error.to_string()))?;
        let Self { wire, notifications, .. } = self;
        let wire = &*wire;
        let cancelling = async {
            cancelled.await;
            // What it answers is told by the answer that is waited for.
            let _ = wire.request(C::NAME, cancel).await;
            std::future::pending::<std::convert::Infallible>().await
        };
        let mut cancelling = std::pin::pin!(cancelling);
        let mut answer = std::pin::pin!(wire.request(M::NAME, params));
        let answer = loop {
            tokio::select! {
                // What was told before the answer is heard before it.
                biased;
                Some(notification) = notifications.recv() => told(&notification),
                answer = &mut answer => break answer?,
                never = &mut cancelling => match never {},
            }
        };
        serde_json::from_value(answer).map_err(|error| broken(&format!("answer of {}: {error}", M::NAME)))
    }

    /// Whether another daemon may take its place unasked: no debug session is open, and no hook is in flight.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn may_be_replaced(&self) -> Result<bool, ClientError> {
        let status = self.call::<ModelStatus>(NoParams {}).await?;
        let mut hooks = status.workspaces.iter().flat_map(|workspace| &workspace.hooks);
        Ok(status.leases.is_empty() && hooks.all(|hook| hook.state != HookState::Running))
    }

    /// Asks the daemon to end, and returns once its process has.
    ///
    /// # Errors
    /// As [`Self::call`]; a connection that ends with the daemon is none.
    pub async fn stop(self, params: StopParams) -> Result<(), ClientError> {
        let pid = self.server.pid;
        let exit = Exit::of(pid).map_err(|source| ClientError::Connection { source })?;
        match timeout(STOP_DEADLINE, self.call::<DaemonStop>(params)).await {
            Ok(Ok(_) | Err(ClientError::Connection { .. })) | Err(_) => {}
            Ok(Err(error)) => return Err(error),
        }
        drop(self);
        if exit.wait(STOP_DEADLINE) { Ok(()) } else { Err(ClientError::StillRuns { pid }) }
    }

    /// The next notification; `None` once the connection is gone.
    pub async fn notification(&mut self) -> Option<Notification> {
        self.notifications.recv().await
    }
}

impl Wire {
    async fn request(&self, method: &str, params: Value) -> Result<Value, ClientError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await?;
        match answer.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(data)) => Err(ClientError::Refused(data)),
            Err(_) => Err(broken("the daemon closed the connection")),
        }
    }

    async fn send(&self, message: &Value) -> Result<(), ClientError> {
        let body = message.to_string();
        let frame = format!("{}{body}", framing::header(body.len()));
        let mut writer = self.writer.lock().await;
        writer.write_all(frame.as_bytes()).await.map_err(|source| ClientError::Connection { source })
    }
}

/// Reads to the end of the stream; those who still wait then are told by their dropped channel.
async fn read(mut reader: OwnedReadHalf, waiting: Waiting, notifications: mpsc::Sender<Notification>) {
    let mut buffer = Vec::new();
    while let Some(message) = next_message(&mut reader, &mut buffer).await {
        dispatch(message, &waiting, &notifications).await;
    }
    waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

async fn next_message(reader: &mut OwnedReadHalf, buffer: &mut Vec<u8>) -> Option<Value> {
    loop {
        if let Header::Complete { header, body } = framing::parse_header(buffer).ok()?
            && buffer.len() >= header + body
        {
            let message = serde_json::from_slice(&buffer[header..header + body]).ok()?;
            buffer.drain(..header + body);
            return Some(message);
        }
        if reader.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

async fn dispatch(mut message: Value, waiting: &Waiting, notifications: &mpsc::Sender<Notification>) {
    if let Some(method) = message["method"].as_str().map(str::to_owned) {
        // A command line asks what it wants to know; where it does not listen, what it is told is lost.
        let _ = notifications.try_send(Notification { method, params: message["params"].take() });
        tokio::task::yield_now().await;
        return;
    }
    let id = message["id"].as_u64().and_then(|id| u32::try_from(id).ok());
    let sender = id.and_then(|id| waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id));
    let Some(sender) = sender else { return };
    let answer = match message.get_mut("error").map(Value::take) {
        Some(error) if !error.is_null() => Err(refusal(error)),
        _ => Ok(message["result"].take()),
    };
    // Whoever asked may have given up.
    let _ = sender.send(answer);
}

/// A JSON-RPC error; one of `tower-lsp`'s own has no data.
fn refusal(mut error: Value) -> ErrorData {
    serde_json::from_value(error["data"].take())
        .unwrap_or_else(|_| ErrorData::new(ErrorCode::BadRequest, error["message"].as_str().unwrap_or("refused"), None))
}

fn broken(why: &str) -> ClientError {
    ClientError::Connection { source: std::io::Error::other(why.to_owned()) }
}
