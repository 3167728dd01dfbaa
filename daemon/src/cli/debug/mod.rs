//! `burrow debug ...`: ports, leases, and the self-test.

mod lease;
mod log;
mod ports;
mod recipe;
mod reclaim;
mod release;
mod report;
mod r#try;

use anyhow::Result;
use burrow_protocol::debug::LeaseStatus;

use super::context::Context;
use super::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the debug ports: which are free, who has the others; or print what another tool needs to reach them
    Ports(ports::Args),
    /// Lease a port with a dlv behind it; print where to connect
    ///
    /// A plain lease serves one DAP client, which launches, tests or attaches as it likes. With --headless one program serves
    /// many clients, and with --to a dlv that runs already is reached by one of the known ports.
    Lease(lease::Args),
    /// Print what dlv and the program printed in a lease's session
    Log(log::Args),
    /// End a lease and all of its processes
    Release(release::Args),
    /// End whatever Burrow has on a port, with all its processes
    Reclaim(reclaim::Args),
    /// Debug a program through a leased port and show where it stopped: tells whether debugging works here
    Try(r#try::Args),
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    match args.command {
        Command::Ports(args) => ports::run(args, context).await,
        Command::Lease(args) => lease::run(args, context).await,
        Command::Log(args) => log::run(args, context).await,
        Command::Release(args) => release::run(args, context).await,
        Command::Reclaim(args) => reclaim::run(args, context).await,
        Command::Try(args) => r#try::run(args, context).await,
    }
}

/// `lease-3 (./cmd/api) has ended: released`.
fn ended(lease: &LeaseStatus) -> String {
    let program = lease.program.as_ref().map(|program| format!(" ({program})")).unwrap_or_default();
    let reason = lease.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{}{program} has ended{reason}", lease.id)
}
