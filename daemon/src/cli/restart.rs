//! `burrow restart`: a new daemon of this build; hooks in flight are handed over.

use anyhow::Result;
use burrow_protocol::methods::StopParams;

use super::context::{Context, Start};
use super::exit::ExitStatus;
use super::start;
use crate::client::ClientError;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, context: &Context) -> Result<ExitStatus> {
    match context.connect_unbound(Start::Never).await {
        Ok(client) => client.stop(StopParams { hooks: false, restart: true }).await?,
        Err(ClientError::NotRunning { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    start::run(start::Args::ALWAYS, context).await
}
