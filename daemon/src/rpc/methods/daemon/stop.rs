//! `burrow/daemon/stop`: ends the daemon in order. Called by `burrow stop` and `burrow restart`.

use burrow_protocol::methods::{Done, StopParams};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: StopParams) -> Result<Done> {
    session.core().stop(params).await?;
    Ok(Done {})
}
