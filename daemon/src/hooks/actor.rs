//! The loop: one input after another is taken, the machine steps, and what follows from it is carried out.
//!
//! A turn is: the step, what it asks for, what may start now, what is shown, the answers. So whoever has an answer finds
//! the status up to date. Only the ends of commands whose run goes on may be shown a moment later.

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::HooksContext;
use super::engine::{Effect, Engine, Input};
use super::error::HookError;
use super::journal::{Journal, Opened};
use super::messages::HookRequest;
use crate::coded::Coded;
use crate::model::HooksPart;

/// Runs the hooks of one workspace until it is told to stop; hooks in flight then go on under their shims.
#[derive(Debug)]
pub struct HooksActor {
    context: HooksContext,
    mailbox: mpsc::Receiver<HookRequest>,
    turned: watch::Sender<()>,
}

impl HooksActor {
    pub(super) const fn new(
        context: HooksContext,
        mailbox: mpsc::Receiver<HookRequest>,
        turned: watch::Sender<()>,
    ) -> Self {
        Self { context, mailbox, turned }
    }

    /// Takes over what an earlier daemon started, then serves requests.
    #[tracing::instrument(name = "hooks", skip_all, fields(workspace = %self.context.workspace))]
    pub async fn run(mut self, stop: CancellationToken) {
        let Some(opened) = self.open(&stop).await else { return };
        let mut settings = self.context.settings.clone();
        let mut windows = self.context.trust.changes();
        let (mut engine, mut reports) = Engine::new(self.context, opened, self.turned);
        engine.take_over().await;
        engine.finish_turn().await;
        loop {
            let input = tokio::select! {
                // Whoever asks has changed files before: what was read of them counts for his request.
                biased;
                () = stop.cancelled() => return engine.let_begin(&mut reports).await,
                () = engine.show_is_due() => {
                    engine.show();
                    continue;
                }
                Some(report) = reports.recv() => Input::Report(report),
                Ok(()) = settings.changed() => Input::SettingsChanged,
                () = windows.changed() => Input::WindowsChanged,
                Some(request) = self.mailbox.recv() => Input::Request(request),
                else => return,
            };
            let effect = input.effect();
            engine.turn(input).await;
            match effect {
                Effect::Nothing => {}
                Effect::Output => engine.wake_followers(),
                Effect::Ended(run) => engine.finish_end(run).await,
                Effect::Turn => engine.finish_turn().await,
            }
        }
    }

    /// Reads what is on disk. While that fails, every request is answered with why, and the next one tries again.
    async fn open(&mut self, stop: &CancellationToken) -> Option<Opened> {
        loop {
            let (layout, container) = (self.context.layout.clone(), self.context.container.clone());
            let opened = tokio::task::spawn_blocking(move || Journal::open(&layout, &container)).await;
            let error = match opened {
                Ok(Ok(opened)) => return Some(opened),
                Ok(Err(error)) => error,
                Err(_) => HookError::Stopping,
            };
            let reasons = vec![error.to_reason()];
            self.context.publisher.hooks(&HooksPart { reasons, ..HooksPart::default() });
            let request = tokio::select! {
                () = stop.cancelled() => return None,
                request = self.mailbox.recv() => request?,
            };
            refuse(request, error);
        }
    }
}

/// Whoever asked may be gone: then nobody needs the answer.
fn refuse(request: HookRequest, error: HookError) {
    match request {
        HookRequest::Notice { .. } | HookRequest::CallerGone { .. } => {}
        HookRequest::Up { reply, .. }
        | HookRequest::Run { reply, .. }
        | HookRequest::Exec { reply, .. }
        | HookRequest::Retry { reply, .. } => drop(reply.send(Err(error))),
        HookRequest::Skip { reply, .. }
        | HookRequest::CancelAll { reply }
        | HookRequest::Settled { reply, .. }
        | HookRequest::Status { reply } => drop(reply.send(Err(error))),
        HookRequest::Cancel { reply, .. } | HookRequest::StopServices { reply } => drop(reply.send(Err(error))),
        HookRequest::Runs { reply, .. } => drop(reply.send(Err(error))),
        HookRequest::Locate { reply, .. } => drop(reply.send(Err(error))),
    }
}
