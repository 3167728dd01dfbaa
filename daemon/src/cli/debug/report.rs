//! What `burrow debug try` shows.

use std::fmt::Write;

use burrow_protocol::debug::LeaseStatus;
use camino::Utf8Path;
use serde::Serialize;

use crate::debug::trial::{HttpResponse, Step, Stop};

/// Characters of a value that are shown.
const MAX_VALUE: usize = 160;

/// How a self-test went; its JSON is what `--json` prints.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// The program's folder, from the workspace.
    pub(super) program: String,
    /// Where it was to stop.
    pub(super) target: String,
    /// The lease that it ran through.
    pub(super) lease: LeaseStatus,
    /// Where it stopped.
    pub(super) stops: Vec<Stop>,
    /// What it answered, where it was asked.
    pub(super) response: Option<HttpResponse>,
    /// What was done, and how long it took.
    pub(super) steps: Vec<Step>,
}

/// For a person.
pub(super) fn render(report: &Report, workspace: &Utf8Path) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    for stop in &report.stops {
        let file = stop.file.strip_prefix(workspace).unwrap_or(&stop.file);
        let _ = writeln!(text, "stopped in {} at {file}:{}", stop.function, stop.line);
        if let Some(source) = &stop.source {
            let _ = writeln!(text, "  > {source}");
        }
        for variable in &stop.variables {
            let _ = writeln!(text, "  {} {} = {}", variable.name, variable.kind, shortened(&variable.value));
        }
    }
    if let Some(response) = &report.response {
        let _ = writeln!(text, "{}", response.status);
        for line in response.body.lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    let steps: Vec<_> = report.steps.iter().map(|step| format!("{} {} ms", step.name, step.duration_ms)).collect();
    let _ = writeln!(text, "{}", steps.join(", "));
    text
}

/// A value on one line; `--json` has the whole of it.
fn shortened(value: &str) -> String {
    let end = value.char_indices().nth(MAX_VALUE).map(|(index, _)| index);
    end.map_or_else(|| value.to_owned(), |end| format!("{}...", &value[..end]))
}

#[cfg(test)]
mod tests {
    use burrow_protocol::debug::{LeaseEndpoint, LeaseKind, LeaseState, LeaseStatus};

    use super::{Report, render};
    use crate::debug::dap::types::Variable;
    use crate::debug::trial::{HttpResponse, Step, Stop};

    #[test]
    fn for_a_person() {
        let report = Report {
            program: ".".to_owned(),
            target: "main.go:7".to_owned(),
            lease: LeaseStatus {
                id: "lease-1".to_owned(),
                kind: LeaseKind::Dap,
                state: LeaseState::Leased,
                endpoint: LeaseEndpoint::Port { port: 40000 },
                workspace: "/w".to_owned(),
                program: None,
                pid: None,
                since: "2026-01-02T03:04:05Z".to_owned(),
                reason: None,
            },
            stops: vec![Stop {
                function: "main.greet".to_owned(),
                file: "/w/main.go".into(),
                line: 7,
                source: Some("visits[name]++".to_owned()),
                variables: vec![Variable {
                    name: "name".to_owned(),
                    kind: "string".to_owned(),
                    value: "\"x\"".to_owned(),
                }],
            }],
            response: Some(HttpResponse { status: "HTTP/1.1 200 OK".to_owned(), body: "hello".to_owned() }),
            steps: vec![
                Step { name: "lease a port", duration_ms: 30 },
                Step { name: "build and launch", duration_ms: 900 },
            ],
        };
        insta::assert_snapshot!(render(&report, "/w".into()), @r#"
        stopped in main.greet at main.go:7
          > visits[name]++
          name string = "x"
        HTTP/1.1 200 OK
          hello
        lease a port 30 ms, build and launch 900 ms
        "#);
    }
}
