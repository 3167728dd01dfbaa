//! `burrow hook cancel`: ends what runs of a hook, its background services among it.

use std::collections::BTreeSet;

use anyhow::Result;
use burrow_protocol::error::{ErrorCode, ErrorData};
use burrow_protocol::hooks::{AwaitHooksParams, CancelRunParams, HookState, HookStatus};
use burrow_protocol::methods::{HooksAwait, HooksCancel};

use super::target::Target;
use crate::cli::context::{Context, Start};
use crate::cli::exit::{ExitStatus, Told};
use crate::coded::Coded;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which hook, or which of its commands
    #[arg(value_name = "HOOK[/COMMAND]")]
    target: Target,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let client = context.connect(Start::IfNeeded).await?;
    let workspace = context.workspace().to_string();
    let now = AwaitHooksParams::now(&workspace);
    let hooks = client.call::<HooksAwait>(now).await?.hooks;
    let mut any = false;
    for (run_id, command) in in_flight(&hooks, &args.target) {
        let params = CancelRunParams { workspace: workspace.clone(), run_id, command };
        match client.call::<HooksCancel>(params).await {
            Ok(_) => any = true,
            // Nothing goes on of it, or it ended by itself in the meantime.
            Err(error) if error.code() == ErrorCode::RunUnknown => {}
            Err(error) => return Err(error.into()),
        }
    }
    if !any {
        let message = format!("cancel {}: nothing of it runs or waits", args.target);
        return Err(Told(ErrorData::new(ErrorCode::RunUnknown, message, Some("see `burrow hook list`".into()))).into());
    }
    context.printer.note(&format!("{} is being ended", args.target));
    Ok(ExitStatus::Success)
}

/// What of a hook runs, or waits within a run, or may go on without its shim: its runs as a whole, or the one command that
/// is named, with its run.
fn in_flight(hooks: &[HookStatus], target: &Target) -> BTreeSet<(String, Option<String>)> {
    let is_meant = |name: &str| target.command.as_ref().is_none_or(|command| command == name);
    let commands = hooks.iter().filter(|hook| hook.name == target.hook).flat_map(|hook| &hook.commands);
    commands
        .filter(|command| is_meant(&command.name))
        .filter(|command| matches!(command.state, HookState::Running | HookState::Pending | HookState::Interrupted))
        .filter_map(|command| Some((command.run_id.clone()?, target.command.clone())))
        .collect()
}
