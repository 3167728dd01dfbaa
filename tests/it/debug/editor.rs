//! A debug client as an editor is one: typed by command, every wait with a deadline.

use std::net::SocketAddr;
use std::time::Duration;

use burrow::debug::dap::client::{Client, DapError};
use burrow::debug::dap::types::{
    Breakpoints, ConfigurationDone, Disconnect, DisconnectArguments, Event, Ignored, Initialize, InitializeArguments,
    NoArguments, Output, Request, Scopes, ScopesArguments, StackFrame, StackTrace, StackTraceArguments, Stopped,
    ThreadArguments, VariableList, Variables, VariablesArguments,
};
use burrow_protocol::debug::Variable;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// How long an answer may take, on a machine that has other work to do.
const ANSWER: Duration = Duration::from_secs(60);
/// A build, the Go cache cold.
const BUILD: Duration = Duration::from_secs(180);

macro_rules! requests {
    ($($name:ident = $command:literal -> $body:ty;)*) => {$(
        pub(super) enum $name {}
        impl Request for $name {
            const COMMAND: &'static str = $command;
            type Arguments = Value;
            type Body = $body;
        }
    )*};
}

// With arguments as an editor's user writes them.
requests! {
    AnyLaunch = "launch" -> Ignored;
    Attach = "attach" -> Ignored;
    AnyBreakpoints = "setFunctionBreakpoints" -> Ignored;
    FileBreakpoints = "setBreakpoints" -> Breakpoints;
    Pause = "pause" -> Ignored;
    Evaluate = "evaluate" -> Evaluated;
    AnyVariables = "variables" -> VariableList;
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Evaluated {
    pub(super) variables_reference: i64,
}

/// One conversation with a debug adapter.
pub(super) struct Editor {
    runtime: Runtime,
    client: Client<tokio::net::TcpStream>,
}

impl Editor {
    /// Connects and says hello.
    pub(super) fn connect(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        let client = runtime.block_on(async {
            let mut client = Client::new(tokio::net::TcpStream::connect(address).await.expect("connect"));
            client.call::<Initialize>(&InitializeArguments::default(), ANSWER).await.expect("initialize");
            client
        });
        Self { runtime, client }
    }

    /// Sends a request and waits for its answer.
    pub(super) fn call<R: Request>(&mut self, arguments: &R::Arguments) -> Result<R::Body, DapError> {
        self.runtime.block_on(self.client.call::<R>(arguments, BUILD))
    }

    /// Sends a request, and does not wait.
    pub(super) fn send<R: Request>(&mut self, arguments: &R::Arguments) {
        let _answer = self.runtime.block_on(self.client.send::<R>(arguments)).expect("send");
    }

    /// Launches with these attributes, and has the program's output come as events.
    pub(super) fn launch(&mut self, mut attributes: Value) {
        attributes["outputMode"] = json!("remote");
        self.call::<AnyLaunch>(&attributes).expect("launch");
        self.is_initialized();
    }

    /// Waits until breakpoints may be set.
    pub(super) fn is_initialized(&mut self) {
        self.wait_for("initialized", |event| matches!(event, Event::Initialized).then_some(()));
    }

    /// Sets breakpoints on these functions and lets the program run.
    pub(super) fn run_to(&mut self, functions: &[&str]) {
        let breakpoints: Vec<_> = functions.iter().map(|name| json!({ "name": name })).collect();
        self.call::<AnyBreakpoints>(&json!({ "breakpoints": breakpoints })).expect("breakpoints");
        self.call::<ConfigurationDone>(&NoArguments {}).expect("configured");
    }

    /// Waits until the program stops.
    pub(super) fn stopped(&mut self) -> Stopped {
        self.wait_for("stopped", |event| match event {
            Event::Stopped(stopped) if stopped.thread_id.is_some() => Some(stopped),
            _ => None,
        })
    }

    /// Waits for an event of which `wanted` makes something.
    pub(super) fn wait_for<T>(&mut self, what: &str, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
        let Self { runtime, client } = self;
        runtime.block_on(async {
            loop {
                let event = client.event(ANSWER).await;
                let event = event.unwrap_or_else(|error| panic!("no {what}: {error}; heard {:?}", client.output()));
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        })
    }

    /// The innermost frame of a stopped program.
    pub(super) fn frame(&mut self, stopped: &Stopped) -> StackFrame {
        let arguments = StackTraceArguments { thread_id: stopped.thread_id.expect("a thread"), levels: 1 };
        let frames = self.call::<StackTrace>(&arguments).expect("frames").stack_frames;
        frames.into_iter().next().expect("a frame")
    }

    /// The local variables of a frame.
    pub(super) fn locals(&mut self, frame: &StackFrame) -> Vec<Variable> {
        let scopes = self.call::<Scopes>(&ScopesArguments { frame_id: frame.id }).expect("scopes").scopes;
        let locals = scopes.iter().find(|scope| scope.name.starts_with("Locals")).expect("locals");
        let arguments = VariablesArguments { variables_reference: locals.variables_reference };
        self.call::<Variables>(&arguments).expect("variables").variables
    }

    /// Lets a stopped program go on.
    pub(super) fn go_on(&mut self, stopped: &Stopped) {
        let arguments = ThreadArguments { thread_id: stopped.thread_id.expect("a thread") };
        self.call::<burrow::debug::dap::types::Continue>(&arguments).expect("continue");
    }

    /// Says goodbye.
    pub(super) fn disconnect(mut self, terminate_debuggee: bool) {
        // dlv may hang up before it answers.
        let _ = self.call::<Disconnect>(&DisconnectArguments { terminate_debuggee });
    }

    /// What came for the console.
    pub(super) fn output(&self) -> &[Output] {
        self.client.output()
    }

    /// Reads to the end of the conversation.
    pub(super) fn sees_the_end(&mut self) {
        self.runtime.block_on(async { while self.client.event(ANSWER).await.is_ok() {} });
    }
}
