//! The Debug Adapter Protocol, as much of it as Burrow speaks: as a client of dlv, in the self-test and in tests.
//!
//! Invariants: nothing a peer sends makes us hold more than a frame's limit; every wait has a deadline.
//! Not here: the relay, which copies bytes and knows no DAP but its first word.

pub mod client; // one conversation: requests, answers, events
pub mod codec; // bytes <-> messages
pub mod stream; // a side of a conversation as it comes
pub mod types; // the messages that we use

/// What a debug client's stream begins with, and a web page's or a probe's does not.
pub const OPENING: &[u8] = b"Content-Length: ";
