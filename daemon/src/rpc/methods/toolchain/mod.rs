//! `burrow/toolchain/...`: the Go tools of a workspace.

pub(super) mod r#await;
pub(super) mod cancel;
pub(super) mod check_sums;
pub(super) mod list;
pub(super) mod plan;
pub(super) mod rebuild;
pub(super) mod repair;
pub(super) mod rollback;
pub(super) mod update;
pub(super) mod verify;
