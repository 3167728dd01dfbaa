//! The shim: the parent of one command, from its start to its outcome on disk. A role of this binary, with one thread
//! and no runtime.
//!
//! Life: read the specification, claim the command, start the program, say so, supervise it, write the outcome, tell
//! the followers, exit. It has its own session, is the subreaper of all that the program starts, and needs no daemon.
//!
//! Invariants: nothing is started without the claim; the outcome is written when the output is complete; no failure of
//! the log, of a follower or of the daemon ends the command.
//!
//! Signals: TERM, INT, HUP and QUIT end the command as a cancel does (TERM, grace, KILL), a second one kills at once.

mod ending; // pure: running -> ending -> flushing -> done
mod followers; // ctl.sock
mod memory; // oom_score_adj, and whether memory ran out
mod output; // pipes -> mask -> log
mod signals; // signals as bytes in a pipe
mod supervise; // the loop
mod terminal; // a pseudo terminal
mod tree; // the processes: looking, signalling, reaping

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::time::Duration;

use burrow_protocol::SafeInt;
use rustix::event::poll;
use rustix::fs::{Mode, OFlags};

use super::outcome::{End, Outcome};
use super::ready::{Failure, Word};
use super::{Folder, ShimSpec};
use crate::coded::with_causes;
use crate::durable::{self, DurableError, Reserved};
use supervise::Supervisor;

/// An outcome that cannot be written (a full disk) is tried again this often, this long.
const OUTCOME_AGAIN: Duration = Duration::from_millis(250);
const OUTCOME_TRIES: u32 = 120;

/// The shim's role of the binary. Called before any thread exists; of the arguments the first is the command's folder.
#[must_use]
pub fn shim_main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    // It is known by its folder, also before it has claimed it. What the claim says of one that is gone is enough.
    let _ = arguments.next().map(rustix::process::chdir);
    // Names are for people; a shim without one works as well.
    let _ = rustix::thread::set_name(c"burrow-shim");
    // Refused only to one that leads its group already, as when it is started by hand.
    let _ = rustix::process::setsid();

    // No whole specification: the daemon died before it said what to run.
    let Ok(spec) = read_spec() else { return ExitCode::FAILURE };
    let folder = Folder::new(spec.folder.clone());
    match folder.claim_as_shim() {
        Ok(true) => {}
        Ok(false) => return fail(Failure::Claimed),
        Err(error) => return fail(Failure::NotStarted { message: with_causes(&error) }),
    }
    let started = Supervisor::start(&spec, &folder);
    // It is as large as the environment, and nothing needs the environment and the secrets any more.
    drop(spec);
    match started {
        Ok(supervisor) => {
            say(&Word::Ready(supervisor.pid()));
            // What is said of standard output holds here too.
            let _ = supervisor.leave_stdio();
            let (outcome, reserved, rest) = supervisor.run();
            let written = try_long(|| write_outcome(&folder, &outcome, &reserved));
            rest.end();
            if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            let message = with_causes(&error);
            let outcome = Outcome::not_started(message.clone());
            // The word carries the same to a daemon that lives; without either the claim says that it was tried.
            let _ = try_long(|| durable::replace_json(&folder.outcome_file(), &outcome));
            fail(Failure::NotStarted { message })
        }
    }
}

/// Reads from a copy of the descriptor, without a buffer: what follows the frame stays where it is.
fn read_spec() -> io::Result<ShimSpec> {
    ShimSpec::read_frame(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// Says the first word. A daemon that has died does not hear it, and does not have to.
fn say(word: &Word) {
    let line = word.to_line();
    let mut rest = line.as_bytes();
    while !rest.is_empty()
        && let Ok(length) = rustix::io::write(io::stdout(), rest)
    {
        rest = &rest[length..];
    }
}

fn fail(failure: Failure) -> ExitCode {
    say(&Word::Failed(failure));
    ExitCode::FAILURE
}

fn write_outcome(folder: &Folder, outcome: &Outcome, reserved: &Reserved) -> Result<(), DurableError> {
    let path = folder.outcome_file();
    let mut bytes = serde_json::to_vec(outcome)
        .map_err(|error| DurableError::Write { path: path.clone(), source: error.into() })?;
    bytes.push(b'\n');
    reserved.become_file(&path, &bytes)
}

fn try_long(mut write: impl FnMut() -> Result<(), DurableError>) -> Result<(), DurableError> {
    let mut tries = 0;
    loop {
        match write() {
            Err(_) if tries < OUTCOME_TRIES => {
                tries += 1;
                let pause = OUTCOME_AGAIN.try_into().ok();
                // Cut short by a signal: then the next try comes sooner.
                let _ = poll(&mut [], pause.as_ref());
            }
            result => return result,
        }
    }
}

/// What takes the place of the daemon's pipes.
fn open_null() -> rustix::io::Result<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

impl Outcome {
    /// The outcome of a command that could not be started.
    fn not_started(message: String) -> Self {
        let now = supervise::now();
        Self {
            schema: super::SCHEMA,
            end: End::SpawnFailed { message },
            started_at: now.clone(),
            ended_at: now,
            duration_ms: 0,
            output_bytes: SafeInt::default(),
            output_lost: SafeInt::default(),
            survivors: Vec::new(),
            stdout_left_open: false,
            memory_kills: 0,
        }
    }
}
