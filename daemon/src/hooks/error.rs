//! Why the hook engine refuses.

use burrow_protocol::error::ErrorCode;
use camino::Utf8PathBuf;

use crate::coded::Coded;
use crate::durable::DurableError;
use crate::process::ProcessError;

/// Why a request about hooks cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The workspace has no such hook or command.
    #[error("find {name}: the workspace has {}", list(.known))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The hook runs already.
    #[error("run {name}: it runs already, as {run}")]
    Running {
        /// What was asked for.
        name: String,
        /// The run in flight.
        run: String,
    },
    /// There is no such run, or no such command in it.
    #[error("find run {run}: it is not on record")]
    RunUnknown {
        /// What was asked for.
        run: String,
    },
    /// The run could not be written down, so it was not started.
    #[error("record run {run}, so it was not started")]
    NotRecorded {
        /// The run that did not start.
        run: String,
        /// Why.
        source: DurableError,
    },
    /// What was asked for could not be written down.
    #[error("record {name}")]
    NotWritten {
        /// The hook.
        name: String,
        /// Why.
        source: DurableError,
    },
    /// The ledger cannot be read: what is due is not known.
    #[error("read which hooks are done")]
    Unreadable {
        /// Why.
        source: DurableError,
    },
    /// The records cannot be read.
    #[error("read the runs in {path}")]
    Runs {
        /// The folder.
        path: Utf8PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The log cannot be read.
    #[error("read the log of {run}")]
    Log {
        /// The run.
        run: String,
        /// Why.
        source: ProcessError,
    },
    /// A command cannot be typed into.
    #[error("type into {run}")]
    Terminal {
        /// The run.
        run: String,
        /// Why.
        source: ProcessError,
    },
    /// `burrow hook exec` alone knows the command line.
    #[error("retry {name}: it was run by `burrow hook exec`, which alone knows its arguments")]
    NotOurs {
        /// The hook.
        name: String,
    },
    /// devcontainer.json does not say what the hook is.
    #[error("understand {name}: {problem}")]
    Misunderstood {
        /// The hook.
        name: String,
        /// The code of what is wrong.
        code: ErrorCode,
        /// What is wrong in the file, with its place.
        problem: String,
    },
    /// A command of a hook asks for what can only end after it.
    #[error("wait for {goal}: {caller}, which asks, has to end before")]
    WaitsForItself {
        /// What was to be waited for.
        goal: String,
        /// The command that asks.
        caller: String,
    },
    /// The window that asks has not been trusted with this folder.
    #[error("run hooks of {workspace}: the folder is not trusted")]
    Untrusted {
        /// The folder.
        workspace: Utf8PathBuf,
    },
    /// The daemon ends.
    #[error("reach the hook engine: the daemon is stopping")]
    Stopping,
}

impl Coded for HookError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown { .. } => ErrorCode::HookUnknown,
            Self::Running { .. } => ErrorCode::HookRunning,
            Self::RunUnknown { .. } => ErrorCode::RunUnknown,
            Self::NotRecorded { .. } => ErrorCode::RunNotRecorded,
            Self::NotWritten { source, .. } | Self::Unreadable { source } => source.code(),
            Self::Runs { .. } => ErrorCode::StateUnwritable,
            Self::Log { source, .. } | Self::Terminal { source, .. } => source.code(),
            Self::Misunderstood { code, .. } => *code,
            Self::WaitsForItself { .. } => ErrorCode::WaitsForItself,
            Self::NotOurs { .. } | Self::Untrusted { .. } => ErrorCode::BadRequest,
            Self::Stopping => ErrorCode::DaemonUnreachable,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } => Some("see `burrow hook list`".to_owned()),
            Self::Running { .. } => Some("wait for it with `burrow hook await`".to_owned()),
            Self::RunUnknown { .. } => Some("see `burrow hook log HOOK` for its newest run".to_owned()),
            Self::NotRecorded { source, .. } | Self::NotWritten { source, .. } | Self::Unreadable { source } => {
                source.hint()
            }
            Self::Runs { path, .. } => Some(format!("make {path} readable for this user")),
            Self::Log { source, .. } | Self::Terminal { source, .. } => source.hint(),
            Self::NotOurs { name } => Some(format!(
                "call `burrow hook exec {name} -- ...` again, or pass it over with `burrow hook skip {name}`"
            )),
            Self::Misunderstood { .. } => {
                Some("correct devcontainer.json; nothing of that hook runs until then".to_owned())
            }
            Self::WaitsForItself { .. } => {
                Some("leave it out: what is due runs by itself when this command has ended".to_owned())
            }
            Self::Untrusted { .. } => {
                Some("trust the folder in the editor, or run `burrow up` in a terminal".to_owned())
            }
            Self::Stopping => Some("try again: the next call starts it".to_owned()),
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "no hooks".to_owned() } else { names.join(", ") }
}
