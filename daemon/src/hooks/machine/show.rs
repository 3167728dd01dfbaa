//! How a run that goes on is shown: what the ledger does not know. Pure.

use std::time::Duration;

use burrow_protocol::hooks::HookState;

use super::active::{Active, Phase};
use crate::hooks::plan::{Row, Standing};

/// Puts what only the machine knows over what the ledger says: which commands of a run have not begun, and which are about
/// to be started anew.
pub(super) fn show_progress(row: &mut Row, active: &Active) {
    for (index, progress) in active.progress.iter().enumerate() {
        let recorded = &active.record.commands[index];
        let is_it = |standing: &Standing| standing.name == recorded.name;
        // Where nobody has edited the file since, they stand in the same order.
        let place =
            if row.commands.get(index).is_some_and(is_it) { Some(index) } else { row.commands.iter().position(is_it) };
        let Some(standing) = place.map(|place| &mut row.commands[place]) else { continue };
        if standing.entry.as_ref().is_none_or(|entry| entry.run != Some(active.record.run)) {
            continue;
        }
        let ends = progress.start - 1;
        let last = recorded.attempts.last().map(|attempt| attempt.fate.how()).unwrap_or_default();
        match progress.phase {
            Phase::Waiting if progress.start == 1 => {
                standing.state = HookState::Pending;
                let needs = active.open_need(index).map(|need| format!("needs {need}"));
                standing.waits = Some(needs.unwrap_or_else(|| "waits for its turn".to_owned()));
            }
            Phase::Pausing(pause) => standing.waits = Some(starts_again(pause, &last)),
            Phase::Running | Phase::Waiting if progress.holds_back => {
                standing.waits = Some(starts_again(progress.pause, &last));
                if let Some(entry) = &mut standing.entry {
                    entry.ready = false;
                }
            }
            Phase::Running | Phase::Waiting if progress.was_ready => {
                standing.waits = Some(match ends {
                    0 => "ready".to_owned(),
                    1 => format!("started again, after {last}"),
                    _ => format!("started again {ends} times, after {last}"),
                });
            }
            Phase::Running if standing.background => standing.waits = Some("not ready yet".to_owned()),
            Phase::Running | Phase::Waiting | Phase::Over => {}
        }
    }
}

fn starts_again(pause: Duration, last: &str) -> String {
    format!("starts again in {} s, after {last}", pause.as_secs())
}
