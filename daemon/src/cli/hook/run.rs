//! `burrow hook run`: what is due of one hook, with its output and its exit code.

use anyhow::Result;
use burrow_protocol::hooks::{HookOrigin, HookStatus, RunHookParams, StartedHooks};
use burrow_protocol::methods::HooksRun;

use super::follow::follow;
use super::render;
use super::target::Target;
use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;
use crate::cli::log_lines::Sink;
use crate::client::Client;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which hook, or which of its commands
    #[arg(value_name = "HOOK[/COMMAND]")]
    target: Target,
    /// Run it whatever is on record
    #[arg(long)]
    again: bool,
    /// Only what stands there
    #[arg(long, value_name = "ORIGIN", value_parser = ["burrow", "devcontainer"])]
    origin: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let client = context.connect(Start::IfNeeded).await?;
    let origin = args.origin.as_deref().map(|origin| match origin {
        "burrow" => HookOrigin::Burrow,
        _ => HookOrigin::Devcontainer,
    });
    let StartedHooks { runs, notes } = client
        .call::<HooksRun>(RunHookParams {
            workspace: context.workspace().to_string(),
            hook: args.target.hook,
            command: args.target.command.clone(),
            again: args.again,
            origin,
        })
        .await?;
    notes.iter().for_each(|note| context.printer.note(note));
    if runs.is_empty() && !notes.is_empty() {
        // It is a part of what it asks for, or comes before it.
        return Ok(ExitStatus::Success);
    }
    let hooks = show(&client, context, &runs, &args.target).await?;
    Ok(if runs.is_empty() { render::attention(&hooks) } else { render::child_status(&hooks, &runs) })
}

/// Follows `runs` and tells how the hooks of `target` stand then; these are the answer.
pub(super) async fn show(
    client: &Client,
    context: &Context,
    runs: &[String],
    target: &Target,
) -> Result<Vec<HookStatus>> {
    let printer = context.printer;
    let sink = if printer.is_json() { Sink::Notes } else { Sink::Streams };
    let mut hooks = follow(client, context.workspace(), runs, printer, sink).await?;
    hooks.retain(|hook| hook.name == target.hook);
    if printer.is_json() {
        printer.json(&hooks);
    } else if runs.is_empty() {
        printer.note(&format!("{target}: nothing is due"));
        printer.note(render::hooks(printer, &hooks).trim_end());
        if hooks.iter().any(|hook| hook.changed) {
            printer.note(&format!("`burrow hook run {target} --again` runs what has changed"));
        }
    } else {
        let told = hooks.iter().filter(|hook| render::needs_attention(hook.state));
        told.for_each(|hook| printer.note(&render::line(printer, hook)));
    }
    Ok(hooks)
}
