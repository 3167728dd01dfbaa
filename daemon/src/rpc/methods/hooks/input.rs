//! `burrow/hooks/input`: types into the terminal of a command. Called by whoever shows it.

use burrow_protocol::hooks::InputParams;
use burrow_protocol::methods::Done;

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: InputParams) -> Result<Done> {
    let InputParams { workspace, run_id, command, text } = params;
    let workspace = session.workspace(&workspace)?;
    workspace.hooks.input(&run_id, &command, &text).await?;
    Ok(Done {})
}
