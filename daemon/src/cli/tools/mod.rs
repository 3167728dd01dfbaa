//! `burrow tools ...`: one file a verb.

mod list;
pub(crate) mod progress; // shared with `burrow up`
pub(crate) mod render; // pure: protocol types -> text
mod repair;
mod rollback;
mod update;
mod verify;

use anyhow::Result;
use clap::Subcommand;

use super::context::Context;
use super::exit::ExitStatus;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the tools: version, state, and with --why where each version comes from
    List(list::Args),
    /// Bring the tools in order
    Repair(repair::Args),
    /// Compare the installed tools with their records
    Verify(verify::Args),
    /// Make the generation before the active one active, until the next repair or update
    Rollback(rollback::Args),
    /// Move the lock file to the newest versions that the pins allow
    Update(update::Args),
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<ExitStatus> {
    match command {
        Command::List(args) => list::run(args, context).await,
        Command::Repair(args) => repair::run(args, context).await,
        Command::Verify(args) => verify::run(args, context).await,
        Command::Rollback(args) => rollback::run(args, context).await,
        Command::Update(args) => update::run(args, context).await,
    }
}
