//! `burrow start`: a daemon runs afterwards.

use anyhow::Result;
use serde_json::json;

use super::context::{Context, Start};
use super::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave it stopped where the user stopped it: how an editor calls it
    #[arg(long, hide = true)]
    unless_stopped: bool,
}

impl Args {
    /// Start it in any case.
    pub(super) const ALWAYS: Self = Self { unless_stopped: false };
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let start = if args.unless_stopped { Start::IfNeeded } else { Start::Always };
    let client = context.connect_unbound(start).await?;
    let pid = client.server.pid;
    if context.printer.is_json() {
        context.printer.json(&json!({ "pid": pid, "build": client.server.build }));
    } else {
        context.printer.data(&format!("burrow runs: pid {pid}"));
    }
    Ok(ExitStatus::Success)
}
