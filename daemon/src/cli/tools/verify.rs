//! `burrow tools verify`: compares what is installed with what was recorded.

use anyhow::Result;
use burrow_protocol::methods::{ToolchainCheckSums, ToolchainRebuild, ToolchainVerify};
use burrow_protocol::toolchain::{ToolsParams, VerifyParams};

use super::{progress, render};
use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Read every byte, and what each binary says of its build, instead of comparing size and times; ask the checksum
    /// database about modules that Burrow's own table does not know
    #[arg(long)]
    full: bool,
    /// Build them again in empty caches: the same bytes must come of it. Needs the network, and minutes
    #[arg(long, conflicts_with = "full")]
    deep: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let mut client = context.connect(Start::IfNeeded).await?;
    if args.deep {
        let params = ToolsParams { workspace: context.workspace().to_string() };
        let started = client.call::<ToolchainRebuild>(params).await?;
        let result = progress::run_operation(&mut client, context.workspace(), started, context.printer).await?;
        render::print_result(context.printer, &result);
        return Ok(render::exit_status_of(&result));
    }
    let params = VerifyParams { workspace: context.workspace().to_string(), full: args.full };
    let report = client.call::<ToolchainVerify>(params).await?;
    // What is not as recorded needs no further question.
    if args.full && report.generation.is_some() && render::exit_status(&report) == ExitStatus::Success {
        let params = ToolsParams { workspace: context.workspace().to_string() };
        let started = client.call::<ToolchainCheckSums>(params).await?;
        let result = progress::run_operation(&mut client, context.workspace(), started, context.printer).await?;
        for note in &result.notes {
            context.printer.note(&format!("note: {note}"));
        }
    }
    render::print_report(context.printer, &report, false);
    Ok(render::exit_status(&report))
}
