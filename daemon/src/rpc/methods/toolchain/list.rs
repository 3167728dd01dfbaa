//! `burrow/toolchain/list`: the tools, with why each has its version. Called by `burrow tools list` and the extension.

use burrow_protocol::toolchain::{ToolsParams, ToolsReport};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: ToolsParams) -> Result<ToolsReport> {
    let workspace = session.workspace(&params.workspace)?;
    Ok(workspace.toolchain.list(session.caller()).await?)
}
