//! The daemon's side of a shim that begins: starting one, also ahead of its command's turn, and telling it what to run.

use std::process::Stdio;

use camino::Utf8Path;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::follow::{Follower, Shim, connect, follow};
use super::ready::{Failure, Word};
use super::{Folder, ProcessError, RUN_VARIABLE, ShimSpec, procfs};

/// The very file that this process runs, even where an upgrade has put another in its place.
const OWN_BINARY: &str = "/proc/self/exe";
/// The shim's first word is shorter.
const MAX_WORD_BYTES: u64 = 64 * 1024;

/// Starts a command under a shim. Resolves when the command runs: the claim is on disk and its process known. Where the
/// future is dropped before, [`find`](super::find) tells what became of it.
///
/// # Errors
/// [`ProcessError::NotStarted`] where the program cannot be started (the outcome says so too), [`ProcessError::Claimed`],
/// [`ProcessError::ShimDied`], [`ProcessError::Spawn`] where the shim itself cannot be started.
pub async fn start(spec: ShimSpec) -> Result<Shim, ProcessError> {
    start_with(OWN_BINARY.into(), spec).await
}

/// [`start`] with another binary than this process's own as the shim.
///
/// # Errors
/// As [`start`].
pub async fn start_with(program: &Utf8Path, spec: ShimSpec) -> Result<Shim, ProcessError> {
    let child = spawn(program, &spec.folder, &spec.run)?;
    instruct(child, spec).await
}

/// [`start`] by a shim that waits for this command, where there is one.
///
/// # Errors
/// As [`start`].
pub async fn start_by(spare: Option<Spare>, spec: ShimSpec) -> Result<Shim, ProcessError> {
    match spare {
        Some(spare) => spare.start(spec).await,
        None => start(spec).await,
    }
}

/// A shim that was started before its command's turn: it waits for the specification. Dropping it ends it, and nothing was
/// claimed.
#[derive(Debug)]
pub struct Spare(Child);

impl Spare {
    /// Starts a shim for the command in `folder`; `run` as in [`ShimSpec::run`].
    ///
    /// # Errors
    /// [`ProcessError::Spawn`].
    pub fn new(folder: &Utf8Path, run: &str) -> Result<Self, ProcessError> {
        spawn(OWN_BINARY.into(), folder, run).map(Self)
    }

    /// [`start`] with this shim, which was made for the same folder and run. One that has died meanwhile is replaced.
    async fn start(mut self, spec: ShimSpec) -> Result<Shim, ProcessError> {
        match self.0.try_wait() {
            Ok(None) => instruct(self.0, spec).await,
            Ok(Some(_)) | Err(_) => start(spec).await,
        }
    }
}

/// Tells a shim what to run.
async fn instruct(mut child: Child, spec: ShimSpec) -> Result<Shim, ProcessError> {
    let folder = Folder::new(spec.folder.clone());
    // The child is not reaped before it is dropped, so the number is its own.
    let identity = child.id().map(|pid| (pid, procfs::start_ticks(pid).unwrap_or_default())).unwrap_or_default();
    let died = || ProcessError::ShimDied { folder: folder.dir().to_owned() };

    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else { return Err(died()) };
    let frame = spec.to_frame().map_err(|source| ProcessError::Spawn { program: spec.program().to_owned(), source })?;
    stdin.write_all(&frame).await.map_err(|_| died())?;
    let lifeline = spec.lifeline.then_some(stdin);

    let mut line = String::new();
    // A read that fails is a shim that has not said its word.
    let _ = BufReader::new(stdout.take(MAX_WORD_BYTES)).read_line(&mut line).await;
    let pid = match Word::parse(&line) {
        Some(Word::Ready(pid)) => pid,
        Some(Word::Failed(Failure::Claimed)) => {
            return Err(ProcessError::Claimed { folder: folder.dir().to_owned() });
        }
        Some(Word::Failed(Failure::NotStarted { message })) => {
            return Err(ProcessError::NotStarted { program: spec.program().to_owned(), message });
        }
        None => return Err(died()),
    };
    // One that has ended already cannot be connected to: its outcome is there.
    let connection = connect(&folder).await.ok();
    Ok(follow(folder, pid, connection, Follower { child: Some(child), identity }, lifeline))
}

#[expect(clippy::disallowed_methods, reason = "this is the place where shims are started")]
fn spawn(program: &Utf8Path, folder: &Utf8Path, run: &str) -> Result<Child, ProcessError> {
    Command::new(program)
        .arg0("burrow")
        .arg("shim")
        // It goes there itself: so it can be started without a copy of our page tables, which a change of folder before
        // the program begins takes in a static binary.
        .arg(folder)
        .env_clear()
        .env(RUN_VARIABLE, run)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // It would keep our own standard error open for as long as the command runs.
        .stderr(Stdio::null())
        .spawn()
        .map_err(|source| ProcessError::Spawn { program: program.to_string(), source })
}
