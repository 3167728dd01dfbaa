//! `burrow hook retry`: runs again what did not succeed.

use anyhow::Result;
use burrow_protocol::hooks::{HookState, HookStatus, RetryHookParams, StartedHooks};
use burrow_protocol::methods::HooksRetry;

use super::follow::follow_or_leave;
use super::render;
use super::target::Target;
use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;
use crate::cli::link::Link;
use crate::cli::log_lines::Sink;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which hook, or which of its commands [default: all that did not succeed]
    #[arg(value_name = "HOOK[/COMMAND]")]
    target: Option<Target>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let link = Link::open(context, Start::IfNeeded).await?;
    let (hook, command) = args.target.clone().map(|target| (target.hook, target.command)).unzip();
    let params = RetryHookParams { workspace: context.workspace().to_string(), hook, command: command.flatten() };
    let StartedHooks { runs, notes } = link.call::<HooksRetry>(params).await?;

    let printer = context.printer;
    notes.iter().for_each(|note| printer.note(note));
    let Some(hooks) = follow_or_leave(&link, context.workspace(), &runs, printer, Sink::Notes).await? else {
        return Ok(ExitStatus::Interrupted);
    };
    let is_target = |hook: &&HookStatus| match &args.target {
        Some(target) => hook.name == target.hook,
        None => hook.run_id.as_ref().is_some_and(|run| runs.contains(run)),
    };
    let shown: Vec<_> = hooks.iter().filter(is_target).cloned().collect();
    if printer.is_json() {
        printer.json(&shown);
    } else {
        if runs.is_empty() && notes.is_empty() {
            printer.note("nothing is to be retried");
        }
        shown.iter().for_each(|hook| printer.data(&render::line(printer, hook)));
        if hooks.iter().any(|hook| hook.state == HookState::Pending) && render::attention(&hooks) == ExitStatus::Success
        {
            printer.note("the hooks that waited are due now: run `burrow up`");
        }
    }
    Ok(render::attention(&shown))
}
