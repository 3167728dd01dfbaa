//! `burrow hook run`: what is due of one hook, with its output and its exit code.

use anyhow::Result;
use burrow_protocol::hooks::{HookOrigin, HookStatus, RunHookParams, StartedHooks};
use burrow_protocol::methods::HooksRun;

use super::follow::follow_or_leave;
use super::render;
use super::target::Target;
use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;
use crate::cli::link::Link;
use crate::cli::log_lines::Sink;

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
    let link = Link::open(context, Start::IfNeeded).await?;
    let origin = args.origin.as_deref().map(|origin| match origin {
        "burrow" => HookOrigin::Burrow,
        _ => HookOrigin::Devcontainer,
    });
    let params = RunHookParams {
        workspace: context.workspace().to_string(),
        hook: args.target.hook,
        command: args.target.command.clone(),
        again: args.again,
        origin,
    };
    let StartedHooks { mut runs, notes } = link.call::<HooksRun>(params.clone()).await?;
    notes.iter().for_each(|note| context.printer.note(note));
    if runs.is_empty() && !notes.is_empty() {
        // It is a part of what it asks for, or comes before it.
        return Ok(ExitStatus::Success);
    }
    let sink = sink(context);
    let mut followed = follow_or_leave(&link, context.workspace(), &runs, context.printer, sink).await?;
    // What had not begun in a daemon that ended is known to nobody but us.
    let mut renewals = 0;
    while followed.is_some() && link.renewals() > renewals {
        renewals = link.renewals();
        let rest = link.ask::<HooksRun>(RunHookParams { again: false, ..params.clone() }).await?.runs;
        followed = follow_or_leave(&link, context.workspace(), &rest, context.printer, sink).await?;
        runs.extend(rest);
    }
    let Some(hooks) = followed else { return Ok(ExitStatus::Interrupted) };
    let hooks = tell(context, hooks, &runs, &args.target);
    Ok(if runs.is_empty() { render::attention(&hooks) } else { render::child_status(&hooks, &runs) })
}

/// Where the output of what is run goes.
pub(super) const fn sink(context: &Context) -> Sink {
    if context.printer.is_json() { Sink::Notes } else { Sink::Streams }
}

/// Tells how those of `hooks` stand that are of `target`, after `runs`; these are the answer.
pub(super) fn tell(context: &Context, mut hooks: Vec<HookStatus>, runs: &[String], target: &Target) -> Vec<HookStatus> {
    let printer = context.printer;
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
    hooks
}
