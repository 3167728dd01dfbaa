//! `burrow/debug/lease`: leases a port; it listens when the answer comes. Called by `burrow debug lease` and `try`, and by
//! editors.

use burrow_protocol::debug::{LeaseGranted, LeaseKind, LeaseParams};
use burrow_protocol::error::ErrorCode;

use crate::debug::{LeaseOrder, ReloadRules, Rules, Service};
use crate::process::Caller;
use crate::rpc::{Failure, Result, Session};

pub(crate) async fn handle(session: &Session, params: LeaseParams) -> Result<LeaseGranted> {
    let service = service(&params)?;
    let asked = params.reload;
    let LeaseParams { workspace, port, any_port, wait, program, purpose, cwd, env, headless, dlv, flags, .. } = params;
    let workspace = session.workspace_around(&workspace).await?;
    let Caller { env: caller, trusted, .. } = session.caller();
    if !trusted {
        let hint = "trust the folder in the editor first".to_owned();
        let message = format!("lease a debug port for {}: its window does not trust the folder", workspace.path);
        return Err(Failure::new(ErrorCode::BadRequest, message, Some(hint)));
    }
    let settings = workspace.settings();
    let rules = Rules::read(&settings.burrow.debug, rustix::process::getuid().as_raw())?;
    let by_default = asked.unwrap_or(settings.burrow.reload.on_save);
    let reload = ReloadRules { by_default, when_stopped: settings.burrow.reload.when_stopped };
    let mut environment = (*caller).clone();
    environment.extend(env);
    let cwd = cwd.map_or_else(|| workspace.path.clone(), |cwd| workspace.path.join(cwd));
    let program = program.or_else(|| headless.map(|target| target.target));
    let order = LeaseOrder {
        service,
        rules,
        workspace: workspace.path,
        port,
        any_port,
        wait,
        program,
        purpose,
        cwd,
        env: environment,
        dlv: dlv.map(Into::into),
        flags,
        reload,
    };
    let closed = session.closed();
    tokio::select! {
        lease = session.debug().lease(order) => Ok(LeaseGranted { lease: lease? }),
        // Nobody would know of it; one who waited in turn gives the place up.
        () = closed.cancelled() => Err(Failure::new(ErrorCode::DaemonUnreachable, "the client has gone", None)),
    }
}

fn service(params: &LeaseParams) -> Result<Service> {
    let bad = |message: String| Failure::new(ErrorCode::BadRequest, message, None);
    let LeaseParams { kind, headless, to, follow, .. } = params;
    match (kind, headless, to) {
        (LeaseKind::Dap, None, None) => Ok(Service::Dap { follow: *follow }),
        (LeaseKind::Headless, Some(target), None) if !follow => Ok(Service::Headless(target.clone())),
        (LeaseKind::Adopt, None, Some(to)) if !follow => Ok(Service::Adopt(to.parse().map_err(bad)?)),
        _ => Err(bad("`headless` goes with the kind of that name, `to` with `adopt`, `follow` with `dap`".to_owned())),
    }
}
