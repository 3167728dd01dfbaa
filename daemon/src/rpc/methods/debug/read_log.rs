//! `burrow/debug/readLog`: a piece of what dlv and its program printed. Called by editors.

use burrow_protocol::debug::ReadDebugLogParams;
use burrow_protocol::hooks::LogPiece;

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: ReadDebugLogParams) -> Result<LogPiece> {
    Ok(session.debug().read_log(params.id, params.attempt, params.offset).await?)
}
