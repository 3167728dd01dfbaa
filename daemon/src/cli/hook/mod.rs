//! `burrow hook ...`: lifecycle hooks.

mod r#await;
mod cancel;
mod exec;
mod list;
mod log;
mod retry;
mod run;
mod skip;

pub(super) mod follow; // the output of runs, as it comes; `burrow up` uses it too
pub(super) mod render; // pure: statuses as text and exit codes
mod target; // HOOK[/COMMAND]

use anyhow::Result;
use clap::Subcommand;

use super::context::Context;
use super::exit::{ExitStatus, HELP};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show every hook and how it stands
    #[command(after_help = HELP)]
    List(list::Args),
    /// Run what is due of a hook
    #[command(after_help = HELP)]
    Run(run::Args),
    /// Run a command and record it as a run of a hook
    #[command(after_help = HELP)]
    Exec(exec::Args),
    /// Run again what did not succeed
    #[command(after_help = HELP)]
    Retry(retry::Args),
    /// Count a hook as done without running it
    #[command(after_help = HELP)]
    Skip(skip::Args),
    /// End what runs of a hook
    #[command(after_help = HELP)]
    Cancel(cancel::Args),
    /// Show what a hook printed
    #[command(after_help = HELP)]
    Log(log::Args),
    /// Wait until a hook neither waits nor runs
    #[command(after_help = HELP)]
    Await(r#await::Args),
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<ExitStatus> {
    match command {
        Command::List(args) => list::run(args, context).await,
        Command::Run(args) => run::run(args, context).await,
        Command::Exec(args) => exec::run(args, context).await,
        Command::Retry(args) => retry::run(args, context).await,
        Command::Skip(args) => skip::run(args, context).await,
        Command::Cancel(args) => cancel::run(args, context).await,
        Command::Log(args) => log::run(args, context).await,
        Command::Await(args) => r#await::run(args, context).await,
    }
}
