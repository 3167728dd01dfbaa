//! `burrow/model/status`: the status of everything, once. Called by `burrow status`.

use burrow_protocol::methods::NoParams;
use burrow_protocol::model::Status;

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, _: NoParams) -> Result<Status> {
    Ok(session.core().model.status())
}
