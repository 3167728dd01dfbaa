//! `uses: build`: every package and every test is compiled once, so that the next build finds a warm cache.

use anyhow::Result;
use burrow_protocol::error::ErrorCode;

use super::go::{Go, told};
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;

pub(super) async fn run(context: &Context) -> Result<ExitStatus> {
    let go = Go::new(context);
    for module in go.units().await?.into_iter().flat_map(|unit| unit.modules) {
        // Without a package `go test` fails, and there is nothing to warm.
        let packages = go.output(&module, &["list", "-e", "./..."]).await?;
        if packages.status.success() && packages.stdout.is_empty() {
            go.tell(&format!("{module} has no packages"));
            continue;
        }
        for args in [&["build", "./..."][..], &["test", "-run", "^$", "./..."][..]] {
            if !go.run(&module, args).await?.success() {
                return Err(told(
                    ErrorCode::ProgramBuild,
                    format!("{module} does not compile"),
                    "correct what Go complains of, then run the hook again",
                ));
            }
        }
    }
    Ok(ExitStatus::Success)
}
