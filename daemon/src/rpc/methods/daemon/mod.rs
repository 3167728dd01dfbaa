//! `burrow/daemon/...`: the daemon itself.

pub(super) mod stop;
