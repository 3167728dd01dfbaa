//! `burrow debug lease`: a port with a dlv behind it. The lease is the daemon's: it goes on when this command has ended.

use std::collections::BTreeMap;

use anyhow::Result;
use burrow_protocol::debug::{LeaseEndpoint, LeaseKind, LeaseParams, LeaseStatus};
use burrow_protocol::methods::DebugLease;

use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The port [default: the first free one]
    #[arg(long)]
    port: Option<u16>,
    /// What will be debugged, for the listing
    #[arg(long)]
    program: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let client = context.connect(Start::IfNeeded).await?;
    let params = LeaseParams {
        workspace: context.workspace().to_string(),
        kind: LeaseKind::Dap,
        port: args.port,
        program: args.program,
        cwd: None,
        env: BTreeMap::new(),
        dlv: None,
        flags: Vec::new(),
    };
    let lease = client.call::<DebugLease>(params).await?.lease;
    if context.printer.is_json() {
        context.printer.json(&lease);
    } else {
        context.printer.data(&endpoint(&lease));
        context
            .printer
            .note(&format!("{} waits for one debug client; `burrow debug release {}` ends it", lease.id, lease.id));
    }
    Ok(ExitStatus::Success)
}

/// Where to connect, as debug clients take it.
fn endpoint(lease: &LeaseStatus) -> String {
    match &lease.endpoint {
        LeaseEndpoint::Port { port } => format!("127.0.0.1:{port}"),
        LeaseEndpoint::Socket { socket } => format!("unix:{socket}"),
    }
}
