//! `uses: toolchain`: the Go tools are brought in order, as `burrow up --only tools` does.

use anyhow::Result;

use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::up;

pub(super) async fn run(context: &Context) -> Result<ExitStatus> {
    up::run(up::Args::tools(), context).await
}
