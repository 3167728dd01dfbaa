//! What a window asks for by being there: `onStartup`, after all that `burrow up` runs. Pure.

use burrow_protocol::hooks::{HookName, HookOrigin, HookState};

use super::{Machine, Selection};
use crate::hooks::ledger::Line;
use crate::hooks::plan::{Row, UP};
use crate::process::Caller;

impl Machine {
    /// Whether it is known already that a window is open, or that none is.
    pub(crate) fn knows_window(&self, open: bool) -> bool {
        self.startup.is_open() == open
    }

    /// Takes note of whether a window that trusts the folder is open, at `now` (in seconds). The line to write down is
    /// returned.
    pub(crate) fn saw_window(&mut self, open: bool, now: i64) -> Option<Line> {
        let rows = self.rows();
        let is_idle = |row: &Row| row.commands.iter().any(|standing| standing.state != HookState::Running);
        let runs_already = !rows.iter().filter(|row| is_startup(row)).any(is_idle);
        let line = self.startup.saw(open, now, runs_already);
        line.inspect(|line| self.entries.apply(line.clone()))
    }

    /// Queues `onStartup` where that is wanted and nothing has to go before it.
    pub(crate) fn start_up(&mut self, caller: &Caller) {
        if self.startup.is_wanted() && self.goes_before_startup(&self.rows()).is_none() {
            self.queue_due(&Selection { hook: HookName::OnStartup, command: None }, None, caller);
        }
    }

    /// Nobody wants it any more that `hook` starts by itself.
    pub(super) fn forget_startup(&mut self, hook: HookName) {
        if hook == HookName::OnStartup && !self.queue.iter().any(|job| job.run.hook == hook) {
            // The next window that comes or goes writes it down.
            drop(self.startup.forget());
        }
    }

    /// Says of an `onStartup` that is wanted what it waits for.
    pub(super) fn show_startup(&self, rows: &mut [Row]) {
        if !self.startup.is_wanted() {
            return;
        }
        let Some(before) = self.goes_before_startup(rows) else { return };
        for row in rows.iter_mut().filter(|row| is_startup(row)) {
            for standing in row.commands.iter_mut().filter(|standing| standing.due) {
                standing.waits = Some(format!("starts after {before}"));
            }
        }
    }

    /// A hook that `up` runs and that is due, waits or runs.
    fn goes_before_startup(&self, rows: &[Row]) -> Option<HookName> {
        let is_due = |hook| rows.iter().any(|row| row.hook == hook && row.commands.iter().any(|standing| standing.due));
        let is_queued = |hook| self.queue.iter().any(|job| job.run.hook == hook && job.origin != HookOrigin::Exec);
        let runs =
            |hook| self.active().any(|it| it.run.hook == hook && it.origin != HookOrigin::Exec && self.is_busy(it.run));
        UP.into_iter().find(|hook| is_due(*hook) || is_queued(*hook) || runs(*hook))
    }
}

fn is_startup(row: &Row) -> bool {
    row.hook == HookName::OnStartup && row.origin != HookOrigin::Exec
}
