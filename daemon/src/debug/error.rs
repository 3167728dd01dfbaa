//! Why a debug port could not be leased, or a lease not be served.

use std::fmt::Write as _;
use std::time::Duration;

use burrow_protocol::error::ErrorCode;
use camino::Utf8PathBuf;

use crate::coded::Coded;
use crate::durable::DurableError;
use crate::process::ProcessError;

use super::tracing_rights::{Tracing, refuses_tracing};

/// Why a debug port could not be leased, or a lease not be served. To be read after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum DebugError {
    /// No port is free.
    #[error("lease a debug port: all of them are taken{}", listed(.holders))]
    PortsTaken {
        /// `PORT: who has it`, in order.
        holders: Vec<String>,
        /// A lease that could be ended, if there is one.
        reclaimable: Option<u16>,
        /// The debug ports: the first and the last.
        range: (u16, u16),
    },
    /// Another process has the port.
    #[error("lease port {port}: {holder} has it")]
    PortForeign {
        /// The port.
        port: u16,
        /// Who has it.
        holder: String,
    },
    /// The port has a lease.
    #[error("lease port {port}: {lease} has it")]
    PortLeased {
        /// The port.
        port: u16,
        /// The lease on it.
        lease: String,
    },
    /// The port is none of ours.
    #[error("use port {port}: the debug ports are {first}-{last}")]
    PortOutside {
        /// The port.
        port: u16,
        /// The first debug port.
        first: u16,
        /// The last one.
        last: u16,
    },
    /// There is no such lease.
    #[error("find {id}: there is no such lease{}", listed(.known))]
    LeaseUnknown {
        /// The name that was given.
        id: String,
        /// The leases that there are.
        known: Vec<String>,
    },
    /// The workspace has no dlv.
    #[error("debug in {workspace}: {why}")]
    NoDlv {
        /// The workspace.
        workspace: Utf8PathBuf,
        /// Why not.
        why: String,
    },
    /// The port on which a dlv is waited for could not be had.
    #[error("wait for dlv on a port of 127.0.0.1")]
    Back {
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A dlv that is too old for what is asked.
    #[error("follow a program with {dlv}: it is older than dlv 1.22.1")]
    TooOld {
        /// dlv's path.
        dlv: Utf8PathBuf,
    },
    /// dlv ended before it listened.
    #[error("start {dlv}: it ended before it listened{}", quoted(.said))]
    DlvEnded {
        /// dlv's path.
        dlv: Utf8PathBuf,
        /// What it printed.
        said: String,
    },
    /// dlv did not listen in time.
    #[error("start {dlv}: it did not listen within {} s{}", .within.as_secs(), quoted(.said))]
    DlvSilent {
        /// dlv's path.
        dlv: Utf8PathBuf,
        /// What it printed.
        said: String,
        /// How long it had.
        within: Duration,
    },
    /// The program could not be built.
    #[error("build {target}{}", quoted(.said))]
    Build {
        /// What was to be built.
        target: String,
        /// What dlv and the compiler said.
        said: String,
    },
    /// A setting makes no sense.
    #[error("read `{name}`: {value:?}: {why}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is wrong.
        why: &'static str,
    },
    /// There is nothing to adopt.
    #[error("adopt {to}: nobody listens there")]
    NobodyListens {
        /// Where.
        to: String,
    },
    /// A port of our own cannot be behind another one.
    #[error("adopt {to}: that is a debug port of Burrow's own")]
    OwnPort {
        /// Where.
        to: String,
    },
    /// The path of dlv's socket does not fit.
    #[error("use the socket {path}: its path has {} bytes, and {} is the limit", .path.as_str().len(), crate::config::MAX_SOCKET_PATH)]
    SocketPath {
        /// The path.
        path: Utf8PathBuf,
    },
    /// The port could not be listened on, although it is ours.
    #[error("listen on port {port}")]
    Listen {
        /// The port.
        port: u16,
        /// Why.
        source: std::io::Error,
    },
    /// The lease ended while it began.
    #[error("lease port {port}: the lease ended before dlv was there: {why}")]
    EndedEarly {
        /// The port.
        port: u16,
        /// Why it ended.
        why: super::lease::Why,
    },
    /// The daemon is ending.
    #[error("lease a debug port: the daemon is stopping")]
    Stopping,
    /// dlv could not be started, or its output not be read.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The lease could not be recorded.
    #[error(transparent)]
    State(#[from] DurableError),
}

impl Coded for DebugError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::PortsTaken { .. } => ErrorCode::PortsTaken,
            Self::PortForeign { .. } => ErrorCode::PortForeign,
            Self::PortLeased { .. } => ErrorCode::PortLeased,
            Self::PortOutside { .. } => ErrorCode::PortOutside,
            Self::LeaseUnknown { .. } => ErrorCode::LeaseUnknown,
            Self::NoDlv { .. } => ErrorCode::NoDlv,
            Self::DlvEnded { said, .. } if refuses_tracing(said) => ErrorCode::DebugFailed,
            Self::DlvEnded { .. } | Self::DlvSilent { .. } | Self::Back { .. } | Self::TooOld { .. } => {
                ErrorCode::DlvStart
            }
            Self::Build { .. } => ErrorCode::ProgramBuild,
            Self::Setting { .. } => ErrorCode::ConfigValue,
            Self::NobodyListens { .. } => ErrorCode::NoAdapter,
            Self::OwnPort { .. } => ErrorCode::BadRequest,
            Self::SocketPath { .. } => ErrorCode::SocketPath,
            Self::Listen { .. } | Self::EndedEarly { .. } => ErrorCode::DebugFailed,
            Self::Stopping => ErrorCode::DaemonUnreachable,
            Self::Process(error) => error.code(),
            Self::State(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::PortsTaken { reclaimable: Some(port), .. } => Some(format!(
                "end a session that is no longer needed, `burrow debug reclaim {port}` first, or wait in turn: `--wait`"
            )),
            Self::PortsTaken { reclaimable: None, range: (first, last), .. } => Some(format!(
                "end one of these processes, or keep the range free: `--sysctl net.ipv4.ip_local_reserved_ports={first}-{last}`"
            )),
            Self::PortForeign { port, .. } => {
                Some(format!("end that process, or take another port; {port} is tried again every few seconds"))
            }
            Self::PortLeased { port, .. } => Some(format!("take another port, or run `burrow debug reclaim {port}`")),
            Self::PortOutside { .. } => Some(format!("set {} for another range", crate::config::PORTS)),
            Self::LeaseUnknown { .. } => Some("run `burrow debug ports` to see the leases".to_owned()),
            Self::NoDlv { .. } => Some("run `burrow up --only tools`".to_owned()),
            Self::DlvEnded { said, .. } if refuses_tracing(said) => Tracing::of(None).hint(said),
            Self::Build { .. } => Some("mend the program; `go build` tells the same".to_owned()),
            Self::Setting { .. } => Some("correct it in devcontainer.json, under customizations.burrow".to_owned()),
            Self::NobodyListens { .. } => Some("start it first, such as `dlv dap --listen=127.0.0.1:2345`".to_owned()),
            Self::OwnPort { .. } => Some("name the port or socket that dlv itself listens on".to_owned()),
            Self::DlvEnded { .. } | Self::DlvSilent { .. } => {
                Some("run `burrow tools verify`, then `burrow tools repair`".to_owned())
            }
            Self::SocketPath { .. } => Some(format!("set {} to a shorter path", crate::config::STATE_DIR)),
            Self::Listen { .. } => Some("take another port".to_owned()),
            Self::TooOld { .. } => Some("lease without `--follow`, or use a newer dlv".to_owned()),
            Self::EndedEarly { .. } => Some("ask for a port again".to_owned()),
            Self::Back { .. } => None,
            Self::Stopping => Some("start it again with `burrow start`".to_owned()),
            Self::Process(error) => error.hint(),
            Self::State(error) => error.hint(),
        }
    }
}

/// `: one; two`, or nothing.
fn listed(items: &[String]) -> String {
    if items.is_empty() { String::new() } else { format!(": {}", items.join("; ")) }
}

/// What a program said, indented below the message, or nothing.
fn quoted(said: &str) -> String {
    let mut text = String::new();
    for line in said.trim().lines() {
        // Writing to a String does not fail.
        let _ = write!(text, "\n  {line}");
    }
    text
}
