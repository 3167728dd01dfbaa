//! One lease as the broker keeps it: its state, who waits for it, and how it is shown.

use burrow_protocol::debug::{LeaseEndpoint, LeaseState, LeaseStatus, PortState, PortStatus};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::error::DebugError;
use super::folder::LeaseId;
use super::lease::{Input, Lease, Why};
use super::messages::{LeaseOrder, Reply, Service};
use super::slots::shown;
use crate::process::Printing;

/// One lease, until nothing of it is left.
pub(super) struct Entry {
    id: LeaseId,
    port: u16,
    state: Lease,
    since: Timestamp,
    order: LeaseOrder,
    pid: Option<u32>,
    printing: Option<Printing>,
    clients: u32,
    open_to: Vec<String>,
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
        Self {
            open_to: order.rules.admission.open_to(),
            id,
            port,
            state: Lease::Leased,
            since,
            order,
            pid: None,
            printing: None,
            clients: 0,
            stop,
            asked: Some(asked),
            awaited: Vec::new(),
        }
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

    /// Tells who asked for the lease that dlv listens. Nobody else knows of it: where that one has gone, it ends.
    pub(super) fn ready(&mut self, pid: Option<u32>) {
        self.pid = pid;
        let status = self.status();
        if let Some(reply) = self.asked.take()
            && reply.send(Ok(status)).is_err()
        {
            self.end(Input::Abandoned, None);
        }
    }

    /// Its debug adapter was started, the first time or again.
    pub(super) fn started(&mut self, printing: Printing) {
        self.printing = Some(printing);
    }

    /// What its debug adapter prints from now on, where it is ours and was started.
    pub(super) fn printing(&self) -> Option<Printing> {
        let mut printing = self.printing.clone()?;
        printing.output_mut().mark_unchanged();
        Some(printing)
    }

    /// So many clients are connected.
    pub(super) fn clients(&mut self, count: u32) {
        self.clients = count;
        self.apply(if count == 0 { Input::NoClient } else { Input::ClientSpoke });
    }

    /// A client told what it debugs; what the lease was asked for with stays.
    pub(super) fn program(&mut self, program: String) {
        self.order.program.get_or_insert(program);
    }

    /// Whether nobody is connected: a lease that may be stale.
    pub(super) fn is_unused(&self) -> bool {
        self.state == Lease::Leased
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
            let error = match why {
                Why::Stopped => DebugError::Stopping,
                why => DebugError::EndedEarly { port: self.port, why },
            };
            let _ = reply.send(Err(error));
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
        let pid = self.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
        let purpose = self.order.purpose.as_ref().map(|purpose| format!(", {purpose}")).unwrap_or_default();
        let state = if self.is_unused() { "nobody connected" } else { "connected" };
        format!("{} ({}{purpose}{pid}, {state} since {})", self.holder(), self.id, shown(self.since))
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
            kind: self.order.service.kind(),
            state,
            endpoint: LeaseEndpoint::Port { port: self.port },
            workspace: self.order.workspace.to_string(),
            program: self.order.program.clone(),
            purpose: self.order.purpose.clone(),
            pid: self.pid,
            to: match &self.order.service {
                Service::Adopt(to) => Some(to.to_string()),
                Service::Dap { .. } | Service::Headless(_) => None,
            },
            clients: self.clients,
            open_to: self.open_to.clone(),
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
            kind: Some(self.order.service.kind()),
            purpose: self.order.purpose.clone(),
            pid: self.pid,
            since: Some(shown(self.since)),
            ..PortStatus::bare(self.port, state)
        }
    }

    fn holder(&self) -> String {
        self.order.program.clone().unwrap_or_else(|| self.order.workspace.to_string())
    }
}
