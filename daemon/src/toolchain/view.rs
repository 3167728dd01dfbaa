//! What is shown of an observation: the tools with their states, and what needs attention. Pure.

use std::collections::BTreeSet;

use burrow_protocol::lock::LockFile;
use burrow_protocol::model::{FileProblem, Reason};
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
    /// What is wrong with the lock file, at its place.
    pub(crate) problems: Vec<FileProblem>,
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
            view.reasons.insert(0, error.to_reason());
            view
        }
        Ok(asked) => {
            let tools = asked.choices.iter().map(|choice| status(choice, asked, active, bin)).collect();
            let errors = asked.choices.iter().filter_map(|choice| choice.wanted.as_ref().err());
            let errors = asked.left_out.iter().chain(errors).map(Coded::to_reason).collect();
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
        // The failure comes first: it says why things are as they are.
        let reasons = activity.failure.iter().chain(&self.reasons).cloned().collect();
        let problems = self.problems.clone();
        ToolsPart { tools, generation: self.report.generation, working: activity.working, reasons, problems }
    }
}

/// Whether an error says how things stand, and not only what somebody wanted who is told anyway.
pub(crate) const fn is_lasting(error: &ToolchainError) -> bool {
    use ToolchainError::{Cancelled, ConsentNeeded, NoGeneration, NotAsked};
    !matches!(error, Cancelled | NoGeneration | NotAsked { .. } | ConsentNeeded { .. })
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
    View { report: ToolsReport { tools, generation, bin, go }, reasons, problems: Vec::new() }
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
        rolled_back_from: None,
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
        (Ok(wanted), Some((tool, _))) if active.is_some_and(|active| active.rolled_back) && !fits(wanted, tool) => {
            // Chosen, and whole: no drift. The lock file may speak for another of its versions.
            (status.state, status.by) = verify::standing(tool, None);
            status.why = format!("rolled back: {} is asked for, and `burrow tools repair` brings it", wanted.version);
            status.rolled_back_from = Some(wanted.version.clone());
        }
        (Ok(wanted), Some((tool, condition))) => stand(&mut status, wanted, tool, condition, asked),
    }
    status
}

/// The state of an installed tool for which a version is chosen.
fn stand(status: &mut ToolStatus, wanted: &Wanted, tool: &InstalledTool, condition: &Condition, asked: &Asked) {
    let row = locked_row(asked.lock.as_ref(), &wanted.name, &tool.built_with);
    let (state, by) = verify::standing(tool, row);
    status.state = state;
    status.by = by;
    status.why.clone_from(&wanted.why);
    if tool.differs_from.is_some() && tool.differs_from.as_deref() == row {
        status.state = ToolState::Drifted;
        status.why = format!("{} built another binary than the lock file names", tool.built_with);
    } else if !fits(wanted, tool) {
        status.state = ToolState::Drifted;
        status.why = if tool.version == wanted.version && tool.built_with == wanted.builder.name() {
            "it is not the one of the lock file".to_owned()
        } else if tool.version == wanted.version {
            format!("built with {}, and {} is asked for", tool.built_with, wanted.builder.name())
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
        rolled_back_from: None,
    }
}

#[cfg(test)]
mod tests {
    use burrow_protocol::lock::LockedTool;
    use burrow_protocol::toolchain::VerifiedBy;

    use super::super::generations::{Manifest, Voucher};
    use super::super::go::{EffectiveGo, GoInstall};
    use super::super::lock::LockPlace;
    use super::super::store::Fingerprint;
    use super::*;

    const BIN: &str = "/state/current/bin";

    fn installed_tool(version: &str) -> InstalledTool {
        InstalledTool {
            module: "m".into(),
            package: "m/gopls".into(),
            version: version.into(),
            h1: "h1:x".into(),
            voucher: Voucher::Table,
            sha256: "ff".into(),
            built_with: "go1.26.8".into(),
            differs_from: None,
            refuted: false,
            fingerprint: Fingerprint::of("/proc/version".into()).unwrap(),
        }
    }

    fn generation(tool: InstalledTool, condition: Condition) -> Active {
        Active {
            number: 7,
            manifest: Manifest::new([("gopls".to_owned(), tool)].into()),
            conditions: [("gopls".to_owned(), condition)].into(),
            rolled_back: false,
        }
    }

    /// A workspace that wants gopls v2, and whose lock file has `sha256` for it.
    fn asked(wanted: Result<(), ToolchainError>, sha256: Option<&str>) -> Asked {
        let local = GoInstall { root: "/go".into(), version: "1.26.8".parse().unwrap() };
        let wanted = wanted.map(|()| Wanted {
            name: "gopls".into(),
            module: Some("m".into()),
            package: "m/gopls".into(),
            version: "v2".into(),
            open: None,
            h1: None,
            builder: local.version,
            sha256: sha256.map(str::to_owned),
            why: "locked".into(),
        });
        let binaries = sha256.map(|sha256| (lock::build_key("go1.26.8"), sha256.to_owned())).into_iter().collect();
        let row = LockedTool {
            module: "m".into(),
            package: "m/gopls".into(),
            version: "v2".into(),
            h1: "h1:x".into(),
            binaries,
        };
        Asked {
            served: vec![local.version],
            fetchable: Vec::new(),
            left_out: Vec::new(),
            go: EffectiveGo { version: local.version, local },
            place: LockPlace { path: "/lock".into(), shared: true },
            lock: Some(LockFile { schema: 1, tools: [("gopls".to_owned(), row)].into() }),
            choices: vec![Choice { name: "gopls".into(), wanted }],
        }
    }

    #[test]
    fn states_follow_from_what_is_asked_and_what_is_there() {
        use ToolState::{Drifted, Failed, Missing, Verified};
        let drift = || Err(ToolchainError::Drifted { tool: "gopls".into(), why: "the lock file has v1".into() });
        let no_fit = || Err(ToolchainError::NoVersionFits { tool: "gopls".into(), go: "Go 1.40".into(), many: false });
        let (v1, v2) = (installed_tool("v1"), installed_tool("v2"));
        let other_builder = InstalledTool { differs_from: Some("00".into()), ..v2.clone() };
        let (sha256, h1) = (Some(VerifiedBy::Sha256), Some(VerifiedBy::H1));
        for (wanted, row, there, state, by, why) in [
            (Ok(()), Some("ff"), Some((&v2, Condition::Sound)), Verified, sha256, "the lock file names this binary"),
            (Ok(()), None, Some((&v2, Condition::Sound)), Verified, h1, "a missing platform row is no drift"),
            (Ok(()), None, None, Missing, None, "not installed"),
            (Ok(()), None, Some((&v2, Condition::Unlinked)), Missing, None, "its link is gone"),
            (Ok(()), None, Some((&v2, Condition::Missing)), Missing, None, "its binary is gone"),
            (Ok(()), Some("ff"), Some((&v2, Condition::Changed)), Drifted, None, "tampered with"),
            (Ok(()), None, Some((&v1, Condition::Sound)), Drifted, None, "another version is asked for"),
            (Ok(()), Some("00"), Some((&other_builder, Condition::Sound)), Drifted, None, "another builder's binary"),
            (drift(), None, Some((&v1, Condition::Sound)), Drifted, None, "the lock file is not what is pinned"),
            (no_fit(), None, Some((&v1, Condition::Sound)), Failed, None, "nothing can be chosen"),
        ] {
            let active = there.map(|(tool, condition)| generation(tool.clone(), condition));
            let view = view(&Ok(asked(wanted, row)), active.as_ref(), BIN.into());
            let tool = &view.report.tools[0];
            assert_eq!((tool.state, tool.by), (state, by), "{why}: {tool:?}");
            assert_eq!(
                view.reasons.len(),
                usize::from(state != Verified),
                "{why}: one reason, told once: {:?}",
                view.reasons
            );
        }
    }

    #[test]
    fn a_rollback_is_a_choice_and_no_drift() {
        for (voucher, state, why) in [
            (Voucher::Table, ToolState::Verified, "the table vouches for the older version as well"),
            (Voucher::LockFile, ToolState::Unverified, "the lock file names another one now"),
        ] {
            let mut active = generation(InstalledTool { voucher, ..installed_tool("v1") }, Condition::Sound);
            active.rolled_back = true;
            let view = view(&Ok(asked(Ok(()), Some("00"))), Some(&active), BIN.into());
            let tool = &view.report.tools[0];
            assert_eq!((tool.state, tool.rolled_back_from.as_deref()), (state, Some("v2")), "{why}: {tool:?}");
            assert_eq!(view.reasons, [], "{why}: nothing needs attention");
        }
    }

    #[test]
    fn what_nobody_can_say_leaves_what_is_installed() {
        let active = generation(installed_tool("v2"), Condition::Sound);
        let view = view(&Err(ToolchainError::NoGo), Some(&active), BIN.into());
        assert_eq!(view.report.tools[0].state, ToolState::Verified);
        assert_eq!(view.report.tools[0].path.as_deref(), Some("/state/current/bin/gopls"));
        assert_eq!((view.report.generation, view.report.bin.as_deref()), (Some(7), Some(BIN)));
        assert_eq!(view.reasons[0].code.as_deref(), Some("BUR401"));
    }

    #[test]
    fn what_goes_on_is_shown_over_what_was_seen() {
        let seen = view(&Ok(asked(Ok(()), None)), None, BIN.into());
        let working = Activity { working: true, installing: ["gopls".to_owned()].into(), failure: None };
        assert_eq!(seen.with(&working).tools[0].state, ToolState::Installing);
        let failed = Activity { failure: Some(ToolchainError::NoGo.to_reason()), ..Activity::default() };
        let part = seen.with(&failed);
        assert_eq!(part.tools[0].state, ToolState::Failed, "the last try failed");
        let failure = failed.failure.clone().unwrap();
        assert_eq!(part.reasons[0], failure, "the failure says why");
        assert_eq!(part.reasons[1..], seen.reasons, "and hides nothing");
        assert_eq!(seen.with(&Activity::default()).tools[0].state, ToolState::Missing);
    }
}
