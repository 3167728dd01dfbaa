//! What is asked of the port broker, and what its sessions tell it.

use std::collections::BTreeMap;

use burrow_protocol::debug::{HeadlessTarget, LeaseKind, LeaseStatus};
use burrow_protocol::settings::WhenStopped;
use camino::Utf8PathBuf;
use tokio::sync::oneshot;

use super::error::DebugError;
use super::lease::Input;
use super::rules::Rules;
use super::upstream::Upstream;
use crate::process::Printing;

/// What a lease is for.
#[derive(Clone, Debug)]
pub struct LeaseOrder {
    /// The workspace whose dlv and Go are used.
    pub workspace: Utf8PathBuf,
    /// What it serves.
    pub service: Service,
    /// Who may connect, and how long it waits for that.
    pub rules: Rules,
    /// The port wanted; else the first free one.
    pub port: Option<u16>,
    /// Whether another port will do where `port` is taken.
    pub any_port: bool,
    /// Whether to wait in turn where no port is free.
    pub wait: bool,
    /// The program, for the listing.
    pub program: Option<String>,
    /// What it is for, for the listing.
    pub purpose: Option<String>,
    /// dlv's working directory.
    pub cwd: Utf8PathBuf,
    /// dlv's environment, complete.
    pub env: BTreeMap<String, String>,
    /// Another dlv than the workspace's.
    pub dlv: Option<Utf8PathBuf>,
    /// Further flags of dlv.
    pub flags: Vec<String>,
    /// How a launched program is built and restarted when its files change.
    pub reload: ReloadRules,
}

/// How a launched program is built and restarted when its files change.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReloadRules {
    /// Whether a launch that says nothing of `reload` does.
    pub by_default: bool,
    /// What a change does to a program that stands at a breakpoint, where the launch does not say.
    pub when_stopped: WhenStopped,
}

/// What a lease serves.
#[derive(Clone, Debug)]
pub enum Service {
    /// One `dlv dap` for one client.
    Dap {
        /// Whether an attached program is attached to again each time it starts.
        follow: bool,
    },
    /// One program for many clients.
    Headless(HeadlessTarget),
    /// A debug adapter that somebody else started.
    Adopt(Upstream),
}

impl Service {
    /// Its name on the wire.
    pub(super) const fn kind(&self) -> LeaseKind {
        match self {
            Self::Dap { .. } => LeaseKind::Dap,
            Self::Headless(_) => LeaseKind::Headless,
            Self::Adopt(_) => LeaseKind::Adopt,
        }
    }
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, DebugError>>;

/// A request to the broker.
#[derive(Debug)]
pub(super) enum DebugRequest {
    /// Lease a port; answered when dlv listens.
    Lease { order: Box<LeaseOrder>, reply: Reply<LeaseStatus> },
    /// End a lease; answered when nothing of it is left.
    Release { id: String, reply: Reply<LeaseStatus> },
    /// End what is on a port; answered when nothing of it is left.
    Reclaim { port: u16, reply: Reply<Option<LeaseStatus>> },
    /// Tell what a lease's debug adapter prints, where it is ours and was started.
    Printing { id: String, reply: Reply<Option<Printing>> },
}

/// What a session tells of its lease.
#[derive(Debug)]
pub(super) enum SessionEvent {
    /// The debug adapter was started, and this is what it prints.
    Started(Printing),
    /// The debug adapter listens; its process, where it is known.
    Ready { pid: Option<u32> },
    /// So many clients are connected now.
    Clients(u32),
    /// A client told what it debugs.
    Program(String),
    /// dlv did not come up.
    Failed(DebugError),
    /// It is over; what is left of it is being cleared.
    Over(Input),
    /// Nothing of it is left.
    Cleared,
}
