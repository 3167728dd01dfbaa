//! `burrow tools repair`: brings the tools in order, or says what that would take.

use anyhow::Result;
use burrow_protocol::methods::{ToolchainPlan, ToolchainRepair};
use burrow_protocol::toolchain::RepairParams;

use super::{progress, render};
use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Fail rather than install anything that the lock file does not name
    #[arg(long)]
    locked: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let mut client = context.connect(Start::IfNeeded).await?;
    let params = RepairParams { workspace: context.workspace().to_string(), locked: args.locked, keep_rollback: false };
    if args.dry_run {
        let plan = client.call::<ToolchainPlan>(params).await?;
        render::print_plan(context.printer, &plan);
        return Ok(ExitStatus::Success);
    }
    let started = client.call::<ToolchainRepair>(params).await?;
    let result = progress::run_operation(&mut client, context.workspace(), started, context.printer).await?;
    render::print_result(context.printer, &result);
    Ok(render::exit_status_of(&result))
}
