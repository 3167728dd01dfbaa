//! What `burrow debug try` shows.

use std::fmt::Write;

use burrow_protocol::debug::TrialReport;
use camino::Utf8Path;

/// Characters of a value that are shown.
const MAX_VALUE: usize = 160;

/// For a person.
pub(super) fn render(report: &TrialReport, workspace: &Utf8Path) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    for stop in &report.stops {
        let file = Utf8Path::new(&stop.file);
        let file = file.strip_prefix(workspace).unwrap_or(file);
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
    use burrow_protocol::debug::{
        HttpResponse, LeaseEndpoint, LeaseKind, LeaseState, LeaseStatus, Stop, TrialReport, TrialStep, Variable,
    };

    use super::render;

    #[test]
    fn for_a_person() {
        let report = TrialReport {
            program: ".".to_owned(),
            target: "main.go:7".to_owned(),
            lease: LeaseStatus {
                id: "lease-1".to_owned(),
                kind: LeaseKind::Dap,
                state: LeaseState::Leased,
                endpoint: LeaseEndpoint::Port { port: 40000 },
                workspace: "/w".to_owned(),
                program: None,
                purpose: None,
                pid: None,
                to: None,
                clients: 0,
                open_to: Vec::new(),
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
                TrialStep { name: "lease a port".to_owned(), duration_ms: 30 },
                TrialStep { name: "build and launch".to_owned(), duration_ms: 900 },
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
