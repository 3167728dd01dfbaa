//! What begins in a turn: a run is written down, then its commands are started and followed.
//!
//! Invariants: nothing starts that is not on record. A shim ahead of its turn has claimed nothing, and ends with the engine.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::Engine;
use crate::coded::{Coded, with_causes};
use crate::hooks::error::HookError;
use crate::hooks::fate::Fate;
use crate::hooks::follower::{self, Progress, Readiness};
use crate::hooks::machine::{Begin, CommandEnd, Launch};
use crate::hooks::messages::Report;
use crate::hooks::record::RunId;
use crate::hooks::survivors::Survivors;
use crate::model::ProgressStep;
use crate::process::{self, Spare};

/// How long a daemon that ends waits for the commands that it is starting. A shim is up in milliseconds; what takes longer
/// is the user's shell, whose environment a command waits for.
const BEGIN_LIMIT: Duration = Duration::from_secs(2);

impl Engine {
    /// Writes a run down; its commands are started after that. Their shims come up while that is synced.
    pub(super) async fn begin(&mut self, Begin { run, record, lines }: Begin) {
        let commands = record.commands.len();
        let mut written = self.blocking(move |journal| journal.runs().create(&record)).await;
        if written.is_ok() {
            self.prepare(self.machine.first_of(run));
            written = self.blocking(move |journal| journal.begin(run, &lines)).await;
        }
        if let Err(source) = written {
            self.machine.not_recorded(run);
            let error = HookError::NotRecorded { run: run.to_string(), source };
            self.trouble = Some(error.to_reason());
            self.refused = Some(error);
            return;
        }
        self.trouble = None;
        tracing::info!(%run, commands, "starts a run");
        self.announced.insert(run);
        let title = format!("Running {}", run.hook);
        self.context.publisher.progress(&run.to_string(), ProgressStep::Begin { title });
    }

    /// Starts the commands of running runs whose turn it is; whether there were any.
    pub(super) async fn launch_all(&mut self, now: &str) -> bool {
        let launches = self.machine.launches(now);
        let any = !launches.is_empty();
        for launch in launches {
            self.launch(launch).await;
        }
        any
    }

    /// Starts shims for the commands that are next in line, while others run.
    pub(super) fn prepare_next(&mut self) {
        let next = self.machine.next_in_line();
        self.spares.retain(|key, _| next.contains(key));
        self.prepare(next);
    }

    fn prepare(&mut self, commands: BTreeSet<(RunId, String)>) {
        for key in commands {
            if let Entry::Vacant(spare) = self.spares.entry(key) {
                let (run, name) = spare.key();
                let folder = self.journal.runs().command(*run, name, 1);
                match Spare::new(&folder, folder.as_str()) {
                    Ok(started) => drop(spare.insert(started)),
                    // It is started when its turn comes, and that tells.
                    Err(error) => tracing::debug!(%folder, error = with_causes(&error), "no shim ahead of time"),
                }
            }
        }
    }

    /// Waits for the commands that are being started, so that the next daemon finds them: what they need of their caller's
    /// environment is known to this one alone.
    pub(in super::super) async fn let_begin(&mut self, reports: &mut mpsc::Receiver<Report>) {
        let begun = async {
            while !self.beginning.is_empty() {
                match reports.recv().await {
                    Some(Report::Started { run, command, .. } | Report::Ended { run, command, .. }) => {
                        self.beginning.remove(&(run, command));
                    }
                    Some(_) => {}
                    None => return,
                }
            }
        };
        if tokio::time::timeout(BEGIN_LIMIT, begun).await.is_err() {
            tracing::warn!(left = self.beginning.len(), "commands that were being started are left to the next daemon");
        }
    }

    async fn launch(&mut self, Launch { job, command, start, again, is_ready, pause, may_go_on }: Launch) {
        let (run, name) = (job.run, command.name.clone());
        if let Some(again) = again {
            tracing::info!(%run, command = name, start, "starts a command anew");
            let its_name = name.clone();
            let written = self.blocking(move |journal| journal.begin_again(&again, run, &its_name, start)).await;
            if let Err(source) = written {
                let error = HookError::NotRecorded { run: run.to_string(), source };
                self.trouble = Some(error.to_reason());
                let end = CommandEnd::bare(Fate::not_started(with_causes(&error)));
                return self.ended(run, &name, end).await;
            }
        }
        let spare = self.spares.remove(&(run, name.clone())).filter(|_| start == 1);
        let folder = self.journal.runs().command(run, &name, start);
        let is_checked = command.background && !is_ready;
        self.beginning.insert((run, name.clone()));
        let (runs, origin, its_name) = (self.journal.runs().clone(), job.origin, name.clone());
        let preparation = self.preparation(job, command, folder, is_checked);
        self.follow(run, name, |mut cancels| async move {
            // Whoever cancels waits for it: nobody would look for it again.
            if may_go_on
                && let Some(survivors) = Survivors::of_command(runs, run, origin, its_name).await
                && let Err(error) = survivors.end().await
            {
                return (Progress::Ended(CommandEnd::bare(Fate::not_started(error.to_string()))), None);
            }
            let prepared = tokio::select! {
                prepared = preparation.carry_out() => prepared,
                // The user's shell may take its time, and nothing has begun yet.
                () = follower::cancelled(&mut cancels) => return (Progress::Ended(CommandEnd::before_it_began()), None),
            };
            match prepared {
                Ok((spec, readiness)) => (follower::start(process::after(pause, spec), spare).await, readiness),
                Err(error) => (Progress::Ended(CommandEnd::bare(Fate::not_started(error.to_string()))), None),
            }
        });
    }

    /// Lets a task follow one command to its end; it reports back. `progress` is given what tells that somebody cancels.
    pub(super) fn follow<P>(&mut self, run: RunId, command: String, progress: impl FnOnce(watch::Receiver<u32>) -> P)
    where
        P: Future<Output = (Progress, Option<Readiness>)> + Send + 'static,
    {
        let (cancel, cancels) = watch::channel(0);
        let progress = progress(cancels.clone());
        self.cancels.insert((run, command.clone()), cancel);
        let reports = self.reports.clone();
        self.commands.spawn(async move {
            // A receiver that is gone means that the engine ends: nobody needs the report. So it is for each.
            let end = match progress.await {
                (Progress::Ended(end), _) => end,
                (Progress::Alive(shim), readiness) => {
                    let output = shim.output();
                    let started = Report::Started { run, command: command.clone(), output: output.clone() };
                    let _ = reports.send(started).await;
                    let end = std::pin::pin!(follower::follow(shim, cancels));
                    let ready = async {
                        let Some(readiness) = readiness else { return std::future::pending().await };
                        let report = match readiness.wait(output).await {
                            Ok(()) => Report::Ready { run, command: command.clone() },
                            Err(why) => Report::NotReady { run, command: command.clone(), why },
                        };
                        let _ = reports.send(report).await;
                        std::future::pending().await
                    };
                    tokio::select! {
                        end = end => end,
                        never = ready => never,
                    }
                }
            };
            let _ = reports.send(Report::Ended { run, command, end }).await;
        });
    }
}
