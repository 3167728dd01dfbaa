//! `burrow/hooks/cancel`: ends a run. Called by `burrow hook cancel`, and by `burrow hook exec` on Ctrl-C.

use burrow_protocol::hooks::CancelRunParams;
use burrow_protocol::methods::Done;

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: CancelRunParams) -> Result<Done> {
    let workspace = session.workspace(&params.workspace)?;
    workspace.hooks.cancel(&params.run_id, params.command).await?;
    Ok(Done {})
}
