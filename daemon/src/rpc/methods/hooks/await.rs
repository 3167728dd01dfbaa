//! `burrow/hooks/await`: answers when hooks are at rest. Called by `burrow hook await`, and by whoever must wait.

use std::time::Duration;

use burrow_protocol::hooks::{AwaitHooksParams, HooksReport};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: AwaitHooksParams) -> Result<HooksReport> {
    let workspace = session.workspace(&params.workspace)?;
    let timeout = params.timeout_ms.map(|millis| Duration::from_millis(millis.into()));
    Ok(workspace.hooks.settled(params.hook, timeout, session.caller()).await?)
}
