//! `burrow daemon`: the daemon itself, in the foreground.

mod log; // its own log

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;
use burrow_protocol::session::Rendezvous;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::context::Context;
use super::exit::ExitStatus;
use crate::coded::Coded;
use crate::config::{self, Config};
use crate::daemon::{self, StartError};
use crate::memory;
use crate::process::user::{User, become_user};
use log::Log;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Detach from the terminal, log to a file, and say one line of JSON on stdout: how `burrow start` calls it
    #[arg(long, hide = true)]
    report: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus> {
    let finder = context.finder().clone();
    let user = finder.identity.become_user.as_ref();
    let become_user =
        |user: &User| become_user(user).map_err(|source| StartError::Become { user: user.name.clone(), source });
    let base_env = config::base_env(&config::process_env(), user);
    match user.map_or(Ok(()), become_user).and_then(|()| serve(finder.config, base_env, args.report, context)) {
        Ok(()) => Ok(ExitStatus::Success),
        Err(error) if args.report => {
            say(&error.to_data());
            Ok(ExitStatus::Failure)
        }
        Err(error) => Err(error.into()),
    }
}

fn serve(
    config: Config,
    base_env: BTreeMap<String, String>,
    report: bool,
    context: &Context,
) -> Result<(), StartError> {
    let log = config.state.log();
    let filter = EnvFilter::new(&config.log);
    memory::map_code();
    let prepared = daemon::prepare(config, base_env)?;
    if report {
        // A session leader already is one that a terminal cannot take down.
        let _ = rustix::process::setsid();
        log_to_file(filter, &log)?;
    } else {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| StartError::Runtime { source })?;
    runtime.block_on(async {
        let cancel = CancellationToken::new();
        cancel_on_signals(&cancel).map_err(|source| StartError::Runtime { source })?;
        let printer = context.printer;
        daemon::run(prepared, cancel, move |rendezvous: &Rendezvous| {
            if report {
                say(rendezvous);
                leave_stdout();
            } else {
                printer.data(&format!("ready: pid {}, socket {}", rendezvous.pid, rendezvous.socket));
            }
        })
        .await
    })
}

/// SIGTERM and SIGINT end the daemon in order. A second one changes nothing: the order has its deadlines.
fn cancel_on_signals(cancel: &CancellationToken) -> std::io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind)?;
        let cancel = cancel.clone();
        tokio::spawn(async move {
            signals.recv().await;
            cancel.cancel();
        });
    }
    // A terminal that goes away takes no daemon with it.
    let mut hangups = signal(SignalKind::hangup())?;
    tokio::spawn(async move { while hangups.recv().await.is_some() {} });
    Ok(())
}

fn log_to_file(filter: EnvFilter, path: &camino::Utf8Path) -> Result<(), StartError> {
    let file = Log::open(path)?;
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::sync::Mutex::new(file)).init();
    Ok(())
}

fn say<T: serde::Serialize>(value: &T) {
    if let Ok(line) = serde_json::to_string(value) {
        // Whoever started us may be gone.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

/// Lets go of the pipe to whoever started us, so that nobody waits for its end.
fn leave_stdout() {
    if let Ok(null) = std::fs::File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}
