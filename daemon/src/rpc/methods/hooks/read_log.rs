//! `burrow/hooks/readLog`: a piece of a command's output, waited for. Called by whoever follows a run.

use std::time::Duration;

use burrow_protocol::hooks::{LogPiece, ReadLogParams};

use crate::hooks::LogPlace;
use crate::rpc::{Result, Session};

/// A client that is gone must not keep a task for longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

pub(crate) async fn handle(session: &Session, params: ReadLogParams) -> Result<LogPiece> {
    let ReadLogParams { workspace, run_id, command, offset, wait_ms, attempt, until_ready } = params;
    let workspace = session.workspace(&workspace)?;
    let wait = Duration::from_millis(wait_ms.into()).min(LONGEST_WAIT);
    let place = LogPlace { attempt, offset: offset.get(), until_ready };
    Ok(workspace.hooks.read_log(&run_id, &command, place, wait).await?)
}
