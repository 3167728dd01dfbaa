//! `burrow/model/subscribe`: a snapshot; changes follow as `burrow/model/changed`. Called by windows and `status --watch`.

use burrow_protocol::methods::NoParams;
use burrow_protocol::model::Snapshot;

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, _: NoParams) -> Result<Snapshot> {
    // First the interest, then the snapshot: a change between them is told twice rather than never.
    session.follow_changes();
    Ok(session.core().model.subscribe().0)
}
