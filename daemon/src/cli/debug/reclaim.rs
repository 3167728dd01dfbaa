//! `burrow debug reclaim`: ends whatever Burrow has on a port.

use anyhow::Result;
use burrow_protocol::debug::ReclaimParams;
use burrow_protocol::methods::DebugReclaim;

use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The port
    port: u16,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let client = context.connect_unbound(Start::Never).await?;
    let released = client.call::<DebugReclaim>(ReclaimParams { port: args.port }).await?;
    if context.printer.is_json() {
        context.printer.json(&released);
    } else {
        let said = released.lease.as_ref().map_or_else(|| format!("port {} was free", args.port), super::ended);
        context.printer.note(&said);
    }
    Ok(ExitStatus::Success)
}
