//! `burrow debug release`: ends a lease and all of its processes.

use anyhow::Result;
use burrow_protocol::debug::ReleaseParams;
use burrow_protocol::methods::DebugRelease;

use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The lease, such as lease-3
    id: String,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let client = context.connect_unbound(Start::Never).await?;
    let released = client.call::<DebugRelease>(ReleaseParams { id: args.id }).await?;
    if context.printer.is_json() {
        context.printer.json(&released);
    } else if let Some(lease) = &released.lease {
        context.printer.note(&super::ended(lease));
    }
    Ok(ExitStatus::Success)
}
