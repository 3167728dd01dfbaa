//! `burrow/debug/processes`: the Go programs that run. Called by an editor that attaches to one.

use burrow_protocol::debug::GoProcesses;
use burrow_protocol::error::ErrorCode;
use burrow_protocol::methods::NoParams;
use tokio::task::spawn_blocking;

use crate::debug::go_processes;
use crate::rpc::{Failure, Result, Session};
use crate::toolchain::built_with;

pub(crate) async fn handle(_session: &Session, _params: NoParams) -> Result<GoProcesses> {
    let listed = spawn_blocking(|| go_processes::list(built_with)).await;
    let failed = |_| Failure::new(ErrorCode::Internal, "list the Go programs: the listing panicked".to_owned(), None);
    Ok(GoProcesses { processes: listed.map_err(failed)? })
}
