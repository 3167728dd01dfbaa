//! `burrow/toolchain/repair`: queues a repair. Called by `burrow up`, `burrow tools repair` and the extension.

use burrow_protocol::toolchain::{RepairParams, StartedOperation};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: RepairParams) -> Result<StartedOperation> {
    let workspace = session.workspace(&params.workspace)?;
    Ok(workspace.toolchain.repair(session.caller(), params.locked, params.keep_rollback).await?)
}
