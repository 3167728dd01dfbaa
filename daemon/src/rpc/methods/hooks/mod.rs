//! `burrow/hooks/...`: lifecycle hooks.

pub(super) mod r#await;
pub(super) mod cancel;
pub(super) mod exec;
pub(super) mod input;
pub(super) mod read_log;
pub(super) mod resize;
pub(super) mod retry;
pub(super) mod run;
pub(super) mod runs;
pub(super) mod skip;
pub(super) mod up;
