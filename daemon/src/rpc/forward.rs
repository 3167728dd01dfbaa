//! Events of the model, as notifications of one connection.
//!
//! One bounded forwarder a connection: a client that reads slowly delays nobody but itself. Where it lags too far behind,
//! the events between are dropped; the gap in `seq` tells it to subscribe again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use burrow_protocol::methods::{MODEL_CHANGED, TOOLCHAIN_SWITCHED};
use burrow_protocol::model::{ModelChange, ModelChanged};
use burrow_protocol::toolchain::ToolsSwitched;
use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tower_lsp::Client;
use tower_lsp::ls_types::notification::{Notification, Progress as ProgressNotification};
use tower_lsp::ls_types::{
    NumberOrString, ProgressParams, ProgressParamsValue, WorkDoneProgress, WorkDoneProgressBegin, WorkDoneProgressEnd,
    WorkDoneProgressReport,
};

use crate::model::{Event, Model, Progress, ProgressStep};

enum ModelChangedNotification {}

impl Notification for ModelChangedNotification {
    type Params = ModelChanged;
    const METHOD: &'static str = MODEL_CHANGED;
}

enum ToolsSwitchedNotification {}

impl Notification for ToolsSwitchedNotification {
    type Params = ToolsSwitched;
    const METHOD: &'static str = TOOLCHAIN_SWITCHED;
}

/// What one session wants to hear.
#[derive(Debug, Default)]
pub(super) struct Interest {
    /// The workspaces whose progress and switches it is told.
    pub(super) workspaces: BTreeSet<Utf8PathBuf>,
    /// Whether it subscribed to changes of the model.
    pub(super) changes: bool,
}

/// Forwards until the model or the task ends.
pub(super) async fn run(model: Model, mut events: Receiver<Event>, client: Client, interest: Arc<Mutex<Interest>>) {
    loop {
        match events.recv().await {
            Ok(Event::Changed(changed)) if wants(&interest, |interest| interest.changes) => {
                client.send_notification::<ModelChangedNotification>((*changed).clone()).await;
            }
            Ok(Event::Progress(progress))
                if wants(&interest, |interest| interest.workspaces.contains(&progress.workspace)) =>
            {
                client.send_notification::<ProgressNotification>(progress_params(&progress)).await;
            }
            Ok(Event::Switched(switched))
                if wants(&interest, |interest| interest.workspaces.contains(Utf8Path::new(&switched.workspace))) =>
            {
                client.send_notification::<ToolsSwitchedNotification>((*switched).clone()).await;
            }
            Ok(_) => {}
            Err(RecvError::Lagged(lost)) => {
                tracing::debug!(lost, "a client lags behind");
                let (snapshot, next) = model.subscribe();
                events = next;
                if wants(&interest, |interest| interest.changes) {
                    let change = ModelChange::Debug { ports: snapshot.status.ports, leases: snapshot.status.leases };
                    let params = ModelChanged { seq: snapshot.seq, change };
                    client.send_notification::<ModelChangedNotification>(params).await;
                }
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn wants(interest: &Mutex<Interest>, question: impl FnOnce(&Interest) -> bool) -> bool {
    question(&interest.lock().unwrap_or_else(PoisonError::into_inner))
}

fn progress_params(progress: &Progress) -> ProgressParams {
    let value = match &progress.step {
        ProgressStep::Begin { title } => {
            WorkDoneProgress::Begin(WorkDoneProgressBegin { title: title.clone(), ..WorkDoneProgressBegin::default() })
        }
        ProgressStep::Report { message, percentage } => WorkDoneProgress::Report(WorkDoneProgressReport {
            message: Some(message.clone()),
            percentage: percentage.map(u32::from),
            cancellable: None,
        }),
        ProgressStep::End { message } => WorkDoneProgress::End(WorkDoneProgressEnd { message: Some(message.clone()) }),
    };
    ProgressParams {
        token: NumberOrString::String(progress.token.clone()),
        value: ProgressParamsValue::WorkDone(value),
    }
}
