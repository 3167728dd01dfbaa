//! One lease as the broker keeps it: its state, who waits for it, and how it is shown.

use burrow_protocol::debug::{LeaseEndpoint, LeaseKind, LeaseState, LeaseStatus, PortState, PortStatus};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::error::DebugError;
use super::folder::LeaseId;
use super::lease::{Input, Lease};
use super::messages::{LeaseOrder, Reply};
use super::slots::{bare, shown};

/// One lease, until nothing of it is left.
pub(super) struct Entry {
    id: LeaseId,
    port: u16,
    state: Lease,
    since: Timestamp,
    order: LeaseOrder,
    pid: Option<u32>,
    stop: CancellationToken,
    /// Who asked for it, until dlv listens.
    asked: Option<Reply<LeaseStatus>>,
    /// Who waits until nothing of it is left.
    awaited: Vec<Awaited>,
}

/// Who waits for the end of a lease.
pub(super) enum Awaited {
    Release(Reply<LeaseStatus>),
    Reclaim(Reply<Option<LeaseStatus>>),
}

impl Entry {
    /// A lease that begins. Its session is to heed `stop`.
    pub(super) fn new(
        id: LeaseId,
        port: u16,
        order: LeaseOrder,
        stop: CancellationToken,
        asked: Reply<LeaseStatus>,
    ) -> Self {
        let since = Timestamp::now();
        Self { id, port, state: Lease::Leased, since, order, pid: None, stop, asked: Some(asked), awaited: Vec::new() }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Notes that something happened.
    pub(super) fn apply(&mut self, input: Input) {
        if let Some(next) = self.state.after(input) {
            tracing::info!(lease = %self.id, port = self.port, from = ?self.state, to = ?next, "lease");
            self.state = next;
            self.since = Timestamp::now();
        }
    }

    /// Tells who asked for the lease that dlv listens.
    pub(super) fn ready(&mut self, pid: u32) {
        self.pid = Some(pid);
        let status = self.status();
        if let Some(reply) = self.asked.take() {
            // One who no longer waits finds the lease in the listing.
            let _ = reply.send(Ok(status));
        }
    }

    /// Tells who asked for the lease why there is none.
    pub(super) fn failed(&mut self, error: DebugError) {
        tracing::warn!(lease = %self.id, %error, "a lease has no dlv");
        self.apply(Input::DlvFailed);
        if let Some(reply) = self.asked.take() {
            let _ = reply.send(Err(error));
        }
    }

    /// Ends the lease; its session clears up.
    pub(super) fn end(&mut self, input: Input, awaited: Option<Awaited>) {
        self.apply(input);
        self.awaited.extend(awaited);
        self.stop.cancel();
    }

    /// Tells those who wait that nothing of the lease is left.
    pub(super) fn cleared(mut self) {
        let status = self.status();
        if let (Some(reply), Lease::Ended(why)) = (self.asked.take(), self.state) {
            let _ = reply.send(Err(DebugError::EndedEarly { port: self.port, why }));
        }
        for awaited in self.awaited {
            match awaited {
                Awaited::Release(reply) => drop(reply.send(Ok(status.clone()))),
                Awaited::Reclaim(reply) => drop(reply.send(Ok(Some(status.clone())))),
            }
        }
    }

    /// Who has the port, in an error: `./cmd/api (lease-3, since ...)`.
    pub(super) fn described(&self) -> String {
        format!("{} ({}, since {})", self.holder(), self.id, shown(self.since))
    }

    /// The lease as it is shown.
    pub(super) fn status(&self) -> LeaseStatus {
        let (state, reason) = match self.state {
            Lease::Leased => (LeaseState::Leased, None),
            Lease::Connected => (LeaseState::Connected, None),
            Lease::Ended(why) => (LeaseState::Ended, Some(why.to_string())),
        };
        LeaseStatus {
            id: self.id.to_string(),
            kind: LeaseKind::Dap,
            state,
            endpoint: LeaseEndpoint::Port { port: self.port },
            workspace: self.order.workspace.to_string(),
            program: self.order.program.clone(),
            pid: self.pid,
            since: shown(self.since),
            reason,
        }
    }

    /// Its port as it is shown.
    pub(super) fn port_status(&self) -> PortStatus {
        let state = match self.state {
            Lease::Leased => PortState::Leased,
            // While an ended lease is being cleared, its port is not free yet.
            Lease::Connected | Lease::Ended(_) => PortState::Connected,
        };
        PortStatus {
            lease_id: Some(self.id.to_string()),
            holder: Some(self.holder()),
            pid: self.pid,
            since: Some(shown(self.since)),
            ..bare(self.port, state)
        }
    }

    fn holder(&self) -> String {
        self.order.program.clone().unwrap_or_else(|| self.order.workspace.to_string())
    }
}
