//! What the tools look like on a terminal. Pure, but for the printing itself.

use burrow_protocol::error::ErrorCode;
use burrow_protocol::toolchain::{
    ActionCost, LockChange, OperationResult, RepairAction, RepairPlan, RepairVerb, ToolState, ToolStatus, ToolsReport,
    VerifiedBy,
};

use crate::cli::exit::ExitStatus;
use crate::cli::printer::Printer;
use crate::cli::status::render_reasons;

/// Whether somebody has to look.
pub(super) fn exit_status(report: &ToolsReport) -> ExitStatus {
    let needs_attention = |tool: &ToolStatus| match tool.state {
        ToolState::Missing | ToolState::Drifted | ToolState::Failed => true,
        ToolState::Verified | ToolState::Installing | ToolState::Unverified => false,
    };
    if report.tools.iter().any(needs_attention) { ExitStatus::Attention } else { ExitStatus::Success }
}

/// The same of what an operation left.
pub(crate) fn exit_status_of(result: &OperationResult) -> ExitStatus {
    if result.reasons.is_empty() { exit_status(&result.report) } else { ExitStatus::Attention }
}

/// Prints the tools.
pub(super) fn print_report(printer: Printer, report: &ToolsReport, why: bool) {
    if printer.is_json() {
        return printer.json(report);
    }
    for line in lines(&report.tools, why) {
        printer.data(&line);
    }
}

/// Prints what a repair would do.
pub(super) fn print_plan(printer: Printer, plan: &RepairPlan) {
    if printer.is_json() {
        return printer.json(plan);
    }
    for line in plan_lines(plan) {
        printer.data(&line);
    }
}

/// Prints how an operation ended.
pub(super) fn print_result(printer: Printer, result: &OperationResult) {
    if printer.is_json() {
        return printer.json(result);
    }
    for change in &result.changes {
        printer.note(&change_line(change));
    }
    for note in &result.notes {
        printer.note(&format!("note: {note}"));
    }
    if has_done_nothing(result) {
        printer.note("nothing to do");
    }
    // What the table says is not said twice.
    let drifted = ErrorCode::Drifted.code();
    let others = result.reasons.iter().filter(|reason| reason.code.as_ref().is_some_and(|code| code != drifted));
    let others = render_reasons(printer, &others.cloned().collect::<Vec<_>>());
    if !others.is_empty() {
        printer.note(others.trim_end());
    }
    print_report(printer, &result.report, false);
}

/// Whether there was nothing to do: what could not be done is something else.
fn has_done_nothing(result: &OperationResult) -> bool {
    let is_same = |change: &LockChange| change.before == change.after && change.platforms.is_empty();
    result.done.is_empty() && result.reasons.is_empty() && result.changes.iter().all(is_same)
}

/// One tool a line, in columns; with `why`, where each version comes from.
pub(crate) fn lines(tools: &[ToolStatus], why: bool) -> Vec<String> {
    let rows: Vec<[&str; 3]> =
        tools.iter().map(|tool| [tool.name.as_str(), tool.version.as_str(), state_word(tool)]).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let line = |(row, tool): (&[&str; 3], &ToolStatus)| {
        let columns: Vec<_> = row.iter().zip(widths).map(|(text, width)| format!("{text:width$}")).collect();
        let is_well =
            matches!(tool.state, ToolState::Verified | ToolState::Installing) && tool.rolled_back_from.is_none();
        let rest = if why || !is_well { tool.why.as_str() } else { "" };
        format!("{}  {rest}", columns.join("  ")).trim_end().to_owned()
    };
    rows.iter().zip(tools).map(line).collect()
}

/// What an update did to one tool of the lock file.
fn change_line(change: &LockChange) -> String {
    let tool = &change.tool;
    let line = match (&change.before, &change.after) {
        (Some(before), Some(after)) if before == after => format!("{tool} {after} stays"),
        (Some(before), Some(after)) => format!("{tool} {before} -> {after}"),
        (None, Some(after)) => format!("{tool} {after} is new"),
        (Some(before), None) => format!("{tool} {before} is no longer asked for"),
        (None, None) => tool.clone(),
    };
    if change.platforms.is_empty() { line } else { format!("{line}, locked for {}", change.platforms.join(" and ")) }
}

fn plan_lines(plan: &RepairPlan) -> Vec<String> {
    if plan.actions.is_empty() {
        return vec!["nothing to do".to_owned()];
    }
    plan.actions.iter().map(action_line).collect()
}

fn action_line(action: &RepairAction) -> String {
    let verb = match action.verb {
        RepairVerb::Fetch => "fetch",
        RepairVerb::Build => "build",
        RepairVerb::Verify => "verify",
        RepairVerb::Activate => "activate",
        RepairVerb::Rollback => "rollback",
        RepairVerb::Relink => "relink",
        RepairVerb::Prune => "prune",
    };
    let subject = [Some(verb), action.tool.as_deref(), action.version.as_deref()];
    let cost = match action.cost {
        ActionCost::Links => "",
        ActionCost::Reading => " (reads the binary)",
        ActionCost::Network => " (needs the network)",
        ActionCost::Building => " (compiles, up to minutes)",
    };
    format!("{}: {}{cost}", subject.into_iter().flatten().collect::<Vec<_>>().join(" "), action.why)
}

fn state_word(tool: &ToolStatus) -> &'static str {
    match (tool.state, tool.by) {
        (ToolState::Verified, Some(VerifiedBy::Sha256)) => "verified by sha256",
        (ToolState::Verified, Some(VerifiedBy::H1)) => "verified by h1",
        (ToolState::Verified, None) => "verified",
        (ToolState::Missing, _) => "missing",
        (ToolState::Drifted, _) => "drifted",
        (ToolState::Installing, _) => "installing",
        (ToolState::Failed, _) => "failed",
        (ToolState::Unverified, _) => "unverified",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str, state: ToolState, by: Option<VerifiedBy>) -> ToolStatus {
        ToolStatus {
            name: name.into(),
            version: "v0.23.0".into(),
            why: "locked".into(),
            state,
            by,
            path: None,
            built_with: None,
            rolled_back_from: None,
        }
    }

    fn report(tools: Vec<ToolStatus>) -> ToolsReport {
        ToolsReport { tools, generation: Some(1), bin: None, go: None }
    }

    #[test]
    fn columns_line_up_and_reasons_are_given_where_they_matter() {
        let report = report(vec![
            tool("dlv", ToolState::Verified, Some(VerifiedBy::Sha256)),
            tool("goimports", ToolState::Missing, None),
        ]);
        insta::assert_snapshot!(lines(&report.tools, false).join("\n"), @r"
        dlv        v0.23.0  verified by sha256
        goimports  v0.23.0  missing             locked
        ");
        insta::assert_snapshot!(lines(&report.tools, true)[0], @"dlv        v0.23.0  verified by sha256  locked");
    }

    #[test]
    fn a_plan_says_what_and_why() {
        let action = |verb, tool: Option<&str>, why: &str, cost| RepairAction {
            verb,
            cost,
            tool: tool.map(str::to_owned),
            version: tool.map(|_| "v1".to_owned()),
            why: why.to_owned(),
        };
        let actions = vec![
            action(RepairVerb::Build, Some("dlv"), "it is not installed", ActionCost::Building),
            action(RepairVerb::Activate, None, "the new set becomes active", ActionCost::Links),
        ];
        insta::assert_snapshot!(plan_lines(&RepairPlan { actions }).join("\n"), @r"
        build dlv v1: it is not installed (compiles, up to minutes)
        activate: the new set becomes active
        ");
        assert_eq!(plan_lines(&RepairPlan { actions: Vec::new() }), ["nothing to do"]);
    }

    #[test]
    fn an_update_tells_before_and_after() {
        let line = |before: Option<&str>, after: Option<&str>, platforms: &[&str]| {
            change_line(&LockChange {
                tool: "dlv".into(),
                before: before.map(str::to_owned),
                after: after.map(str::to_owned),
                platforms: platforms.iter().map(|platform| (*platform).to_owned()).collect(),
            })
        };
        let both = ["linux/amd64", "linux/arm64"];
        assert_eq!(line(Some("v1"), Some("v2"), &both), "dlv v1 -> v2, locked for linux/amd64 and linux/arm64");
        assert_eq!(line(Some("v1"), Some("v1"), &[]), "dlv v1 stays");
        assert_eq!(line(None, Some("v1"), &both[..1]), "dlv v1 is new, locked for linux/amd64");
        assert_eq!(line(Some("v1"), None, &[]), "dlv v1 is no longer asked for");
    }

    #[test]
    fn attention_is_an_exit_code() {
        for (state, expected) in [
            (ToolState::Verified, ExitStatus::Success),
            (ToolState::Unverified, ExitStatus::Success),
            (ToolState::Missing, ExitStatus::Attention),
            (ToolState::Drifted, ExitStatus::Attention),
            (ToolState::Failed, ExitStatus::Attention),
        ] {
            assert_eq!(exit_status(&report(vec![tool("dlv", state, None)])), expected, "{state:?}");
        }
    }
}
