//! What is asked of the port broker, and what its sessions tell it.

use std::collections::BTreeMap;

use burrow_protocol::debug::LeaseStatus;
use camino::Utf8PathBuf;
use tokio::sync::oneshot;

use super::error::DebugError;
use super::lease::Input;

/// What a lease is for.
#[derive(Clone, Debug)]
pub struct LeaseOrder {
    /// The workspace whose dlv and Go are used.
    pub workspace: Utf8PathBuf,
    /// The port wanted; else the first free one.
    pub port: Option<u16>,
    /// The program, for the listing.
    pub program: Option<String>,
    /// dlv's working directory.
    pub cwd: Utf8PathBuf,
    /// dlv's environment, complete.
    pub env: BTreeMap<String, String>,
    /// Another dlv than the workspace's.
    pub dlv: Option<Utf8PathBuf>,
    /// Further flags of dlv.
    pub flags: Vec<String>,
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, DebugError>>;

/// A request to the broker.
#[derive(Debug)]
pub(super) enum DebugRequest {
    /// Lease a port; answered when dlv listens.
    Lease { order: LeaseOrder, reply: Reply<LeaseStatus> },
    /// End a lease; answered when nothing of it is left.
    Release { id: String, reply: Reply<LeaseStatus> },
    /// End what is on a port; answered when nothing of it is left.
    Reclaim { port: u16, reply: Reply<Option<LeaseStatus>> },
}

/// What a session tells of its lease.
#[derive(Debug)]
pub(super) enum SessionEvent {
    /// dlv listens.
    Ready { pid: u32 },
    /// A client has spoken.
    Spoke,
    /// dlv did not come up.
    Failed(DebugError),
    /// It is over; what is left of it is being cleared.
    Over(Input),
    /// Nothing of it is left.
    Cleared,
}
