//! What is shown of an observation: the tools with their states, and what needs attention. Pure.

use std::collections::BTreeSet;

use burrow_protocol::lock::LockFile;
use burrow_protocol::model::Reason;
use burrow_protocol::toolchain::{ToolState, ToolStatus, ToolsReport};
use camino::Utf8Path;

use super::error::ToolchainError;
use super::generations::InstalledTool;
use super::lock;
use super::observe::{Active, Asked, fits};
use super::pins::{Choice, Wanted};
use super::verify::{self, Condition};
use crate::coded::Coded;
use crate::model::ToolsPart;

/// What is shown of the tools of one workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) report: ToolsReport,
    pub(crate) reasons: Vec<Reason>,
}

/// What is going on besides what was observed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity {
    /// Whether an operation runs or waits.
    pub(crate) working: bool,
    /// The tools that it installs.
    pub(crate) installing: BTreeSet<String>,
    /// Why the last one failed.
    pub(crate) failure: Option<Reason>,
}

/// What is shown before anybody asked, so that nobody can say which Go is on PATH: what is installed, as it is recorded.
pub(crate) fn installed(active: Option<&Active>, bin: &Utf8Path) -> View {
    let tools = active.into_iter().flat_map(|active| active.manifest.tools.keys().map(move |name| (name, active)));
    let statuses = tools.filter_map(|(name, active)| {
        let (tool, condition) = active.tool(name)?;
        Some(as_recorded(name, tool, condition, bin))
    });
    finish(statuses.collect(), active, bin, None, Vec::new())
}

/// What is shown of an observation.
pub(crate) fn view(asked: &Result<Asked, ToolchainError>, active: Option<&Active>, bin: &Utf8Path) -> View {
    match asked {
        Err(error) => {
            let mut view = installed(active, bin);
            view.reasons.insert(0, reason(error));
            view
        }
        Ok(asked) => {
            let tools = asked.choices.iter().map(|choice| status(choice, asked, active, bin)).collect();
            let errors = asked.choices.iter().filter_map(|choice| choice.wanted.as_ref().err()).map(reason).collect();
            finish(tools, active, bin, Some(asked.go.name()), errors)
        }
    }
}

impl View {
    /// The view together with what is going on.
    pub(crate) fn with(&self, activity: &Activity) -> ToolsPart {
        let mut tools = self.report.tools.clone();
        for tool in &mut tools {
            if activity.installing.contains(&tool.name) {
                tool.state = ToolState::Installing;
            } else if activity.failure.is_some() && tool.state == ToolState::Missing {
                tool.state = ToolState::Failed;
            }
        }
        // The failure says why things are as they are, better than that they are.
        let reasons = activity.failure.clone().map_or_else(|| self.reasons.clone(), |failure| vec![failure]);
        ToolsPart { tools, generation: self.report.generation, working: activity.working, reasons }
    }
}

/// An error as a reason for attention.
pub(crate) fn reason(error: &impl Coded) -> Reason {
    let data = error.to_data();
    Reason { code: Some(data.code), message: data.message, hint: data.hint }
}

fn finish(
    tools: Vec<ToolStatus>,
    active: Option<&Active>,
    bin: &Utf8Path,
    go: Option<String>,
    mut reasons: Vec<Reason>,
) -> View {
    let in_state = |state| tools.iter().filter(move |tool: &&ToolStatus| tool.state == state);
    let names = |state| in_state(state).map(|tool| tool.name.as_str()).collect::<Vec<_>>();
    let repair = || Some("run `burrow tools repair`".to_owned());
    let missing = names(ToolState::Missing);
    if !missing.is_empty() {
        let (list, verb) = (missing.join(", "), if missing.len() == 1 { "is" } else { "are" });
        reasons.push(Reason { code: None, message: format!("{list} {verb} not installed"), hint: repair() });
    }
    // One that an error speaks of already has no path here.
    for tool in in_state(ToolState::Drifted).filter(|tool| tool.path.is_some()) {
        let code = burrow_protocol::error::ErrorCode::Drifted.code().to_owned();
        reasons.push(Reason { code: Some(code), message: format!("{}: {}", tool.name, tool.why), hint: repair() });
    }
    let generation = active.map(|active| active.number);
    let bin = generation.map(|_| bin.to_string());
    View { report: ToolsReport { tools, generation, bin, go }, reasons }
}

fn as_recorded(name: &str, tool: &InstalledTool, condition: &Condition, bin: &Utf8Path) -> ToolStatus {
    // The lock file was not read: the record says what it said.
    let (state, by) = verify::standing(tool, Some(tool.sha256.as_str()).filter(|_| tool.differs_from.is_none()));
    let mut status = ToolStatus {
        name: name.to_owned(),
        version: tool.version.clone(),
        why: "installed".to_owned(),
        state,
        by,
        path: Some(bin.join(name).into_string()),
        built_with: Some(tool.built_with.clone()),
    };
    apply_condition(&mut status, condition);
    status
}

fn status(choice: &Choice, asked: &Asked, active: Option<&Active>, bin: &Utf8Path) -> ToolStatus {
    let installed = active.and_then(|active| active.tool(&choice.name));
    let mut status = match installed {
        Some((tool, condition)) => as_recorded(&choice.name, tool, condition, bin),
        None => missing(&choice.name),
    };
    match (&choice.wanted, installed) {
        (Err(error), _) => {
            let drifted = matches!(error, ToolchainError::Drifted { .. });
            status.state = if drifted { ToolState::Drifted } else { ToolState::Failed };
            status.by = None;
            // `why` has to tell something else than the reason, which has the whole error.
            status.path = None;
            status.why = crate::coded::with_causes(error);
        }
        (Ok(wanted), None) => {
            status.version.clone_from(&wanted.version);
            status.why.clone_from(&wanted.why);
        }
        (Ok(wanted), Some((tool, condition))) => stand(&mut status, wanted, tool, condition, asked),
    }
    status
}

/// The state of an installed tool for which a version is chosen.
fn stand(status: &mut ToolStatus, wanted: &Wanted, tool: &InstalledTool, condition: &Condition, asked: &Asked) {
    let row = locked_row(asked.lock.as_ref(), &wanted.name, &asked.go.name());
    let (state, by) = verify::standing(tool, row);
    status.state = state;
    status.by = by;
    status.why.clone_from(&wanted.why);
    if tool.differs_from.is_some() && tool.differs_from.as_deref() == row {
        status.state = ToolState::Drifted;
        status.why = format!("{} built another binary than the lock file names", tool.built_with);
    } else if !fits(wanted, tool, &asked.go.name()) {
        status.state = ToolState::Drifted;
        status.why = if tool.version == wanted.version {
            format!("built with {}, and {} is asked for", tool.built_with, asked.go.name())
        } else {
            format!("{} is asked for ({})", wanted.version, wanted.why)
        };
    }
    apply_condition(status, condition);
}

fn locked_row<'a>(lock: Option<&'a LockFile>, name: &str, go: &str) -> Option<&'a str> {
    let row = lock?.tools.get(name)?.binaries.get(&lock::build_key(go))?;
    Some(row)
}

fn apply_condition(status: &mut ToolStatus, condition: &Condition) {
    let (state, why) = match condition {
        Condition::Sound | Condition::Touched(_) => {
            if status.state == ToolState::Drifted {
                status.by = None;
            }
            return;
        }
        Condition::Unlinked => (ToolState::Missing, "its link is gone"),
        Condition::Missing => (ToolState::Missing, "its binary is gone"),
        Condition::Changed => (ToolState::Drifted, "its binary was changed"),
    };
    status.state = state;
    status.by = None;
    why.clone_into(&mut status.why);
}

fn missing(name: &str) -> ToolStatus {
    ToolStatus {
        name: name.to_owned(),
        version: String::new(),
        why: String::new(),
        state: ToolState::Missing,
        by: None,
        path: None,
        built_with: None,
    }
}
