//! `burrow/toolchain/plan`: what a repair would do. Called by `burrow tools repair --dry-run`.

use burrow_protocol::toolchain::{RepairParams, RepairPlan};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: RepairParams) -> Result<RepairPlan> {
    let workspace = session.workspace(&params.workspace)?;
    Ok(workspace.toolchain.plan(session.caller(), params.locked, params.keep_rollback).await?)
}
