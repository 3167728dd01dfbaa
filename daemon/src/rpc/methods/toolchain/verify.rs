//! `burrow/toolchain/verify`: checks the installed tools. Called by `burrow tools verify`.

use burrow_protocol::toolchain::{ToolsReport, VerifyParams};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: VerifyParams) -> Result<ToolsReport> {
    let workspace = session.workspace(&params.workspace)?;
    Ok(workspace.toolchain.verify(session.caller(), params.full).await?)
}
