//! `burrow/hooks/retry`: queues what did not succeed. Called by `burrow hook retry` and the window's button.

use burrow_protocol::hooks::{RetryHookParams, StartedHooks};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: RetryHookParams) -> Result<StartedHooks> {
    let RetryHookParams { workspace, hook, command } = params;
    let workspace = session.workspace(&workspace)?;
    Ok(workspace.hooks.retry(hook, command, session.caller()).await?)
}
