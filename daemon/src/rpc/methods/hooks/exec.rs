//! `burrow/hooks/exec`: starts a command line and records it as a run of a hook. Called by `burrow hook exec`.

use burrow_protocol::error::ErrorCode;
use burrow_protocol::hooks::{ExecHookParams, StartedHooks};

use crate::rpc::{Failure, Result, Session};

pub(crate) async fn handle(session: &Session, params: ExecHookParams) -> Result<StartedHooks> {
    let ExecHookParams { workspace, hook, command, argv, cwd } = params;
    if argv.is_empty() {
        return Err(Failure::new(ErrorCode::BadRequest, "`argv` names no program", None));
    }
    let workspace = session.workspace(&workspace)?;
    let started = workspace.hooks.exec(hook, command, argv, cwd.map(Into::into), session.caller()).await?;
    let (closed, ends, runs) = (session.closed(), session.core().ends(), started.runs.clone());
    tokio::spawn(async move {
        // A daemon that ends hangs up on everybody: that says nothing of the caller.
        let gone = closed.run_until_cancelled(ends.cancelled()).await.is_none() && !ends.is_cancelled();
        for run in runs.iter().filter(|_| gone) {
            workspace.hooks.caller_gone(run).await;
        }
    });
    Ok(started)
}
