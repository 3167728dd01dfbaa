//! `burrow/hooks/run`: queues one hook in its caller's environment. Called by `burrow hook run`.

use burrow_protocol::hooks::{RunHookParams, StartedHooks};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: RunHookParams) -> Result<StartedHooks> {
    let RunHookParams { workspace, hook, command, again, origin } = params;
    let workspace = session.workspace(&workspace)?;
    Ok(workspace.hooks.run(hook, command, again, origin, session.caller()).await?)
}
