//! What a daemon left that was killed in its debug sessions: found by lease folder and run id, ended, removed.
//!
//! Invariants: only processes that carry the run id of a lease of this state directory are touched, and only leases that
//! were there before this daemon took its first.

use std::collections::BTreeSet;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::binaries;
use super::folder::{self, LeaseFolder, LeaseId};
use crate::process::{self, Found};

/// A shim that has lost its daemon is ending its processes already.
const END_DEADLINE: Duration = Duration::from_secs(5);
/// What processes without a shim have between TERM and KILL.
const GRACE: Duration = Duration::from_secs(2);

/// Ends and removes what is left of `leases`.
pub(super) async fn sweep(debug_dir: Utf8PathBuf, leases: Vec<LeaseId>) {
    let open = {
        let debug_dir = debug_dir.clone();
        spawn_blocking(move || open_leases(&debug_dir, leases)).await.unwrap_or_default()
    };
    for folder in &open {
        for number in (1..).take_while(|number| folder.command(*number).exists()) {
            end(&folder.command(number)).await;
        }
    }
    let runs: BTreeSet<String> = open.iter().map(LeaseFolder::run).collect();
    if !runs.is_empty() {
        let left = process::sweep::end(move |run| runs.contains(run), GRACE).await;
        if !left.is_empty() {
            tracing::warn!(?left, "processes of an earlier daemon's debug sessions could not be ended");
        }
    }
    let removed = spawn_blocking(move || {
        for folder in open {
            if let Ok(Some(record)) = folder.record() {
                binaries::clear(&record.cwd, &record.before);
                let chosen = record.chosen.unwrap_or_default();
                if let Some((folder, before)) = &chosen.dlv_cwd {
                    binaries::clear(folder, before);
                }
                chosen.clear_output();
            }
            folder.close()?;
        }
        folder::prune(&debug_dir)
    });
    match removed.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "an earlier daemon's debug sessions could not be cleared"),
        Err(error) => tracing::error!(%error, "the sweep failed"),
    }
}

/// The leases that were not cleared.
fn open_leases(debug_dir: &Utf8Path, leases: Vec<LeaseId>) -> Vec<LeaseFolder> {
    let folders = leases.into_iter().map(|id| LeaseFolder::new(debug_dir, id));
    folders.filter(|folder| !matches!(folder.record(), Ok(Some(record)) if record.cleared)).collect()
}

async fn end(command: &Utf8Path) {
    match process::find(command).await {
        Ok(Found::Alive(mut shim)) => {
            tracing::info!(%command, pid = shim.pid(), "ending dlv of an earlier daemon");
            if let Err(error) = shim.cancel().await {
                tracing::debug!(%error, "its shim is ending already");
            }
            if timeout(END_DEADLINE, shim.ended()).await.is_err() {
                tracing::warn!(%command, "an earlier daemon's dlv does not end");
            }
        }
        Ok(Found::Abandoned | Found::Ended(_) | Found::Lost) => {}
        Err(error) => tracing::warn!(%command, %error, "an earlier daemon's dlv could not be looked for"),
    }
}
