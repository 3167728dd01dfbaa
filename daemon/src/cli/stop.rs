//! `burrow stop`: ends the daemon; it stays stopped until the user starts it or the container starts again.

use anyhow::Result;
use burrow_protocol::methods::StopParams;

use super::context::{Context, Start};
use super::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Cancel the hooks in flight as well; else they go on
    #[arg(long)]
    hooks: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let client = context.connect_unbound(Start::Never).await?;
    client.stop(StopParams { hooks: args.hooks, restart: false }).await?;
    context.printer.note("burrow has stopped");
    Ok(ExitStatus::Success)
}
