//! The life of one lease: `leased -> connected -> ended(why)`; one that serves many clients is `leased` again when the
//! last of them has gone. Pure: no clock, no sockets, no processes.
//!
//! Invariants: an end is final and keeps its first reason; only a client that spoke makes a lease `Connected`, so a
//! probe, a stranger or silence does not use it up.

use std::fmt;

/// How a lease stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Its port listens; no client has spoken yet.
    Leased,
    /// A client is connected to dlv.
    Connected,
    /// It is over; its processes and files are being cleared, or are gone.
    Ended(Why),
}

/// What can happen to a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A client's first bytes were a debug client's.
    ClientSpoke,
    /// The one client's connection is over.
    ClientLeft,
    /// The last of the clients that may come and go has gone.
    NoClient,
    /// Who asked for it has gone before it was there.
    Abandoned,
    /// dlv's process ended.
    DlvEnded,
    /// dlv did not come up.
    DlvFailed,
    /// Nobody came for as long as an unclaimed lease lives.
    Expired,
    /// `burrow debug release`.
    Released,
    /// `burrow debug reclaim`.
    Reclaimed,
    /// The daemon ends.
    Stopped,
}

/// Why a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The debug client went away.
    ClientLeft,
    /// Who asked for it went away before it was there.
    Abandoned,
    /// dlv ended by itself.
    DlvEnded,
    /// dlv did not come up.
    DlvFailed,
    /// No client came in time.
    Expired,
    /// Somebody released it.
    Released,
    /// Somebody took its port back.
    Reclaimed,
    /// The daemon ended.
    Stopped,
}

impl Lease {
    /// The state after `input`; `None` where it changes nothing.
    #[must_use]
    pub fn after(self, input: Input) -> Option<Self> {
        let next = match (self, input) {
            (Self::Ended(_), _)
            | (Self::Connected, Input::ClientSpoke | Input::Expired)
            | (Self::Leased, Input::NoClient) => return None,
            (Self::Leased, Input::ClientSpoke) => Self::Connected,
            (Self::Connected, Input::NoClient) => Self::Leased,
            (Self::Leased | Self::Connected, Input::Abandoned) => Self::Ended(Why::Abandoned),
            (Self::Leased, Input::Expired) => Self::Ended(Why::Expired),
            (Self::Leased | Self::Connected, Input::ClientLeft) => Self::Ended(Why::ClientLeft),
            (Self::Leased | Self::Connected, Input::DlvEnded) => Self::Ended(Why::DlvEnded),
            (Self::Leased | Self::Connected, Input::DlvFailed) => Self::Ended(Why::DlvFailed),
            (Self::Leased | Self::Connected, Input::Released) => Self::Ended(Why::Released),
            (Self::Leased | Self::Connected, Input::Reclaimed) => Self::Ended(Why::Reclaimed),
            (Self::Leased | Self::Connected, Input::Stopped) => Self::Ended(Why::Stopped),
        };
        Some(next)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ClientLeft => "the debug client disconnected",
            Self::Abandoned => "who asked for it went away",
            Self::DlvEnded => "dlv ended",
            Self::DlvFailed => "dlv did not start",
            Self::Expired => "no debug client came",
            Self::Released => "released",
            Self::Reclaimed => "its port was reclaimed",
            Self::Stopped => "the daemon stopped",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Input, Lease, Why};

    #[test]
    fn every_state_with_every_input() {
        use Input::{
            Abandoned, ClientLeft, ClientSpoke, DlvEnded, DlvFailed, Expired, NoClient, Reclaimed, Released, Stopped,
        };
        use Lease::{Connected, Ended, Leased};
        let end = |why| Some(Ended(why));
        let table = [
            (Leased, ClientSpoke, Some(Connected), "the first to speak gets the lease"),
            (Leased, ClientLeft, end(Why::ClientLeft), "it may leave before its connection was noted"),
            (Leased, NoClient, None, "there was none"),
            (Leased, Abandoned, end(Why::Abandoned), "nobody knows of it"),
            (Leased, DlvEnded, end(Why::DlvEnded), "a lease without dlv serves nobody"),
            (Leased, DlvFailed, end(Why::DlvFailed), "nor does one whose dlv never came"),
            (Leased, Expired, end(Why::Expired), "an unclaimed lease gives its port back"),
            (Leased, Released, end(Why::Released), "its owner may give it back"),
            (Leased, Reclaimed, end(Why::Reclaimed), "and so may another of the same user"),
            (Leased, Stopped, end(Why::Stopped), "leases end with the daemon"),
            (Connected, ClientSpoke, None, "it is connected already"),
            (Connected, NoClient, Some(Leased), "the program waits for the next client"),
            (Connected, Abandoned, end(Why::Abandoned), "nobody knows of it"),
            (Connected, ClientLeft, end(Why::ClientLeft), "dlv serves one client"),
            (Connected, DlvEnded, end(Why::DlvEnded), "nothing is left to talk to"),
            (Connected, DlvFailed, end(Why::DlvFailed), "the client spoke before dlv failed"),
            (Connected, Expired, None, "a lease in use does not expire"),
            (Connected, Released, end(Why::Released), "also in use"),
            (Connected, Reclaimed, end(Why::Reclaimed), "also in use"),
            (Connected, Stopped, end(Why::Stopped), "leases end with the daemon"),
        ];
        for (state, input, expected, why) in table {
            assert_eq!(state.after(input), expected, "{why}");
        }
        let inputs =
            [Abandoned, ClientLeft, ClientSpoke, DlvEnded, DlvFailed, Expired, NoClient, Released, Reclaimed, Stopped];
        assert_eq!(table.len(), 2 * inputs.len(), "every pair has its row");
        for input in inputs {
            assert_eq!(Ended(Why::Released).after(input), None, "an end is final and keeps its reason");
        }
    }
}
