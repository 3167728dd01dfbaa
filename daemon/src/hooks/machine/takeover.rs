//! What an earlier daemon started: its runs go on here, with what their processes still have of their environment. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::active::{self, Active, Phase, Progress};
use super::{Cause, Job, Machine, RunId};
use crate::hooks::command::Command;
use crate::hooks::fate::Fate;
use crate::hooks::record::{RecordedCommand, RunRecord};
use crate::process::Caller;

impl Machine {
    /// Goes on with a run that an earlier daemon started.
    pub(crate) fn adopt(&mut self, record: RunRecord) {
        let stage =
            self.configured.stages.iter().find(|stage| stage.hook == record.run.hook && stage.origin == record.origin);
        // What was edited since is followed to its end, and that is all.
        let command = |recorded: &RecordedCommand| {
            let configured = stage.and_then(|stage| {
                stage.commands.iter().find(|it| it.name == recorded.name && it.hash == recorded.hash).cloned()
            });
            configured.unwrap_or_else(|| Command {
                hash: recorded.hash.clone(),
                background: recorded.background,
                ..Command::new(&recorded.name, recorded.line.clone())
            })
        };
        let progress = |recorded: &RecordedCommand| {
            let key = self.key_of(&record, &recorded.name);
            let entry = self.entries.get(&key).filter(|entry| entry.run == Some(record.run));
            Progress {
                phase: if recorded.fate == Fate::Running { Phase::Running } else { Phase::Over },
                start: entry.map_or(1, |entry| entry.start),
                was_ready: entry.is_some_and(|entry| entry.ready),
                streak: active::streak(&recorded.attempts),
                ..Progress::new()
            }
        };
        let job = Job {
            run: record.run,
            origin: record.origin,
            commands: record.commands.iter().map(command).collect(),
            jobs: None,
            cause: Cause::TakenOver,
            caller: Caller::default(),
        };
        let progress = record.commands.iter().map(progress).collect();
        self.active.insert(record.run, Active { record, job: Arc::new(job), before: Vec::new(), progress });
    }

    /// The environment that a command of an adopted run has: with it the command can be started anew.
    pub(crate) fn recovered(&mut self, run: RunId, name: &str, env: BTreeMap<String, String>) {
        if let Some(progress) = self.progress_of(run, name) {
            progress.recovered = Some(Arc::new(env));
        }
    }

    /// A command of an adopted run that is a service, and has not been ready yet.
    pub(crate) fn awaits_readiness(&self, run: RunId, name: &str) -> Option<(Arc<Job>, Command)> {
        let active = self.active.get(&run)?;
        let index = active.index(name)?;
        let command = active.command(index).filter(|command| command.background)?.clone();
        let progress = &active.progress[index];
        let caller = Caller { env: progress.recovered.clone()?, ..Caller::default() };
        let job = Job { caller, commands: Vec::new(), ..active.job.as_ref().clone() };
        (!progress.was_ready).then(|| (Arc::new(job), command))
    }
}
