//! What goes on of a command whose shim died: found by the mark of its run, and ended before the command runs again, or
//! when somebody asks for its end.
//!
//! Not here: what a command that ended left in the background; that was its shim's to decide (`process`).

use std::collections::BTreeSet;
use std::time::Duration;

use burrow_protocol::hooks::HookOrigin;
use camino::Utf8Path;
use tokio::task::spawn_blocking;

use super::record::{RunId, start_of_folder};
use super::runs::Runs;
use crate::process::sweep;

/// From TERM to KILL, as a shim has it.
const GRACE: Duration = Duration::from_secs(10);

/// Commands of which something goes on without a shim.
#[derive(Debug)]
pub(crate) struct Survivors {
    /// Their folders, which mark their processes.
    marks: BTreeSet<String>,
}

/// Processes that not even KILL ends.
#[derive(Debug, thiserror::Error)]
#[error("end what goes on of an earlier run: {name} (process {pid}) is still there")]
pub(crate) struct StillThere {
    name: String,
    pid: u32,
}

impl Survivors {
    /// What goes on of earlier runs of a command.
    pub(crate) async fn of_command(runs: Runs, run: RunId, origin: HookOrigin, name: String) -> Option<Self> {
        Self::find(move |folder| {
            let earlier = runs.run_of(folder).filter(|earlier| earlier.hook == run.hook && *earlier != run);
            let is_it = folder.file_name().is_some_and(|folder| start_of_folder(folder, &name).is_some());
            // Commands of two origins may have one name.
            let record = earlier.filter(|_| is_it).and_then(|earlier| runs.read(earlier).ok().flatten());
            record.is_some_and(|record| record.origin == origin)
        })
        .await
    }

    /// What goes on of a run, or of one of its commands.
    pub(crate) async fn of_run(runs: Runs, run: RunId, command: Option<String>) -> Option<Self> {
        let is_meant = move |folder: &str| command.as_ref().is_none_or(|it| start_of_folder(folder, it).is_some());
        Self::find(move |folder| runs.run_of(folder) == Some(run) && folder.file_name().is_some_and(&is_meant)).await
    }

    /// What goes on of all runs.
    pub(crate) async fn of_all(runs: Runs) -> Option<Self> {
        Self::find(move |folder| runs.run_of(folder).is_some()).await
    }

    async fn find(is_meant: impl Fn(&Utf8Path) -> bool + Send + 'static) -> Option<Self> {
        let look = move || sweep::find_lost(|run| is_meant(Utf8Path::new(run)));
        // A look that panics has found nothing.
        let found = spawn_blocking(look).await.unwrap_or_default();
        let marks: BTreeSet<_> = found.into_iter().map(|process| process.run).collect();
        (!marks.is_empty()).then_some(Self { marks })
    }

    /// Ends them: TERM, grace, KILL.
    ///
    /// # Errors
    /// [`StillThere`].
    pub(crate) async fn end(self) -> Result<(), StillThere> {
        let Self { marks } = self;
        tracing::info!(?marks, "ends what goes on of commands whose shims died");
        let left = sweep::end(move |run| marks.contains(run), GRACE).await;
        left.into_iter().next().map_or(Ok(()), |process| Err(StillThere { name: process.name, pid: process.pid }))
    }
}
