//! The messages of the Debug Adapter Protocol that Burrow uses, as dlv speaks them.
//! Source: the specification at <https://microsoft.github.io/debug-adapter-protocol/specification>; `launch` is dlv's own.

use burrow_protocol::debug::Variable;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A request: its command, what it takes, what it answers.
pub trait Request {
    /// The command on the wire.
    const COMMAND: &'static str;
    /// What it takes.
    type Arguments: Serialize;
    /// What it answers.
    type Body: DeserializeOwned;
}

macro_rules! requests {
    ($($(#[doc = $doc:literal])+ $name:ident = $command:literal ($arguments:ty) -> $body:ty;)*) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}
        impl Request for $name {
            const COMMAND: &'static str = $command;
            type Arguments = $arguments;
            type Body = $body;
        }
    )*};
}

requests! {
    /// Opens the conversation.
    Initialize = "initialize" (InitializeArguments) -> Ignored;
    /// Builds the program and starts it, stopped. `initialized` follows.
    Launch = "launch" (LaunchArguments) -> Ignored;
    /// Sets the breakpoints of one file.
    SetBreakpoints = "setBreakpoints" (SetBreakpointsArguments) -> Breakpoints;
    /// Sets breakpoints on functions.
    SetFunctionBreakpoints = "setFunctionBreakpoints" (SetFunctionBreakpointsArguments) -> Breakpoints;
    /// Lets the program run.
    ConfigurationDone = "configurationDone" (NoArguments) -> Ignored;
    /// Where a thread stands.
    StackTrace = "stackTrace" (StackTraceArguments) -> StackFrames;
    /// The groups of variables of a frame.
    Scopes = "scopes" (ScopesArguments) -> ScopeList;
    /// The variables of a group.
    Variables = "variables" (VariablesArguments) -> VariableList;
    /// Lets the program run on.
    Continue = "continue" (ThreadArguments) -> Ignored;
    /// Ends the session.
    Disconnect = "disconnect" (DisconnectArguments) -> Ignored;
}

/// An answer whose content is of no interest.
#[derive(Debug, Deserialize)]
#[serde(from = "Value")]
pub struct Ignored;

impl From<Value> for Ignored {
    fn from(_: Value) -> Self {
        Self
    }
}

/// Arguments of a request that takes none.
#[derive(Debug, Default, Serialize)]
pub struct NoArguments {}

/// Arguments of `initialize`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InitializeArguments {
    /// Who asks.
    #[serde(rename = "clientID")]
    pub client_id: &'static str,
    /// Which debugger is meant.
    #[serde(rename = "adapterID")]
    pub adapter_id: &'static str,
    /// How paths are written: `path`.
    pub path_format: &'static str,
    /// Lines count from 1.
    pub lines_start_at1: bool,
    /// Columns count from 1.
    pub columns_start_at1: bool,
    /// Variables are to come with their types.
    pub supports_variable_type: bool,
}

impl Default for InitializeArguments {
    fn default() -> Self {
        Self {
            client_id: "burrow",
            adapter_id: "go",
            path_format: "path",
            lines_start_at1: true,
            columns_start_at1: true,
            supports_variable_type: true,
        }
    }
}

/// Arguments of dlv's `launch`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LaunchArguments {
    /// `debug`: build the package, then run it.
    pub mode: &'static str,
    /// The package's folder, or a file of it.
    pub program: String,
    /// The program's arguments.
    pub args: Vec<String>,
    /// The program's working directory.
    pub cwd: String,
    /// Whether to stop before the program's first instruction.
    pub stop_on_entry: bool,
    /// `remote`: the program's output comes as events.
    pub output_mode: &'static str,
}

/// A file.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Source {
    /// Its absolute path.
    #[serde(default)]
    pub path: String,
}

/// A breakpoint on a line.
#[derive(Debug, Serialize)]
pub struct SourceBreakpoint {
    /// The line, from 1.
    pub line: u32,
}

/// Arguments of `setBreakpoints`.
#[derive(Debug, Serialize)]
pub struct SetBreakpointsArguments {
    /// The file.
    pub source: Source,
    /// All of its breakpoints.
    pub breakpoints: Vec<SourceBreakpoint>,
}

/// A breakpoint on a function.
#[derive(Debug, Serialize)]
pub struct FunctionBreakpoint {
    /// Its name, such as `main.main`.
    pub name: String,
}

/// Arguments of `setFunctionBreakpoints`.
#[derive(Debug, Serialize)]
pub struct SetFunctionBreakpointsArguments {
    /// All function breakpoints.
    pub breakpoints: Vec<FunctionBreakpoint>,
}

/// What became of breakpoints.
#[derive(Debug, Deserialize)]
pub struct Breakpoints {
    /// In the order in which they were asked for.
    pub breakpoints: Vec<Breakpoint>,
}

/// What became of a breakpoint.
#[derive(Debug, Deserialize)]
pub struct Breakpoint {
    /// Whether it is set.
    pub verified: bool,
    /// Why not.
    #[serde(default)]
    pub message: String,
}

/// Arguments of `stackTrace`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StackTraceArguments {
    /// The thread: with dlv, a goroutine.
    pub thread_id: i64,
    /// How many frames, from the innermost.
    pub levels: u32,
}

/// Frames, the innermost first.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StackFrames {
    /// The frames.
    pub stack_frames: Vec<StackFrame>,
}

/// One frame.
#[derive(Debug, Deserialize)]
pub struct StackFrame {
    /// Its id, for `scopes`.
    pub id: i64,
    /// The function.
    pub name: String,
    /// The file.
    #[serde(default)]
    pub source: Source,
    /// The line, from 1.
    pub line: u32,
}

/// Arguments of `scopes`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopesArguments {
    /// The frame.
    pub frame_id: i64,
}

/// Groups of variables.
#[derive(Debug, Deserialize)]
pub struct ScopeList {
    /// The groups.
    pub scopes: Vec<Scope>,
}

/// A group of variables.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    /// Its name: `Locals`, `Globals`.
    pub name: String,
    /// Its id, for `variables`.
    pub variables_reference: i64,
}

/// Arguments of `variables`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VariablesArguments {
    /// The group.
    pub variables_reference: i64,
}

/// Variables of a group.
#[derive(Debug, Deserialize)]
pub struct VariableList {
    /// The variables.
    pub variables: Vec<Variable>,
}

/// Arguments of a request about one thread.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadArguments {
    /// The thread.
    pub thread_id: i64,
}

/// Arguments of `disconnect`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DisconnectArguments {
    /// Whether the program ends with the session.
    pub terminate_debuggee: bool,
}

/// A request, as it goes out.
#[derive(Debug, Serialize)]
pub struct Outgoing<'a, T> {
    /// Its number.
    pub seq: u32,
    /// `request`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The command.
    pub command: &'static str,
    /// The arguments.
    pub arguments: &'a T,
}

/// What an adapter sends.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Incoming {
    /// The answer to a request.
    Response(Response),
    /// Something happened.
    Event(EventMessage),
    /// It asks something of us; we offered nothing that it may ask.
    Request(Ignored),
}

/// The answer to a request.
#[derive(Debug, Deserialize)]
pub struct Response {
    /// The number of the request.
    pub request_seq: u32,
    /// Whether it succeeded.
    pub success: bool,
    /// Why not, in short.
    #[serde(default)]
    pub message: String,
    /// The answer; for a failure, the error.
    #[serde(default)]
    pub body: Value,
}

/// An event, as it comes in.
#[derive(Debug, Deserialize)]
pub struct EventMessage {
    /// Its name.
    pub event: String,
    /// What it says.
    #[serde(default)]
    pub body: Value,
}

/// The body of an answer that says what failed.
#[derive(Debug, Default, Deserialize)]
pub struct ErrorBody {
    /// The error.
    #[serde(default)]
    pub error: ErrorMessage,
}

/// What failed.
#[derive(Debug, Default, Deserialize)]
pub struct ErrorMessage {
    /// The adapter's own number for it.
    #[serde(default)]
    pub id: i64,
    /// In words.
    #[serde(default)]
    pub format: String,
}

/// An event, understood.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Breakpoints may be set.
    Initialized,
    /// The program stopped.
    Stopped(Stopped),
    /// The session is over.
    Terminated,
    /// The program ended with this code.
    Exited(i64),
    /// Text for the console.
    Output(Output),
    /// One of no interest here.
    Other(String),
}

/// Why and where the program stopped.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stopped {
    /// `breakpoint`, `function breakpoint`, `pause`, `exception`, ...
    pub reason: String,
    /// Which thread; none for dlv's pause of a running program.
    pub thread_id: Option<i64>,
    /// What went wrong, where something did.
    #[serde(default)]
    pub text: String,
}

/// Text for the console.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Output {
    /// `stdout`, `stderr`, `console`, ...
    #[serde(default)]
    pub category: String,
    /// The text.
    pub output: String,
}

impl EventMessage {
    /// The event's meaning.
    ///
    /// # Errors
    /// Its body is not what such an event has.
    pub fn understand(self) -> Result<Event, serde_json::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Exited {
            exit_code: i64,
        }
        Ok(match self.event.as_str() {
            "initialized" => Event::Initialized,
            "stopped" => Event::Stopped(serde_json::from_value(self.body)?),
            "terminated" => Event::Terminated,
            "exited" => Event::Exited(serde_json::from_value::<Exited>(self.body)?.exit_code),
            "output" => Event::Output(serde_json::from_value(self.body)?),
            _ => Event::Other(self.event),
        })
    }
}
