//! Background services: when one is ready, and how all of them end with the daemon. Pure.
//!
//! Not here: what follows from the end of one (`active`).

use super::active::{Active, Ask, Phase};
use super::{CommandEnd, Machine, RunId, Settle};
use crate::hooks::fate::Fate;
use crate::hooks::ledger::Line;

impl Machine {
    /// A service has shown that it is ready.
    pub(crate) fn ready(&mut self, run: RunId, name: &str) -> Option<Settle> {
        let progress = self.progress_of(run, name).filter(|progress| progress.phase == Phase::Running)?;
        if progress.was_ready {
            return None;
        }
        progress.was_ready = true;
        let key = self.key(run, name)?;
        let mut entry = self.entries.get(&key)?.clone();
        entry.ready = true;
        let line = Line::Command(Box::new(entry));
        self.entries.apply(line.clone());
        let active = self.active.get(&run)?;
        Some(Settle { lines: vec![line], record: active.is_at_rest().then(|| active.record.clone()) })
    }

    /// A service was not ready in time, or cannot be found so: its end is to be asked for.
    pub(crate) fn not_ready(&mut self, run: RunId, name: &str, why: Option<String>) -> bool {
        let progress = self.progress_of(run, name);
        let progress = progress.filter(|it| it.phase == Phase::Running && !it.was_ready && it.asked.is_none());
        progress.map(|progress| progress.asked = Some(Ask::NotReady(why))).is_some()
    }

    /// Services are to end and stay ended: those that run must be told, the others are over.
    pub(crate) fn stop_services(&mut self) -> (Vec<(RunId, String)>, Vec<Settle>) {
        self.stopping = true;
        let (mut tell, mut settled) = (Vec::new(), Vec::new());
        for (run, index, name) in self.services() {
            let Some(active) = self.active.get_mut(&run) else { continue };
            if active.progress[index].phase == Phase::Running {
                active.progress[index].asked.get_or_insert(Ask::Stop);
                tell.push((run, name));
            } else {
                let end = CommandEnd::bare(Fate::Stopped { why: "stopped with the daemon".to_owned() });
                settled.extend(self.over(run, index, end));
            }
        }
        (tell, settled)
    }

    /// Whether a service runs or is about to.
    pub(crate) fn has_services(&self) -> bool {
        !self.services().is_empty()
    }

    fn services(&self) -> Vec<(RunId, usize, String)> {
        let of_run = |(run, active): (&RunId, &Active)| {
            let is_service = |index: &usize| {
                active.progress[*index].phase != Phase::Over
                    && active.command(*index).is_some_and(|command| command.background)
            };
            let services = (0..active.progress.len()).filter(is_service);
            let named = services.map(|index| (*run, index, active.record.commands[index].name.clone()));
            named.collect::<Vec<_>>()
        };
        self.active.iter().flat_map(of_run).collect()
    }
}
