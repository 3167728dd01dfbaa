//! The only module that starts processes, and the only one that ends them.
//!
//! Two kinds of processes. A hook's command, a background service and dlv run under a **shim**: this same binary, which
//! holds timeout and grace, writes output and outcome, and goes on when the daemon dies ([`start`], [`find`], [`Shim`]).
//! Short-lived commands of the daemon's own (`go list`) run without one and end with whoever waits for them ([`run`]).
//!
//! State: one folder a command (see [`Folder`]), written by its shim alone; the daemon keeps nothing.
//!
//! Invariants: a command is started by whoever makes its claim file, so at most once; the outcome is on disk before
//! anybody is told that the command ended; a process is signalled by number only while it cannot have been replaced
//! (it is our unreaped child, or a pidfd whose start time was compared); nobody waits for "any child".
//!
//! Not here: when and why something runs (`hooks`, `debug`, `toolchain`), what its environment should be.

mod control; // what crosses ctl.sock
mod error; // ProcessError
mod folder; // the files of a command's folder, and the claim
mod outcome; // how a command ended
mod procfs; // /proc: start times, parents, environments
mod ready; // the shim's first word
mod spec; // what a shim is told, and how it crosses its standard input

mod follow; // daemon side: find, Shim
mod log; // the output on disk: mask, segments, index, reader
mod shim; // the shim itself
mod start; // daemon side: start, Spare
pub mod terminal; // daemon side: typing into a command, and the size of its terminal

mod after; // a pause before a program

pub mod activity; // whether a run does anything
mod detach; // starting the daemon
mod environ; // the environment of a living process
mod exit; // waiting for processes that are not our children
pub mod init; // the container's own command: in our place, or below PID 1
pub mod run; // short-lived commands
pub mod sweep; // finding and ending what a dead daemon left
pub mod user; // accounts, and becoming one

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::Utf8PathBuf;

pub use after::{ROLE as AFTER_ROLE, after, after_main};
pub use detach::{spawn_beside, spawn_detached};
pub use environ::environment_of;
pub use error::ProcessError;
pub use exit::Exit;
pub use folder::{Folder, note_boot};
pub use follow::{Ended, Found, Printing, Shim, find};
pub use log::{LogChunk, LogReader, Read, masked};
pub use outcome::{End, Outcome, Survivor};
pub use shim::shim_main;
pub use spec::{ShimSpec, Survivors, TerminalSize};
pub use start::{Spare, start, start_by, start_with};

/// The environment variable that marks every process of a run with the run's id.
pub const RUN_VARIABLE: &str = "BURROW_RUN";

/// The version of the contract between daemon and shim, and of every file in a command's folder.
pub const SCHEMA: u32 = 1;

/// Who asked for work: work runs in its caller's environment.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The caller's environment, complete.
    pub env: Arc<BTreeMap<String, String>>,
    /// The folder from which the caller's relative paths count.
    pub cwd: Utf8PathBuf,
    /// Whether the caller may let the workspace's own files run things.
    pub trusted: bool,
}

/// An output stream of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}
