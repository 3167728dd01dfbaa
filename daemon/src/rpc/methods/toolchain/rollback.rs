//! `burrow/toolchain/rollback`: makes the generation before the active one active. Called by `burrow tools rollback` and the extension.

use burrow_protocol::toolchain::{ToolsParams, ToolsReport};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: ToolsParams) -> Result<ToolsReport> {
    let workspace = session.workspace(&params.workspace)?;
    Ok(workspace.toolchain.rollback(session.caller()).await?)
}
