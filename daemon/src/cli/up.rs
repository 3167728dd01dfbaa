//! `burrow up`: the main job. Starts the daemon if need be and opens the workspace.

use anyhow::Result;
use burrow_protocol::methods::{ModelStatus, NoParams};

use super::context::{Context, Start};
use super::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, context: &Context) -> Result<ExitStatus> {
    let client = context.connect(Start::Always).await?;
    let status = client.call::<ModelStatus>(NoParams {}).await?;
    context.printer.json(&status);
    Ok(ExitStatus::Success)
}
