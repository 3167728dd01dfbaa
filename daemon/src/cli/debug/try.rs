//! `burrow debug try`: debugs a program through a leased port and shows where it stopped.

use std::time::Duration;

use anyhow::Result;
use burrow_protocol::debug::{LeaseEndpoint, LeaseParams, LeaseStatus, TrialReport};
use burrow_protocol::methods::{DebugLease, MODEL_CHANGED, ModelSubscribe, NoParams};
use burrow_protocol::model::{ModelChange, ModelChanged};
use camino::{Utf8Path, Utf8PathBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::report::render;
use crate::cli::context::{Context, Start};
use crate::cli::exit::{ExitStatus, Told};
use crate::client::Client;
use crate::coded::Coded;
use crate::debug::trial::{
    Findings, HttpRequest, MainPackage, Stopwatch, Target, Trial, TrialError, find_packages, select_package,
};

/// How long a lease may take to be gone after its client said goodbye.
const END_DEADLINE: Duration = Duration::from_secs(15);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to stop: FILE:LINE, or a function
    #[arg(value_name = "FILE:LINE", default_value = "main.main")]
    target: Target,
    /// Ask the program once it listens, such as 'GET /greet?name=x'
    #[arg(long)]
    request: Option<HttpRequest>,
    /// The program's folder [default: the one with the file, the workspace's own, or the only one]
    #[arg(long, value_name = "DIR")]
    program: Option<Utf8PathBuf>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let target = in_workspace(args.target, context);
    let program = choose(context.workspace(), args.program.as_deref(), &target).map_err(|error| told(&error))?;
    if !context.printer.is_json() {
        context.printer.note(&format!("debugging {} of {}, stopping at {target}", program.name, context.workspace()));
    }
    let mut watch = Stopwatch::start();
    let mut client = context.connect(Start::IfNeeded).await?;
    let params = LeaseParams {
        workspace: context.workspace().to_string(),
        program: Some(program.name.clone()),
        purpose: Some("burrow debug try".to_owned()),
        cwd: Some(program.dir.to_string()),
        ..LeaseParams::default()
    };
    let lease = client.call::<DebugLease>(params).await?.lease;
    let leased = watch.lap("lease a port");
    let before = debug_binaries(&program.dir);

    let trial = Trial { program: program.clone(), target: target.clone(), request: args.request, dlv_pid: lease.pid };
    let tried = through(&lease, &trial).await;
    let mut watch = Stopwatch::start();
    let ended = wait_for_end(&mut client, &lease.id).await;
    let findings = tried.map_err(|error| told(&error))?;
    ended?;
    let left = debug_binaries(&program.dir).into_iter().find(|binary| !before.contains(binary));
    if let Some(what) = left {
        return Err(told(&TrialError::Left { what }));
    }
    let cleared = watch.lap("end dlv, free the port");

    let Findings { stops, response, steps } = findings;
    let steps = [leased].into_iter().chain(steps).chain([cleared]).collect();
    let report = TrialReport { program: program.name, target: target.to_string(), lease, stops, response, steps };
    if context.printer.is_json() {
        context.printer.json(&report);
    } else {
        context.printer.data(render(&report, context.workspace()).trim_end());
    }
    Ok(ExitStatus::Success)
}

async fn through(lease: &LeaseStatus, trial: &Trial) -> Result<Findings, TrialError> {
    let LeaseEndpoint::Port { port } = lease.endpoint else { return Err(TrialError::NoProcess) };
    #[expect(clippy::disallowed_methods, reason = "the relay's port, as an editor dials it")]
    let stream = TcpStream::connect(("127.0.0.1", port)).await;
    let stream = stream.map_err(|source| TrialError::Connect { port, source })?;
    stream.set_nodelay(true).map_err(|source| TrialError::Connect { port, source })?;
    trial.run(stream).await
}

/// Returns when nothing of the lease is left. It ends by itself once its client has gone.
async fn wait_for_end(client: &mut Client, id: &str) -> Result<()> {
    let gone = async {
        let mut leases = client.call::<ModelSubscribe>(NoParams {}).await?.status.leases;
        while leases.iter().any(|lease| lease.id == id) {
            let Some(told) = client.notification().await else { break };
            if told.method == MODEL_CHANGED
                && let ModelChange::Debug { leases: now, .. } =
                    serde_json::from_value::<ModelChanged>(told.params)?.change
            {
                leases = now;
            }
        }
        anyhow::Ok(())
    };
    let left = || told(&TrialError::Left { what: id.to_owned() });
    timeout(END_DEADLINE, gone).await.map_err(|_| left())?
}

/// A file is meant as seen from the caller's folder; where it is not there, from the workspace.
fn in_workspace(target: Target, context: &Context) -> Target {
    match target {
        Target::Line { file, line } => {
            let here = context.cwd().join(&file);
            let file = if here.is_file() { here } else { context.workspace().join(file) };
            Target::Line { file: file.canonicalize_utf8().unwrap_or(file), line }
        }
        function @ Target::Function(_) => function,
    }
}

fn choose(workspace: &Utf8Path, named: Option<&Utf8Path>, target: &Target) -> Result<MainPackage, TrialError> {
    select_package(workspace, &find_packages(workspace)?, named, target)
}

/// What dlv builds lies here, and should be gone at the end.
fn debug_binaries(dir: &Utf8Path) -> Vec<String> {
    let entries = dir.read_dir_utf8().into_iter().flatten().flatten();
    entries.map(|entry| entry.path().to_string()).filter(|path| path.contains("/__debug_bin")).collect()
}

fn told(error: &TrialError) -> anyhow::Error {
    Told(error.to_data()).into()
}
