//! `burrow hook list`: every hook and how it stands.

use anyhow::Result;
use burrow_protocol::hooks::AwaitHooksParams;
use burrow_protocol::methods::HooksAwait;

use super::render;
use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, context: &Context) -> Result<ExitStatus> {
    let client = context.connect(Start::IfNeeded).await?;
    let now = AwaitHooksParams::now(context.workspace().as_str());
    let report = client.call::<HooksAwait>(now).await?;
    let printer = context.printer;
    if printer.is_json() {
        printer.json(&report.hooks);
    } else if report.hooks.is_empty() {
        printer.note("the workspace has no hooks");
    } else {
        printer.data(render::hooks(printer, &report.hooks).trim_end());
    }
    Ok(render::attention(&report.hooks))
}
