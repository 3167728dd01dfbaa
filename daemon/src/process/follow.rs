//! The daemon's side of a shim: starting one, finding one that an earlier daemon started, following it to its end.
//!
//! A task of its own follows each shim: it hears `ctl.sock` and, where this daemon started the shim, reaps it. The
//! handle only reads what the task has heard. Whether a command has ended is decided by its outcome on disk and by
//! whether its shim lives, never by a message alone.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use camino::Utf8Path;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

use super::control::{self, FromShim, ToShim};
use super::folder::Claim;
use super::ready::{Failure, Word};
use super::{Folder, Outcome, ProcessError, RUN_VARIABLE, ShimSpec, procfs};
use crate::durable::DurableError;

/// A shim that lives answers within this time; it has nothing else to do but a few writes.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks at a shim that is coming or going.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// A shim that cannot write its outcome at once may take long.
const LOOK_SELDOM: Duration = Duration::from_millis(500);
/// The shim's first word is shorter.
const MAX_WORD_BYTES: u64 = 64 * 1024;

/// A command under its shim. Dropping it ends nothing, except where the command has a lifeline: then it ends.
#[derive(Debug)]
pub struct Shim {
    folder: Folder,
    pid: u32,
    output: watch::Receiver<u64>,
    ended: watch::Receiver<bool>,
    cancels: mpsc::Sender<oneshot::Sender<io::Result<()>>>,
    /// The shim ends the command when this is closed.
    _lifeline: Option<ChildStdin>,
}

/// What there is in the folder of a command that an earlier daemon started.
#[derive(Debug)]
pub enum Found {
    /// It was never started, and now never will be: the claim is ours.
    Abandoned,
    /// It has ended.
    Ended(Outcome),
    /// It goes on, and is followed from here on.
    Alive(Shim),
    /// Its shim died before the outcome was on disk: how it ended is not known. Its processes may live.
    Lost,
}

/// How following a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The command ended, and this is how.
    Outcome(Outcome),
    /// The shim died before the outcome was on disk: how it ended is not known. Its processes may live.
    Lost,
}

/// Starts a command under a shim. Resolves when the command runs: the claim is on disk and its process known. Where the
/// future is dropped before, [`find`] tells what became of it.
///
/// # Errors
/// [`ProcessError::NotStarted`] where the program cannot be started (the outcome says so too), [`ProcessError::Claimed`],
/// [`ProcessError::ShimDied`], [`ProcessError::Spawn`] where the shim itself cannot be started.
pub async fn start(spec: ShimSpec) -> Result<Shim, ProcessError> {
    // The very file that this process runs, even where an upgrade has put another in its place.
    start_with(Utf8Path::new("/proc/self/exe"), spec).await
}

/// [`start`] with another binary than this process's own as the shim.
///
/// # Errors
/// As [`start`].
pub async fn start_with(program: &Utf8Path, spec: ShimSpec) -> Result<Shim, ProcessError> {
    let folder = Folder::new(spec.folder.clone());
    let mut child =
        spawn(program, &spec).map_err(|source| ProcessError::Spawn { program: program.to_string(), source })?;
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

/// Takes over the command in `folder`, whose daemon is gone.
///
/// # Errors
/// [`ProcessError::State`], or [`ProcessError::Unreachable`] where the shim lives and does not answer.
pub async fn find(folder: &Utf8Path) -> Result<Found, ProcessError> {
    let folder = Folder::new(folder);
    let until = Instant::now() + ANSWER_WITHIN;
    loop {
        if let Some(outcome) = blocking(&folder, Folder::outcome).await? {
            return Ok(Found::Ended(outcome));
        }
        let late = Instant::now() >= until;
        match blocking(&folder, Folder::claim_or_abandon).await? {
            Some(Claim::Abandoned { .. }) => return Ok(Found::Abandoned),
            Some(Claim::Shim { pid, start_ticks, .. }) if procfs::start_ticks(pid) != Some(start_ticks) => {
                // It may have written the outcome between the two looks.
                let outcome = blocking(&folder, Folder::outcome).await?;
                return Ok(outcome.map_or(Found::Lost, Found::Ended));
            }
            Some(Claim::Shim { pid: shim, start_ticks, .. }) => match greet(&folder).await {
                Ok((pid, connection)) => {
                    let follower = Follower { child: None, identity: (shim, start_ticks) };
                    return Ok(Found::Alive(follow(folder, pid, Some(connection), follower, None)));
                }
                // It is about to listen, or about to end.
                Err(source) if late => {
                    return Err(ProcessError::Unreachable { folder: folder.dir().to_owned(), source });
                }
                Err(_) => {}
            },
            // Made, but not written: its maker died in between, and nothing was started. Never again, either.
            None if late => return Ok(Found::Lost),
            None => {}
        }
        sleep(LOOK_AGAIN).await;
    }
}

impl Shim {
    /// The command's process.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// The command's folder.
    #[must_use]
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Bytes of output in the log: what [`super::LogReader`] can read. Its sender is dropped at the end.
    #[must_use]
    pub fn output(&self) -> watch::Receiver<u64> {
        self.output.clone()
    }

    /// Resolves when the command has ended and its outcome is on disk, or the shim is dead. May be dropped and called
    /// again.
    ///
    /// # Errors
    /// [`ProcessError::State`] where the outcome cannot be read.
    pub async fn ended(&mut self) -> Result<Ended, ProcessError> {
        // The task that follows ends only after it has said so, or with the runtime.
        let _ = self.ended.wait_for(|ended| *ended).await;
        let outcome = blocking(&self.folder, Folder::outcome).await?;
        Ok(outcome.map_or(Ended::Lost, Ended::Outcome))
    }

    /// Asks the shim to end the command: TERM, grace, KILL; a second call kills at once. Returns when the shim was told;
    /// [`Self::ended`] tells when it is done. Nothing happens where the command has ended already.
    ///
    /// # Errors
    /// [`ProcessError::Unreachable`].
    pub async fn cancel(&self) -> Result<(), ProcessError> {
        let (told, answer) = oneshot::channel();
        if self.cancels.send(told).await.is_err() {
            return Ok(());
        }
        match answer.await {
            Ok(Ok(())) | Err(_) => Ok(()),
            Ok(Err(source)) => Err(ProcessError::Unreachable { folder: self.folder.dir().to_owned(), source }),
        }
    }
}

/// An open `ctl.sock`.
struct Connection {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
}

/// What the following task knows of its shim.
struct Follower {
    /// The shim, where this process is its parent.
    child: Option<Child>,
    /// The shim's process and its start.
    identity: (u32, u64),
}

#[expect(clippy::disallowed_methods, reason = "this is the place where shims are started")]
fn spawn(program: &Utf8Path, spec: &ShimSpec) -> io::Result<Child> {
    Command::new(program)
        .arg0("burrow")
        .arg("shim")
        .env_clear()
        .env(RUN_VARIABLE, &spec.run)
        // So that whoever meets it in a list of processes can tell what it is for.
        .current_dir(&spec.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // It would keep our own standard error open for as long as the command runs.
        .stderr(Stdio::null())
        .spawn()
}

async fn connect(folder: &Folder) -> io::Result<Connection> {
    let (_handle, path) = control::socket_path(folder)?;
    let (read, write) = UnixStream::connect(&path).await?.into_split();
    Ok(Connection { lines: BufReader::new(read).lines(), write })
}

/// Connects and waits for the shim's first message: the command's process.
async fn greet(folder: &Folder) -> io::Result<(u32, Connection)> {
    let mut connection = connect(folder).await?;
    let greeting = timeout(ANSWER_WITHIN, connection.lines.next_line()).await??.unwrap_or_default();
    match control::from_line(greeting.as_bytes()) {
        Some(FromShim::Hello { pid, .. }) => Ok((pid, connection)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it did not greet")),
    }
}

/// Follows in a task of its own.
fn follow(
    folder: Folder,
    pid: u32,
    connection: Option<Connection>,
    follower: Follower,
    lifeline: Option<ChildStdin>,
) -> Shim {
    let (output_sender, output) = watch::channel(0);
    let (ended_sender, ended) = watch::channel(false);
    let (cancels, requests) = mpsc::channel(1);
    let its_folder = folder.clone();
    tokio::spawn(async move {
        if let Some(connection) = connection {
            hear(connection, requests, &output_sender).await;
        }
        follower.settle(&its_folder, output_sender).await;
        ended_sender.send_replace(true);
        if let Some(mut child) = follower.child {
            // Reaped, whatever it says: the outcome is known.
            let _ = child.wait().await;
        }
    });
    Shim { folder, pid, output, ended, cancels, _lifeline: lifeline }
}

/// Passes on what the shim says and what it is asked, until it says that the command has ended, or no more.
async fn hear(
    mut connection: Connection,
    mut requests: mpsc::Receiver<oneshot::Sender<io::Result<()>>>,
    output: &watch::Sender<u64>,
) {
    loop {
        tokio::select! {
            line = connection.lines.next_line() => match line {
                Ok(Some(line)) => match control::from_line(line.as_bytes()) {
                    Some(FromShim::Output(bytes)) => {
                        output.send_replace(bytes);
                    }
                    Some(FromShim::Ended {}) => return,
                    Some(FromShim::Hello { .. }) | None => {}
                },
                Ok(None) | Err(_) => return,
            },
            Some(told) = requests.recv() => {
                let sent = connection.write.write_all(&control::to_line(&ToShim::Cancel {})).await;
                // Who asked may have gone.
                let _ = told.send(sent);
            }
        }
    }
}

impl Follower {
    /// Returns when the outcome is on disk or the shim is dead.
    async fn settle(&self, folder: &Folder, output: watch::Sender<u64>) {
        let (pid, start_ticks) = self.identity;
        let mut pause = LOOK_AGAIN;
        loop {
            let alive = procfs::start_ticks(pid) == Some(start_ticks);
            match blocking(folder, Folder::outcome).await {
                Ok(Some(outcome)) => {
                    output.send_replace(outcome.output_bytes.get());
                    return;
                }
                // Looked at after the shim had died: there will be none.
                Ok(None) | Err(_) if !alive => return,
                Ok(None) | Err(_) => {
                    sleep(pause).await;
                    pause = (pause * 2).min(LOOK_SELDOM);
                }
            }
        }
    }
}

/// Reads or writes the folder's files off the runtime.
async fn blocking<T: Send + 'static>(
    folder: &Folder,
    work: fn(&Folder) -> Result<T, DurableError>,
) -> Result<T, ProcessError> {
    let its_folder = folder.clone();
    match tokio::task::spawn_blocking(move || work(&its_folder)).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(ProcessError::ShimDied { folder: folder.dir().to_owned() }),
    }
}
