//! `burrow tools verify`: compares what is installed with what was recorded.

use anyhow::Result;
use burrow_protocol::methods::ToolchainVerify;
use burrow_protocol::toolchain::VerifyParams;

use super::render;
use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Read every byte, and what each binary says of its build, instead of comparing size and times
    #[arg(long)]
    full: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let client = context.connect(Start::IfNeeded).await?;
    let params = VerifyParams { workspace: context.workspace().to_string(), full: args.full };
    let report = client.call::<ToolchainVerify>(params).await?;
    render::print_report(context.printer, &report, false);
    Ok(render::exit_status(&report))
}
