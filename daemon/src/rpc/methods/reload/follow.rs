//! `burrow/reload/follow`: what has happened since the last question; a long poll. Called by `burrow dev`.

use burrow_protocol::reload::{FollowReloadParams, ReloadPiece};

use crate::rpc::methods::wait_of;
use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: FollowReloadParams) -> Result<ReloadPiece> {
    Ok(session.reload().follow(params.id, wait_of(params.wait_ms)).await?)
}
