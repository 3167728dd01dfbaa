//! `burrow entrypoint [-- CMD...]`: what a container does at each of its starts.
//!
//! Without CMD, as a Feature's entrypoint: as root it mends the owner of Burrow's own folders; then it starts the daemon, as
//! remoteUser, and returns at once with success, whatever fails. With CMD, as an image's `ENTRYPOINT`: the same in a
//! process of its own, then CMD, whose code is what it returns.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context as _, Result};
use burrow_protocol::error::{ErrorCode, ErrorData};
use tokio::time::timeout;

use super::context::{Context, Start};
use super::exit::ExitStatus;
use super::printer::Printer;
use crate::coded::{Coded, with_causes};
use crate::config;
use crate::container;
use crate::process::init;

/// How long the daemon's first word is waited for; it goes on starting after that.
const FIRST_WORD: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The container's own command
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(crate) fn run(args: &Args, printer: Printer) -> ExitStatus {
    if args.command.is_empty() {
        begin(printer);
        return ExitStatus::Success;
    }
    match init::run_as_container("entrypoint", &args.command) {
        Ok(code) => ExitStatus::Child(code),
        Err(error) => {
            let hint = Some("name a program of this image after `--`".to_owned());
            printer.error(&ErrorData::new(ErrorCode::SpawnFailed, with_causes(&error), hint));
            ExitStatus::Child(error.code())
        }
    }
}

/// What fails is told where the engine keeps the container's output.
fn begin(printer: Printer) {
    // A state directory that somebody chose is theirs to make.
    let is_default = std::env::var_os(config::STATE_DIR).is_none();
    if rustix::process::getuid().is_root() && is_default && container::is_one() {
        let (uid, gid) = container::remote_user().map_or((0, 0), |user| (user.uid, user.gid));
        for error in container::mend(uid, gid) {
            printer.error(&error.to_data());
        }
    }
    if let Err(error) = start(printer) {
        printer.error(&super::describe(&error));
    }
}

fn start(printer: Printer) -> Result<()> {
    let context = Context::new(printer, None)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    runtime.block_on(async {
        match timeout(FIRST_WORD, context.connect_unbound(Start::IfNeeded)).await {
            Ok(connected) => connected.map(drop)?,
            Err(_) => printer.note("burrow: the daemon is still starting"),
        }
        Ok(())
    })
}
