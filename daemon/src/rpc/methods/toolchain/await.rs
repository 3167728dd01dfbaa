//! `burrow/toolchain/await`: answers when a queued operation ended. Called by whoever queued it.

use burrow_protocol::toolchain::{AwaitOperationParams, OperationResult};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: AwaitOperationParams) -> Result<OperationResult> {
    let workspace = session.workspace(&params.workspace)?;
    Ok(workspace.toolchain.wait(params.operation).await?)
}
