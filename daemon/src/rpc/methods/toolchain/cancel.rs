//! `burrow/toolchain/cancel`: ends a queued operation. Called by Ctrl-C in the commands that wait for one.

use burrow_protocol::methods::Done;
use burrow_protocol::toolchain::AwaitOperationParams;

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: AwaitOperationParams) -> Result<Done> {
    let workspace = session.workspace(&params.workspace)?;
    workspace.toolchain.cancel(params.operation).await?;
    Ok(Done {})
}
