//! What the self-test says to dlv, and in which order.

use std::time::Duration;

use burrow_protocol::debug::Stop;
use camino::{Utf8Path, Utf8PathBuf};
use tokio::io::{AsyncRead, AsyncWrite};

use super::error::TrialError;
use super::program::MainPackage;
use super::source_line;
use super::target::Target;
use crate::debug::dap::client::{Client, DapError};
use crate::debug::dap::types::{
    ConfigurationDone, Continue, Disconnect, DisconnectArguments, Event, FunctionBreakpoint, Initialize,
    InitializeArguments, Launch, LaunchArguments, NoArguments, Scopes, ScopesArguments, SetBreakpoints,
    SetBreakpointsArguments, SetFunctionBreakpoints, SetFunctionBreakpointsArguments, Source, SourceBreakpoint,
    StackTrace, StackTraceArguments, ThreadArguments, Variables, VariablesArguments,
};

/// A cold build of a big program.
const BUILD_DEADLINE: Duration = Duration::from_secs(10 * 60);
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// Waiting for a stop is bounded by whoever waits.
const STOP_DEADLINE: Duration = Duration::from_secs(60 * 60);
/// dlv's id of a launch that failed; its `service/dap/error_ids.go`.
const FAILED_TO_LAUNCH: i64 = 3000;
/// How dlv begins the console text of a build that failed. It has no id of its own.
const BUILD_ERROR: &str = "Build Error: ";

/// A conversation with dlv over `S`.
pub(super) struct Conversation<S> {
    client: Client<S>,
    /// dlv's process, for what it may.
    dlv: Option<u32>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    /// Says hello.
    pub(super) async fn open(stream: S, dlv: Option<u32>) -> Result<Self, TrialError> {
        let mut client = Client::new(stream);
        client.call::<Initialize>(&InitializeArguments::default(), ANSWER_DEADLINE).await?;
        Ok(Self { client, dlv })
    }

    /// Builds the program and has it ready to run.
    pub(super) async fn launch(&mut self, program: &MainPackage) -> Result<(), TrialError> {
        let arguments = LaunchArguments {
            mode: "debug",
            program: program.dir.to_string(),
            args: Vec::new(),
            cwd: program.dir.to_string(),
            stop_on_entry: false,
            output_mode: "remote",
        };
        match self.client.call::<Launch>(&arguments, BUILD_DEADLINE).await {
            Ok(_) => {}
            Err(DapError::Refused { id: FAILED_TO_LAUNCH, message, .. }) => {
                return Err(match self.build_error() {
                    Some(said) => TrialError::Build { said },
                    None => TrialError::Launch { message, dlv: self.dlv },
                });
            }
            Err(error) => return Err(error.into()),
        }
        loop {
            if self.client.event(ANSWER_DEADLINE).await? == Event::Initialized {
                return Ok(());
            }
        }
    }

    /// Sets the breakpoint and lets the program run.
    pub(super) async fn stop_at(&mut self, target: &Target) -> Result<(), TrialError> {
        let answer = match target {
            Target::Line { file, line } => {
                let source = Source { path: absolute(file).to_string() };
                let arguments = SetBreakpointsArguments { source, breakpoints: vec![SourceBreakpoint { line: *line }] };
                self.client.call::<SetBreakpoints>(&arguments, ANSWER_DEADLINE).await?
            }
            Target::Function(name) => {
                let breakpoints = vec![FunctionBreakpoint { name: name.clone() }];
                let arguments = SetFunctionBreakpointsArguments { breakpoints };
                self.client.call::<SetFunctionBreakpoints>(&arguments, ANSWER_DEADLINE).await?
            }
        };
        if let Some(refused) = answer.breakpoints.into_iter().find(|breakpoint| !breakpoint.verified) {
            return Err(TrialError::Breakpoint { target: target.to_string(), message: refused.message });
        }
        self.client.call::<ConfigurationDone>(&NoArguments {}, ANSWER_DEADLINE).await?;
        Ok(())
    }

    /// Waits until the program stops; which thread, and where. Dropping the future before that loses nothing.
    pub(super) async fn stopped(&mut self) -> Result<(i64, Stop), TrialError> {
        let thread = loop {
            match self.client.event(STOP_DEADLINE).await {
                // Without a thread it is dlv's own pause, which ends by itself.
                Ok(Event::Stopped(stopped)) => {
                    if let Some(thread) = stopped.thread_id {
                        break thread;
                    }
                }
                Ok(Event::Terminated | Event::Exited(_)) | Err(DapError::Closed) => {
                    return Err(TrialError::Ended { output: self.program_output() });
                }
                Ok(Event::Initialized | Event::Output(_) | Event::Other(_)) => {}
                Err(error) => return Err(error.into()),
            }
        };
        Ok((thread, self.frame(thread).await?))
    }

    async fn frame(&mut self, thread_id: i64) -> Result<Stop, TrialError> {
        let arguments = StackTraceArguments { thread_id, levels: 1 };
        let frames = self.client.call::<StackTrace>(&arguments, ANSWER_DEADLINE).await?.stack_frames;
        let no_frame =
            || TrialError::Launch { message: "dlv shows no frame of the stopped program".to_owned(), dlv: self.dlv };
        let frame = frames.into_iter().next().ok_or_else(no_frame)?;
        let scopes = self.client.call::<Scopes>(&ScopesArguments { frame_id: frame.id }, ANSWER_DEADLINE).await?.scopes;
        let mut variables = Vec::new();
        for scope in scopes.into_iter().filter(|scope| scope.name.starts_with("Locals")) {
            let arguments = VariablesArguments { variables_reference: scope.variables_reference };
            variables.extend(self.client.call::<Variables>(&arguments, ANSWER_DEADLINE).await?.variables);
        }
        let file = Utf8PathBuf::from(frame.source.path);
        let source = source_line(&file, frame.line);
        Ok(Stop { function: frame.name, file: file.into_string(), line: frame.line, source, variables })
    }

    /// Lets a stopped program go on.
    pub(super) async fn go_on(&mut self, thread_id: i64) -> Result<(), TrialError> {
        self.client.call::<Continue>(&ThreadArguments { thread_id }, ANSWER_DEADLINE).await?;
        Ok(())
    }

    /// Ends the program and the session.
    pub(super) async fn goodbye(mut self) -> Result<(), TrialError> {
        let arguments = DisconnectArguments { terminate_debuggee: true };
        match self.client.call::<Disconnect>(&arguments, ANSWER_DEADLINE).await {
            Ok(_) | Err(DapError::Closed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The end of what the program printed.
    pub(super) fn program_output(&self) -> String {
        let output = self.client.output().iter();
        output.filter(|output| output.category != "console").map(|output| output.output.as_str()).collect()
    }

    fn build_error(&self) -> Option<String> {
        self.client.output().iter().find_map(|output| output.output.strip_prefix(BUILD_ERROR)).map(|said| {
            // The first line is the whole command; what matters is the compiler's words.
            said.trim_end().split_once('\n').map_or(said, |(_, words)| words).trim_end().to_owned()
        })
    }
}

/// dlv knows files by their absolute paths, links resolved as the compiler does not: the path as the caller sees it.
fn absolute(file: &Utf8Path) -> Utf8PathBuf {
    camino::absolute_utf8(file).unwrap_or_else(|_| file.to_owned())
}
