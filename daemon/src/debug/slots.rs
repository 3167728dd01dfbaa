//! The table of debug ports: which are held and free, which are lent, which somebody else has.
//!
//! State: a slot for each port of the range; owned by the actor alone.
//! Invariants: a port that is not foreign is held by us, lent or not; a foreign one is tried again.
//! Not here: leases (`actor`), naming a foreign port's holder (`holder`, which walks `/proc`).

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::Timestamp;

use super::folder::LeaseId;
use super::holder::Holder;
use super::ports::HeldPort;

/// One port.
#[derive(Debug)]
pub(super) enum Slot {
    /// Ours, and to be lent.
    Free(Arc<HeldPort>),
    /// Ours, and lent.
    Lent(Arc<HeldPort>, LeaseId),
    /// Somebody else's.
    Foreign {
        /// Since we know.
        since: Timestamp,
        /// Who has it, once that was looked up.
        holder: Option<Holder>,
    },
}

/// The ports of the range.
#[derive(Debug)]
pub(super) struct Slots(BTreeMap<u16, Slot>);

impl Slots {
    /// Holds what can be held of `range`.
    pub(super) fn hold(range: RangeInclusive<u16>) -> Self {
        let slots: BTreeMap<_, _> = range.map(|port| (port, slot(port))).collect();
        Self(slots)
    }

    pub(super) fn get(&self, port: u16) -> Option<&Slot> {
        self.0.get(&port)
    }

    /// The ports in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, &Slot)> {
        self.0.iter().map(|(port, slot)| (*port, slot))
    }

    /// The first port and the last.
    pub(super) fn range(&self) -> (u16, u16) {
        let mut ports = self.0.keys();
        let first = ports.next().copied().unwrap_or_default();
        (first, ports.next_back().copied().unwrap_or(first))
    }

    /// The first port that is free.
    pub(super) fn first_free(&self) -> Option<u16> {
        self.iter().find(|(_, slot)| matches!(slot, Slot::Free(_))).map(|(port, _)| port)
    }

    /// Lends a free port; `None` where it is not free.
    pub(super) fn lend(&mut self, port: u16, lease: LeaseId) -> Option<Arc<HeldPort>> {
        let slot = self.0.get_mut(&port)?;
        let Slot::Free(held) = slot else { return None };
        let held = Arc::clone(held);
        *slot = Slot::Lent(Arc::clone(&held), lease);
        Some(held)
    }

    /// Takes a lent port back.
    pub(super) fn take_back(&mut self, port: u16) {
        if let Some(slot) = self.0.get_mut(&port)
            && let Slot::Lent(held, _) = slot
        {
            *slot = Slot::Free(Arc::clone(held));
        }
    }

    /// The foreign ports.
    pub(super) fn foreign(&self) -> Vec<u16> {
        self.iter().filter(|(_, slot)| matches!(slot, Slot::Foreign { .. })).map(|(port, _)| port).collect()
    }

    /// Whether any port is foreign.
    pub(super) fn has_foreign(&self) -> bool {
        self.iter().any(|(_, slot)| matches!(slot, Slot::Foreign { .. }))
    }

    /// Tries the foreign ports again.
    pub(super) fn retry(&mut self) {
        for port in self.foreign() {
            if let held @ Slot::Free(_) = slot(port) {
                tracing::info!(port, "a debug port is ours again");
                self.0.insert(port, held);
            }
        }
    }

    /// Notes who has the foreign ports.
    pub(super) fn name_holders(&mut self, mut holders: HashMap<u16, Holder>) {
        for (port, slot) in &mut self.0 {
            if let Slot::Foreign { holder, .. } = slot {
                *holder = holders.remove(port);
            }
        }
    }
}

/// A time as it is shown: RFC 3339.
pub(super) fn shown(time: Timestamp) -> String {
    format!("{time:.3}")
}

fn slot(port: u16) -> Slot {
    match HeldPort::hold(port) {
        Ok(held) => Slot::Free(Arc::new(held)),
        Err(error) => {
            tracing::debug!(port, %error, "a debug port cannot be held");
            Slot::Foreign { since: Timestamp::now(), holder: None }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::{LeaseId, Slot, Slots};

    #[test]
    fn foreign_port_is_ours_once_it_is_free() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = listener.local_addr().expect("address").port();
        let mut slots = Slots::hold(port..=port);
        assert_eq!(slots.foreign(), [port]);
        assert!(slots.lend(port, LeaseId(1)).is_none(), "a foreign port cannot be lent");
        slots.retry();
        assert_eq!(slots.foreign(), [port], "it still listens");
        drop(listener);
        slots.retry();
        assert_eq!(slots.first_free(), Some(port));
    }

    #[test]
    fn lent_port_is_not_lent_again() {
        let mut slots = (0..50)
            .find_map(|_| {
                portpicker::pick_unused_port()
                    .map(|port| Slots::hold(port..=port))
                    .filter(|slots| slots.foreign().is_empty())
            })
            .expect("a port");
        let port = slots.first_free().expect("free");
        assert!(slots.lend(port, LeaseId(1)).is_some());
        assert!(slots.lend(port, LeaseId(2)).is_none());
        assert_eq!(slots.first_free(), None);
        assert!(matches!(slots.get(port), Some(Slot::Lent(_, LeaseId(1)))));
        slots.take_back(port);
        assert_eq!(slots.first_free(), Some(port));
    }
}
