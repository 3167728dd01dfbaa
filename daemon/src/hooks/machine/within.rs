//! Who would wait for himself: a command of a hook that asks for hooks, and for their ends. Pure.
//!
//! One rule for all requests. A command inside a run waits for nothing that cannot end before it does: neither for a run
//! that it is a part of, nor, where that run has the turn, for one that waits for its turn.

use burrow_protocol::hooks::{HookName, HookOrigin};

use super::{Machine, Phase};
use crate::hooks::plan::full_name;
use crate::hooks::record::RunId;

/// A caller that is itself a command of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inside {
    /// The command, as `HOOK/COMMAND`.
    pub(crate) command: String,
    /// The run whose command it is, then the one whose command called `burrow hook exec` for that, and so on.
    runs: Vec<RunId>,
}

impl Inside {
    /// The run whose command it is.
    pub(crate) fn run(&self) -> Option<RunId> {
        self.runs.first().copied()
    }
}

impl Machine {
    /// Whether a command of a hook called `burrow hook exec` for this run.
    pub(crate) fn is_within_a_hook(&self, run: RunId) -> bool {
        let cause = self.active.get(&run).map(|active| &active.job.cause);
        let queued = || self.queue.iter().find(|job| job.run == run).map(|job| &job.cause);
        matches!(cause.or_else(queued), Some(super::Cause::Exec { within: Some(_), .. }))
    }

    /// What the command `name` of `run` is inside of; none where nothing waits for its end.
    pub(crate) fn inside(&self, run: RunId, name: &str) -> Option<Inside> {
        let active = self.active.get(&run)?;
        let progress = &active.progress[active.index(name)?];
        if progress.was_ready || progress.phase == Phase::Over {
            return None;
        }
        let mut runs = vec![run];
        let outer = |run: &RunId| match &self.active.get(run)?.job.cause {
            super::Cause::Exec { within, .. } => *within,
            _ => None,
        };
        while let Some(next) = runs.last().and_then(outer).filter(|next| self.is_busy(*next) && !runs.contains(next)) {
            runs.push(next);
        }
        Some(Inside { command: full_name(run.hook, name), runs })
    }

    /// Divides `runs` into those that the caller may wait for and those that end after it, or begin.
    pub(crate) fn divide(&self, inside: Option<&Inside>, runs: Vec<RunId>) -> (Vec<RunId>, Vec<RunId>) {
        let Some(inside) = inside else { return (runs, Vec::new()) };
        let has_turn = self.has_turn(inside);
        let comes_after = |run: &RunId| inside.runs.contains(run) || (has_turn && !self.is_active(*run));
        let (later, free) = runs.into_iter().partition(comes_after);
        (free, later)
    }

    /// Whether the end of `hook` (for none: of all hooks) can only come after that of the caller.
    pub(crate) fn waits_for_itself(&self, inside: &Inside, hook: Option<HookName>) -> bool {
        let Some(hook) = hook else { return true };
        if inside.runs.iter().any(|run| run.hook == hook) {
            return true;
        }
        // What is under way beside the caller ends without it.
        let under_way = self.active.keys().any(|run| run.hook == hook && self.is_busy(*run));
        self.has_turn(inside) && !under_way && !self.is_settled(hook)
    }

    /// Whether no other hook begins before the caller has ended. A recorded command line holds up nobody.
    fn has_turn(&self, inside: &Inside) -> bool {
        let is_hook = |run: &RunId| self.active.get(run).is_some_and(|it| it.record.origin != HookOrigin::Exec);
        inside.runs.iter().any(is_hook)
    }
}
