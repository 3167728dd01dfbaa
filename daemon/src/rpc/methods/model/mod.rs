//! `burrow/model/...`: what is shown.

pub(super) mod status;
pub(super) mod subscribe;
