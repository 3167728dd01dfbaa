//! One command of a reload under its shim: a step of a build, or the program.
//!
//! Invariants: it has a lifeline, and nothing that it started is left when it has ended.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::ReloadContext;
use super::folder::ReloadFolder;
use super::plan::Step;
use crate::coded::with_causes;
use crate::duration::to_millis;
use crate::process::{self, End, Ended, LogReader, ProcessError, ShimSpec, Survivors};

/// How long output is read on that somebody who left the tree holds open.
const LEAK_MS: u32 = 200;
/// From INT or TERM to KILL, for a step of a build.
const BUILD_GRACE: Duration = Duration::from_secs(2);
/// What is told of a step's output.
const TOLD_OUTPUT: usize = 64 * 1024;

/// What does not depend on the command.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    /// The environment, complete.
    pub(super) env: BTreeMap<String, String>,
    /// Values to mask.
    pub(super) secrets: Vec<String>,
}

/// The caller's environment with the workspace's Go first on PATH.
pub(super) async fn environment(
    context: &ReloadContext,
    workspace: &Utf8Path,
    caller: &BTreeMap<String, String>,
    folder: &ReloadFolder,
) -> BTreeMap<String, String> {
    let mut env = caller.clone();
    if let Some(go_bin) = context.source.go_bin(workspace, caller).await {
        let path = env.get("PATH").filter(|path| !path.is_empty()).map(|path| format!(":{path}")).unwrap_or_default();
        env.insert("PATH".to_owned(), format!("{go_bin}{path}"));
    }
    // What a killed `go` leaves is removed with the rest.
    env.entry("GOTMPDIR".to_owned()).or_insert_with(|| folder.temporary().into_string());
    env
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// With exit code 0.
    Good,
    /// Otherwise, in words: `exit code 1`.
    Bad(String),
    /// It could not be started, in words.
    NotStarted(String),
}

/// A build that ended.
#[derive(Clone, Debug)]
pub(super) struct Build {
    pub(super) fate: Fate,
    pub(super) took: Duration,
    pub(super) output: String,
}

/// Runs the steps of a build, each in the folder that `folders` gives, until one fails.
pub(super) async fn build(
    steps: Vec<Step>,
    around: &Surroundings,
    mut folders: impl FnMut() -> Result<Utf8PathBuf, String>,
    cancel: &CancellationToken,
) -> Build {
    let start = Instant::now();
    let mut output = String::new();
    let mut fate = Fate::Good;
    for step in steps {
        fate = match folders() {
            Ok(folder) => {
                let interrupt = step.interrupt;
                let spec = spec(step, folder.clone(), around, BUILD_GRACE, interrupt);
                let fate = run(spec, cancel, |_| {}, |_| {}).await;
                output.push_str(&printed(folder).await);
                fate
            }
            Err(why) => Fate::NotStarted(why),
        };
        if fate != Fate::Good || cancel.is_cancelled() {
            break;
        }
    }
    Build { fate, took: start.elapsed(), output }
}

/// What the shim of a command is told.
pub(super) fn spec(
    step: Step,
    folder: Utf8PathBuf,
    around: &Surroundings,
    grace: Duration,
    interrupt: bool,
) -> ShimSpec {
    let mut env = around.env.clone();
    env.extend(step.env);
    ShimSpec {
        schema: process::SCHEMA,
        run: folder.to_string(),
        folder,
        argv: step.argv,
        env,
        cwd: step.cwd,
        timeout_ms: None,
        grace_ms: to_millis(grace),
        leak_ms: LEAK_MS,
        secrets: around.secrets.clone(),
        survivors: Survivors::EndAlways,
        lifeline: true,
        tty: None,
        interrupt,
    }
}

/// Runs a command to its end, or until `cancel` and then to its end. `started` is told its process, `output` how much
/// it has printed.
pub(super) async fn run(
    spec: ShimSpec,
    cancel: &CancellationToken,
    started: impl FnOnce(u32),
    output: impl Fn(u64),
) -> Fate {
    let id = spec.run.clone();
    let mut shim = match process::start(find_program(spec)).await {
        Ok(shim) => shim,
        Err(ProcessError::NotStarted { program, message }) => return Fate::NotStarted(format!("{program}: {message}")),
        Err(error) => return Fate::NotStarted(with_causes(&error)),
    };
    started(shim.pid());
    let mut printed = shim.output();
    let (mut told, mut open) = (false, true);
    let ended = loop {
        tokio::select! {
            ended = shim.ended() => break ended,
            changed = printed.changed(), if open => {
                open = changed.is_ok();
                output(*printed.borrow());
            }
            () = cancel.cancelled(), if !told => {
                told = true;
                if let Err(error) = shim.cancel().await {
                    tracing::warn!(%error, "a command could not be told to end");
                }
            }
        }
    };
    output(*printed.borrow());
    match ended {
        Ok(Ended::Outcome(outcome)) => {
            output(outcome.output_bytes.get());
            fate(outcome.end)
        }
        Ok(Ended::Lost) => {
            let left = process::sweep::end(move |run| run == id, BUILD_GRACE).await;
            if !left.is_empty() {
                tracing::warn!(?left, "processes of a reload could not be ended");
            }
            Fate::Bad("nobody saw how it ended".to_owned())
        }
        Err(error) => Fate::Bad(with_causes(&error)),
    }
}

/// A bare name is looked up in the PATH of the command, not of the daemon.
fn find_program(mut spec: ShimSpec) -> ShimSpec {
    let found = spec.argv.first().filter(|name| !name.contains('/')).and_then(|name| {
        let path = spec.env.get("PATH")?;
        let folders = path.split(':').filter(|folder| !folder.is_empty());
        folders.map(|folder| spec.cwd.join(folder).join(name)).find(|file| is_executable(file))
    });
    if let (Some(found), Some(program)) = (found, spec.argv.first_mut()) {
        *program = found.into_string();
    }
    spec
}

fn is_executable(file: &Utf8Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn fate(end: End) -> Fate {
    match end {
        End::Exited { code: 0 } => Fate::Good,
        End::Exited { code } => Fate::Bad(format!("exit code {code}")),
        End::Signaled { signal, out_of_memory: true } => Fate::Bad(format!("signal {signal}, for want of memory")),
        End::Signaled { signal, out_of_memory: false } => Fate::Bad(format!("signal {signal}")),
        End::TimedOut => Fate::Bad("its time was over".to_owned()),
        End::Cancelled => Fate::Bad("cancelled".to_owned()),
        End::SpawnFailed { message } => Fate::NotStarted(message),
    }
}

/// The beginning of what a command printed.
async fn printed(folder: Utf8PathBuf) -> String {
    let read = spawn_blocking(move || LogReader::open(&folder)?.read(0, TOLD_OUTPUT)).await;
    let Ok(Ok(chunk)) = read else { return String::new() };
    let bytes: Vec<u8> = chunk.reads.into_iter().flat_map(|read| read.bytes).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
