//! `burrow/debug/release`: ends a lease; nothing of it is left when the answer comes. Called by `burrow debug release`.

use burrow_protocol::debug::{ReleaseParams, Released};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: ReleaseParams) -> Result<Released> {
    Ok(Released { lease: Some(session.debug().release(params.id).await?) })
}
