//! `burrow hook skip`: counts a hook as done without running it.

use anyhow::Result;
use burrow_protocol::hooks::SkipHookParams;
use burrow_protocol::methods::HooksSkip;

use super::render;
use super::target::Target;
use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which hook, or which of its commands
    #[arg(value_name = "HOOK[/COMMAND]")]
    target: Target,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let client = context.connect(Start::IfNeeded).await?;
    let report = client
        .call::<HooksSkip>(SkipHookParams {
            workspace: context.workspace().to_string(),
            hook: args.target.hook,
            command: args.target.command,
            reason: args.reason,
        })
        .await?;
    let hooks: Vec<_> = report.hooks.into_iter().filter(|hook| hook.name == args.target.hook).collect();
    let printer = context.printer;
    if printer.is_json() {
        printer.json(&hooks);
    } else if hooks.is_empty() {
        printer.note(&format!("{} is not configured", args.target.hook));
    } else {
        printer.data(render::hooks(printer, &hooks).trim_end());
    }
    Ok(render::attention(&hooks))
}
