//! `burrow/hooks/skip`: counts a hook as done. Called by `burrow hook skip` and the window's button.

use burrow_protocol::hooks::{HooksReport, SkipHookParams};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: SkipHookParams) -> Result<HooksReport> {
    let SkipHookParams { workspace, hook, command, reason } = params;
    let workspace = session.workspace(&workspace)?;
    let hooks = workspace.hooks.skip(hook, command, reason).await?;
    Ok(HooksReport { hooks, timed_out: false })
}
