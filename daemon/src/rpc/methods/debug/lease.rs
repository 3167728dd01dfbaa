//! `burrow/debug/lease`: leases a port; it listens when the answer comes. Called by `burrow debug lease` and `try`, and by
//! editors.

use burrow_protocol::debug::{LeaseGranted, LeaseKind, LeaseParams};
use burrow_protocol::error::ErrorCode;

use crate::debug::LeaseOrder;
use crate::process::Caller;
use crate::rpc::{Failure, Result, Session};

pub(crate) async fn handle(session: &Session, params: LeaseParams) -> Result<LeaseGranted> {
    let LeaseParams { workspace, kind, port, program, cwd, env, dlv, flags } = params;
    let LeaseKind::Dap = kind;
    let workspace = session.workspace(&workspace)?.path;
    let Caller { env: caller, trusted, .. } = session.caller();
    if !trusted {
        let hint = "trust the folder in the editor first".to_owned();
        let message = format!("lease a debug port for {workspace}: its window does not trust the folder");
        return Err(Failure::new(ErrorCode::BadRequest, message, Some(hint)));
    }
    let mut environment = (*caller).clone();
    environment.extend(env);
    let cwd = cwd.map_or_else(|| workspace.clone(), |cwd| workspace.join(cwd));
    let order = LeaseOrder { workspace, port, program, cwd, env: environment, dlv: dlv.map(Into::into), flags };
    Ok(LeaseGranted { lease: session.debug().lease(order).await? })
}
