//! Repairs that nobody asked for: whether one is worth another try. Pure.

use std::time::Duration;

use burrow_protocol::toolchain::RepairAction;
use tokio::time::Instant;

use super::error::ToolchainError;

/// After this time one that failed for a reason that may pass is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(10 * 60);

/// The last repair that nobody asked for. What did not help is not tried again and again.
#[derive(Debug, Default)]
pub(super) struct Tried {
    /// What it was to do.
    actions: Vec<RepairAction>,
    /// When it failed for a reason that may pass.
    passing: Option<Instant>,
}

impl Tried {
    /// Whether there is reason to do `actions` unasked; they count as tried from here on.
    pub(super) fn begins(&mut self, actions: Vec<RepairAction>, now: Instant) -> bool {
        let has_passed = self.passing.is_some_and(|failed| now.duration_since(failed) >= AGAIN_AFTER);
        if self.actions == actions && !has_passed {
            return false;
        }
        *self = Self { actions, passing: None };
        true
    }

    /// A repair failed.
    pub(super) fn failed(&mut self, error: &ToolchainError, now: Instant) {
        use ToolchainError::{Download, OutOfReach, StoreBusy};
        let passes = matches!(error, Download { .. } | OutOfReach { .. } | StoreBusy { .. });
        self.passing = passes.then_some(now);
    }

    /// A window opened: what may have passed is worth a try.
    pub(super) fn somebody_came(&mut self) {
        if self.passing.is_some() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use burrow_protocol::toolchain::{ActionCost, RepairVerb};

    use super::*;

    #[test]
    fn what_did_not_help_is_not_tried_again_unless_it_may_have_passed() {
        let actions = |tool: &str| {
            let (verb, cost) = (RepairVerb::Build, ActionCost::Building);
            vec![RepairAction { verb, tool: Some(tool.into()), version: None, why: String::new(), cost }]
        };
        let broken = ToolchainError::BuildFailed { tool: "t".into(), version: "v1".into(), detail: String::new() };
        let down = ToolchainError::Download { module: "m".into(), version: "v1".into(), detail: String::new() };
        let start = Instant::now();
        let mut tried = Tried::default();
        assert!(tried.begins(actions("gopls"), start));
        tried.failed(&broken, start);
        assert!(!tried.begins(actions("gopls"), start + AGAIN_AFTER), "it does not compile");
        tried.somebody_came();
        assert!(!tried.begins(actions("gopls"), start + AGAIN_AFTER), "for nobody");
        assert!(tried.begins(actions("dlv"), start), "something else");
        tried.failed(&down, start);
        assert!(!tried.begins(actions("dlv"), start + AGAIN_AFTER / 2), "the network was down just now");
        assert!(tried.begins(actions("dlv"), start + AGAIN_AFTER), "it may be back");
        tried.failed(&down, start);
        tried.somebody_came();
        assert!(tried.begins(actions("dlv"), start), "a new window is a reason to try");
    }
}
