//! What can be asked of the hook engine, and what its commands tell it. No functions.

use burrow_protocol::hooks::{HookName, HookOrigin, HookStatus, RunSummary};
use camino::Utf8PathBuf;
use tokio::sync::{oneshot, watch};

use super::error::HookError;
use super::machine::{CommandEnd, Selection};
use super::record::RunId;
use crate::process::Caller;

pub(crate) type Reply<T> = oneshot::Sender<Result<T, HookError>>;

/// A request, as it waits in the mailbox.
#[derive(Debug)]
pub(crate) enum HookRequest {
    /// Look for a Dev Containers tool in the caller's environment and home. Nobody waits for an answer.
    Notice { caller: Caller },
    /// Queue what is due of the hooks that belong to opening a workspace.
    Up { caller: Caller, reply: Reply<Started> },
    /// Queue one hook.
    Run { what: Selection, again: bool, origin: Option<HookOrigin>, caller: Caller, reply: Reply<Started> },
    /// Record a command line as a run of a hook.
    Exec { what: Selection, argv: Vec<String>, cwd: Option<Utf8PathBuf>, caller: Caller, reply: Reply<Started> },
    /// End a recorded command line whose caller, a command of a hook, is gone. Nobody waits for an answer.
    CallerGone { run: RunId },
    /// Queue what did not succeed.
    Retry { what: Option<Selection>, caller: Caller, reply: Reply<Started> },
    /// Count a hook as done.
    Skip { what: Selection, why: Option<String>, reply: Reply<Vec<HookStatus>> },
    /// End a run, or one command of it.
    Cancel { run: RunId, command: Option<String>, reply: Reply<()> },
    /// End every run, and answer when they have ended.
    CancelAll { reply: Reply<Vec<HookStatus>> },
    /// End every service, and answer when they have ended. None is started anew after that.
    StopServices { reply: Reply<()> },
    /// Answer when a hook, or everything, is at rest.
    Settled { hook: Option<HookName>, caller: Caller, reply: Reply<Vec<HookStatus>> },
    /// The hooks as they stand.
    Status { reply: Reply<Vec<HookStatus>> },
    /// The runs on record, newest first.
    Runs { hook: Option<HookName>, reply: Reply<Vec<RunSummary>> },
    /// Where a command of a run stands.
    Locate { run: RunId, command: String, reply: Reply<Whereabouts> },
}

/// What a request to run hooks came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Started {
    /// The runs that its caller may wait for.
    pub(crate) runs: Vec<RunId>,
    /// What the caller should know.
    pub(crate) notes: Vec<String>,
}

/// Where a command of a run stands.
#[derive(Debug)]
pub(crate) enum Whereabouts {
    /// It waits for its turn.
    Queued,
    /// It is about to start, or runs; then its output can be watched. `ready`: it is a service that was ready.
    Running { ready: bool, output: Option<watch::Receiver<u64>> },
    /// It has ended, or never was.
    Over,
}

/// What a command tells.
#[derive(Debug)]
pub(crate) enum Report {
    /// Its shim runs it; the number of bytes it has written so far.
    Started { run: RunId, command: String, output: watch::Receiver<u64> },
    /// It ended.
    Ended { run: RunId, command: String, end: CommandEnd },
    /// A service is ready.
    Ready { run: RunId, command: String },
    /// A service was not ready in time, or cannot be found so: why.
    NotReady { run: RunId, command: String, why: Option<String> },
    /// Services that were told to end have had their time.
    StopNow,
    /// It is time to look again how far a Dev Containers tool is.
    LookAtTool,
    /// The pause before its next start is over.
    Due { run: RunId, command: String, start: u32 },
}
