//! Following an operation on the tools: its `$/progress` as a live line, or as plain lines where stderr is no terminal.

use std::time::Duration;

use burrow_protocol::methods::{ToolchainAwait, ToolchainCancel};
use burrow_protocol::toolchain::{AwaitOperationParams, OperationResult, StartedOperation};
use camino::Utf8Path;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::cli::exit::interrupted;
use crate::cli::printer::Printer;
use crate::client::{Client, ClientError, Notification};

/// Waits for an operation that was started, and shows what it does meanwhile. Ctrl-C cancels it; its end is then told as any
/// other, and a second Ctrl-C leaves it alone.
///
/// # Errors
/// The operation's own error, or that of the connection.
pub(crate) async fn run_operation(
    client: &mut Client,
    workspace: &Utf8Path,
    started: StartedOperation,
    printer: Printer,
) -> Result<OperationResult, ClientError> {
    let mut screen = Screen::new(printer);
    let operation = started.operation;
    let params = AwaitOperationParams { workspace: workspace.to_string(), operation: operation.clone() };
    let result = client.call_while::<ToolchainAwait, ToolchainCancel>(params.clone(), interrupted(), params, |told| {
        if let Some(line) = line_of(told, &operation) {
            screen.show(line);
        }
    });
    let result = result.await;
    screen.clear();
    result
}

/// What an operation tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'a> {
    /// A step begins.
    Step(&'a str),
    /// The step goes on.
    Detail(&'a str),
}

/// The line in a notification, if it is this operation's progress. A report with a percentage begins a step.
fn line_of<'a>(told: &'a Notification, operation: &str) -> Option<Line<'a>> {
    if told.method != "$/progress" || told.params.get("token").and_then(Value::as_str) != Some(operation) {
        return None;
    }
    let value = told.params.get("value")?;
    let message = value.get("message").and_then(Value::as_str)?;
    match value.get("kind").and_then(Value::as_str)? {
        "report" if value.get("percentage").is_some_and(Value::is_u64) => Some(Line::Step(message)),
        "report" => Some(Line::Detail(message)),
        _ => None,
    }
}

/// Where progress is drawn.
enum Screen {
    Live { bar: ProgressBar, step: String },
    Plain(Printer),
}

impl Screen {
    fn new(printer: Printer) -> Self {
        if !printer.is_terminal() || printer.is_json() {
            return Self::Plain(printer);
        }
        let style =
            ProgressStyle::with_template("{spinner} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::new_spinner().with_style(style);
        bar.enable_steady_tick(Duration::from_millis(120));
        Self::Live { bar, step: String::new() }
    }

    fn show(&mut self, line: Line<'_>) {
        match (self, line) {
            (Self::Live { bar, step }, Line::Step(text)) => {
                text.clone_into(step);
                bar.set_message(text.to_owned());
            }
            (Self::Live { bar, step }, Line::Detail(text)) => bar.set_message(format!("{step}: {text}")),
            (Self::Plain(printer), Line::Step(text)) => printer.note(text),
            (Self::Plain(_), Line::Detail(_)) => {}
        }
    }

    fn clear(&self) {
        if let Self::Live { bar, .. } = self {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_this_operations_reports_are_lines() {
        for (token, value, expected, why) in [
            (
                "repair-1",
                json!({"kind": "report", "message": "building gopls", "percentage": 10}),
                Some(Line::Step("building gopls")),
                "a step",
            ),
            ("repair-1", json!({"kind": "report", "message": "go/ast"}), Some(Line::Detail("go/ast")), "a detail"),
            ("repair-2", json!({"kind": "report", "message": "x", "percentage": 1}), None, "another operation"),
            ("repair-1", json!({"kind": "begin", "title": "Repairing"}), None, "its begin"),
            ("repair-1", json!({"kind": "end", "message": "done"}), None, "its end is told by the answer"),
        ] {
            let told = Notification { method: "$/progress".into(), params: json!({"token": token, "value": value}) };
            assert_eq!(line_of(&told, "repair-1"), expected, "{why}");
        }
    }
}
