//! `burrow start`: a daemon runs afterwards.

use anyhow::Result;
use burrow_protocol::methods::StopParams;
use serde_json::json;

use super::context::{Context, Start};
use super::exit::ExitStatus;
use crate::client::Standing;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave it stopped where the user stopped it, and replace only one of a lower version: how an editor calls it
    #[arg(long, hide = true)]
    unless_stopped: bool,
}

impl Args {
    /// Start it in any case.
    pub(super) const ALWAYS: Self = Self { unless_stopped: false };
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let start = if args.unless_stopped { Start::IfNeeded } else { Start::Always };
    let mut client = context.connect_unbound(start).await?;
    let mut outdated = context.finder().gives_way(&[Standing::Newer])?;
    // `start` has replaced it already, where it could.
    if outdated && args.unless_stopped && client.may_be_replaced().await? {
        client.stop(StopParams { hooks: false, restart: true }).await?;
        client = context.connect_unbound(start).await?;
        outdated = context.finder().gives_way(&[Standing::Newer])?;
    }
    let pid = client.server.pid;
    if context.printer.is_json() {
        context.printer.json(&json!({ "pid": pid, "build": client.server.build, "outdated": outdated }));
    } else {
        context.printer.data(&format!("burrow runs: pid {pid}"));
    }
    if outdated {
        context
            .printer
            .note("note: an older daemon goes on while a debug session or a hook runs; `burrow restart` replaces it");
    }
    Ok(ExitStatus::Success)
}
