//! One conversation with a debug adapter, from the client's side.
//!
//! State: the stream, what was read of it and not yet asked for, and the end of the console's output.
//! Invariants: no task of its own: whoever waits, reads; every wait has a deadline; console text is kept apart, and
//! only its end, so a chatty program does not fill the memory.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};
use tokio_util::bytes::BytesMut;

use super::codec::{self, CodecError};
use super::types::{ErrorBody, Event, Incoming, Outgoing, Output, Request, Response};

/// How much of the console's output is kept.
const KEPT_OUTPUT: usize = 64 * 1024;

/// What goes wrong in a conversation.
#[derive(Debug, thiserror::Error)]
pub enum DapError {
    /// The adapter refused a request.
    #[error("{command}: {message}")]
    Refused {
        /// The request.
        command: &'static str,
        /// The adapter's number for the error; dlv's are in its `service/dap/error_ids.go`.
        id: i64,
        /// The adapter's words.
        message: String,
    },
    /// The stream ended.
    #[error("the debug adapter closed the connection")]
    Closed,
    /// Nothing came in time.
    #[error("the debug adapter sent no {waited_for} in time")]
    Late {
        /// The answer or event.
        waited_for: &'static str,
    },
    /// The stream broke.
    #[error("the connection to the debug adapter broke")]
    Io(#[from] std::io::Error),
    /// The adapter spoke something else.
    #[error("the debug adapter sent something that is no DAP")]
    Codec(#[from] CodecError),
}

/// A conversation over `stream`.
#[derive(Debug)]
pub struct Client<S> {
    stream: S,
    buffer: BytesMut,
    next_seq: u32,
    responses: Vec<Response>,
    events: VecDeque<Event>,
    output: Vec<Output>,
    output_bytes: usize,
}

/// A request that was sent; its answer can be waited for.
#[derive(Debug)]
#[must_use = "an answer that nobody waits for may be a refusal"]
pub struct Sent<R> {
    seq: u32,
    request: PhantomData<R>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Nothing is sent yet.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            next_seq: 1,
            responses: Vec::new(),
            events: VecDeque::new(),
            output: Vec::new(),
            output_bytes: 0,
        }
    }

    /// Sends a request and does not wait.
    ///
    /// # Errors
    /// The stream broke.
    pub async fn send<R: Request>(&mut self, arguments: &R::Arguments) -> Result<Sent<R>, DapError> {
        let seq = self.next_seq;
        self.next_seq += 1;
        let frame = codec::encode(&Outgoing { seq, kind: "request", command: R::COMMAND, arguments })?;
        self.stream.write_all(&frame).await?;
        Ok(Sent { seq, request: PhantomData })
    }

    /// Waits for the answer to a request.
    ///
    /// # Errors
    /// [`DapError::Refused`] for a failure that the adapter tells; the others for a conversation that is over.
    pub async fn answer<R: Request>(&mut self, sent: Sent<R>, within: Duration) -> Result<R::Body, DapError> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(index) = self.responses.iter().position(|response| response.request_seq == sent.seq) {
                return understand::<R>(self.responses.swap_remove(index));
            }
            self.read(deadline, R::COMMAND).await?;
        }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub async fn call<R: Request>(&mut self, arguments: &R::Arguments, within: Duration) -> Result<R::Body, DapError> {
        let sent = self.send::<R>(arguments).await?;
        self.answer(sent, within).await
    }

    /// Waits for the next event that is no console text. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`DapError::Late`] after `within`; the others for a conversation that is over.
    pub async fn event(&mut self, within: Duration) -> Result<Event, DapError> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            self.read(deadline, "event").await?;
        }
    }

    /// The end of what came for the console so far.
    pub fn output(&self) -> &[Output] {
        &self.output
    }

    async fn read(&mut self, deadline: Instant, waited_for: &'static str) -> Result<(), DapError> {
        loop {
            if let Some(message) = codec::decode(&mut self.buffer)? {
                return self.keep(message);
            }
            let read = timeout_at(deadline, self.stream.read_buf(&mut self.buffer));
            if read.await.map_err(|_| DapError::Late { waited_for })?? == 0 {
                return Err(DapError::Closed);
            }
        }
    }

    fn keep(&mut self, message: Incoming) -> Result<(), DapError> {
        match message {
            Incoming::Response(response) => self.responses.push(response),
            Incoming::Event(event) => match event.understand().map_err(CodecError::Message)? {
                Event::Output(output) => self.keep_output(output),
                event => self.events.push_back(event),
            },
            Incoming::Request(_) => {}
        }
        Ok(())
    }

    fn keep_output(&mut self, output: Output) {
        self.output_bytes += output.output.len();
        self.output.push(output);
        while self.output_bytes > KEPT_OUTPUT && self.output.len() > 1 {
            self.output_bytes -= self.output.remove(0).output.len();
        }
    }
}

fn understand<R: Request>(response: Response) -> Result<R::Body, DapError> {
    if response.success {
        return Ok(serde_json::from_value(response.body).map_err(CodecError::Message)?);
    }
    let error = serde_json::from_value::<ErrorBody>(response.body).unwrap_or_default().error;
    let message = if error.format.is_empty() { response.message } else { error.format };
    Err(DapError::Refused { command: R::COMMAND, id: error.id, message })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};
    use tokio::io::{AsyncWriteExt, DuplexStream};

    use super::{Client, DapError};
    use crate::debug::dap::codec;
    use crate::debug::dap::types::{ConfigurationDone, Event, Initialize, InitializeArguments, NoArguments};

    const SOON: Duration = Duration::from_secs(5);

    async fn say(adapter: &mut DuplexStream, message: Value) {
        adapter.write_all(&codec::encode(&message).expect("frame")).await.expect("write");
    }

    fn response(seq: u32, success: bool, body: &Value) -> Value {
        json!({ "seq": 9, "type": "response", "request_seq": seq, "success": success, "message": "No", "body": body })
    }

    #[tokio::test]
    async fn answers_find_their_requests_and_events_wait() {
        let (mut adapter, stream) = tokio::io::duplex(64 * 1024);
        let mut client = Client::new(stream);
        say(&mut adapter, json!({ "seq": 1, "type": "event", "event": "initialized" })).await;
        say(&mut adapter, response(2, false, &json!({ "error": { "id": 3000, "format": "Failed to launch" } }))).await;
        say(&mut adapter, json!({ "seq": 2, "type": "event", "event": "output", "body": { "output": "hi" } })).await;
        say(&mut adapter, response(1, true, &json!({ "supportsRestartRequest": true }))).await;

        let first = client.send::<Initialize>(&InitializeArguments::default()).await.expect("send");
        let second = client.send::<ConfigurationDone>(&NoArguments {}).await.expect("send");
        client.answer(first, SOON).await.expect("the first succeeded");
        let error = client.answer(second, SOON).await.expect_err("the second was refused");
        assert!(matches!(error, DapError::Refused { id: 3000, .. }), "{error:?}");
        assert_eq!(error.to_string(), "configurationDone: Failed to launch");
        assert_eq!(client.event(SOON).await.expect("event"), Event::Initialized);
        assert_eq!(client.output()[0].output, "hi");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_hang_up_are_told_apart() {
        let (adapter, stream) = tokio::io::duplex(1024);
        let mut client = Client::new(stream);
        assert!(matches!(client.event(SOON).await, Err(DapError::Late { .. })));
        drop(adapter);
        assert!(matches!(client.event(SOON).await, Err(DapError::Closed)));
    }

    #[tokio::test]
    async fn chatty_program_does_not_fill_the_memory() {
        let (mut adapter, stream) = tokio::io::duplex(1024);
        let mut client = Client::new(stream);
        let chatter = tokio::spawn(async move {
            for _ in 0..100 {
                let body = json!({ "output": "x".repeat(8 * 1024) });
                say(&mut adapter, json!({ "seq": 1, "type": "event", "event": "output", "body": body })).await;
            }
            say(&mut adapter, json!({ "seq": 2, "type": "event", "event": "terminated" })).await;
        });
        assert_eq!(client.event(SOON).await.expect("event"), Event::Terminated);
        let kept: usize = client.output().iter().map(|output| output.output.len()).sum();
        assert!(kept <= super::KEPT_OUTPUT, "{kept}");
        chatter.await.expect("chatter");
    }
}
