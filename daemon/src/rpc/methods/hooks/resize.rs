//! `burrow/hooks/resize`: the terminal of a command has another size. Called by whoever shows it.

use burrow_protocol::hooks::ResizeParams;
use burrow_protocol::methods::Done;

use crate::process::TerminalSize;
use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: ResizeParams) -> Result<Done> {
    let ResizeParams { workspace, run_id, command, rows, cols } = params;
    let workspace = session.workspace(&workspace)?;
    workspace.hooks.resize(&run_id, &command, TerminalSize { rows, cols }).await?;
    Ok(Done {})
}
