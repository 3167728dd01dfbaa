//! `burrow/reload/...`.

pub(super) mod follow;
pub(super) mod start;
pub(super) mod stop;
