//! `burrow/hooks/up`: queues every hook that opening a workspace is to run. Called by `burrow up`.

use burrow_protocol::hooks::{StartedHooks, UpHooksParams};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: UpHooksParams) -> Result<StartedHooks> {
    let workspace = session.workspace(&params.workspace)?;
    Ok(workspace.hooks.up(session.caller()).await?)
}
