//! `burrow hook exec`: any command, recorded as a run of a hook. Put before an existing hook, it makes that one seen.

use anyhow::Result;
use burrow_protocol::hooks::{CancelRunParams, ExecHookParams, StartedHooks};
use burrow_protocol::methods::{HooksCancel, HooksExec};
use tokio::signal::unix::{SignalKind, signal};

use super::follow::follow;
use super::render;
use super::run::{sink, tell};
use super::target::Target;
use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;
use crate::cli::link::Link;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which hook it is a run of, and the command's name in it
    #[arg(value_name = "HOOK[/COMMAND]")]
    target: Target,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    argv: Vec<String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let link = Link::open(context, Start::IfNeeded).await?;
    let StartedHooks { runs, .. } = link
        .call::<HooksExec>(ExecHookParams {
            workspace: context.workspace().to_string(),
            hook: args.target.hook,
            command: args.target.command.clone(),
            argv: args.argv,
            cwd: Some(context.cwd().to_string()),
        })
        .await?;
    let hooks = tokio::select! {
        hooks = follow(&link, context.workspace(), &runs, context.printer, sink(context)) => hooks?,
        never = cancel_on_signal(&link, context, &runs) => match never {},
    };
    let hooks = tell(context, hooks, &runs, &args.target);
    Ok(render::child_status(&hooks, &runs))
}

/// The first Ctrl-C asks the command to end, the second kills it; its end is then told as any other. TERM and HUP do the same:
/// the command is no child of ours, and would go on without whoever asked for it.
async fn cancel_on_signal(link: &Link<'_>, context: &Context, runs: &[String]) -> std::convert::Infallible {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds else { return std::future::pending().await };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        for run in runs {
            let params =
                CancelRunParams { workspace: context.workspace().to_string(), run_id: run.clone(), command: None };
            if let Err(error) = link.ask::<HooksCancel>(params).await {
                context.printer.error(&error.data());
            }
        }
    }
}
