//! `burrow/toolchain/rebuild`: queues a build that must give the installed binaries. Called by `burrow tools verify --deep`.

use burrow_protocol::toolchain::{StartedOperation, ToolsParams};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: ToolsParams) -> Result<StartedOperation> {
    let workspace = session.workspace(&params.workspace)?;
    Ok(workspace.toolchain.rebuild(session.caller()).await?)
}
