//! Why a self-test failed.

use burrow_protocol::error::ErrorCode;
use camino::Utf8PathBuf;

use crate::coded::Coded;
use crate::debug::dap::client::DapError;
use crate::debug::tracing_rights::Tracing;

/// Why a self-test failed. To be read after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// There is nothing to run.
    #[error("find a program in {workspace}: no package main in it")]
    NoProgram {
        /// Where it was looked for.
        workspace: Utf8PathBuf,
    },
    /// There are several programs.
    #[error("choose a program of {workspace}: there are {}", .candidates.join(", "))]
    SeveralPrograms {
        /// Where they are.
        workspace: Utf8PathBuf,
        /// Their folders, from there.
        candidates: Vec<String>,
    },
    /// What was named is no program.
    #[error("debug {program}: it is no package main")]
    NotMain {
        /// What was named.
        program: Utf8PathBuf,
        /// What would have worked.
        candidates: Vec<String>,
    },
    /// The workspace's files cannot be read.
    #[error("look for programs")]
    Unreadable(#[source] std::io::Error),
    /// The program does not build.
    #[error("build the program\n{said}")]
    Build {
        /// What the compiler said.
        said: String,
    },
    /// dlv built it and could not start it.
    #[error("start the program under dlv: {message}")]
    Launch {
        /// dlv's words.
        message: String,
        /// dlv's process, whose rights say why it may not trace.
        dlv: Option<u32>,
    },
    /// The breakpoint cannot be set.
    #[error("set a breakpoint at {target}: {message}")]
    Breakpoint {
        /// Where.
        target: String,
        /// dlv's words.
        message: String,
    },
    /// The program did not come by.
    #[error("stop at {target}: the program did not come by{}", said(.output))]
    NotHit {
        /// The breakpoint.
        target: String,
        /// The end of what the program printed.
        output: String,
    },
    /// The program ended.
    #[error("stop at the breakpoint: the program ended before{}", said(.output))]
    Ended {
        /// The end of what the program printed.
        output: String,
    },
    /// The program did not answer.
    #[error("ask the program: {why}")]
    Request {
        /// Why.
        why: String,
    },
    /// The daemon does not know dlv's process.
    #[error("find the program's port: dlv's process is not known")]
    NoProcess,
    /// The port that was leased cannot be connected to.
    #[error("connect to the leased port {port}")]
    Connect {
        /// The port.
        port: u16,
        /// Why.
        source: std::io::Error,
    },
    /// The conversation broke.
    #[error("talk to dlv")]
    Talk(#[from] DapError),
    /// Something was left.
    #[error("end cleanly: {what} is left")]
    Left {
        /// What.
        what: String,
    },
}

impl Coded for TrialError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NoProgram { .. } | Self::SeveralPrograms { .. } | Self::NotMain { .. } => ErrorCode::BadRequest,
            Self::Unreadable(_) => ErrorCode::NoFolder,
            Self::Build { .. } => ErrorCode::ProgramBuild,
            Self::Launch { .. }
            | Self::Breakpoint { .. }
            | Self::NotHit { .. }
            | Self::Ended { .. }
            | Self::Request { .. }
            | Self::NoProcess
            | Self::Connect { .. }
            | Self::Talk(_)
            | Self::Left { .. } => ErrorCode::DebugFailed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoProgram { .. } => Some("name a folder with `package main`: `--program DIR`".to_owned()),
            Self::SeveralPrograms { candidates, .. } => {
                candidates.first().map(|first| format!("choose one: `--program {first}`"))
            }
            Self::NotMain { candidates, .. } if candidates.is_empty() => None,
            Self::NotMain { candidates, .. } => Some(format!("there are {}", candidates.join(", "))),
            Self::Build { .. } => Some("mend the program; `go build` tells the same".to_owned()),
            Self::Launch { message, dlv } => Tracing::of(*dlv).hint(message),
            Self::Breakpoint { .. } => Some("name a line with a statement, or a function such as main.main".to_owned()),
            Self::NotHit { .. } => Some("a server comes by when it is asked: `--request 'GET /path'`".to_owned()),
            Self::Unreadable(_) | Self::Ended { .. } | Self::Request { .. } | Self::NoProcess => None,
            Self::Connect { .. } | Self::Talk(_) | Self::Left { .. } => Some("look at `burrow debug ports`".to_owned()),
        }
    }
}

fn said(output: &str) -> String {
    if output.trim().is_empty() { String::new() } else { format!("; it printed\n{}", output.trim_end()) }
}
