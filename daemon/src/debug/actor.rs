//! The port broker's loop: requests, sessions' events and the clock in; leases and what is shown out.

use std::collections::BTreeMap;
use std::time::Duration;

use burrow_protocol::debug::{LeaseEndpoint, LeaseKind, LeaseState, LeaseStatus, PortState, PortStatus};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use super::error::DebugError;
use super::folder::LeaseId;
use super::holder::{self, Holder};
use super::lease::{Input, Lease};
use super::messages::{DebugRequest, LeaseOrder, Reply, SessionEvent};
use super::session::{Session, Surroundings};
use super::slots::{Slot, Slots};
use super::sweep::sweep;
use crate::model::{DebugPart, Model};

/// How often foreign ports are tried again.
const RETRY_EVERY: Duration = Duration::from_secs(5);
/// How long the end of the daemon waits for its sessions.
const DRAIN: Duration = Duration::from_secs(5);

/// The broker's loop. It owns the ports and the leases.
pub struct DebugActor {
    pub(super) requests: mpsc::Receiver<DebugRequest>,
    pub(super) events: mpsc::Receiver<(LeaseId, SessionEvent)>,
    pub(super) around: Surroundings,
    pub(super) model: Model,
    pub(super) slots: Slots,
    pub(super) leases: BTreeMap<LeaseId, Entry>,
    pub(super) next: LeaseId,
    /// Leases of an earlier daemon.
    pub(super) earlier: Vec<LeaseId>,
    pub(super) sessions: JoinSet<()>,
}

/// One lease, until nothing of it is left.
pub(super) struct Entry {
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

enum Awaited {
    Release(Reply<LeaseStatus>),
    Reclaim(Reply<Option<LeaseStatus>>),
}

/// What wakes the loop.
enum Wake {
    Request(DebugRequest),
    Session(LeaseId, SessionEvent),
    Retry,
    Stop,
}

impl DebugActor {
    /// Serves until `stop`, then ends every lease and waits until nothing of them is left, for 5 s at most.
    pub async fn run(mut self, stop: CancellationToken) {
        let sweeping = tokio::spawn(sweep(self.around.debug_dir.clone(), std::mem::take(&mut self.earlier)));
        let mut retry = interval_at(Instant::now(), RETRY_EVERY);
        self.publish();
        loop {
            let wake = tokio::select! {
                () = stop.cancelled() => Wake::Stop,
                Some((id, event)) = self.events.recv() => Wake::Session(id, event),
                request = self.requests.recv() => request.map_or(Wake::Stop, Wake::Request),
                _ = retry.tick() => Wake::Retry,
            };
            match wake {
                Wake::Request(request) => self.request(request).await,
                Wake::Session(id, event) => self.session(id, event),
                Wake::Retry => self.retry().await,
                Wake::Stop => break,
            }
            self.publish();
        }
        self.drain().await;
        // Unfinished, it is the next daemon's.
        sweeping.abort();
    }

    async fn request(&mut self, request: DebugRequest) {
        match request {
            DebugRequest::Lease { order, reply } => match self.choose(order.port).await {
                Ok(port) => self.lease(port, order, reply),
                Err(error) => drop(reply.send(Err(error))),
            },
            DebugRequest::Release { id, reply } => match id.parse().ok().filter(|id| self.leases.contains_key(id)) {
                Some(id) => self.end(id, Input::Released, Awaited::Release(reply)),
                None => drop(reply.send(Err(self.unknown(id)))),
            },
            DebugRequest::Reclaim { port, reply } => match self.slots.get(port) {
                Some(Slot::Lent(_, id)) => self.end(*id, Input::Reclaimed, Awaited::Reclaim(reply)),
                Some(Slot::Free(_)) => drop(reply.send(Ok(None))),
                Some(Slot::Foreign { .. }) => {
                    self.retry().await;
                    drop(reply.send(self.usable(port).map(|()| None)));
                }
                None => drop(reply.send(Err(self.outside(port)))),
            },
        }
    }

    /// The port for an order: the one that it names, or the first free one. Foreign ports are tried again first.
    async fn choose(&mut self, wanted: Option<u16>) -> Result<u16, DebugError> {
        let wanted_is_free = |slots: &Slots| match wanted {
            Some(port) => matches!(slots.get(port), Some(Slot::Free(_))),
            None => slots.first_free().is_some(),
        };
        if !wanted_is_free(&self.slots) {
            self.retry().await;
        }
        match wanted {
            Some(port) => self.usable(port).map(|()| port),
            None => self.slots.first_free().ok_or_else(|| self.taken()),
        }
    }

    /// Lends a free port and starts its session. It is registered, and shown, before it runs.
    fn lease(&mut self, port: u16, order: LeaseOrder, reply: Reply<LeaseStatus>) {
        let id = self.next;
        let Some(held) = self.slots.lend(port, id) else {
            return drop(reply.send(Err(self.taken())));
        };
        let listening = match held.listen() {
            Ok(listening) => listening,
            Err(source) => {
                self.slots.take_back(port);
                return drop(reply.send(Err(DebugError::Listen { port, source })));
            }
        };
        self.next = LeaseId(id.0 + 1);
        let stop = CancellationToken::new();
        let session = Session { id, order: order.clone(), around: self.around.clone(), stop: stop.clone() };
        let entry = Entry {
            port,
            state: Lease::Leased,
            since: Timestamp::now(),
            order,
            pid: None,
            stop,
            asked: Some(reply),
            awaited: Vec::new(),
        };
        self.leases.insert(id, entry);
        self.sessions.spawn(session.run(listening));
    }

    fn session(&mut self, id: LeaseId, event: SessionEvent) {
        let Some(entry) = self.leases.get_mut(&id) else { return };
        match event {
            SessionEvent::Ready { pid } => {
                entry.pid = Some(pid);
                let status = entry.status(id);
                if let Some(reply) = entry.asked.take() {
                    // One who no longer waits finds the lease in the listing.
                    let _ = reply.send(Ok(status));
                }
            }
            SessionEvent::Spoke => entry.apply(Input::ClientSpoke),
            SessionEvent::Failed(error) => {
                tracing::warn!(lease = %id, %error, "a lease has no dlv");
                entry.apply(Input::DlvFailed);
                if let Some(reply) = entry.asked.take() {
                    let _ = reply.send(Err(error));
                }
            }
            SessionEvent::Over(input) => entry.apply(input),
            SessionEvent::Cleared => {
                let port = entry.port;
                if let Some(entry) = self.leases.remove(&id) {
                    entry.answer(id);
                }
                self.slots.take_back(port);
            }
        }
    }

    fn end(&mut self, id: LeaseId, input: Input, awaited: Awaited) {
        if let Some(entry) = self.leases.get_mut(&id) {
            entry.apply(input);
            entry.awaited.push(awaited);
            entry.stop.cancel();
        }
    }

    /// Tries the foreign ports again and looks who has those that stay so.
    async fn retry(&mut self) {
        self.slots.retry();
        let foreign = self.slots.foreign();
        if !foreign.is_empty() {
            // The closure neither panics nor is it cancelled.
            let holders = spawn_blocking(move || holder::find(&foreign)).await.unwrap_or_default();
            self.slots.name_holders(holders);
        }
    }

    async fn drain(&mut self) {
        for entry in self.leases.values_mut() {
            entry.apply(Input::Stopped);
            entry.stop.cancel();
        }
        self.publish();
        let drained = timeout(DRAIN, async {
            while !self.leases.is_empty() {
                let Some((id, event)) = self.events.recv().await else { return };
                self.session(id, event);
            }
        });
        if drained.await.is_err() {
            tracing::warn!("debug sessions are left; they end with the daemon's lifeline");
        }
        self.publish();
    }

    fn usable(&self, port: u16) -> Result<(), DebugError> {
        match self.slots.get(port) {
            Some(Slot::Free(_)) => Ok(()),
            Some(Slot::Lent(_, id)) => Err(DebugError::PortLeased { port, lease: id.to_string() }),
            Some(Slot::Foreign { holder, .. }) => {
                Err(DebugError::PortForeign { port, holder: described(holder.as_ref()) })
            }
            None => Err(self.outside(port)),
        }
    }

    fn outside(&self, port: u16) -> DebugError {
        let (first, last) = self.slots.range();
        DebugError::PortOutside { port, first, last }
    }

    fn taken(&self) -> DebugError {
        let holders = self.slots.iter().map(|(port, slot)| match slot {
            Slot::Free(_) => format!("{port}: free"),
            Slot::Lent(_, id) => match self.leases.get(id) {
                Some(entry) => format!("{port}: {} ({id}, since {})", entry.holder(), entry.since()),
                None => format!("{port}: {id}"),
            },
            Slot::Foreign { holder, .. } => format!("{port}: {}", described(holder.as_ref())),
        });
        let oldest = self.leases.values().next().map(|entry| entry.port);
        DebugError::PortsTaken { holders: holders.collect(), reclaimable: oldest }
    }

    fn unknown(&self, id: String) -> DebugError {
        DebugError::LeaseUnknown { id, known: self.leases.keys().map(LeaseId::to_string).collect() }
    }

    fn publish(&self) {
        let ports = self.slots.iter().map(|(port, slot)| match slot {
            Slot::Free(_) => bare(port, PortState::Free),
            Slot::Lent(_, id) => match self.leases.get(id) {
                Some(entry) => entry.port_status(*id),
                None => bare(port, PortState::Free),
            },
            Slot::Foreign { since, holder } => PortStatus {
                holder: holder.as_ref().map(|holder| holder.name.clone()),
                pid: holder.as_ref().and_then(|holder| holder.pid),
                since: Some(shown(*since)),
                ..bare(port, PortState::Foreign)
            },
        });
        let leases = self.leases.iter().map(|(id, entry)| entry.status(*id));
        self.model.debug(DebugPart { ports: ports.collect(), leases: leases.collect() });
    }
}

impl Entry {
    fn apply(&mut self, input: Input) {
        if let Some(next) = self.state.after(input) {
            tracing::info!(port = self.port, from = ?self.state, to = ?next, "lease");
            self.state = next;
            self.since = Timestamp::now();
        }
    }

    fn since(&self) -> String {
        shown(self.since)
    }

    fn holder(&self) -> String {
        self.order.program.clone().unwrap_or_else(|| self.order.workspace.to_string())
    }

    fn status(&self, id: LeaseId) -> LeaseStatus {
        let (state, reason) = match self.state {
            Lease::Leased => (LeaseState::Leased, None),
            Lease::Connected => (LeaseState::Connected, None),
            Lease::Ended(why) => (LeaseState::Ended, Some(why.to_string())),
        };
        LeaseStatus {
            id: id.to_string(),
            kind: LeaseKind::Dap,
            state,
            endpoint: LeaseEndpoint::Port { port: self.port },
            workspace: self.order.workspace.to_string(),
            program: self.order.program.clone(),
            pid: self.pid,
            since: self.since(),
            reason,
        }
    }

    fn port_status(&self, id: LeaseId) -> PortStatus {
        let state = match self.state {
            Lease::Leased => PortState::Leased,
            // While an ended lease is being cleared, its port is not free yet.
            Lease::Connected | Lease::Ended(_) => PortState::Connected,
        };
        PortStatus {
            lease_id: Some(id.to_string()),
            holder: Some(self.holder()),
            pid: self.pid,
            since: Some(self.since()),
            ..bare(self.port, state)
        }
    }

    /// Tells those who wait that nothing of the lease is left.
    fn answer(mut self, id: LeaseId) {
        let status = self.status(id);
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
}

fn bare(port: u16, state: PortState) -> PortStatus {
    PortStatus { port, state, lease_id: None, holder: None, pid: None, since: None }
}

fn described(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { name, pid: Some(pid) }) => format!("{name} (pid {pid})"),
        Some(Holder { name, pid: None }) => name.clone(),
        // Bound without listening: such a socket is in no table.
        None => "a process that cannot be told".to_owned(),
    }
}

fn shown(time: Timestamp) -> String {
    format!("{time:.3}")
}
