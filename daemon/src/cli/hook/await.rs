//! `burrow hook await`: for scripts, tasks and editors that need a hook to be done.

use std::time::Duration;

use anyhow::Result;
use burrow_protocol::hooks::{AwaitHooksParams, HookName};
use burrow_protocol::methods::HooksAwait;

use super::render;
use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which hook, also one that has not begun [default: all that run or are queued]
    #[arg(value_name = "HOOK")]
    hook: Option<HookName>,
    /// Give up after this long: `30s`, `5m`, `500ms`; then the exit code is 1
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let client = context.connect(Start::IfNeeded).await?;
    let timeout_ms = args.timeout.map(|timeout| u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX));
    let params = AwaitHooksParams { workspace: context.workspace().to_string(), hook: args.hook, timeout_ms };
    let mut report = client.call::<HooksAwait>(params).await?;
    report.hooks.retain(|hook| args.hook.is_none_or(|name| hook.name == name));
    let printer = context.printer;
    if printer.is_json() {
        printer.json(&report);
    } else {
        printer.note(render::hooks(printer, &report.hooks).trim_end());
    }
    Ok(if report.timed_out { ExitStatus::Failure } else { render::attention(&report.hooks) })
}

/// A number with a unit; without one, seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let wrong = || format!("`{text}` is no time such as `30s`, `5m` or `500ms`");
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    match &text[digits..] {
        "ms" => Ok(Duration::from_millis(number)),
        "" | "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        "h" => Ok(Duration::from_secs(number.saturating_mul(3600))),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn times() {
        for (text, millis, why) in [
            ("500ms", Some(500), "milliseconds"),
            ("30s", Some(30_000), "seconds"),
            ("30", Some(30_000), "a bare number is seconds"),
            ("5m", Some(300_000), "minutes"),
            ("1h", Some(3_600_000), "hours"),
            ("soon", None, "no number"),
            ("5 m", None, "no space"),
        ] {
            assert_eq!(duration(text).ok().map(|time| time.as_millis()), millis, "{why}");
        }
    }
}
