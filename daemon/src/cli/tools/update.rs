//! `burrow tools update`: chooses versions anew within the pins, installs them, and moves the lock file.

use anyhow::Result;
use burrow_protocol::methods::ToolchainUpdate;
use burrow_protocol::toolchain::UpdateToolsParams;

use super::{progress, render};
use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One tool [default: all]
    name: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let mut client = context.connect(Start::IfNeeded).await?;
    let params = UpdateToolsParams { workspace: context.workspace().to_string(), name: args.name };
    let started = client.call::<ToolchainUpdate>(params).await?;
    let result = progress::run_operation(&mut client, context.workspace(), started, context.printer).await?;
    render::print_result(context.printer, &result);
    Ok(render::exit_status(&result.report))
}
