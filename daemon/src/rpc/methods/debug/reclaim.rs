//! `burrow/debug/reclaim`: ends what of ours sits on a port. Called by `burrow debug reclaim`.

use burrow_protocol::debug::{ReclaimParams, Released};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: ReclaimParams) -> Result<Released> {
    Ok(Released { lease: session.debug().reclaim(params.port).await? })
}
