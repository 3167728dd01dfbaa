//! `burrow/debug/readLog`: a piece of what dlv and its program printed, waited for. Called by whoever follows a session.

use burrow_protocol::debug::ReadDebugLogParams;
use burrow_protocol::hooks::LogPiece;

use crate::rpc::methods::wait_of;
use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: ReadDebugLogParams) -> Result<LogPiece> {
    let ReadDebugLogParams { id, offset, attempt, wait_ms } = params;
    Ok(session.debug().read_log(id, offset, attempt, wait_of(wait_ms)).await?)
}
