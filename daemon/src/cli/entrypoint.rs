//! `burrow entrypoint [-- CMD...]`: what a container does at each of its starts.
//!
//! Without CMD, as a Feature's entrypoint: as root it makes the state directory and leads the tools' fixed path to it; then
//! it starts the daemon, as remoteUser, and beside it a process that gives that user the caches; it returns at once with
//! success, whatever fails. With CMD, as an image's `ENTRYPOINT`: the same in a process of its own, then CMD, whose code is
//! what it returns.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context as _, Result};
use burrow_protocol::error::{ErrorCode, ErrorData};
use camino::Utf8PathBuf;
use rustix::process::{Pid, getpid, getuid, setsid};
use tokio::time::{Instant, timeout_at};

use super::context::{Context, Start};
use super::exit::ExitStatus;
use super::printer::Printer;
use crate::coded::{Coded, with_causes};
use crate::config;
use crate::container::{self, Caches};
use crate::process::{self, init};

/// How long the daemon's first word is waited for, and caches that are another's; both go on after that.
const FIRST_WORD: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Give the caches to remoteUser, and nothing else: what runs beside the daemon's start
    #[arg(long, hide = true, conflicts_with = "command")]
    caches: bool,
    /// The container's own command
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(crate) fn run(args: &Args, printer: Printer) -> ExitStatus {
    if args.caches {
        mend_caches(printer);
        return ExitStatus::Success;
    }
    if args.command.is_empty() {
        if getpid() == Pid::INIT {
            let message = "run the container's command: there is none, and without one the container ends at once";
            let hint = Some(r#"name one, such as `CMD ["sleep", "infinity"]` in the Dockerfile"#.to_owned());
            printer.error(&ErrorData::new(ErrorCode::SpawnFailed, message, hint));
            return ExitStatus::Usage;
        }
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
    let is_roots = getuid().is_root() && container::is_one();
    let caches = if is_roots { prepare(printer) } else { Caches::None };
    if let Err(error) = start(printer, caches) {
        printer.error(&super::describe(&error));
    }
}

/// Root's part that the daemon and whoever looks for it needs. Returns how the caches are.
fn prepare(printer: Printer) -> Caches {
    // Where nobody knows whose they should be, nothing changes; the start of the daemon tells why.
    let Ok(user) = container::remote_user() else { return Caches::None };
    let (uid, gid) = user.map_or((0, 0), |user| (user.uid, user.gid));
    let chosen = std::env::var(config::STATE_DIR).ok().map(Utf8PathBuf::from).filter(|path| path.is_absolute());
    // A state directory that somebody chose is theirs to make.
    let made = if chosen.is_none() { container::mend_state(uid, gid) } else { Ok(()) };
    let led = container::lead_tools(&chosen.unwrap_or_else(|| container::state_of(uid)), uid);
    for error in [made, led].into_iter().filter_map(Result::err) {
        printer.error(&error.to_data());
    }
    container::caches(uid)
}

fn start(printer: Printer, caches: Caches) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    runtime.block_on(async {
        let deadline = Instant::now() + FIRST_WORD;
        // A large one takes longer than a container may wait for.
        let mending = (caches != Caches::None).then(|| process::spawn_beside(&["entrypoint", "--caches"]));
        let started = start_daemon(printer, deadline).await;
        let is_late = match mending {
            // The first hook may need them.
            Some(Ok(mut mending)) if caches == Caches::Others => timeout_at(deadline, mending.wait()).await.is_err(),
            Some(Err(error)) => {
                printer.error(&error.to_data());
                false
            }
            _ => false,
        };
        if is_late {
            printer.note("burrow: the caches were another user's, and are still being given to remoteUser");
        }
        started
    })
}

async fn start_daemon(printer: Printer, deadline: Instant) -> Result<()> {
    let context = Context::new(printer, None)?;
    match timeout_at(deadline, context.connect_unbound(Start::IfNeeded)).await {
        Ok(connected) => connected.map(drop)?,
        Err(_) => printer.note("burrow: the daemon is still starting"),
    }
    Ok(())
}

fn mend_caches(printer: Printer) {
    // Whoever ends the container's start script does not mean this one.
    let _ = setsid();
    let Ok(user) = container::remote_user() else { return };
    let (uid, gid) = user.map_or((0, 0), |user| (user.uid, user.gid));
    for error in container::mend_caches(uid, gid) {
        printer.error(&error.to_data());
    }
}
