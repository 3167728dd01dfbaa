//! The shim's loop: one place that waits, the pure machine that decides, and what it decided carried out.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use burrow_protocol::SafeInt;
use camino::Utf8PathBuf;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::ending::{Action, Cause, Ending, Input, Rules, Status};
use super::followers::Followers;
use super::output::{Output, ProgramEnds};
use super::signals::Signals;
use super::terminal::{self, Terminal};
use super::tree::Tree;
use super::{memory, open_null};
use crate::durable::{DurableError, Reserved};
use crate::process::control::ToShim;
use crate::process::log::{LogWriter, Mask};
use crate::process::outcome::{End, Outcome};
use crate::process::{Folder, RUN_VARIABLE, SCHEMA, ShimSpec, Stream, Survivors, procfs};

/// What is reserved for the outcome.
const OUTCOME_BYTES: usize = 16 * 1024;
/// What a terminal is called where the environment does not say it: what those of editors are.
const TERMINAL: &str = "xterm-256color";

/// Why a command could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// The shim's own pipes and sockets.
    #[error("prepare {what}")]
    Prepare {
        /// What was to be prepared.
        what: &'static str,
        /// Why it could not be.
        source: io::Error,
    },
    /// The secrets cannot be masked, so nothing may be printed.
    #[error("mask the secrets")]
    Secrets(#[from] aho_corasick::BuildError),
    /// There is no such folder to run in.
    #[error("its folder {cwd} is not there")]
    Folder {
        /// The folder.
        cwd: Utf8PathBuf,
    },
    /// There is no room for the outcome: then a command should not be started.
    #[error(transparent)]
    Room(#[from] DurableError),
    /// The system refused.
    #[error(transparent)]
    Spawn(io::Error),
}

/// A running command.
#[derive(Debug)]
pub(super) struct Supervisor {
    pid: u32,
    lifeline: bool,
    /// What asks the command to end.
    end_signal: Signal,
    tree: Tree,
    output: Output,
    terminal: Option<Terminal>,
    followers: Followers,
    signals: Signals,
    ending: Ending,
    started: Instant,
    started_at: String,
    kills_before: Option<u64>,
    /// Becomes the outcome.
    reserved: Reserved,
}

/// What is left to do when the outcome is on disk.
#[derive(Debug)]
pub(super) struct Rest {
    followers: Followers,
    /// There are processes that were kept and still hold the output.
    drain: Option<(Output, Tree, Signals)>,
}

/// What woke the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Child,
    End,
    Lifeline,
    Output(Stream),
    Listener,
    Follower(usize),
    Terminal,
}

impl Supervisor {
    /// Starts the program.
    ///
    /// # Errors
    /// [`StartError`]; then nothing runs.
    pub(super) fn start(spec: &ShimSpec, folder: &Folder) -> Result<Self, StartError> {
        let prepare = |what| move |source| StartError::Prepare { what, source };
        let mut secrets = spec.secrets.clone();
        if spec.tty.is_some() {
            // A terminal ends each line with a carriage return as well.
            secrets.extend(spec.secrets.iter().map(|secret| secret.replace('\n', "\r\n")));
        }
        let mask = Mask::new(&secrets)?;
        let own = procfs::to_pid(std::process::id());
        rustix::process::set_child_subreaper(own).map_err(|error| prepare("the subreaper")(error.into()))?;
        let signals = Signals::catch().map_err(prepare("signals"))?;
        let followers = Followers::listen(folder, spec.tty.is_some()).map_err(prepare("ctl.sock"))?;
        let log = LogWriter::new(folder.clone());
        let (output, terminal, ends) = match spec.tty {
            None => {
                let (output, ends) = Output::pipes(mask, log).map_err(prepare("output"))?;
                (output, None, ends)
            }
            Some(size) => {
                let (terminal, end) = Terminal::open(size).map_err(prepare("a terminal"))?;
                let (output, ends) = Output::terminal(&terminal, end, mask, log).map_err(prepare("a terminal"))?;
                (output, Some(terminal), ends)
            }
        };
        let reserved = Reserved::take(&folder.reserve_file(), OUTCOME_BYTES)?;
        let kills_before = memory::kills();
        let started = Instant::now();
        let started_at = now();
        let pid = memory::start_killable(|| spawn(spec, ends))?;
        let program = procfs::to_pid(pid).ok_or_else(|| StartError::Spawn(io::ErrorKind::InvalidData.into()))?;
        let millis = |number: u32| Duration::from_millis(number.into());
        let rules = Rules {
            timeout: spec.timeout_ms.map(millis),
            grace: millis(spec.grace_ms),
            leak: millis(spec.leak_ms),
            keep_on_success: spec.survivors == Survivors::KeepOnSuccess,
        };
        Ok(Self {
            pid,
            lifeline: spec.lifeline,
            end_signal: if spec.interrupt { Signal::INT } else { Signal::TERM },
            tree: Tree::new(program),
            output,
            terminal,
            followers,
            signals,
            ending: Ending::new(rules),
            started,
            started_at,
            kills_before,
            reserved,
        })
    }

    /// The program's process.
    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets go of the daemon's pipes, except of a lifeline.
    pub(super) fn leave_stdio(&self) -> rustix::io::Result<()> {
        let null = open_null()?;
        rustix::stdio::dup2_stdout(&null)?;
        if self.lifeline { Ok(()) } else { rustix::stdio::dup2_stdin(&null) }
    }

    /// Supervises the command to its end. The outcome is to be written, where room was reserved for it, before
    /// [`Rest::end`].
    pub(super) fn run(mut self) -> (Outcome, Reserved, Rest) {
        while self.ending.done().is_none() {
            for source in self.wait() {
                self.handle(source);
            }
            self.step(Input::Tick);
            self.followers.tell_output(self.started.elapsed(), self.output.log().end());
        }
        self.output.finish();
        self.followers.tell_output(self.started.elapsed(), self.output.log().end());
        let outcome = self.outcome();
        let drain = outcome.stdout_left_open && !outcome.survivors.is_empty();
        let rest = (self.output, self.tree, self.signals);
        (outcome, self.reserved, Rest { followers: self.followers, drain: drain.then_some(rest) })
    }

    /// Waits for something to happen, or for the next deadline.
    fn wait(&self) -> Vec<Source> {
        let stdin = io::stdin();
        let mut waited: Vec<(Source, BorrowedFd<'_>, PollFlags)> = vec![
            (Source::Child, self.signals.child_fd(), PollFlags::IN),
            (Source::End, self.signals.end_fd(), PollFlags::IN),
            (Source::Listener, self.followers.listener_fd(), PollFlags::IN),
        ];
        if self.lifeline {
            waited.push((Source::Lifeline, stdin.as_fd(), PollFlags::IN));
        }
        waited.extend(self.output.open().map(|(stream, pipe)| (Source::Output(stream), pipe, PollFlags::IN)));
        waited.extend(self.followers.fds().enumerate().map(|(number, (stream, full))| {
            let flags = if full { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            (Source::Follower(number), stream, flags)
        }));
        let typing = self.terminal.as_ref().and_then(Terminal::waiting);
        waited.extend(typing.map(|terminal| (Source::Terminal, terminal, PollFlags::OUT)));
        let deadline = [self.ending.deadline(), self.followers.deadline()].into_iter().flatten().min();
        ready(&waited, deadline.map(|deadline| deadline.saturating_sub(self.started.elapsed())))
    }

    fn handle(&mut self, source: Source) {
        match source {
            Source::Child => self.look(),
            Source::End => self.cancel(self.signals.take_end()),
            Source::Lifeline => {
                // Nothing is ever sent on it after the specification: what there is to read is its end.
                self.lifeline = false;
                let _ = self.leave_stdio();
                self.cancel(1);
            }
            Source::Output(stream) => {
                let _length = self.output.read(stream);
                if self.output.is_closed() {
                    self.step(Input::NoOutput);
                }
            }
            Source::Listener => self.followers.accept(self.pid),
            Source::Follower(number) => {
                for asked in self.followers.serve(number) {
                    self.obey(number, asked);
                }
            }
            Source::Terminal => {
                if let Some(terminal) = &mut self.terminal {
                    terminal.flush();
                }
            }
        }
    }

    /// Does what the follower of that number asks.
    fn obey(&mut self, number: usize, asked: ToShim) {
        match (asked, &mut self.terminal) {
            (ToShim::Flush {}, _) => {
                self.output.flush();
                self.followers.flushed(number, self.output.log().end());
                if self.output.is_closed() {
                    self.step(Input::NoOutput);
                }
            }
            (ToShim::Cancel {}, _) => self.cancel(1),
            (ToShim::Input { text }, Some(terminal)) => terminal.type_in(&text),
            // A terminal that cannot be resized keeps its size.
            (ToShim::Resize(size), Some(terminal)) => drop(terminal.resize(size)),
            (ToShim::Input { .. } | ToShim::Resize(_), None) => {}
        }
    }

    fn cancel(&mut self, times: usize) {
        for _ in 0..times {
            self.step(Input::Cancel);
        }
    }

    /// Some process may have ended.
    fn look(&mut self) {
        self.signals.clear_child();
        if let Some(status) = self.tree.look() {
            // Its group is told what it has to be told before it is reaped.
            self.step(Input::Program(status));
            self.tree.reap_program();
        }
        self.tree.reap_orphans();
        if self.tree.is_empty() {
            self.step(Input::NoProcess);
        }
    }

    fn step(&mut self, input: Input) {
        match self.ending.step(self.started.elapsed(), input) {
            // A stopped process takes it only once it goes on.
            Some(Action::Terminate) => self.tree.signal(&[self.end_signal, Signal::CONT]),
            Some(Action::Kill) => self.tree.signal(&[Signal::KILL]),
            None => {}
        }
    }

    fn outcome(&self) -> Outcome {
        let memory_kills = memory::kills().zip(self.kills_before).map_or(0, |(now, before)| now.saturating_sub(before));
        let end = match self.ending.done() {
            Some(Cause::Program(Status::Exited(code))) => End::Exited { code },
            Some(Cause::Program(Status::Signaled(signal))) => {
                let out_of_memory = signal == Signal::KILL.as_raw() && memory_kills > 0;
                End::Signaled { signal, out_of_memory }
            }
            Some(Cause::TimedOut) => End::TimedOut,
            Some(Cause::Cancelled) | None => End::Cancelled,
        };
        Outcome {
            schema: SCHEMA,
            end,
            started_at: self.started_at.clone(),
            ended_at: now(),
            duration_ms: u32::try_from(self.started.elapsed().as_millis()).unwrap_or(u32::MAX),
            output_bytes: SafeInt::saturating(self.output.log().end()),
            output_lost: SafeInt::saturating(self.output.log().lost()),
            survivors: self.tree.survivors(),
            stdout_left_open: self.ending.output_open(),
            memory_kills: u32::try_from(memory_kills).unwrap_or(u32::MAX),
        }
    }
}

impl Rest {
    /// Tells the followers. Then, where kept processes still write, reads on into nothing: their next write would
    /// otherwise end them. That lasts until they close their output, all are gone, or TERM comes.
    pub(super) fn end(self) {
        self.followers.end();
        let Some((mut output, tree, signals)) = self.drain else { return };
        while !output.is_closed() && !tree.is_empty() {
            let mut waited = vec![
                (Source::Child, signals.child_fd(), PollFlags::IN),
                (Source::End, signals.end_fd(), PollFlags::IN),
            ];
            waited.extend(output.open().map(|(stream, pipe)| (Source::Output(stream), pipe, PollFlags::IN)));
            for source in ready(&waited, None) {
                match source {
                    Source::Child => {
                        signals.clear_child();
                        tree.reap_orphans();
                    }
                    Source::Output(stream) => output.discard(stream),
                    Source::End | Source::Lifeline | Source::Listener | Source::Follower(_) | Source::Terminal => {
                        return;
                    }
                }
            }
        }
    }
}

/// Starts the program: signals at their defaults, a group of its own, and on its standard input nothing, or a terminal.
#[expect(clippy::disallowed_methods, reason = "this is the place where hooks and dlv are started")]
fn spawn(spec: &ShimSpec, ends: ProgramEnds) -> Result<u32, StartError> {
    let mut command = Command::new(spec.program());
    command.args(&spec.argv[1..]).env_clear();
    match ends {
        ProgramEnds::Pipes(stdout, stderr) => {
            command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0);
        }
        ProgramEnds::Terminal(end) => {
            let copy = || end.try_clone().map_err(StartError::Spawn);
            command.stdin(copy()?).stdout(copy()?).stderr(end).env("TERM", TERMINAL);
            terminal::lead_session(&mut command);
        }
    }
    command.envs(&spec.env).env(RUN_VARIABLE, &spec.run).current_dir(&spec.cwd);
    match command.spawn() {
        Ok(child) => Ok(child.id()),
        // The system does not say which of the two is missing.
        Err(_) if !spec.cwd.is_dir() => Err(StartError::Folder { cwd: spec.cwd.clone() }),
        Err(error) => Err(StartError::Spawn(error)),
    }
}

/// The sources of `waited` that have something, after `timeout` at the latest; `None`: without end.
fn ready(waited: &[(Source, BorrowedFd<'_>, PollFlags)], timeout: Option<Duration>) -> Vec<Source> {
    let mut fds: Vec<_> = waited.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    // Interrupted by a signal: then its pipe is ready at the next call.
    if poll(&mut fds, timeout.as_ref()).is_err() {
        return Vec::new();
    }
    waited.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty()).map(|((source, ..), _)| *source).collect()
}

/// The present, RFC 3339 with milliseconds.
pub(super) fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
