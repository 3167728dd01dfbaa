//! The plan of a repair: which actions bring the tools in order. Pure; the operation runs it.
//!
//! Nothing to do is an empty plan. A tool for which nothing can be chosen (a pin that cannot work, drift from the lock file)
//! keeps what it has; and so do all where somebody rolled back.

use std::collections::{BTreeMap, BTreeSet};

use burrow_protocol::toolchain::{ActionCost, RepairAction, RepairPlan, RepairVerb};

use super::error::ToolchainError;
use super::generations::{InstalledTool, Manifest};
use super::observe::{Active, Asked, fits};
use super::pins::Wanted;
use super::verify::Condition;

/// What a repair does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Tools to download and build, with why.
    pub(crate) build: Vec<(Wanted, String)>,
    /// Tools whose binaries are at hand, with why they are taken.
    pub(crate) adopt: BTreeMap<String, (InstalledTool, String)>,
    /// Tools that stay as they are. A fingerprint may be new.
    pub(crate) keep: BTreeMap<String, InstalledTool>,
    /// Tools of `keep` whose fingerprint is new: they were compared byte for byte.
    pub(crate) compared: BTreeSet<String>,
    /// Tools of `keep` whose link has to be made anew.
    pub(crate) relink: BTreeSet<String>,
    /// Tools that are in the active generation, and that nobody asks for any more.
    pub(crate) drop: BTreeSet<String>,
    /// Generations to remove.
    pub(crate) prune: Vec<u32>,
}

impl Plan {
    /// Whether a new generation comes of it.
    pub(crate) fn makes_generation(&self) -> bool {
        !(self.build.is_empty() && self.adopt.is_empty() && self.drop.is_empty())
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        !self.makes_generation() && self.compared.is_empty() && self.relink.is_empty() && self.prune.is_empty()
    }

    /// Leaves the tool as it is, with its record and its link in order.
    fn keep(&mut self, name: &str, tool: &InstalledTool, condition: &Condition) {
        let mut tool = tool.clone();
        match condition {
            Condition::Touched(fingerprint) => {
                tool.fingerprint = fingerprint.clone();
                self.compared.insert(name.to_owned());
            }
            Condition::Unlinked => drop(self.relink.insert(name.to_owned())),
            Condition::Sound | Condition::Changed | Condition::Missing => {}
        }
        self.keep.insert(name.to_owned(), tool);
    }

    /// Leaves out a tool that cannot be had: what is there of it stays. Whether nothing is lost by that.
    pub(crate) fn give_up(&mut self, name: &str, active: Option<&Active>) -> bool {
        self.build.retain(|(wanted, _)| wanted.name != name);
        match active.and_then(|active| active.tool(name)) {
            None => true,
            Some((tool, condition)) if condition.is_whole() => {
                self.keep(name, tool, condition);
                true
            }
            Some(_) => false,
        }
    }

    /// The manifest once `built` has joined what is kept and adopted.
    pub(crate) fn manifest(&self, built: BTreeMap<String, InstalledTool>) -> Manifest {
        let adopted = self.adopt.iter().map(|(name, (tool, _))| (name.clone(), tool.clone()));
        Manifest::new(self.keep.clone().into_iter().chain(adopted).chain(built).collect())
    }

    /// The actions in order, as they are shown.
    pub(crate) fn actions(&self) -> RepairPlan {
        let action = |verb, tool: Option<(&str, &str)>, why: &str| RepairAction {
            verb,
            tool: tool.map(|(name, _)| name.to_owned()),
            version: tool.map(|(_, version)| version.to_owned()),
            why: why.to_owned(),
            cost: cost(verb),
        };
        let mut actions = Vec::new();
        for (wanted, why) in &self.build {
            let tool = Some((wanted.name.as_str(), wanted.version.as_str()));
            actions.push(action(RepairVerb::Fetch, tool, why));
            actions.push(action(RepairVerb::Build, tool, why));
            actions.push(action(RepairVerb::Verify, tool, "a binary is compared before it is used"));
        }
        for (name, (tool, why)) in &self.adopt {
            actions.push(action(RepairVerb::Verify, Some((name, &tool.version)), why));
        }
        for name in &self.compared {
            let version = self.keep.get(name).map_or("", |tool| &tool.version);
            actions.push(action(
                RepairVerb::Verify,
                Some((name, version)),
                "its file was touched; its content is the same",
            ));
        }
        for name in &self.relink {
            let version = self.keep.get(name).map_or("", |tool| &tool.version);
            actions.push(action(RepairVerb::Relink, Some((name, version)), "its link is gone or leads elsewhere"));
        }
        if self.makes_generation() {
            let dropped = self.drop.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let why = if self.build.is_empty() && self.adopt.is_empty() {
                format!("nobody asks for {dropped} any more")
            } else {
                "the new set becomes the active one as a whole".to_owned()
            };
            actions.push(action(RepairVerb::Activate, None, &why));
        }
        for number in &self.prune {
            actions.push(action(RepairVerb::Prune, None, &format!("generation {number} is no longer kept")));
        }
        RepairPlan { actions }
    }
}

/// What an action of this kind takes.
pub(crate) const fn cost(verb: RepairVerb) -> ActionCost {
    match verb {
        RepairVerb::Fetch => ActionCost::Network,
        RepairVerb::Build => ActionCost::Building,
        RepairVerb::Verify => ActionCost::Reading,
        RepairVerb::Activate | RepairVerb::Rollback | RepairVerb::Relink | RepairVerb::Prune => ActionCost::Links,
    }
}

/// An action that begins, in a word.
pub(crate) const fn word_of(verb: RepairVerb) -> &'static str {
    match verb {
        RepairVerb::Fetch => "fetching",
        RepairVerb::Build => "building",
        RepairVerb::Verify => "verifying",
        RepairVerb::Activate => "activating",
        RepairVerb::Rollback => "rolling back",
        RepairVerb::Relink => "linking",
        RepairVerb::Prune => "pruning",
    }
}

/// Plans a repair from what is asked for and what is there.
pub(crate) fn plan(
    asked: &Asked,
    active: Option<&Active>,
    at_hand: &BTreeMap<String, InstalledTool>,
    surplus: &[u32],
) -> Plan {
    let mut plan = Plan { prune: surplus.to_vec(), ..Plan::default() };
    if let Some(active) = active.filter(|active| active.rolled_back) {
        for (name, tool) in &active.manifest.tools {
            if let Some(condition) = active.conditions.get(name) {
                plan.keep(name, tool, condition);
            }
        }
        return plan;
    }
    for choice in &asked.choices {
        let name = &choice.name;
        let installed = active.and_then(|active| active.tool(name));
        let (tool, condition) = match (&choice.wanted, installed) {
            (Ok(wanted), Some((tool, condition))) if condition.is_whole() && fits(wanted, tool) => (tool, condition),
            (Ok(wanted), installed) => {
                let why = why(wanted, installed);
                match at_hand.get(name) {
                    Some(tool) => drop(plan.adopt.insert(name.clone(), (tool.clone(), why))),
                    None => plan.build.push((wanted.clone(), why)),
                }
                continue;
            }
            // Nothing can be chosen: what is there stays, if it is whole.
            (Err(_), Some((tool, condition))) if condition.is_whole() => (tool, condition),
            (Err(_), _) => continue,
        };
        plan.keep(name, tool, condition);
    }
    if let Some(active) = active {
        let kept = |name: &&String| asked.choices.iter().any(|choice| choice.name == **name);
        plan.drop = active.manifest.tools.keys().filter(|name| !kept(name)).cloned().collect();
    }
    plan
}

/// With `--locked`: every tool has its row, and every row is what is asked for.
pub(crate) fn check_locked(asked: &Asked) -> Result<(), ToolchainError> {
    let drifted = |tool: &str, why: String| Err(ToolchainError::Drifted { tool: tool.to_owned(), why });
    let Some(lock) = &asked.lock else {
        return drifted("the tools", format!("there is no {}", asked.place.path));
    };
    for choice in &asked.choices {
        match &choice.wanted {
            Err(ToolchainError::Drifted { tool, why }) => return drifted(tool, why.clone()),
            _ if !lock.tools.contains_key(&choice.name) => {
                return drifted(&choice.name, format!("{} has no row for it", asked.place.path));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Why the tool has to be installed, in a few words.
fn why(wanted: &Wanted, installed: Option<(&InstalledTool, &Condition)>) -> String {
    match installed {
        None => "it is not installed".to_owned(),
        Some((_, Condition::Missing)) => "its binary is gone".to_owned(),
        Some((_, Condition::Changed)) => "its binary was changed".to_owned(),
        Some((tool, _)) if tool.version != wanted.version => format!("{} is installed", tool.version),
        Some((tool, _)) if tool.built_with != wanted.builder.name() => {
            format!("it was built with {}, and {} is used", tool.built_with, wanted.builder.name())
        }
        Some(_) => "it is not the one of the lock file".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::super::generations::Voucher;
    use super::super::go::{EffectiveGo, GoInstall};
    use super::super::lock::LockPlace;
    use super::super::pins::Choice;
    use super::super::store::Fingerprint;
    use super::*;

    fn fingerprint() -> Fingerprint {
        Fingerprint::of(Utf8Path::new("/proc/version")).unwrap()
    }

    fn wanted(version: &str) -> Wanted {
        Wanted {
            name: "gopls".into(),
            module: Some("m".into()),
            package: "m/cmd".into(),
            version: version.into(),
            open: None,
            h1: None,
            builder: "1.26.8".parse().unwrap(),
            sha256: None,
            why: String::new(),
        }
    }

    fn installed(version: &str, go: &str) -> InstalledTool {
        InstalledTool {
            module: "m".into(),
            package: "m/cmd".into(),
            version: version.into(),
            h1: "h1:x".into(),
            voucher: Voucher::Table,
            sha256: "ff".into(),
            built_with: go.into(),
            differs_from: None,
            refuted: false,
            fingerprint: fingerprint(),
        }
    }

    fn asked(choice: Result<Wanted, ToolchainError>) -> Asked {
        let local = GoInstall { root: "/go".into(), version: "1.26.8".parse().unwrap() };
        Asked {
            served: vec![local.version],
            fetchable: Vec::new(),
            left_out: Vec::new(),
            go: EffectiveGo { version: local.version, local },
            place: LockPlace { path: "/lock".into(), shared: false },
            lock: None,
            choices: vec![Choice { name: "gopls".into(), wanted: choice }],
        }
    }

    fn active(tool: InstalledTool, condition: Condition) -> Active {
        Active {
            number: 1,
            manifest: Manifest::new([("gopls".to_owned(), tool)].into()),
            conditions: [("gopls".to_owned(), condition)].into(),
            rolled_back: false,
        }
    }

    #[test]
    fn the_actions_follow_from_what_is_there() {
        use RepairVerb::{Activate, Build, Fetch, Relink, Verify};
        let drifted = || Err(ToolchainError::Drifted { tool: "gopls".into(), why: String::new() });
        let at_hand: BTreeMap<_, _> = [("gopls".to_owned(), installed("v2", "go1.26.8"))].into();
        let none = BTreeMap::new();
        let (v1, v2, old) = (installed("v1", "go1.26.8"), installed("v2", "go1.26.8"), installed("v2", "go1.26.7"));
        for (choice, there, hand, expected, why) in [
            (Ok(wanted("v2")), Some((&v2, Condition::Sound)), &none, &[][..], "nothing to do is an empty plan"),
            (Ok(wanted("v2")), None, &none, &[Fetch, Build, Verify, Activate], "nothing is there"),
            (Ok(wanted("v2")), None, &at_hand, &[Verify, Activate], "a binary at hand is not built"),
            (
                Ok(wanted("v2")),
                Some((&v1, Condition::Sound)),
                &none,
                &[Fetch, Build, Verify, Activate],
                "another version",
            ),
            (Ok(wanted("v2")), Some((&old, Condition::Sound)), &none, &[Fetch, Build, Verify, Activate], "another Go"),
            (
                Ok(wanted("v2")),
                Some((&v2, Condition::Changed)),
                &none,
                &[Fetch, Build, Verify, Activate],
                "tampered with",
            ),
            (Ok(wanted("v2")), Some((&v2, Condition::Missing)), &at_hand, &[Verify, Activate], "gone, and at hand"),
            (Ok(wanted("v2")), Some((&v2, Condition::Unlinked)), &none, &[Relink], "a link alone is mended in place"),
            (
                Ok(wanted("v2")),
                Some((&v2, Condition::Touched(fingerprint()))),
                &none,
                &[Verify],
                "touched, and the same",
            ),
            (drifted(), Some((&v1, Condition::Sound)), &none, &[], "drift installs nothing"),
            (drifted(), Some((&v1, Condition::Unlinked)), &none, &[Relink], "but what is there is kept in order"),
            (drifted(), None, &none, &[], "drift installs nothing"),
        ] {
            let active = there.map(|(tool, condition)| active(tool.clone(), condition));
            let plan = plan(&asked(choice), active.as_ref(), hand, &[]);
            let verbs: Vec<_> = plan.actions().actions.iter().map(|action| action.verb).collect();
            assert_eq!(verbs, expected, "{why}");
            assert_eq!(plan.is_empty(), expected.is_empty(), "{why}");
        }
    }

    #[test]
    fn a_set_that_somebody_rolled_back_to_stays() {
        for (condition, expected, why) in [
            (Condition::Sound, &[][..], "it is what was chosen"),
            (Condition::Unlinked, &[RepairVerb::Relink], "and is kept in order"),
        ] {
            let mut there = active(installed("v1", "go1.26.8"), condition);
            there.rolled_back = true;
            let plan = plan(&asked(Ok(wanted("v2"))), Some(&there), &BTreeMap::new(), &[]);
            let verbs: Vec<_> = plan.actions().actions.iter().map(|action| action.verb).collect();
            assert_eq!(verbs, expected, "{why}");
            assert_eq!(plan.manifest(BTreeMap::new()).tools, there.manifest.tools, "{why}");
        }
    }

    #[test]
    fn a_tool_that_nobody_asks_for_leaves_with_the_next_generation() {
        let mut there = active(installed("v2", "go1.26.8"), Condition::Sound);
        there.manifest.tools.insert("old".into(), installed("v1", "go1.26.8"));
        there.conditions.insert("old".into(), Condition::Sound);
        let plan = plan(&asked(Ok(wanted("v2"))), Some(&there), &BTreeMap::new(), &[]);
        assert!(plan.makes_generation());
        assert_eq!(plan.manifest(BTreeMap::new()).tools.keys().collect::<Vec<_>>(), ["gopls"]);
    }

    #[test]
    fn another_builders_binary_is_kept_and_not_built_again_and_again() {
        let mut locked = wanted("v2");
        locked.sha256 = Some("00".into());
        let mut tool = installed("v2", "go1.26.8");
        let build = |tool: &InstalledTool| {
            let there = active(tool.clone(), Condition::Sound);
            plan(&asked(Ok(locked.clone())), Some(&there), &BTreeMap::new(), &[]).makes_generation()
        };
        assert!(build(&tool), "the lock file names another binary");
        tool.differs_from = Some("00".into());
        assert!(!build(&tool), "that was tried with this Go, and gave another binary");
    }
}
