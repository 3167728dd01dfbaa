//! How a command line ends.

use std::process::ExitCode;

use burrow_protocol::error::ErrorCode;

/// The exit codes, as `--help` prints them.
pub(crate) const HELP: &str = "Exit codes:
  0  done
  1  failed
  2  wrong usage
  3  attention needed: a hook failed, a tool drifted
  4  no daemon runs
  130  left by Ctrl-C
`hook run`, `hook exec` and `entrypoint -- CMD` return the code of the command they ran.";

/// How a command line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// All is well.
    Success,
    /// It failed.
    Failure,
    /// It was called in a way that makes no sense.
    Usage,
    /// It did its work, and somebody has to look at something.
    Attention,
    /// There is no daemon to ask.
    NoDaemon,
    /// The code of the command that it ran.
    Child(u8),
    /// Ctrl-C ended it.
    Interrupted,
}

impl ExitStatus {
    /// The status of a command line that ends with an error of the registry.
    pub(crate) const fn of_error(code: ErrorCode) -> Self {
        match code {
            ErrorCode::DaemonUnreachable | ErrorCode::StoppedByUser => Self::NoDaemon,
            ErrorCode::HookFailed | ErrorCode::Drifted | ErrorCode::RunInterrupted => Self::Attention,
            _ => Self::Failure,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(match status {
            ExitStatus::Success => 0,
            ExitStatus::Failure => 1,
            ExitStatus::Usage => 2,
            ExitStatus::Attention => 3,
            ExitStatus::NoDaemon => 4,
            ExitStatus::Child(code) => code,
            ExitStatus::Interrupted => 130,
        })
    }
}

/// Resolves at Ctrl-C.
pub(crate) async fn interrupted() {
    // Where Ctrl-C cannot be heard it ends this process, as it does by default.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// An error that a subcommand itself tells, with its code of the registry.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub(crate) struct Told(pub(crate) burrow_protocol::error::ErrorData);
