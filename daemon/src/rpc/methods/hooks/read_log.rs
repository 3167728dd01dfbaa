//! `burrow/hooks/readLog`: a piece of a command's output, waited for. Called by whoever follows a run.

use burrow_protocol::hooks::{LogPiece, ReadLogParams};

use crate::hooks::LogPlace;
use crate::rpc::methods::wait_of;
use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: ReadLogParams) -> Result<LogPiece> {
    let ReadLogParams { workspace, run_id, command, offset, wait_ms, attempt, until_ready } = params;
    let workspace = session.workspace(&workspace)?;
    let place = LogPlace { attempt, offset: offset.get(), until_ready };
    Ok(workspace.hooks.read_log(&run_id, &command, place, wait_of(wait_ms)).await?)
}
