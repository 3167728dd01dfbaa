//! The loop of the reload service: requests in, reloads begun and ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::ReloadContext;
use super::error::ReloadError;
use super::folder::ReloadId;
use super::messages::ReloadRequest;
use super::queue::Queue;
use super::{engine, rebuild};
use crate::durable;
use crate::process;

/// How long the end of the daemon waits for its reloads.
const DRAIN: Duration = Duration::from_secs(5);
/// What processes without a shim have between TERM and KILL.
const GRACE: Duration = Duration::from_secs(2);

/// The service's loop. It owns which reloads there are.
pub struct ReloadActor {
    pub(super) requests: mpsc::Receiver<ReloadRequest>,
    pub(super) context: Arc<ReloadContext>,
    pub(super) next: u32,
    /// Reloads of an earlier daemon.
    pub(super) earlier: Vec<ReloadId>,
    pub(super) reloads: BTreeMap<ReloadId, Entry>,
    pub(super) tasks: JoinSet<ReloadId>,
}

/// One reload, as the service knows it.
#[derive(Debug)]
pub(super) struct Entry {
    queue: Arc<Queue>,
    stop: CancellationToken,
}

impl ReloadActor {
    /// Serves until `stop`, then ends every reload and waits until nothing of them is left, for 5 s at most.
    pub async fn run(mut self, stop: CancellationToken) {
        let sweeping = tokio::spawn(sweep(self.context.dir.clone(), std::mem::take(&mut self.earlier)));
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok(id) => drop(self.reloads.remove(&id)),
                    Err(error) => tracing::error!(%error, "a reload failed"),
                },
                request = self.requests.recv() => match request {
                    Some(request) => self.request(request),
                    None => break,
                },
            }
        }
        for entry in self.reloads.values() {
            entry.stop.cancel();
        }
        let drained = timeout(DRAIN, async { while self.tasks.join_next().await.is_some() {} });
        if drained.await.is_err() {
            tracing::warn!("programs of a reload are left; they end with the daemon's lifeline");
        }
        // Unfinished, it is the next daemon's.
        sweeping.abort();
    }

    fn request(&mut self, request: ReloadRequest) {
        match request {
            ReloadRequest::Start { order, reply } => {
                let id = ReloadId(self.next);
                self.next += 1;
                let entry = Entry { queue: Arc::default(), stop: order.closed.child_token() };
                let (context, queue, stop) = (Arc::clone(&self.context), Arc::clone(&entry.queue), entry.stop.clone());
                self.reloads.insert(id, entry);
                self.tasks.spawn(async move {
                    engine::run(id, *order, &context, queue, stop, reply).await;
                    id
                });
            }
            ReloadRequest::Rebuild { order, settings, sender } => {
                let id = ReloadId(self.next);
                self.next += 1;
                let entry = Entry { queue: Arc::default(), stop: CancellationToken::new() };
                let (context, stop) = (Arc::clone(&self.context), entry.stop.clone());
                self.reloads.insert(id, entry);
                self.tasks.spawn(async move {
                    rebuild::run(id, *order, settings, &context, sender, stop).await;
                    id
                });
            }
            // One who no longer waits does not care.
            ReloadRequest::Queue { id, reply } => {
                drop(reply.send(self.entry(id).map(|entry| Arc::clone(&entry.queue))));
            }
            ReloadRequest::Stop { id, reply } => {
                drop(reply.send(self.entry(id).map(|entry| entry.stop.cancel())));
            }
        }
    }

    fn entry(&self, id: String) -> Result<&Entry, ReloadError> {
        let known = self.reloads.iter().find(|(known, _)| known.to_string() == id).map(|(_, entry)| entry);
        known.ok_or(ReloadError::Unknown { id })
    }
}

/// Ends and removes what a killed daemon left. Its shims have lost their lifelines, and are ending already.
async fn sweep(dir: Utf8PathBuf, earlier: Vec<ReloadId>) {
    for id in earlier {
        let folder = dir.join(id.to_string());
        let prefix = format!("{folder}/");
        let left = process::sweep::end(move |run| run.starts_with(&prefix), GRACE).await;
        if !left.is_empty() {
            tracing::warn!(?left, "processes of an earlier daemon's reload could not be ended");
        }
        match spawn_blocking(move || durable::remove_dir(&folder)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "an earlier daemon's reload could not be cleared"),
            Err(error) => tracing::error!(%error, "the sweep failed"),
        }
    }
}
