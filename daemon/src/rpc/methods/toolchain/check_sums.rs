//! `burrow/toolchain/checkSums`: queues a question to the checksum database. Called by `burrow tools verify --full`.

use burrow_protocol::toolchain::{StartedOperation, ToolsParams};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: ToolsParams) -> Result<StartedOperation> {
    let workspace = session.workspace(&params.workspace)?;
    Ok(workspace.toolchain.check_sums(session.caller()).await?)
}
