//! `burrow start`: a daemon runs afterwards.

use anyhow::Result;
use serde_json::json;

use super::context::{Context, Start};
use super::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, context: &Context) -> Result<ExitStatus> {
    let client = context.connect_unbound(Start::Always).await?;
    let pid = client.server.pid;
    if context.printer.is_json() {
        context.printer.json(&json!({ "pid": pid, "build": client.server.build }));
    } else {
        context.printer.data(&format!("burrow runs: pid {pid}"));
    }
    Ok(ExitStatus::Success)
}
