//! Follows runs to their ends: their output as it comes, each line with its command's name where there are several.
//!
//! It only asks: a run goes on when its follower is gone, and whoever follows late gets the past first.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use burrow_protocol::SafeInt;
use burrow_protocol::error::ErrorCode;
use burrow_protocol::hooks::{AwaitHooksParams, HookStatus, ListRunsParams, LogPiece, ReadLogParams, RunSummary};
use burrow_protocol::methods::{HooksAwait, HooksReadLog, HooksRuns};
use camino::Utf8Path;

use crate::cli::exit::interrupted;
use crate::cli::link::Link;
use crate::cli::log_lines::{LineStyle, Lines, Sink, WAIT_MS};
use crate::cli::printer::{self, Printer};
use crate::client::ClientError;
use crate::coded::Coded;

/// Prints the output of `runs`, one run after another, until all have ended or were held back. Answers with how every hook
/// of the workspace stands then.
pub(crate) async fn follow(
    link: &Link<'_>,
    workspace: &Utf8Path,
    runs: &[String],
    printer: Printer,
    sink: Sink,
) -> Result<Vec<HookStatus>, ClientError> {
    let style = LineStyle { printer, sink, times: false };
    for run in runs {
        let listed = link.ask::<HooksRuns>(ListRunsParams { workspace: workspace.to_string(), hook: None }).await?;
        // One that is not listed was held back by what ran before it.
        if let Some(summary) = listed.runs.iter().find(|summary| summary.run_id == *run) {
            follow_run(link, workspace, summary, style, true).await?;
        }
    }
    let now = AwaitHooksParams::now(workspace.as_str());
    Ok(link.ask::<HooksAwait>(now).await?.hooks)
}

/// Prints as [`follow`] does; at Ctrl-C it says that the hooks go on without it, and answers with nothing.
pub(crate) async fn follow_or_leave(
    link: &Link<'_>,
    workspace: &Utf8Path,
    runs: &[String],
    printer: Printer,
    sink: Sink,
) -> Result<Option<Vec<HookStatus>>, ClientError> {
    tokio::select! {
        hooks = follow(link, workspace, runs, printer, sink) => hooks.map(Some),
        () = interrupted() => {
            printer.note(&goes_on(runs));
            Ok(None)
        }
    }
}

fn goes_on(runs: &[String]) -> String {
    let mut hooks: Vec<_> = runs.iter().filter_map(|run| run.split_once('-')).map(|(_, hook)| hook).collect();
    hooks.dedup();
    match hooks.as_slice() {
        [hook] => format!("{hook} goes on: `burrow hook cancel {hook}` ends it"),
        _ => "the hooks go on: see `burrow hook list`; `burrow hook cancel HOOK` ends one".to_owned(),
    }
}

/// Prints the output of one run until it has ended; with `until_ready` a service that is ready is followed no further.
pub(super) async fn follow_run(
    link: &Link<'_>,
    workspace: &Utf8Path,
    run: &RunSummary,
    style: LineStyle,
    until_ready: bool,
) -> Result<(), ClientError> {
    let commands = run.commands.iter().map(|command| async {
        let mut lines = lines_of(run, command, style);
        let mut tail = Tail::new(workspace, &run.run_id, command, until_ready);
        while let Some(piece) = tail.next(link, WAIT_MS).await? {
            lines.print(&piece);
        }
        lines.finish();
        Ok(())
    });
    all(commands.collect()).await.into_iter().collect()
}

/// The output of one command, piece by piece.
#[derive(Debug)]
pub(super) struct Tail {
    params: ReadLogParams,
    ended: bool,
}

impl Tail {
    pub(super) fn new(workspace: &Utf8Path, run: &str, command: &str, until_ready: bool) -> Self {
        let params = ReadLogParams {
            workspace: workspace.to_string(),
            run_id: run.to_owned(),
            command: command.to_owned(),
            offset: SafeInt::default(),
            wait_ms: 0,
            attempt: 0,
            until_ready,
        };
        Self { params, ended: false }
    }

    /// The next piece, waited for up to `wait_ms`: it is empty where there was none in time. None at the end.
    pub(super) async fn next(&mut self, link: &Link<'_>, wait_ms: u32) -> Result<Option<LogPiece>, ClientError> {
        if self.ended {
            return Ok(None);
        }
        self.params.wait_ms = wait_ms;
        let piece = match link.ask::<HooksReadLog>(self.params.clone()).await {
            Ok(piece) => piece,
            // It was queued, and then held back.
            Err(error) if error.code() == ErrorCode::RunUnknown => return Ok(None),
            Err(error) => return Err(error),
        };
        self.params.offset = piece.next;
        self.params.attempt = piece.attempt;
        self.ended = piece.ended;
        Ok(Some(piece))
    }
}

/// What puts the output of one of a run's commands together: each line with the command's name where there are several.
pub(super) fn lines_of(run: &RunSummary, command: &str, style: LineStyle) -> Lines {
    let index = run.commands.iter().position(|name| name == command).unwrap_or_default();
    let prefix = if run.commands.len() < 2 {
        String::new()
    } else {
        style.printer.paint(printer::Style::OneOf(index), &format!("[{command}] "))
    };
    Lines::new(prefix, style)
}

/// Runs `futures` side by side to their ends.
async fn all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<Pin<Box<_>>> = futures.into_iter().map(Box::pin).collect();
    let mut results: Vec<Option<T>> = running.iter().map(|_| None).collect();
    poll_fn(move |context| {
        for (future, result) in running.iter_mut().zip(&mut results) {
            if result.is_none()
                && let Poll::Ready(value) = future.as_mut().poll(context)
            {
                *result = Some(value);
            }
        }
        if results.iter().any(Option::is_none) {
            Poll::Pending
        } else {
            Poll::Ready(results.drain(..).flatten().collect())
        }
    })
    .await
}
