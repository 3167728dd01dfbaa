//! What the actor is asked. No functions.

use std::sync::Arc;

use burrow_protocol::toolchain::{OperationResult, RepairPlan, ToolsReport};
use tokio::sync::oneshot;

use super::error::ToolchainError;
use super::operation::Kind;
use crate::process::Caller;

/// How an operation ended, for everyone who waits for it.
pub(crate) type Outcome = Result<OperationResult, Arc<ToolchainError>>;

/// A request with the way back.
#[derive(Debug)]
pub(crate) enum ToolchainRequest {
    /// The tools as they stand.
    List { caller: Caller, reply: oneshot::Sender<Result<ToolsReport, ToolchainError>> },
    /// What a repair would do.
    Plan {
        caller: Caller,
        locked: bool,
        keep_rollback: bool,
        reply: oneshot::Sender<Result<RepairPlan, ToolchainError>>,
    },
    /// Compare what is installed.
    Verify { caller: Caller, full: bool, reply: oneshot::Sender<ToolsReport> },
    /// A trusted window opened the workspace: look, in its name.
    Notice { caller: Caller, may_repair: bool },
    /// Files changed that a look depends on: look again. With `may_repair`, work that nobody asked for is allowed now.
    FilesChanged { may_repair: bool },
    /// Queue an operation; answers its name.
    Start { kind: Kind, caller: Caller, reply: oneshot::Sender<String> },
    /// End an operation; answers at once.
    Cancel { operation: String, reply: oneshot::Sender<Result<(), ToolchainError>> },
    /// Answers when the operation has ended.
    Wait { operation: String, reply: oneshot::Sender<Outcome> },
}
