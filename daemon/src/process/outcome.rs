//! How a command ended: `outcome.json`, written by the shim once the output is complete.

use burrow_protocol::SafeInt;
use serde::{Deserialize, Serialize};

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The version of this file: [`super::SCHEMA`].
    pub schema: u32,
    /// How the program ended.
    pub end: End,
    /// When it was started, RFC 3339.
    pub started_at: String,
    /// When the last of it ended, RFC 3339.
    pub ended_at: String,
    /// From the start to the end.
    pub duration_ms: u32,
    /// Bytes of output, masked, what the cap has cut included.
    pub output_bytes: SafeInt,
    /// Bytes of output that could not be written, as on a full disk; they are not part of `output_bytes`.
    pub output_lost: SafeInt,
    /// Processes that were left: kept after a success, or not to be ended.
    pub survivors: Vec<Survivor>,
    /// Whether a process that was left still held the output when reading it ended.
    pub stdout_left_open: bool,
    /// How many processes the kernel killed for want of memory meanwhile: the command's, or others of the container.
    #[serde(default)]
    pub memory_kills: u32,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum End {
    /// By itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// By a signal that was not ours.
    #[serde(rename_all = "camelCase")]
    Signaled {
        /// The signal's number.
        signal: i32,
        /// Whether the kernel sent it for want of memory.
        out_of_memory: bool,
    },
    /// Ended by us: its timeout had passed.
    TimedOut,
    /// Ended by us: on request, or the lifeline was lost.
    Cancelled,
    /// It was never started.
    SpawnFailed {
        /// Why.
        message: String,
    },
}

/// A process that outlived its command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Survivor {
    /// Its process id.
    pub pid: u32,
    /// Its start, in clock ticks since boot: with `pid` it names the process for good.
    pub start_ticks: SafeInt,
    /// Its name, at most 15 bytes; its arguments may hold secrets.
    pub name: String,
}
