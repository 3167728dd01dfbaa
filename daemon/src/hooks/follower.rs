//! Follows one command under its shim, from its start or from where an earlier daemon left it, to its end.
//!
//! Not here: what the end means for other commands (`machine`).

use std::time::Duration;

use burrow_protocol::settings::ReadyCheck;
use camino::Utf8PathBuf;
use tokio::sync::watch;

use super::command::Command;
use super::fate::{Fate, leftovers};
use super::launch::{self, Place};
use super::machine::CommandEnd;
use super::ready::{self, NotReady, Ports};
use crate::coded::with_causes;
use crate::process::{self, Ended, Found, Outcome, Shim, ShimSpec, Spare, sweep};
use crate::workspace::files::substitute::SubstituteError;

/// What there is of a command: one that goes on, or how it ended.
#[derive(Debug)]
pub(crate) enum Progress {
    Alive(Shim),
    Ended(CommandEnd),
}

/// Starts a command, by `spare` where there is one. Where that fails the folder tells whether it ran all the same.
pub(crate) async fn start(spec: ShimSpec, spare: Option<Spare>) -> Progress {
    let folder = spec.folder.clone();
    let error = match process::start_by(spare, spec).await {
        Ok(shim) => return Progress::Alive(shim),
        Err(error) => error,
    };
    match find(folder).await {
        Progress::Ended(end) if end.fate == Fate::NeverStarted => {
            Progress::Ended(CommandEnd::bare(Fate::not_started(with_causes(&error))))
        }
        progress => progress,
    }
}

/// Looks for a command that was recorded as running.
pub(crate) async fn find(folder: Utf8PathBuf) -> Progress {
    match process::find(&folder).await {
        Ok(Found::Alive(shim)) => Progress::Alive(shim),
        Ok(Found::Ended(outcome)) => Progress::Ended(CommandEnd::from(&outcome)),
        Ok(Found::Abandoned) => Progress::Ended(CommandEnd::bare(Fate::NeverStarted)),
        Ok(Found::Lost) => Progress::Ended(lost(folder).await),
        Err(error) => {
            tracing::error!(%folder, error = with_causes(&error), "cannot tell how a command ended");
            Progress::Ended(CommandEnd { note: Some(with_causes(&error)), ..CommandEnd::bare(Fate::Interrupted) })
        }
    }
}

/// Follows a command to its end. Each growth of `cancels` asks its shim to end it; the second kills at once.
pub(crate) async fn follow(mut shim: Shim, mut cancels: watch::Receiver<u32>) -> CommandEnd {
    let mut told = 0;
    loop {
        tokio::select! {
            ended = shim.ended() => return match ended {
                Ok(Ended::Outcome(outcome)) => CommandEnd::from(&outcome),
                Ok(Ended::Lost) => lost(shim.folder().dir().to_owned()).await,
                Err(error) => CommandEnd { note: Some(with_causes(&error)), ..CommandEnd::bare(Fate::Interrupted) },
            },
            count = more_than(told, &mut cancels) => {
                // Whoever asked twice while it was launched means it.
                for _ in told..count {
                    if let Err(error) = shim.cancel().await {
                        tracing::warn!(error = with_causes(&error), "cannot cancel a command");
                    }
                }
                told = count;
            }
        }
    }
}

/// The end of a command whose shim died: its processes may live.
async fn lost(folder: Utf8PathBuf) -> CommandEnd {
    let look = move || !sweep::find(|run| run == folder).is_empty();
    let goes_on = tokio::task::spawn_blocking(look).await.unwrap_or_default();
    let note = goes_on.then(|| "something of it went on".to_owned());
    CommandEnd { note, ..CommandEnd::bare(Fate::Interrupted) }
}

/// What shows that a service is ready, and until when.
#[derive(Debug)]
pub(crate) struct Readiness {
    /// None: it is ready once it has started.
    check: Option<ReadyCheck>,
    within: Option<Duration>,
    service: Surroundings,
}

/// What a check of a service needs beside its output.
#[derive(Debug)]
struct Surroundings {
    folder: Utf8PathBuf,
    env: std::collections::BTreeMap<String, String>,
    cwd: Utf8PathBuf,
    ports: Ports,
}

impl Readiness {
    /// The readiness of the service `command`, which starts as `spec` says.
    ///
    /// # Errors
    /// [`SubstituteError`]: then it cannot be found ready.
    pub(crate) fn of(
        place: &Place<'_>,
        command: &Command,
        spec: &ShimSpec,
        ports: Ports,
    ) -> Result<Self, SubstituteError> {
        let check = command.ready.as_ref().map(|check| launch::ready_check(place, check, &spec.env)).transpose()?;
        let service = Surroundings { folder: spec.folder.clone(), env: spec.env.clone(), cwd: spec.cwd.clone(), ports };
        Ok(Self { check, within: command.timeout, service })
    }

    /// Resolves when the service is ready; never, where it ends before that.
    ///
    /// # Errors
    /// Why it will not be found ready; nothing to say where its time is over.
    pub(crate) async fn wait(self, output: watch::Receiver<u64>) -> Result<(), Option<String>> {
        let Some(check) = self.check else { return Ok(()) };
        let Surroundings { folder, env, cwd, ports } = self.service;
        let service = ready::Service { folder: folder.clone(), output, env, cwd, ports: ports.clone() };
        let waited = async {
            match ready::wait(&check, service).await {
                // Its end tells the rest.
                Err(NotReady::Ended { .. }) => std::future::pending().await,
                result => result.map_err(|error| Some(with_causes(&error))),
            }
        };
        match self.within {
            Some(limit) => match tokio::time::timeout(limit, waited).await {
                Ok(result) => result,
                Err(_) => Err(ready::obstacle(&check, &ports, &folder).await.map(|error| error.to_string())),
            },
            None => waited.await,
        }
    }
}

/// Resolves when somebody cancels; never, once nobody can any more.
pub(crate) async fn cancelled(cancels: &mut watch::Receiver<u32>) {
    more_than(0, cancels).await;
}

/// Resolves when `count` is more than `told`; never, once nobody can ask any more.
async fn more_than(told: u32, count: &mut watch::Receiver<u32>) -> u32 {
    let seen = count.wait_for(|count| *count > told).await.map(|count| *count);
    match seen {
        Ok(count) => count,
        Err(_) => std::future::pending().await,
    }
}

impl CommandEnd {
    pub(crate) const fn bare(fate: Fate) -> Self {
        Self { fate, started_at: None, note: None }
    }

    /// Somebody cancelled it in time.
    pub(crate) fn before_it_began() -> Self {
        let note = Some("before it began".to_owned());
        Self { note, ..Self::bare(Fate::Cancelled { duration_ms: 0 }) }
    }
}

impl From<&Outcome> for CommandEnd {
    fn from(outcome: &Outcome) -> Self {
        Self { fate: Fate::from(outcome), started_at: Some(outcome.started_at.clone()), note: leftovers(outcome) }
    }
}
