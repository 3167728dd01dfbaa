//! An update of the lock file: which binaries of other platforms it needs, and what becomes of it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use burrow_protocol::lock::{LockFile, LockedTool};
use burrow_protocol::toolchain::LockChange;

use super::environment::BuildTarget;
use super::generations::InstalledTool;
use super::lock;
use super::observe::Asked;
use super::pins::{ExpectedSum, Wanted};

/// The platforms that dev containers run on; a lock file that has others keeps them.
const PLATFORMS: [(&str, &str); 2] = [("linux", "amd64"), ("linux", "arm64")];

/// The digests of binaries that were built for other platforms, by tool and key.
pub(crate) type Rows = BTreeMap<String, BTreeMap<String, String>>;

/// The tools that the update is about.
pub(crate) fn concerns(name: Option<&str>, tool: &str) -> bool {
    name.is_none_or(|name| name == tool)
}

/// The binaries of other platforms that the lock file has no row for yet.
pub(crate) fn missing(
    asked: &Asked,
    installed: &BTreeMap<String, InstalledTool>,
    name: Option<&str>,
) -> Vec<(Wanted, BuildTarget)> {
    let mut targets: BTreeSet<BuildTarget> =
        PLATFORMS.map(|(goos, goarch)| BuildTarget { goos: goos.to_owned(), goarch: goarch.to_owned() }).into();
    let rows = asked.lock.iter().flat_map(|lock| lock.tools.values());
    targets.extend(rows.flat_map(|row| row.binaries.keys()).filter_map(|key| lock::platform_of(key)));
    targets.remove(&BuildTarget::host());
    let mut missing = Vec::new();
    for choice in asked.choices.iter().filter(|choice| concerns(name, &choice.name)) {
        let (Ok(wanted), Some(tool)) = (&choice.wanted, installed.get(&choice.name)) else { continue };
        // What was installed is what is built again: the same module with the same sum.
        let mut wanted = wanted.clone();
        wanted.module = Some(tool.module.clone());
        let from_table = wanted.h1.as_ref().is_some_and(|h1| h1.from_table);
        wanted.h1 = Some(ExpectedSum { sum: tool.h1.clone(), from_table });
        let before = asked.lock.as_ref().and_then(|lock| lock.tools.get(&choice.name)).filter(|row| is_same(row, tool));
        for target in &targets {
            let key = lock::key_for(&tool.built_with, target);
            if before.is_none_or(|row| !row.binaries.contains_key(&key)) {
                missing.push((wanted.clone(), target.clone()));
            }
        }
    }
    missing
}

/// The lock file after the update, and what changed in it.
pub(crate) fn moved(
    asked: &Asked,
    installed: &BTreeMap<String, InstalledTool>,
    rows: &Rows,
    name: Option<&str>,
) -> (LockFile, Vec<LockChange>) {
    let old = asked.lock.clone().unwrap_or_else(lock::empty);
    let mut new = old.clone();
    let mut changes = Vec::new();
    if name.is_none() {
        let gone = old.tools.iter().filter(|(tool, _)| !asked.choices.iter().any(|choice| choice.name == **tool));
        for (tool, row) in gone {
            new.tools.remove(tool);
            changes.push(LockChange {
                tool: tool.clone(),
                before: Some(row.version.clone()),
                after: None,
                platforms: Vec::new(),
            });
        }
    }
    for choice in asked.choices.iter().filter(|choice| concerns(name, &choice.name)) {
        let (Ok(_), Some(tool)) = (&choice.wanted, installed.get(&choice.name)) else { continue };
        let before = old.tools.get(&choice.name);
        let mut row = row(tool);
        row.binaries.extend(rows.get(&choice.name).cloned().unwrap_or_default());
        if let Some(before) = before.filter(|before| is_same(before, tool)) {
            // The same module: what the other platforms' builds are is still true.
            row.binaries = before.binaries.clone().into_iter().chain(row.binaries).collect();
        }
        let known = before.filter(|before| is_same(before, tool)).map(|before| &before.binaries);
        let added = row.binaries.keys().filter(|key| known.is_none_or(|known| !known.contains_key(*key)));
        let platforms: BTreeSet<String> =
            added.filter_map(|key| lock::platform_of(key)).map(|target| target.platform()).collect();
        changes.push(LockChange {
            tool: choice.name.clone(),
            before: before.map(|before| before.version.clone()),
            after: Some(row.version.clone()),
            platforms: platforms.into_iter().collect(),
        });
        new.tools.insert(choice.name.clone(), row);
    }
    (new, changes)
}

/// The lock file's row of an installed tool.
pub(crate) fn row(tool: &InstalledTool) -> LockedTool {
    LockedTool {
        module: tool.module.clone(),
        package: tool.package.clone(),
        version: tool.version.clone(),
        h1: tool.h1.clone(),
        binaries: [(lock::build_key(&tool.built_with), tool.sha256.clone())].into(),
    }
}

fn is_same(row: &LockedTool, tool: &InstalledTool) -> bool {
    (&row.module, &row.version, &row.h1) == (&tool.module, &tool.version, &tool.h1)
}

#[cfg(test)]
mod tests {
    use super::super::generations::Voucher;
    use super::super::go::{EffectiveGo, GoInstall};
    use super::super::lock::LockPlace;
    use super::super::pins::Choice;
    use super::super::store::Fingerprint;
    use super::*;

    fn tool(version: &str) -> InstalledTool {
        InstalledTool {
            module: "m.example".into(),
            package: "m.example/t".into(),
            version: version.into(),
            h1: format!("h1:{version}"),
            voucher: Voucher::Table,
            sha256: "ff".into(),
            built_with: "go1.26.8".into(),
            differs_from: None,
            refuted: false,
            fingerprint: Fingerprint::of("/proc/version".into()).unwrap(),
        }
    }

    /// A workspace that wants `t` and has `locked` in its lock file, besides a tool that nobody asks for.
    fn asked(wanted: &str, locked: LockedTool) -> Asked {
        let local = GoInstall { root: "/go".into(), version: "1.26.8".parse().unwrap() };
        let wanted = Wanted {
            name: "t".into(),
            module: Some("m.example".into()),
            package: "m.example/t".into(),
            version: wanted.into(),
            open: None,
            h1: None,
            builder: local.version,
            sha256: None,
            why: String::new(),
        };
        let tools = [("t".to_owned(), locked), ("old".to_owned(), row(&tool("v0.1.0")))];
        Asked {
            served: vec![local.version],
            fetchable: Vec::new(),
            left_out: Vec::new(),
            go: EffectiveGo { version: local.version, local },
            place: LockPlace { path: "/lock".into(), shared: true },
            lock: Some(LockFile { schema: 1, tools: tools.into() }),
            choices: vec![Choice { name: "t".into(), wanted: Ok(wanted) }],
        }
    }

    #[test]
    fn rows_of_all_platforms_and_what_changed() {
        let installed: BTreeMap<_, _> = [("t".to_owned(), tool("v2.0.0"))].into();
        let mut before = row(&tool("v1.0.0"));
        before.binaries.insert("go1.26.8 plan9/386".into(), "00".into());
        let asked_for = asked("v2.0.0", before);
        let needed = missing(&asked_for, &installed, None);
        let platforms: Vec<_> = needed.iter().map(|(_, target)| target.platform()).collect();
        let expected: Vec<_> = ["linux/amd64", "linux/arm64", "plan9/386"]
            .into_iter()
            .filter(|platform| *platform != BuildTarget::host().platform())
            .collect();
        assert_eq!(platforms, expected, "what is listed is kept up, and the host's own was built already");
        assert_eq!(needed[0].0.h1.as_ref().unwrap().sum, "h1:v2.0.0", "the same module as was installed");

        let built = needed.iter().map(|(_, target)| (lock::key_for("go1.26.8", target), "aa".to_owned())).collect();
        let (new, changes) = moved(&asked_for, &installed, &[("t".to_owned(), built)].into(), None);
        assert_eq!(new.tools.keys().collect::<Vec<_>>(), ["t"], "what nobody asks for leaves");
        assert_eq!(new.tools["t"].binaries.len(), 3);
        let told: Vec<_> = changes.iter().map(|change| (change.before.as_deref(), change.after.as_deref())).collect();
        assert_eq!(told, [(Some("v0.1.0"), None), (Some("v1.0.0"), Some("v2.0.0"))]);

        // Once more: nothing is missing, and nothing changes.
        let again = Asked { lock: Some(new.clone()), ..asked_for };
        assert!(missing(&again, &installed, None).is_empty());
        let (same, changes) = moved(&again, &installed, &Rows::new(), None);
        assert_eq!((same, changes[0].platforms.len()), (new, 0));
    }

    #[test]
    fn one_tool_alone_leaves_the_others() {
        let installed: BTreeMap<_, _> = [("t".to_owned(), tool("v2.0.0"))].into();
        let (new, changes) = moved(&asked("v2.0.0", row(&tool("v1.0.0"))), &installed, &Rows::new(), Some("t"));
        assert_eq!(new.tools.keys().collect::<Vec<_>>(), ["old", "t"]);
        assert_eq!(changes.len(), 1);
    }
}
