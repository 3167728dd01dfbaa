//! The port broker's loop: requests, sessions' events and the clock in; leases and what is shown out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use burrow_protocol::debug::{LeaseStatus, PortState, PortStatus};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use super::entry::{Awaited, Entry};
use super::error::DebugError;
use super::folder::LeaseId;
use super::holder::{self, Holder};
use super::lease::Input;
use super::messages::{DebugRequest, LeaseOrder, Reply, Service, SessionEvent};
use super::session::{Session, Surroundings};
use super::slots::{Slot, Slots, shown};
use super::sweep::sweep;
use super::upstream::Upstream;
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
    /// Who waits for a port, the first to come first.
    pub(super) waiting: VecDeque<(LeaseOrder, Reply<LeaseStatus>)>,
    pub(super) next: LeaseId,
    /// Leases of an earlier daemon.
    pub(super) earlier: Vec<LeaseId>,
    pub(super) sessions: JoinSet<()>,
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
                _ = retry.tick(), if self.slots.has_foreign() => Wake::Retry,
            };
            match wake {
                Wake::Request(request) => self.request(request).await,
                Wake::Session(id, event) => self.session(id, event),
                Wake::Retry => self.retry().await,
                Wake::Stop => break,
            }
            self.serve_waiting();
            self.publish();
        }
        self.drain().await;
        // Unfinished, it is the next daemon's.
        sweeping.abort();
    }

    async fn request(&mut self, request: DebugRequest) {
        match request {
            DebugRequest::Lease { order, reply } => {
                if let Service::Adopt(to @ Upstream::Tcp { port, .. }) = &order.service
                    && to.is_local()
                    && self.slots.get(*port).is_some_and(|slot| !matches!(slot, Slot::Foreign { .. }))
                {
                    return drop(reply.send(Err(DebugError::OwnPort { to: to.to_string() })));
                }
                if self.free_for(&order).is_none() {
                    // A foreign port may be free by now: first for those who wait already.
                    self.retry().await;
                    self.serve_waiting();
                }
                match self.free_for(&order) {
                    Some(port) => self.lease(port, *order, reply),
                    None => match self.refusal(&order) {
                        error @ DebugError::PortOutside { .. } => drop(reply.send(Err(error))),
                        _ if order.wait => {
                            tracing::info!(purpose = ?order.purpose, ahead = self.waiting.len(), "waits for a debug port");
                            self.waiting.push_back((*order, reply));
                        }
                        error => drop(reply.send(Err(error))),
                    },
                }
            }
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
            DebugRequest::Printing { id, reply } => {
                let entry = id.parse().ok().and_then(|id| self.leases.get(&id));
                drop(reply.send(entry.map(Entry::printing).ok_or_else(|| self.unknown(id))));
            }
        }
    }

    /// The free port for an order: the one that it names, or the first one.
    fn free_for(&self, order: &LeaseOrder) -> Option<u16> {
        let wanted = order.port.filter(|port| matches!(self.slots.get(*port), Some(Slot::Free(_))));
        match order.port {
            Some(_) if !order.any_port => wanted,
            _ => wanted.or_else(|| self.slots.first_free()),
        }
    }

    /// Why there is no port for an order.
    fn refusal(&self, order: &LeaseOrder) -> DebugError {
        let named = order.port.filter(|_| !order.any_port).and_then(|port| self.usable(port).err());
        named.unwrap_or_else(|| self.taken())
    }

    /// Lends free ports to those who wait, in their turn. One who waits for a certain port lets others pass.
    fn serve_waiting(&mut self) {
        for (order, reply) in std::mem::take(&mut self.waiting) {
            if reply.is_closed() {
                continue;
            }
            match self.free_for(&order) {
                Some(port) => self.lease(port, order, reply),
                None => self.waiting.push_back((order, reply)),
            }
        }
    }

    /// Lends a free port and starts its session. It is registered, and shown, before it runs.
    fn lease(&mut self, port: u16, order: LeaseOrder, reply: Reply<LeaseStatus>) {
        let id = self.next;
        let Some(held) = self.slots.lend(port, id) else {
            return drop(reply.send(Err(self.taken())));
        };
        let listening = match held.listen(order.rules.admission.everywhere) {
            Ok(listening) => listening,
            Err(source) => {
                self.slots.take_back(port);
                return drop(reply.send(Err(DebugError::Listen { port, source })));
            }
        };
        self.next = LeaseId(id.0 + 1);
        let stop = CancellationToken::new();
        let session = Session { id, order: order.clone(), around: self.around.clone(), stop: stop.clone() };
        let entry = Entry::new(id, port, order, stop, reply);
        self.leases.insert(id, entry);
        self.sessions.spawn(session.run(listening));
    }

    fn session(&mut self, id: LeaseId, event: SessionEvent) {
        let Some(entry) = self.leases.get_mut(&id) else { return };
        match event {
            SessionEvent::Started(printing) => entry.started(printing),
            SessionEvent::Ready { pid } => entry.ready(pid),
            SessionEvent::Clients(count) => entry.clients(count),
            SessionEvent::Program(program) => entry.program(program),
            SessionEvent::Failed(error) => entry.failed(error),
            SessionEvent::Over(input) => entry.apply(input),
            SessionEvent::Cleared => {
                let port = entry.port();
                if let Some(entry) = self.leases.remove(&id) {
                    entry.cleared();
                }
                self.slots.take_back(port);
            }
        }
    }

    fn end(&mut self, id: LeaseId, input: Input, awaited: Awaited) {
        if let Some(entry) = self.leases.get_mut(&id) {
            entry.end(input, Some(awaited));
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
        for (_, reply) in self.waiting.drain(..) {
            // Who no longer waits needs no answer.
            let _ = reply.send(Err(DebugError::Stopping));
        }
        for entry in self.leases.values_mut() {
            entry.end(Input::Stopped, None);
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
            Slot::Lent(_, id) => {
                let lease = self.leases.get(id).map_or_else(|| id.to_string(), Entry::described);
                format!("{port}: {lease}")
            }
            Slot::Foreign { holder, .. } => format!("{port}: {}", described(holder.as_ref())),
        });
        // One that nobody uses is the likelier to be stale.
        let unused = self.leases.values().find(|entry| entry.is_unused());
        let reclaimable = unused.or_else(|| self.leases.values().next()).map(Entry::port);
        DebugError::PortsTaken { holders: holders.collect(), reclaimable, range: self.slots.range() }
    }

    fn unknown(&self, id: String) -> DebugError {
        DebugError::LeaseUnknown { id, known: self.leases.keys().map(LeaseId::to_string).collect() }
    }

    fn publish(&self) {
        let ports = self.slots.iter().map(|(port, slot)| match slot {
            Slot::Free(_) => PortStatus::bare(port, PortState::Free),
            Slot::Lent(_, id) => {
                self.leases.get(id).map_or_else(|| PortStatus::bare(port, PortState::Leased), Entry::port_status)
            }
            Slot::Foreign { since, holder } => PortStatus {
                holder: holder.as_ref().map(|holder| holder.name.clone()),
                pid: holder.as_ref().and_then(|holder| holder.pid),
                since: Some(shown(*since)),
                ..PortStatus::bare(port, PortState::Foreign)
            },
        });
        self.model
            .debug(DebugPart { ports: ports.collect(), leases: self.leases.values().map(Entry::status).collect() });
    }
}

fn described(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { name, pid: Some(pid) }) => format!("{name} (pid {pid})"),
        Some(Holder { name, pid: None }) => name.clone(),
        // In no table of the kernel: bound without listening.
        None => "a process that does not listen (another Burrow, say)".to_owned(),
    }
}
