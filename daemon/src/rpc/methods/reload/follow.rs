//! `burrow/reload/follow`: what has happened since the last question; a long poll. Called by `burrow dev`.

use std::time::Duration;

use burrow_protocol::reload::{FollowReloadParams, ReloadPiece};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: FollowReloadParams) -> Result<ReloadPiece> {
    Ok(session.reload().follow(params.id, Duration::from_millis(params.wait_ms.into())).await?)
}
