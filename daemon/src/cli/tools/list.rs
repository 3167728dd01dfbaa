//! `burrow tools list`: the tools with their versions and states.

use anyhow::Result;
use burrow_protocol::methods::ToolchainList;
use burrow_protocol::toolchain::ToolsParams;

use super::render;
use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Say why each tool has its version
    #[arg(long)]
    why: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let client = context.connect(Start::IfNeeded).await?;
    let params = ToolsParams { workspace: context.workspace().to_string() };
    let report = client.call::<ToolchainList>(params).await?;
    render::print_report(context.printer, &report, args.why);
    Ok(render::exit_status(&report))
}
