//! `burrow/toolchain/update`: queues an update of the locked versions. Called by `burrow tools update` and the extension.

use burrow_protocol::toolchain::{StartedOperation, UpdateToolsParams};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: UpdateToolsParams) -> Result<StartedOperation> {
    let workspace = session.workspace(&params.workspace)?;
    Ok(workspace.toolchain.update(session.caller(), params.name, params.create_folder).await?)
}
