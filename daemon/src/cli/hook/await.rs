//! `burrow hook await`: for scripts, tasks and editors that need a hook to be done.

use std::time::{Duration, Instant};

use anyhow::Result;
use burrow_protocol::hooks::{AwaitHooksParams, HookName};
use burrow_protocol::methods::HooksAwait;

use super::render;
use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;
use crate::cli::link::Link;
use crate::duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which hook, also one that has not begun [default: all that run or are queued]
    #[arg(value_name = "HOOK")]
    hook: Option<HookName>,
    /// Give up after this long: `30s`, `5m`, `500ms`; then the exit code is 1
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    timeout: Option<Duration>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let link = Link::open(context, Start::IfNeeded).await?;
    let began = Instant::now();
    let params = || AwaitHooksParams {
        workspace: context.workspace().to_string(),
        hook: args.hook,
        timeout_ms: args.timeout.map(|limit| duration::to_millis(limit.saturating_sub(began.elapsed()))),
    };
    let mut report = link.ask_with::<HooksAwait>(params).await?;
    report.hooks.retain(|hook| args.hook.is_none_or(|name| hook.name == name));
    let printer = context.printer;
    if printer.is_json() {
        printer.json(&report);
    } else {
        printer.note(render::hooks(printer, &report.hooks).trim_end());
    }
    Ok(if report.timed_out { ExitStatus::Failure } else { render::attention(&report.hooks) })
}
