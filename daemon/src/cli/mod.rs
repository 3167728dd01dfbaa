//! The command line: one file a subcommand. It prints, and calls the daemon through [`crate::client`].
//!
//! Not here: anything that the daemon could do.

mod context; // what every subcommand needs: printer, workspace, connection
mod exit; // exit codes
mod link; // a connection that outlives the daemon
mod log_lines; // output of commands, line by line
mod printer; // stdout and stderr

mod daemon;
mod debug;
mod dev;
mod entrypoint;
mod hook;
mod restart;
mod start;
mod status;
mod step;
mod stop;
mod tools;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use burrow_protocol::error::{ErrorCode, ErrorData};
use camino::Utf8PathBuf;
use clap::{Parser, Subcommand};

use crate::client::ClientError;
use crate::coded::Coded;
use crate::config::ConfigError;
use crate::container::{FeatureError, MendError};
use crate::daemon::StartError;
use context::Context;
use exit::ExitStatus;
use printer::Printer;

/// The companion of a Go dev container: hooks that are seen and retried, Go tools that fit, debug ports that are free.
#[derive(Debug, Parser)]
#[command(name = "burrow", version, after_help = exit::HELP, arg_required_else_help = true, disable_help_subcommand = true)]
struct Arguments {
    /// The workspace folder [default: the nearest folder upward with .devcontainer, go.work, .git or go.mod]
    #[arg(long, global = true, value_name = "DIR")]
    workspace: Option<Utf8PathBuf>,
    /// Print JSON on stdout, for scripts
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring everything in order: start the daemon, install the tools, run the hooks that are due
    Up(up::Args),
    /// Show, run, retry and skip lifecycle hooks
    #[command(subcommand)]
    Hook(hook::Command),
    /// Show, repair, verify, roll back and update the Go tools
    #[command(subcommand)]
    Tools(tools::Command),
    /// Show what is ready, what works, what needs attention
    Status(status::Args),
    /// Debug ports, and the programs behind them
    Debug(debug::Args),
    /// Build and run programs, and do so again whenever their files change
    Dev(dev::Args),
    /// Start the daemon, if none runs
    Start(start::Args),
    /// Stop the daemon; it stays stopped until it is started again
    Stop(stop::Args),
    /// Restart the daemon; hooks in flight go on
    Restart(restart::Args),
    /// Begin a container: start the daemon, then become the parent of `-- CMD` or make way for it
    Entrypoint(entrypoint::Args),
    /// Run a step that a hook's command uses
    #[command(hide = true)]
    Step(step::Args),
    /// Run the daemon in the foreground
    Daemon(daemon::Args),
}

/// Parses the command line, runs it, and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed pipe is no error.
            let _ = error.print();
            return if error.use_stderr() { ExitStatus::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    let printer = Printer::new(arguments.json);
    match run(arguments, printer) {
        Ok(status) => status.into(),
        Err(error) => {
            let data = describe(&error);
            printer.error(&data);
            ExitStatus::of_error(ErrorCode::from_code(&data.code).unwrap_or(ErrorCode::Internal)).into()
        }
    }
}

fn run(arguments: Arguments, printer: Printer) -> Result<ExitStatus> {
    let Arguments { workspace, json: _, command } = arguments;
    // Whatever keeps Burrow from working, the container starts.
    if let Command::Entrypoint(args) = command {
        return Ok(entrypoint::run(&args, printer));
    }
    let context = Context::new(printer, workspace)?;
    context.await_state()?;
    // The daemon builds its own runtimes: it may have to become another user first.
    if let Command::Daemon(args) = command {
        return daemon::run(&args, &context);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Up(args) => up::run(args, &context).await,
            Command::Hook(command) => hook::run(command, &context).await,
            Command::Tools(command) => tools::run(command, &context).await,
            Command::Status(args) => status::run(args, &context).await,
            Command::Debug(args) => debug::run(args, &context).await,
            Command::Dev(args) => dev::run(args, &context).await,
            Command::Start(args) => start::run(args, &context).await,
            Command::Stop(args) => stop::run(args, &context).await,
            Command::Restart(args) => restart::run(args, &context).await,
            Command::Step(args) => step::run(&args, &context).await,
            Command::Daemon(_) | Command::Entrypoint(_) => Ok(ExitStatus::Usage),
        }
    })
}

/// An error with its code and hint; one that is not of our own is an internal one.
fn describe(error: &anyhow::Error) -> ErrorData {
    if let Some(error) = error.downcast_ref::<ClientError>() {
        return error.data();
    }
    if let Some(error) = error.downcast_ref::<ConfigError>() {
        return error.to_data();
    }
    if let Some(error) = error.downcast_ref::<StartError>() {
        return error.to_data();
    }
    if let Some(error) = error.downcast_ref::<FeatureError>() {
        return error.to_data();
    }
    if let Some(error) = error.downcast_ref::<MendError>() {
        return error.to_data();
    }
    if let Some(error) = error.downcast_ref::<context::NotMade>() {
        return error.to_data();
    }
    if let Some(data) = error.downcast_ref::<exit::Told>() {
        return data.0.clone();
    }
    ErrorData::new(ErrorCode::Internal, format!("{error:#}"), None)
}
