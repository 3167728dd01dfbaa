//! `burrow tools rollback`: makes the generation before the active one active.

use anyhow::Result;
use burrow_protocol::methods::ToolchainRollback;
use burrow_protocol::toolchain::ToolsParams;

use super::render;
use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Succeeds when it went back, although the tools are then not what is asked for: that is what was asked for.
pub(crate) async fn run(_: Args, context: &Context) -> Result<ExitStatus> {
    let client = context.connect(Start::IfNeeded).await?;
    let params = ToolsParams { workspace: context.workspace().to_string() };
    let report = client.call::<ToolchainRollback>(params).await?;
    render::print_report(context.printer, &report, false);
    Ok(ExitStatus::Success)
}
