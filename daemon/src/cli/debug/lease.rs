//! `burrow debug lease`: a port with a debug adapter behind it. The lease is the daemon's: it goes on when this command
//! has ended.

use anyhow::Result;
use burrow_protocol::debug::{
    HeadlessMode, HeadlessTarget, LeaseEndpoint, LeaseKind, LeaseParams, LeaseStatus, PortState, PortStatus,
};
use burrow_protocol::methods::{DebugLease, ModelStatus, NoParams};
use camino::Utf8PathBuf;

use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;
use crate::debug::Upstream;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The port [default: the first free one]
    #[arg(long)]
    port: Option<u16>,
    /// Take another port where that one is taken
    #[arg(long, requires = "port")]
    any_port: bool,
    /// Where no port is free, wait in turn until one is
    #[arg(long)]
    wait: bool,
    /// What will be debugged, for the listing [default: what the client launches]
    #[arg(long)]
    program: Option<String>,
    /// What it is for, for the listing
    #[arg(long)]
    purpose: Option<String>,
    /// Where the client attaches by name (`waitFor`): attach again each time a program of that name starts
    #[arg(long)]
    follow: bool,
    /// Relay to a dlv that runs already; it is not ended with the lease
    #[arg(long, value_name = "unix:PATH|HOST:PORT", conflicts_with_all = ["headless", "follow", "program"])]
    to: Option<Upstream>,
    /// Debug TARGET for many clients, which may come and go: `dlv --headless --accept-multiclient`
    #[arg(long, value_name = "MODE", requires = "target", conflicts_with_all = ["follow", "program"])]
    headless: Option<Mode>,
    /// With --headless core: the core file
    #[arg(long, value_name = "FILE", requires = "headless", required_if_eq("headless", "core"))]
    core: Option<Utf8PathBuf>,
    /// With --headless debug or test: flags of `go build`, such as -tags=integration
    #[arg(long, value_name = "FLAGS", requires = "headless", allow_hyphen_values = true)]
    build_flags: Option<String>,
    /// With --headless: let the program run at once, without a client
    #[arg(long = "continue", requires = "headless")]
    running: bool,
    /// With --headless: the package, the binary, or the process id
    #[arg(requires = "headless")]
    target: Option<String>,
    /// With --headless: the program's arguments
    #[arg(last = true, requires = "headless")]
    args: Vec<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Mode {
    /// Build a package and run it
    Debug,
    /// Build a package's tests and run them
    Test,
    /// Run a binary
    Exec,
    /// A process that runs
    Attach,
    /// What a program left when it crashed
    Core,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let client = context.connect(Start::IfNeeded).await?;
    let kind = match (&args.headless, &args.to) {
        (Some(_), _) => LeaseKind::Headless,
        (None, Some(_)) => LeaseKind::Adopt,
        (None, None) => LeaseKind::Dap,
    };
    let headless = args.headless.zip(args.target).map(|(mode, target)| HeadlessTarget {
        mode: mode.into(),
        target,
        core: args.core.map(Utf8PathBuf::into_string),
        args: args.args,
        build_flags: args.build_flags,
        running: args.running,
    });
    let params = LeaseParams {
        workspace: context.workspace().to_string(),
        kind,
        port: args.port,
        any_port: args.any_port,
        wait: args.wait,
        program: args.program,
        purpose: args.purpose,
        // A package or a binary is meant as seen from here.
        cwd: headless.is_some().then(|| context.cwd().to_string()),
        headless,
        to: args.to.map(|to| to.to_string()),
        follow: args.follow,
        ..LeaseParams::default()
    };
    if params.wait && !has_free_port(&client.call::<ModelStatus>(NoParams {}).await?.ports, &params) {
        context.printer.note("no such port is free: waiting in turn for one; Ctrl-C gives the place up");
    }
    let lease = client.call::<DebugLease>(params).await?.lease;
    if context.printer.is_json() {
        context.printer.json(&lease);
    } else {
        context.printer.data(&endpoint(&lease));
        let waits = match lease.kind {
            LeaseKind::Dap => "waits for one debug client",
            LeaseKind::Headless | LeaseKind::Adopt => "serves debug clients as they come",
        };
        context.printer.note(&format!("{} {waits}; `burrow debug release {}` ends it", lease.id, lease.id));
    }
    Ok(ExitStatus::Success)
}

/// Whether a port is free that would do.
fn has_free_port(ports: &[PortStatus], params: &LeaseParams) -> bool {
    let would_do = |port: &&PortStatus| params.any_port || params.port.is_none_or(|wanted| wanted == port.port);
    ports.iter().filter(would_do).any(|port| port.state == PortState::Free)
}

/// Where to connect, as debug clients take it.
fn endpoint(lease: &LeaseStatus) -> String {
    match &lease.endpoint {
        LeaseEndpoint::Port { port } => format!("127.0.0.1:{port}"),
        LeaseEndpoint::Socket { socket } => format!("unix:{socket}"),
    }
}

impl From<Mode> for HeadlessMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Debug => Self::Debug,
            Mode::Test => Self::Test,
            Mode::Exec => Self::Exec,
            Mode::Attach => Self::Attach,
            Mode::Core => Self::Core,
        }
    }
}
