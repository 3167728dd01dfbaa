//! `burrow/hooks/runs`: the runs on record. Called by `burrow hook log`.

use burrow_protocol::hooks::{ListRunsParams, RunList};

use crate::rpc::{Result, Session};

pub(crate) async fn handle(session: &Session, params: ListRunsParams) -> Result<RunList> {
    let workspace = session.workspace(&params.workspace)?;
    Ok(RunList { runs: workspace.hooks.runs(params.hook).await? })
}
