//! What is asked of the engine, and by whom.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use burrow_protocol::hooks::{HookName, HookState, RunSummary};
use burrow_protocol::model::ContainerKind;
use camino::Utf8Path;

use super::{Engine, STOP_GRACE, TOOL_INTERVAL, Waiter};
use crate::hooks::command::Command;
use crate::hooks::error::HookError;
use crate::hooks::evidence::{self, Runner};
use crate::hooks::fate::Fate;
use crate::hooks::launch;
use crate::hooks::ledger::Line;
use crate::hooks::machine::{Cancel, Cause, Inside, Job, Machine, Selection, Step, masked};
use crate::hooks::messages::{HookRequest, Reply, Report, Started, Whereabouts};
use crate::hooks::plan::is_external;
use crate::hooks::record::{RunId, RunRecord};
use crate::hooks::status;
use crate::process::user::User;
use crate::process::{Caller, RUN_VARIABLE};

impl Engine {
    pub(super) async fn request(&mut self, request: HookRequest) {
        match request {
            HookRequest::Notice { caller } => self.look_for_a_tool(&caller).await,
            HookRequest::Up { caller, reply } => {
                self.look_for_a_tool(&caller).await;
                let runs = self.machine.up(&caller);
                self.answer(Ok(runs), &caller, reply);
            }
            HookRequest::Run { what, again, origin, caller, reply } => {
                self.look_for_a_tool(&caller).await;
                let run = if again { Machine::run_again } else { Machine::run };
                if again {
                    self.probe.forget_failure();
                }
                let understood = self.check_understood(what.hook);
                let runs = understood.and_then(|()| run(&mut self.machine, &what, origin, &caller));
                self.answer(runs, &caller, reply);
            }
            HookRequest::Exec { what, argv, cwd, caller, reply } => {
                let cwd = cwd.unwrap_or_else(|| self.context.workspace.clone());
                let within = self.inside(&caller).and_then(|inside| inside.run());
                let secrets = launch::secrets(&self.context.settings.borrow(), &caller.env);
                let command = Command::new(what.command.unwrap_or_default(), masked(&argv, &secrets));
                let run = self.machine.exec(what.hook, command, Cause::Exec { argv, cwd, within }, &caller);
                self.answer_started(run.map(|run| Started { runs: vec![run], notes: Vec::new() }), reply);
            }
            HookRequest::CallerGone { run } => {
                if self.machine.is_within_a_hook(run)
                    && let Ok(cancel) = self.machine.cancel(run, None)
                {
                    tracing::info!(%run, "the command of a hook that asked for it is gone");
                    self.carry_out(run, cancel).await;
                }
            }
            HookRequest::Retry { what, caller, reply } => {
                self.probe.forget_failure();
                let understood = what.as_ref().map_or(Ok(()), |what| self.check_understood(what.hook));
                let runs = understood.and_then(|()| self.machine.retry(what.as_ref(), &caller));
                self.answer(runs, &caller, reply);
            }
            HookRequest::Skip { what, why, reply } => match self.machine.skip(&what, why.as_deref()) {
                Ok(lines) => self.skip(&what, lines, reply).await,
                Err(error) => drop(reply.send(Err(error))),
            },
            HookRequest::Cancel { run, command, reply } => {
                let cancel = self.machine.cancel(run, command.as_deref());
                let answer = match cancel {
                    Ok(cancel) => {
                        self.carry_out(run, cancel).await;
                        Ok(())
                    }
                    Err(error) => Err(error),
                };
                drop(reply.send(answer));
            }
            HookRequest::CancelAll { reply } => {
                for (run, cancel) in self.machine.cancel_all() {
                    self.carry_out(run, cancel).await;
                }
                self.waiters.push(Waiter { hook: None, reply });
            }
            HookRequest::StopServices { reply } => {
                for settle in self.stop_services() {
                    self.settle(settle).await;
                }
                self.stopping.push(reply);
                let reports = self.reports.clone();
                self.commands.spawn(async move {
                    tokio::time::sleep(STOP_GRACE).await;
                    // A receiver that is gone means that all have ended.
                    let _ = reports.send(Report::StopNow).await;
                });
            }
            HookRequest::Settled { hook, caller, reply } => match self.inside(&caller) {
                Some(inside) if self.machine.waits_for_itself(&inside, hook) => {
                    let goal = hook.map_or_else(|| "all hooks".to_owned(), |hook| hook.to_string());
                    drop(reply.send(Err(HookError::WaitsForItself { goal, caller: inside.command })));
                }
                _ => match hook.map_or(Ok(()), |hook| self.check_understood(hook)) {
                    Ok(()) => {
                        self.know_homes(&caller).await;
                        self.waiters.push(Waiter { hook, reply });
                        self.look_how_far_the_tool_is().await;
                    }
                    // It is at rest, since it never ran: that is no answer for one who waits for its work.
                    Err(error) => drop(reply.send(Err(error))),
                },
            },
            HookRequest::Status { reply } => drop(reply.send(Ok(status::part(&self.machine, None).hooks))),
            HookRequest::Runs { hook, reply } => self.read_runs(hook, reply),
            HookRequest::Locate { run, command, reply } => drop(reply.send(Ok(self.whereabouts(run, command)))),
        }
    }

    /// Answers with the runs that the caller may wait for, and names the others.
    fn answer(&mut self, runs: Result<Vec<RunId>, HookError>, caller: &Caller, reply: Reply<Started>) {
        let started = runs.map(|runs| {
            let mut notes: Vec<_> = self.machine.what_retry_lacks(&runs, caller).into_iter().collect();
            let inside = self.inside(caller);
            let (runs, later) = self.machine.divide(inside.as_ref(), runs);
            let asks = inside.map(|inside| inside.command).unwrap_or_default();
            let mut hooks: Vec<_> = later.iter().map(|run| run.hook).collect();
            hooks.dedup();
            notes.extend(hooks.iter().map(|hook| match asks.split('/').next() == Some(hook.as_str()) {
                true => format!("{hook} runs already, and {asks}, which asks for it, is a part of it"),
                false => format!("{hook} runs after {asks}, which asks for it"),
            }));
            Started { runs, notes }
        });
        self.answer_started(started, reply);
    }

    fn answer_started(&mut self, started: Result<Started, HookError>, reply: Reply<Started>) {
        match started {
            Ok(started) => self.started = Some((started, reply)),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    async fn skip(
        &mut self,
        what: &Selection,
        lines: Vec<Line>,
        reply: Reply<Vec<burrow_protocol::hooks::HookStatus>>,
    ) {
        let (written, lines) = self.blocking(move |journal| (journal.record(&lines), lines)).await;
        let answer = written.map_err(|source| HookError::NotWritten { name: what.to_string(), source });
        if answer.is_ok() {
            self.machine.apply(lines);
        }
        let _ = reply.send(answer.map(|()| status::part(&self.machine, None).hooks));
    }

    async fn carry_out(&mut self, run: RunId, cancel: Cancel) {
        let Cancel::Tell { commands, settle } = cancel else { return };
        for command in &commands {
            self.tell_cancel(run, command);
        }
        if let Some(settle) = settle {
            self.settle(settle).await;
        }
        self.announce_end(run);
    }

    /// What cannot be understood is refused: to run nothing of it would look like having nothing to do.
    fn check_understood(&self, hook: HookName) -> Result<(), HookError> {
        let settings = self.context.settings.borrow();
        let broken = settings.problems.first().filter(|_| settings.is_broken());
        let ours = |origin| !is_external(hook, origin, self.machine.runner());
        let mut unknown = settings.hooks_unknown.iter().filter(|((name, origin), _)| *name == hook && ours(*origin));
        match unknown.next().map(|(_, problem)| problem).or(broken) {
            Some(problem) => Err(HookError::Misunderstood {
                name: hook.to_string(),
                code: problem.code,
                problem: problem.message.clone(),
            }),
            None => Ok(()),
        }
    }

    /// The command of a run that the caller is, if it is one.
    fn inside(&self, caller: &Caller) -> Option<Inside> {
        let folder = Utf8Path::new(caller.env.get(RUN_VARIABLE)?);
        let runs = self.journal.runs();
        let run = runs.run_of(folder)?;
        let record = self.machine.active().find(|record| record.run == run)?;
        let is_it = |name: &str| runs.command(run, name, self.machine.start_of(run, name)) == folder;
        let name = record.commands.iter().map(|command| command.name.as_str()).find(|name| is_it(name))?;
        self.machine.inside(run, name)
    }

    /// Reads beside the loop: no hook waits for it.
    fn read_runs(&mut self, hook: Option<HookName>, reply: Reply<Vec<RunSummary>>) {
        let journal = Arc::clone(&self.journal);
        let wanted = move |run: RunId| hook.is_none_or(|hook| run.hook == hook);
        let in_flight: BTreeMap<_, _> =
            self.machine.active().map(|record| (record.run, self.as_it_stands(record))).collect();
        let queued = self.machine.queue().filter(|job| wanted(job.run)).map(|job| RunSummary {
            run_id: job.run.to_string(),
            hook: job.run.hook,
            origin: job.origin,
            started_at: None,
            state: HookState::Pending,
            commands: job.commands.iter().map(|command| command.name.clone()).collect(),
            standings: Vec::new(),
        });
        let queued: Vec<_> = queued.collect();
        self.commands.spawn(async move {
            let read = move || {
                let runs: Vec<_> = journal.runs().list()?.into_iter().rev().filter(|run| wanted(*run)).collect();
                let records = runs.into_iter().filter_map(|run| match in_flight.get(&run) {
                    Some(record) => Some(record.clone()),
                    // What is recorded as running and is not in flight never began.
                    None => journal.runs().read(run).ok().flatten().filter(RunRecord::is_over),
                });
                let on_record = records.filter_map(|record| record.summary());
                Ok(queued.into_iter().rev().chain(on_record).collect())
            };
            let _ = reply.send(tokio::task::spawn_blocking(read).await.unwrap_or(Err(HookError::Stopping)));
        });
    }

    /// The record of a run in flight, with what has not begun.
    fn as_it_stands(&self, record: &RunRecord) -> RunRecord {
        let mut record = record.clone();
        for command in &mut record.commands {
            if let Some((Step::Waits, 1, _)) = self.machine.whereabouts(record.run, &command.name) {
                command.fate = Fate::NeverStarted;
            }
        }
        record
    }

    /// Looks for a Dev Containers tool: in the caller's environment, and by the markers in its home directory.
    async fn look_for_a_tool(&mut self, caller: &Caller) {
        if self.machine.runner() == Runner::Tool {
            return;
        }
        self.know_homes(caller).await;
        let (homes, in_container) = (self.homes.clone(), self.in_container());
        let (marker, birth) =
            self.blocking(move |_| (evidence::newest_marker(&homes), container_birth(in_container))).await;
        let Some(line) = self.machine.saw(evidence::runner(&caller.env, marker, birth)) else { return };
        if let Err(error) = self.blocking(move |journal| journal.record(&[line])).await {
            tracing::warn!(%error, "could not write down that a Dev Containers tool runs the standard hooks");
        }
    }

    /// A caller without a home, or with another one, hides none that is known: who runs the hooks is no matter of who asks.
    async fn know_homes(&mut self, caller: &Caller) {
        let user = self.context.settings.borrow().devcontainer.user().map(ToOwned::to_owned);
        let users = self.blocking(move |_| user.and_then(|user| User::by_name(&user)).map(|user| user.home)).await;
        self.homes.extend([caller.env.get("HOME").cloned(), self.context.home.clone(), users].into_iter().flatten());
    }

    fn in_container(&self) -> bool {
        self.context.container.kind != ContainerKind::Host
    }

    /// While somebody waits: looks how far a Dev Containers tool is, and again after a while.
    pub(super) async fn look_how_far_the_tool_is(&mut self) {
        self.waiters.retain(|waiter| !waiter.reply.is_closed());
        self.unfinished.clear();
        if self.waiters.is_empty() || self.machine.runner() != Runner::Tool {
            return;
        }
        let (homes, in_container) = (self.homes.clone(), self.in_container());
        let look = move |_: &_| evidence::unfinished(&evidence::markers(&homes), container_birth(in_container));
        self.unfinished = self.blocking(look).await;
        if !self.unfinished.is_empty() && !self.looks_at_tool {
            self.looks_at_tool = true;
            let reports = self.reports.clone();
            self.commands.spawn(async move {
                tokio::time::sleep(TOOL_INTERVAL).await;
                // A receiver that is gone means that nobody waits any more.
                let _ = reports.send(Report::LookAtTool).await;
            });
        }
    }

    fn whereabouts(&self, run: RunId, command: String) -> Whereabouts {
        let waits = |job: &Job| job.run == run && job.commands.iter().any(|it| it.name == command);
        if self.machine.queue().any(waits) {
            return Whereabouts::Queued;
        }
        match self.machine.whereabouts(run, &command) {
            Some((Step::Waits, 1, _)) => Whereabouts::Queued,
            Some((_, _, ready)) => Whereabouts::Running { ready, output: self.outputs.get(&(run, command)).cloned() },
            None => Whereabouts::Over,
        }
    }
}

/// When the container was made; a plain machine has no such time. Blocks.
fn container_birth(in_container: bool) -> Option<SystemTime> {
    if in_container { evidence::container_birth() } else { None }
}
