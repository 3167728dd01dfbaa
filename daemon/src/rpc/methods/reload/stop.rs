//! `burrow/reload/stop`: begins to end a reload. Called by `burrow dev`.

use burrow_protocol::methods::Done;
use burrow_protocol::reload::StopReloadParams;

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: StopReloadParams) -> Result<Done> {
    session.reload().stop(params.id).await?;
    Ok(Done {})
}
