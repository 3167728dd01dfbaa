//! A run that goes on: which of its commands may start, which wait, which are over. Pure.
//!
//! Invariants: a command starts only when all that it needs is done; never more than `jobs` run at once; each command
//! comes to exactly one end, and one that needs a command that did not succeed ends without having begun.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Job;
use crate::hooks::command::Command;
use crate::hooks::fate::{Failure, Fate};
use crate::hooks::ledger::{Entry, Key};
use crate::hooks::plan::full_name;
use crate::hooks::record::{Attempt, RecordedCommand, RunRecord};
use crate::hooks::runs::STARTS_KEPT;

/// The longest pause before a command is started anew.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// What is prepared ahead of its turn costs memory.
const MOST_IN_LINE: usize = 4;
/// A service that lived this long is not one that keeps ending.
const LONG_LIFE: Duration = Duration::from_secs(60);

/// A run that goes on, or whose services do.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) record: RunRecord,
    pub(super) job: Arc<Job>,
    /// The entries that this run's replaced, one for each command that it began with.
    pub(super) before: Vec<(Key, Option<Entry>)>,
    /// One for each command of the record.
    pub(super) progress: Vec<Progress>,
}

/// How far a command of a run is.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) phase: Phase,
    /// Which start within the run, from 1; the next one while it waits or pauses.
    pub(super) start: u32,
    /// A service that was ready counts as done from then on.
    pub(super) was_ready: bool,
    /// Of a service: how often it ended in a row without having lived for long.
    pub(super) streak: u32,
    /// How long this start of it holds itself back before it begins.
    pub(super) pause: Duration,
    /// Whether it still does.
    pub(super) holds_back: bool,
    /// Why its end was asked for.
    pub(super) asked: Option<Ask>,
    /// The environment of a command that an earlier daemon started, complete; none where it is not known.
    pub(super) recovered: Option<Arc<BTreeMap<String, String>>>,
}

/// Where a command of a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has not been started, or not again.
    Waiting,
    /// Its shim has it.
    Running,
    /// It is started anew after this time.
    Pausing(Duration),
    /// It has ended, or will never begin.
    Over,
}

/// Why the end of a command was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Somebody cancelled it.
    Cancel,
    /// It was not ready in time, or cannot be found so for this reason.
    NotReady(Option<String>),
    /// What it serves ends.
    Stop,
}

/// What becomes of a command that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// That was its end.
    Final(Fate),
    /// It is started anew after a pause. `meanwhile` is what stands on disk until then.
    Again { pause: Duration, meanwhile: Fate },
    /// It is started anew at once, and its process begins with the pause: whatever happens to this daemon, it goes on.
    Anew { pause: Duration },
}

impl Progress {
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::Waiting,
            start: 1,
            was_ready: false,
            streak: 0,
            pause: Duration::ZERO,
            holds_back: false,
            asked: None,
            recovered: None,
        }
    }

    /// Whether nothing waits for it any more.
    fn is_settled(&self) -> bool {
        self.was_ready || self.phase == Phase::Over
    }
}

impl Active {
    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.record.commands.iter().position(|command| command.name == name)
    }

    /// The command as it was configured.
    pub(super) fn command(&self, index: usize) -> Option<&Command> {
        let name = &self.record.commands.get(index)?.name;
        let is_it = |command: &&Command| command.name == *name;
        // The record is made of the job: in all but runs that were taken over, each is where the other is.
        self.job.commands.get(index).filter(is_it).or_else(|| self.job.commands.iter().find(is_it))
    }

    /// Whether only services are left, all of which were ready, or nothing at all.
    pub(super) fn is_at_rest(&self) -> bool {
        self.progress.iter().all(Progress::is_settled)
    }

    pub(super) fn is_over(&self) -> bool {
        self.progress.iter().all(|progress| progress.phase == Phase::Over)
    }

    /// The commands that may start now, in their order.
    pub(super) fn startable(&self) -> Vec<usize> {
        let running = self.progress.iter().filter(|it| it.phase == Phase::Running && !it.was_ready).count();
        let free = self.job.jobs.map_or(usize::MAX, |jobs| jobs.saturating_sub(running));
        let waiting = (0..self.progress.len()).filter(|index| self.progress[*index].phase == Phase::Waiting);
        let (services, others): (Vec<_>, Vec<_>) = waiting.partition(|index| self.progress[*index].was_ready);
        // A service that starts anew takes nobody's place: it has been there all the time.
        services
            .into_iter()
            .chain(others.into_iter().filter(|index| self.open_need(*index).is_none()).take(free))
            .collect()
    }

    /// The commands that start first, as many as are prepared ahead of their turn.
    pub(super) fn first(&self) -> Vec<usize> {
        let mut first = self.startable();
        first.truncate(MOST_IN_LINE);
        first
    }

    /// The commands that wait for nothing but a place, as many as run at once.
    pub(super) fn in_line(&self) -> Vec<usize> {
        let Some(jobs) = self.job.jobs else { return Vec::new() };
        let is_new = |index: &usize| {
            let progress = &self.progress[*index];
            progress.phase == Phase::Waiting && progress.start == 1
        };
        let waiting = (0..self.progress.len()).filter(is_new);
        waiting.filter(|index| self.open_need(*index).is_none()).take(jobs.min(MOST_IN_LINE)).collect()
    }

    /// A command that has to be done before the one at `index`, and is not. One that is no part of this run was done when
    /// it began.
    pub(super) fn open_need(&self, index: usize) -> Option<&str> {
        let needs = &self.command(index)?.needs;
        let is_open = |need: &&String| self.index(need).is_some_and(|need| !self.lets_pass(need));
        needs.iter().find(is_open).map(String::as_str)
    }

    /// Commands that will never start, each with what it lacks.
    pub(super) fn hopeless(&self) -> Vec<(usize, String)> {
        let waiting = (0..self.progress.len()).filter(|index| self.progress[*index].phase == Phase::Waiting);
        let lacks = |index: usize| {
            let needs = self.command(index)?.needs.iter();
            needs.filter_map(|need| self.index(need)).find_map(|need| self.obstacle(need)).map(|by| (index, by))
        };
        waiting.filter_map(lacks).collect()
    }

    /// Whether what needs the command at `index` may start.
    fn lets_pass(&self, index: usize) -> bool {
        self.progress[index].is_settled() && self.obstacle(index).is_none()
    }

    fn obstacle(&self, index: usize) -> Option<String> {
        if self.progress[index].phase != Phase::Over || self.progress[index].was_ready {
            return None;
        }
        let RecordedCommand { name, fate, .. } = &self.record.commands[index];
        match fate {
            Fate::Blocked { by } => Some(by.clone()),
            Fate::Stopped { .. } => Some(full_name(self.record.run.hook, name)),
            _ if fate.is_bad() && !self.command(index).is_some_and(|command| command.optional) => {
                Some(full_name(self.record.run.hook, name))
            }
            _ => None,
        }
    }

    /// Keeps how a start of the command at `index` ended, and counts the next one.
    pub(super) fn count_attempt(&mut self, index: usize, fate: Fate, started_at: Option<String>) -> u32 {
        let progress = &mut self.progress[index];
        let attempt = Attempt { start: progress.start, started_at, fate };
        progress.start += 1;
        let attempts = &mut self.record.commands[index].attempts;
        attempts.push(attempt);
        let surplus = attempts.len().saturating_sub(STARTS_KEPT as usize);
        attempts.drain(..surplus);
        progress.start
    }

    /// What follows from the end of the command at `index`.
    pub(super) fn verdict(&mut self, index: usize, fate: Fate, container_start: &str) -> Verdict {
        let Some(command) = self.command(index) else { return Verdict::Final(fate) };
        let (background, retries) = (command.background, command.retries);
        let progress = &mut self.progress[index];
        let duration_ms = fate.duration_ms().unwrap_or_default();
        match &progress.asked {
            Some(Ask::Stop) => return Verdict::Final(Fate::Stopped { why: "stopped with the daemon".to_owned() }),
            Some(Ask::NotReady(None)) => return Verdict::Final(Fate::TimedOut { duration_ms }),
            Some(Ask::NotReady(Some(why))) => return Verdict::Final(Fate::not_started(why.clone())),
            Some(Ask::Cancel) => return Verdict::Final(fate),
            None => {}
        }
        if background {
            return self.service_verdict(index, fate, container_start);
        }
        if !fate.is_worth_a_retry() || progress.start > retries {
            return Verdict::Final(fate);
        }
        if self.job.cause == super::Cause::TakenOver && progress.recovered.is_none() {
            return Verdict::Final(fate);
        }
        let pause = pause(progress.start);
        Verdict::Again { pause, meanwhile: fate }
    }

    fn service_verdict(&mut self, index: usize, fate: Fate, container_start: &str) -> Verdict {
        let adopted = self.job.cause == super::Cause::TakenOver;
        let same_start = self.record.container_start == container_start;
        let progress = &mut self.progress[index];
        if fate == Fate::Interrupted {
            let stopped = Fate::Stopped { why: "it ended with the container".to_owned() };
            return Verdict::Final(if same_start { fate } else { stopped });
        }
        if matches!(fate, Fate::NeverStarted | Fate::Cancelled { .. }) && !progress.was_ready {
            return Verdict::Final(fate);
        }
        let how = fate.how();
        if !progress.was_ready {
            let duration_ms = fate.duration_ms().unwrap_or_default();
            let failure = Failure::NeverReady { how };
            return Verdict::Final(Fate::Failed { failure, duration_ms });
        }
        if adopted && progress.recovered.is_none() {
            return Verdict::Final(Fate::Stopped { why: format!("it ended while no daemon was there: {how}") });
        }
        let lived = Duration::from_millis(fate.duration_ms().unwrap_or_default().into()).checked_sub(progress.pause);
        let is_long = lived.is_some_and(|lived| lived >= LONG_LIFE);
        progress.streak = if is_long { 1 } else { progress.streak.saturating_add(1) };
        let pause = pause(progress.streak);
        // One that ends without having paused would be started in a loop.
        let not_started = matches!(fate, Fate::Failed { failure: Failure::NotStarted { .. }, .. });
        if lived.is_none() || not_started {
            return Verdict::Again { pause, meanwhile: Fate::Stopped { why: format!("it ended: {how}") } };
        }
        Verdict::Anew { pause }
    }
}

/// How often in a row a service ended without having lived for long, by its earlier starts.
pub(super) fn streak(earlier: &[Attempt]) -> u32 {
    let lived = |attempt: &Attempt| Duration::from_millis(attempt.fate.duration_ms().unwrap_or_default().into());
    let short = earlier.iter().rev().take_while(|attempt| lived(attempt) < LONG_LIFE);
    short.count().try_into().unwrap_or(u32::MAX)
}

/// One second, doubled with each further end, up to the longest.
fn pause(ends: u32) -> Duration {
    let seconds = 1_u64.checked_shl(ends.saturating_sub(1)).unwrap_or(u64::MAX);
    Duration::from_secs(seconds).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::pause;

    #[test]
    fn pauses_grow_to_a_limit() {
        let seconds: Vec<_> = (1..=8).map(|ends| pause(ends).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(pause(u32::MAX).as_secs(), 30);
    }
}
