//! Follows runs to their ends: their output as it comes, each line with its command's name where there are several.
//!
//! It only asks: a run goes on when its follower is gone, and whoever follows late gets the past first.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use burrow_protocol::SafeInt;
use burrow_protocol::error::ErrorCode;
use burrow_protocol::hooks::{
    AwaitHooksParams, HookStatus, ListRunsParams, LogPiece, LogRead, LogStream, ReadLogParams, RunSummary,
};
use burrow_protocol::methods::{HooksAwait, HooksReadLog, HooksRuns};
use camino::Utf8Path;

use crate::cli::printer::{self, Printer};
use crate::client::{Client, ClientError};
use crate::coded::Coded;

/// How long one question for output may wait: then it is asked anew.
const WAIT_MS: u32 = 30_000;

/// Where output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// Each stream to its own, as if the commands ran in this terminal.
    Streams,
    /// All to standard error: standard output is for something else.
    Notes,
}

/// How output is printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) printer: Printer,
    pub(super) sink: Sink,
    /// Whether each line begins with its time.
    pub(super) times: bool,
    /// Whether a service that is ready is followed no further.
    pub(super) until_ready: bool,
}

/// Prints the output of `runs`, one run after another, until all have ended or were held back. Answers with how every hook
/// of the workspace stands then.
pub(crate) async fn follow(
    client: &Client,
    workspace: &Utf8Path,
    runs: &[String],
    printer: Printer,
    sink: Sink,
) -> Result<Vec<HookStatus>, ClientError> {
    let style = Style { printer, sink, times: false, until_ready: true };
    for run in runs {
        let listed = client.call::<HooksRuns>(ListRunsParams { workspace: workspace.to_string(), hook: None }).await?;
        // One that is not listed was held back by what ran before it.
        if let Some(summary) = listed.runs.iter().find(|summary| summary.run_id == *run) {
            follow_run(client, workspace, summary, style).await?;
        }
    }
    let now = AwaitHooksParams { workspace: workspace.to_string(), hook: None, timeout_ms: Some(0) };
    Ok(client.call::<HooksAwait>(now).await?.hooks)
}

/// Prints the output of one run until it has ended.
pub(super) async fn follow_run(
    client: &Client,
    workspace: &Utf8Path,
    run: &RunSummary,
    style: Style,
) -> Result<(), ClientError> {
    let commands = run.commands.iter().map(|command| async {
        let mut lines = Lines::new(run, command, style);
        let mut tail = Tail::new(workspace, &run.run_id, command, style.until_ready);
        while let Some(piece) = tail.next(client, WAIT_MS).await? {
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
    pub(super) async fn next(&mut self, client: &Client, wait_ms: u32) -> Result<Option<LogPiece>, ClientError> {
        if self.ended {
            return Ok(None);
        }
        self.params.wait_ms = wait_ms;
        let piece = match client.call::<HooksReadLog>(self.params.clone()).await {
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

/// Puts reads together to lines, for each stream of one command.
#[derive(Debug)]
pub(super) struct Lines {
    /// The command's name, where there are several.
    prefix: String,
    style: Style,
    /// The line that each stream has begun: where standard error is `true`.
    open: HashMap<bool, String>,
    /// Which start of the command it is.
    attempt: u32,
}

impl Lines {
    pub(super) fn new(run: &RunSummary, command: &str, style: Style) -> Self {
        let index = run.commands.iter().position(|name| name == command).unwrap_or_default();
        let prefix = if run.commands.len() < 2 {
            String::new()
        } else {
            style.printer.paint(printer::Style::OneOf(index), &format!("[{command}] "))
        };
        Self { prefix, style, open: HashMap::new(), attempt: 1 }
    }

    pub(super) fn print(&mut self, piece: &LogPiece) {
        self.tell_attempt(piece);
        self.tell_cut(piece);
        for read in &piece.reads {
            self.add(read);
        }
    }

    /// Whether a piece is of a later start than what was printed.
    pub(super) const fn is_later(&self, piece: &LogPiece) -> bool {
        piece.attempt > self.attempt
    }

    /// Sets the output of a later start apart from that of the one before.
    pub(super) fn tell_attempt(&mut self, piece: &LogPiece) {
        if piece.attempt > self.attempt {
            self.finish();
            self.attempt = piece.attempt;
            let text = format!("... started again, for the {} time", ordinal(piece.attempt));
            let text = self.style.printer.paint(printer::Style::Faint, &text);
            self.style.printer.note(&format!("{}{text}", self.prefix));
        }
    }

    pub(super) fn tell_cut(&self, piece: &LogPiece) {
        if piece.cut.get() > 0 {
            self.style.printer.note(&format!("{}... {} bytes of the log were cut here", self.prefix, piece.cut.get()));
        }
    }

    pub(super) fn add(&mut self, read: &LogRead) {
        let is_error = read.stream == LogStream::Stderr;
        for part in read.text.split_inclusive('\n') {
            let begin = || if self.style.times { format!("{} ", read.time) } else { String::new() };
            let mut line = self.open.remove(&is_error).unwrap_or_else(begin);
            match part.strip_suffix('\n') {
                Some(end) => self.line(is_error, &(line + end)),
                None => {
                    line.push_str(part);
                    self.open.insert(is_error, line);
                }
            }
        }
    }

    /// Prints what has no line's end.
    pub(super) fn finish(&mut self) {
        for is_error in [false, true] {
            if let Some(line) = self.open.remove(&is_error) {
                self.line(is_error, &line);
            }
        }
    }

    fn line(&self, is_error: bool, line: &str) {
        let line = format!("{}{line}", self.prefix);
        if is_error || self.style.sink == Sink::Notes {
            self.style.printer.note(&line);
        } else {
            self.style.printer.data(&line);
        }
    }
}

fn ordinal(number: u32) -> String {
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
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

#[cfg(test)]
mod tests {
    use super::ordinal;

    #[test]
    fn ordinals() {
        let told = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal);
        assert_eq!(told, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"]);
    }
}
