//! The daemon's side of a shim that lives: finding one that an earlier daemon started, following it to its end.
//!
//! A task of its own follows each shim: it hears `ctl.sock` and, where this daemon started the shim, reaps it. The
//! handle only reads what the task has heard. Whether a command has ended is decided by its outcome on disk and by
//! whether its shim lives, never by a message alone; a shim that lives is never given up, however long it is silent.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use camino::Utf8Path;
use rustix::process::{Signal, pidfd_send_signal};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, ChildStdin};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

use super::control::{self, FromShim, ToShim};
use super::folder::{Claim, Standing};
use super::{Folder, Outcome, ProcessError, procfs};
use crate::durable::DurableError;

/// What cannot be read is tried again for this long.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A shim that is found says its first word within this time; it has nothing else to do but a few writes.
const FIRST_WORD_WITHIN: Duration = Duration::from_secs(1);
/// Between two looks at a shim that is coming or going.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// A shim that cannot write its outcome at once may take long.
const LOOK_SELDOM: Duration = Duration::from_millis(500);

/// A command under its shim. Dropping it ends nothing, except where the command has a lifeline: then it ends.
#[derive(Debug)]
pub struct Shim {
    folder: Folder,
    pid: watch::Receiver<u32>,
    output: watch::Receiver<u64>,
    ended: watch::Receiver<Seen>,
    asks: mpsc::Sender<Ask>,
    /// The shim ends the command when this is closed.
    _lifeline: Option<ChildStdin>,
}

/// What a command prints, for one who does not own the command. Clones are one and the same.
#[derive(Clone, Debug)]
pub struct Printing {
    folder: Folder,
    output: watch::Receiver<u64>,
    asks: mpsc::Sender<Ask>,
}

/// What is asked of a shim.
#[derive(Debug)]
enum Ask {
    /// That the command ends; answered when the shim was told.
    Cancel(oneshot::Sender<io::Result<()>>),
    /// That what was written until now is in the log; answered then, or dropped.
    Flush(oneshot::Sender<()>),
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

/// What the following task has seen of the end.
#[derive(Clone, Debug)]
enum Seen {
    /// The command goes on.
    Nothing,
    /// The outcome.
    Outcome(Box<Outcome>),
    /// The shim is dead, and there is no outcome, or one that cannot be read.
    Death,
}

/// How following a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The command ended, and this is how.
    Outcome(Outcome),
    /// The shim died before the outcome was on disk: how it ended is not known. Its processes may live.
    Lost,
}

/// Takes over the command in `folder`, whose daemon is gone.
///
/// # Errors
/// [`ProcessError::State`] where the folder's files cannot be read for [`ANSWER_WITHIN`], or are damaged.
pub async fn find(folder: &Utf8Path) -> Result<Found, ProcessError> {
    let folder = Folder::new(folder);
    let until = Instant::now() + ANSWER_WITHIN;
    let mut pause = LOOK_AGAIN;
    loop {
        let late = Instant::now() >= until;
        match blocking(&folder, Folder::standing).await {
            Ok(Standing::Ended(outcome)) => return Ok(Found::Ended(outcome)),
            Ok(Standing::Lost) => return Ok(Found::Lost),
            Ok(Standing::Claimed(Claim::Abandoned { .. })) => return Ok(Found::Abandoned),
            Ok(Standing::Claimed(Claim::Shim { pid, start_ticks, .. })) => {
                let follower = Follower { child: None, identity: (pid, start_ticks) };
                if follower.lives() {
                    let mut shim = follow(folder, 0, None, follower, None);
                    // One that is silent is followed all the same.
                    let _ = timeout(FIRST_WORD_WITHIN, shim.pid.wait_for(|pid| *pid != 0)).await;
                    return Ok(Found::Alive(shim));
                }
                // It may have written the outcome between the two looks.
                match blocking(&folder, Folder::last_outcome).await {
                    Ok(outcome) => return Ok(outcome.map_or(Found::Lost, Found::Ended)),
                    Err(error) if late || !error.may_pass() => return Err(error),
                    Err(_) => {}
                }
            }
            // Whoever made the claim writes it next. If nobody is there, he died before he started anything; and nobody
            // else ever will.
            Ok(Standing::Unclear)
                if late && !blocking(&folder, |folder| Ok(procfs::has_shim(folder.dir()))).await? =>
            {
                return Ok(Found::Lost);
            }
            Err(error) if late || !error.may_pass() => return Err(error),
            Ok(Standing::Unclear) | Err(_) => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(LOOK_SELDOM);
    }
}

impl Shim {
    /// The command's process; 0 where a shim that was taken over has not said it yet.
    #[must_use]
    pub fn pid(&self) -> u32 {
        *self.pid.borrow()
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

    /// What it prints, for somebody else to follow.
    #[must_use]
    pub fn printing(&self) -> Printing {
        Printing { folder: self.folder.clone(), output: self.output.clone(), asks: self.asks.clone() }
    }

    /// Resolves when the command has ended and its outcome is on disk, or the shim is dead. May be dropped and called
    /// again.
    ///
    /// # Errors
    /// [`ProcessError::State`] where the outcome cannot be read.
    pub async fn ended(&mut self) -> Result<Ended, ProcessError> {
        // The task that follows ends only after it has said so, or with the runtime.
        let seen = self.ended.wait_for(|seen| !matches!(seen, Seen::Nothing)).await.map(|seen| seen.clone());
        if let Ok(Seen::Outcome(outcome)) = seen {
            return Ok(Ended::Outcome(*outcome));
        }
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
        if self.asks.send(Ask::Cancel(told)).await.is_err() {
            return Ok(());
        }
        match answer.await {
            Ok(Ok(())) | Err(_) => Ok(()),
            Ok(Err(source)) => Err(ProcessError::Unreachable { folder: self.folder.dir().to_owned(), source }),
        }
    }
}

impl Printing {
    /// The command's folder, with its log.
    #[must_use]
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// As [`Shim::output`].
    #[must_use]
    pub const fn output(&self) -> &watch::Receiver<u64> {
        &self.output
    }

    /// As [`Shim::output`], to be waited on.
    pub const fn output_mut(&mut self) -> &mut watch::Receiver<u64> {
        &mut self.output
    }

    /// Waits until more is in the log than when this was made or last waited; `false` where no more will come.
    pub async fn grown(&mut self) -> bool {
        self.output.changed().await.is_ok()
    }

    /// Returns when all that was written before the call can be read from the log and is counted by [`Self::output`], or
    /// the shim cannot be asked any more.
    pub async fn flush(&self) {
        let (flushed, answer) = oneshot::channel();
        if self.asks.send(Ask::Flush(flushed)).await.is_ok() {
            // Dropped where the shim has gone: the log is what it is.
            let _ = answer.await;
        }
    }
}

/// An open `ctl.sock`.
pub(super) struct Connection {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
}

/// What the following task knows of its shim.
pub(super) struct Follower {
    /// The shim, where this process is its parent.
    pub(super) child: Option<Child>,
    /// The shim's process and its start.
    pub(super) identity: (u32, u64),
}

pub(super) async fn connect(folder: &Folder) -> io::Result<Connection> {
    let (_handle, path) = control::socket_path(folder)?;
    let (read, write) = UnixStream::connect(&path).await?.into_split();
    Ok(Connection { lines: BufReader::new(read).lines(), write })
}

/// Follows in a task of its own.
pub(super) fn follow(
    folder: Folder,
    pid: u32,
    connection: Option<Connection>,
    follower: Follower,
    lifeline: Option<ChildStdin>,
) -> Shim {
    let (pid_sender, pid) = watch::channel(pid);
    let (output_sender, output) = watch::channel(0);
    let (ended_sender, ended) = watch::channel(Seen::Nothing);
    let (asks, requests) = mpsc::channel(1);
    let its_folder = folder.clone();
    tokio::spawn(async move {
        let said = Said { pid: pid_sender, output: output_sender };
        let seen = follower.follow(&its_folder, connection, requests, said).await;
        ended_sender.send_replace(seen);
        if let Some(mut child) = follower.child {
            // Reaped, whatever it says: the outcome is known.
            let _ = child.wait().await;
        }
    });
    Shim { folder, pid, output, ended, asks, _lifeline: lifeline }
}

/// How far a connection came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    Nothing,
    Greeting,
    End,
}

/// What the shim has said.
struct Said {
    pid: watch::Sender<u32>,
    output: watch::Sender<u64>,
}

impl Follower {
    /// Whether the shim lives.
    fn lives(&self) -> bool {
        let (pid, start_ticks) = self.identity;
        procfs::start_ticks(pid) == Some(start_ticks)
    }

    /// Returns when the outcome is on disk or the shim is dead: which of the two.
    async fn follow(
        &self,
        folder: &Folder,
        mut connection: Option<Connection>,
        mut requests: mpsc::Receiver<Ask>,
        said: Said,
    ) -> Seen {
        let mut pause = LOOK_AGAIN;
        let mut give_up = None;
        loop {
            if connection.is_none() {
                // It is about to listen, or about to end, or it has too many followers.
                connection = connect(folder).await.ok();
            }
            let heard = match connection.take() {
                Some(connection) => self.hear(connection, &mut requests, &said).await,
                None => Heard::Nothing,
            };
            if heard != Heard::Nothing {
                pause = LOOK_AGAIN;
            }
            // One that says that it ends has its outcome on disk, whether it lives or not.
            let alive = heard == Heard::End || self.lives();
            let look = if alive { Folder::outcome } else { Folder::last_outcome };
            match blocking(folder, look).await {
                Ok(Some(outcome)) => {
                    said.output.send_replace(outcome.output_bytes.get());
                    return Seen::Outcome(Box::new(outcome));
                }
                // Looked at after the shim had died: there will be none.
                Ok(None) if !alive => return Seen::Death,
                Err(error) if !alive => {
                    let until = *give_up.get_or_insert_with(|| Instant::now() + ANSWER_WITHIN);
                    if !error.may_pass() || Instant::now() >= until {
                        return Seen::Death;
                    }
                }
                Ok(None) | Err(_) => {}
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(LOOK_SELDOM),
                Some(ask) = requests.recv() => match ask {
                    // Who asked may have gone.
                    Ask::Cancel(told) => drop(told.send(self.terminate())),
                    // Nobody can be asked just now.
                    Ask::Flush(flushed) => drop(flushed),
                },
            }
        }
    }

    /// Passes on what the shim says and what it is asked, until it says that the command has ended, or no more.
    async fn hear(&self, mut connection: Connection, requests: &mut mpsc::Receiver<Ask>, said: &Said) -> Heard {
        let mut heard = Heard::Nothing;
        // In the order in which they are answered; dropped with the connection.
        let mut flushes = VecDeque::new();
        loop {
            tokio::select! {
                line = connection.lines.next_line() => match line {
                    Ok(Some(line)) => match control::from_line(line.as_bytes()) {
                        Some(FromShim::Hello { pid, .. }) => {
                            heard = Heard::Greeting;
                            said.pid.send_replace(pid);
                        }
                        Some(FromShim::Output(bytes)) => {
                            said.output.send_replace(bytes);
                        }
                        Some(FromShim::Flushed(bytes)) => {
                            said.output.send_replace(bytes);
                            if let Some(flushed) = flushes.pop_front() {
                                let flushed: oneshot::Sender<()> = flushed;
                                let _ = flushed.send(());
                            }
                        }
                        Some(FromShim::Ended {}) => return Heard::End,
                        None => {}
                    },
                    Ok(None) | Err(_) => return heard,
                },
                Some(ask) = requests.recv() => match ask {
                    Ask::Cancel(told) => {
                        let sent = match connection.write.write_all(&control::to_line(&ToShim::Cancel {})).await {
                            Ok(()) => Ok(()),
                            Err(_) => self.terminate(),
                        };
                        let _ = told.send(sent);
                    }
                    Ask::Flush(flushed) => {
                        // Its end is heard by the reader.
                        if connection.write.write_all(&control::to_line(&ToShim::Flush {})).await.is_ok() {
                            flushes.push_back(flushed);
                        }
                    }
                },
            }
        }
    }

    /// Asks the shim by signal, which means the same to it as the message does.
    fn terminate(&self) -> io::Result<()> {
        let (pid, start_ticks) = self.identity;
        match procfs::open(pid, start_ticks) {
            Some(shim) => Ok(pidfd_send_signal(&shim, Signal::TERM)?),
            // It has ended: there is nothing left to cancel.
            None => Ok(()),
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
