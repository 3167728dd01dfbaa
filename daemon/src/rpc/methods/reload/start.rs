//! `burrow/reload/start`: builds and runs programs, again whenever their files change. Called by `burrow dev`.

use burrow_protocol::error::ErrorCode;
use burrow_protocol::reload::{StartReloadParams, StartedReload};

use crate::reload::ReloadOrder;
use crate::rpc::{Failure, Result, Session};

pub(crate) async fn handle(session: &Session, params: StartReloadParams) -> Result<StartedReload> {
    let StartReloadParams { workspace, programs, config, args } = params;
    let workspace = session.workspace(&workspace)?;
    let caller = session.caller();
    if !caller.trusted {
        let hint = "trust the folder in the editor first".to_owned();
        let message = format!("run programs of {}: its window does not trust the folder", workspace.path);
        return Err(Failure::new(ErrorCode::BadRequest, message, Some(hint)));
    }
    let settings = workspace.settings();
    let order = ReloadOrder {
        config: config.map(|config| caller.cwd.join(config)),
        programs,
        args,
        settings: settings.burrow.reload.clone(),
        secrets: settings.burrow.secrets.clone(),
        workspace: workspace.path,
        caller,
        closed: session.closed(),
    };
    Ok(session.reload().start(order).await?)
}
