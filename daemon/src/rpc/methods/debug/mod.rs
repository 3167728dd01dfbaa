//! `burrow/debug/...`: ports and leases.

pub(super) mod lease;
pub(super) mod processes;
pub(super) mod read_log;
pub(super) mod reclaim;
pub(super) mod release;
