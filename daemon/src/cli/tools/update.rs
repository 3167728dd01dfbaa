//! `burrow tools update`: chooses versions anew within the pins, installs them, and moves the lock file.

use std::io::{BufRead as _, IsTerminal as _};

use anyhow::Result;
use burrow_protocol::methods::ToolchainUpdate;
use burrow_protocol::toolchain::UpdateToolsParams;

use super::{progress, render};
use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One tool [default: all]
    name: Option<String>,
    /// Write the lock file into a repository that has no .devcontainer folder, without asking
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let mut create_folder = args.yes;
    let folder = context.workspace().join(".devcontainer");
    if !create_folder && !folder.is_dir() && std::io::stdin().is_terminal() {
        context.printer.note(&format!("{folder} does not exist. Make it, and write the lock file there? [y/N]"));
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        create_folder = matches!(answer.trim(), "y" | "Y" | "yes");
    }
    let mut client = context.connect(Start::IfNeeded).await?;
    let params = UpdateToolsParams { workspace: context.workspace().to_string(), name: args.name, create_folder };
    let started = client.call::<ToolchainUpdate>(params).await?;
    let result = progress::run_operation(&mut client, context.workspace(), started, context.printer).await?;
    render::print_result(context.printer, &result);
    Ok(render::exit_status_of(&result))
}
