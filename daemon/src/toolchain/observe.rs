//! What is asked for and what is there: read from the workspace, the state directory and the store. Changes nothing.
//!
//! All functions block.

use std::collections::{BTreeMap, BTreeSet};

use burrow_protocol::lock::LockFile;
use burrow_protocol::settings::ToolSetting;
use camino::{Utf8Path, Utf8PathBuf};

use super::ToolchainContext;
use super::compat::{Compat, Gos};
use super::environment::BuildTarget;
use super::error::ToolchainError;
use super::generations::{Generations, InstalledTool, Manifest, Rollback, Voucher};
use super::go::{self, EffectiveGo};
use super::lock::{self, LockPlace};
use super::pins::{self, Choice, Inputs, Wanted};
use super::sources;
use super::store::Store;
use super::verify::{self, Condition, Depth};
use super::version::GoVersion;
use crate::durable::WorkspaceLayout;
use crate::process::Caller;

/// All that a plan or a report is made from.
#[derive(Debug)]
pub(crate) struct Observation {
    /// What is asked for, or why nobody can say.
    pub(crate) asked: Result<Asked, ToolchainError>,
    /// The active generation.
    pub(crate) active: Option<Active>,
    /// For tools that the active generation does not have as wanted: where a fitting binary is at hand.
    pub(crate) at_hand: BTreeMap<String, InstalledTool>,
    /// Generations that are no longer kept.
    pub(crate) surplus: Vec<u32>,
    /// The files and folders of the workspace that this depends on, whether they are there or not.
    pub(crate) looked_at: BTreeSet<Utf8PathBuf>,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) go: EffectiveGo,
    /// The Go of each module, newest first.
    pub(crate) served: Vec<GoVersion>,
    /// Newer ones that may be fetched to build tools.
    pub(crate) fetchable: Vec<GoVersion>,
    /// Modules that cannot be served, told as what they are.
    pub(crate) left_out: Vec<ToolchainError>,
    pub(crate) place: LockPlace,
    pub(crate) lock: Option<LockFile>,
    pub(crate) choices: Vec<Choice>,
}

impl Asked {
    /// The Go versions that choices have to please.
    pub(crate) fn gos(&self) -> Gos<'_> {
        Gos { served: &self.served, own: self.go.version, fetchable: &self.fetchable }
    }

    /// The version of each tool, or why there is none.
    pub(crate) fn versions(&self) -> BTreeMap<String, String> {
        let version = |choice: &Choice| match &choice.wanted {
            Ok(wanted) => wanted.version.clone(),
            Err(error) => error.to_string(),
        };
        self.choices.iter().map(|choice| (choice.name.clone(), version(choice))).collect()
    }
}

/// The active generation and the condition of what is in it.
#[derive(Clone, Debug)]
pub(crate) struct Active {
    pub(crate) number: u32,
    pub(crate) manifest: Manifest,
    pub(crate) conditions: BTreeMap<String, Condition>,
    /// Somebody rolled back to it, from what is still asked for, and it is whole: so it is what is wanted.
    pub(crate) rolled_back: bool,
}

impl Active {
    /// The tool with its condition.
    pub(crate) fn tool(&self, name: &str) -> Option<(&InstalledTool, &Condition)> {
        Some((self.manifest.tools.get(name)?, self.conditions.get(name)?))
    }

    /// Whether it has tools, and the binaries of all of them.
    pub(crate) fn is_whole(&self) -> bool {
        !self.manifest.tools.is_empty() && self.conditions.values().all(Condition::is_whole)
    }
}

/// What is passed over that holds the tools where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Relax {
    Nothing,
    /// A rollback.
    Rollback,
    /// A rollback, and the locked version of one tool, so that it is chosen anew.
    Tool(String),
    /// A rollback, and all locked versions.
    All,
}

impl Relax {
    fn of(&self, lock: &LockFile) -> LockFile {
        let mut lock = lock.clone();
        match self {
            Self::Nothing | Self::Rollback => {}
            Self::Tool(name) => drop(lock.tools.remove(name)),
            Self::All => lock.tools.clear(),
        }
        lock
    }
}

/// Looks at everything, for `caller`.
pub(crate) fn observe(context: &ToolchainContext, caller: &Caller, relax: &Relax, depth: Depth) -> Observation {
    let pins = context.settings.borrow().burrow.tools.clone();
    let mut looked_at = BTreeSet::new();
    let asked = ask(context, caller, relax, &pins, &mut looked_at);
    let store = context.store();
    let generations = Generations::new(context.layout());
    let mut active = active(&generations, &store, depth);
    if let (Relax::Nothing, Some(active)) = (relax, &mut active) {
        active.rolled_back = active.is_whole() && holds(generations.rollback(), asked.as_ref().ok());
    }
    looked_at.insert(context.layout().current());
    if let Some(active) = &active {
        let bin = generations.bin(active.number);
        looked_at.extend(active.manifest.tools.keys().map(|name| bin.join(name)));
    }
    let at_hand = match &asked {
        // What was chosen is not to be replaced.
        Ok(_) if active.as_ref().is_some_and(|active| active.rolled_back) => BTreeMap::new(),
        Ok(asked) => at_hand(asked, active.as_ref(), context, &store),
        Err(_) => BTreeMap::new(),
    };
    Observation { asked, active, at_hand, surplus: generations.surplus(), looked_at }
}

/// Whether a rollback is still what somebody chose: nothing else is asked for than at that time.
fn holds(rollback: Option<Rollback>, asked: Option<&Asked>) -> bool {
    let Some(rollback) = rollback else { return false };
    rollback.asked.zip(asked).is_none_or(|(then, now)| then == now.versions())
}

/// The active generation, in the condition that it is in.
pub(crate) fn active(generations: &Generations, store: &Store, depth: Depth) -> Option<Active> {
    let (number, manifest) = generations.active()?;
    Some(condition_of(generations, store, number, manifest, depth))
}

/// A generation, in the condition that it is in.
pub(crate) fn condition_of(
    generations: &Generations,
    store: &Store,
    number: u32,
    manifest: Manifest,
    depth: Depth,
) -> Active {
    let bin = generations.bin(number);
    let condition =
        |(name, tool): (&String, &InstalledTool)| (name.clone(), verify::condition(store, &bin, name, tool, depth));
    let conditions = manifest.tools.iter().map(condition).collect();
    Active { number, manifest, conditions, rolled_back: false }
}

fn ask(
    context: &ToolchainContext,
    caller: &Caller,
    relax: &Relax,
    settings: &BTreeMap<String, ToolSetting>,
    looked_at: &mut BTreeSet<Utf8PathBuf>,
) -> Result<Asked, ToolchainError> {
    let workspace = &context.workspace;
    let local = go::find_for(workspace, caller, &context.asked_go);
    let mut files = go::files(workspace, &caller.env, local.as_ref().ok());
    looked_at.append(&mut files.looked_at);
    looked_at.extend(sources::looked_at(workspace, &files.modules));
    looked_at.extend(lock::looked_at(workspace));
    if let Some(problem) = &context.settings.borrow().tools_unknown {
        return Err(ToolchainError::Settings { message: problem.message.clone(), code: problem.code });
    }
    let (found, modules) = go::of(workspace, &caller.env, local?, files)?;
    let compat = Compat::built_in();
    let pinned = sources::read(workspace, &modules, compat)?;
    let place = lock::place(workspace, &context.layout())?;
    let lock = lock::read(&place)?;
    let heeded = lock.as_ref().map(|lock| relax.of(lock));
    let fetchable = if found.fetches { compat.builders.clone() } else { Vec::new() };
    let versions: Vec<_> = found.served.iter().map(|(version, _)| *version).collect();
    let words = in_words(&found.served, workspace);
    let inputs = Inputs {
        settings,
        files: &pinned,
        lock: heeded.as_ref(),
        compat,
        gos: Gos { served: &versions, own: found.go.version, fetchable: &fetchable },
        served: &words,
    };
    let choices = pins::choose(inputs);
    Ok(Asked { choices, go: found.go, served: versions, fetchable, left_out: found.left_out, place, lock })
}

/// The Go of the workspace: where there are several, each with a file that has it.
fn in_words(served: &[(GoVersion, Utf8PathBuf)], workspace: &Utf8Path) -> String {
    if let [(version, _)] = served {
        return format!("Go {version}");
    }
    let one = |(version, file): &(GoVersion, Utf8PathBuf)| {
        format!("Go {version} ({})", file.strip_prefix(workspace).unwrap_or(file))
    };
    served.iter().map(one).collect::<Vec<_>>().join(" and ")
}

/// Looks for fitting binaries where the active generation has none: among the generations that are kept, then among what
/// other workspaces use, then in the store by the lock file's digest. Each was compared byte for byte.
fn at_hand(
    asked: &Asked,
    active: Option<&Active>,
    context: &ToolchainContext,
    store: &Store,
) -> BTreeMap<String, InstalledTool> {
    let mut found = BTreeMap::new();
    let mut kept: Option<Vec<Manifest>> = None;
    for wanted in asked.choices.iter().filter_map(|choice| choice.wanted.as_ref().ok()) {
        let installed = active.and_then(|active| active.tool(&wanted.name));
        if installed.is_some_and(|(tool, condition)| condition.is_whole() && fits(wanted, tool)) {
            continue;
        }
        let kept = kept.get_or_insert_with(|| kept_anywhere(context));
        let refuted = |sha256: &str| {
            let tools = kept.iter().flat_map(|manifest| manifest.tools.values());
            tools.filter(|tool| tool.refuted).any(|tool| tool.sha256 == sha256)
        };
        let candidates = kept.iter().filter_map(|manifest| manifest.tools.get(&wanted.name));
        let candidates = candidates.filter(|tool| !refuted(&tool.sha256));
        let older = candidates.filter(|tool| fits(wanted, tool)).find_map(|tool| {
            let fingerprint = store.compare(&tool.sha256, &wanted.name)?;
            Some(InstalledTool { fingerprint, ..tool.clone() })
        });
        let by_lock = || locked(wanted, store).filter(|tool| !refuted(&tool.sha256));
        if let Some(tool) = older.or_else(by_lock) {
            found.insert(wanted.name.clone(), tool);
        }
    }
    found
}

/// What is on record for this workspace, newest first, and then for the others: what was built for one need not be built
/// again for the next. A lock file speaks for its own workspace only, so what others have on its word alone does not count.
fn kept_anywhere(context: &ToolchainContext) -> Vec<Manifest> {
    let own = context.layout();
    let mut kept: Vec<_> = Generations::new(own.clone()).all().into_iter().map(|(_, manifest)| manifest).collect();
    for entry in context.state.workspaces().read_dir_utf8().into_iter().flatten().flatten() {
        let layout = WorkspaceLayout::new(entry.into_path());
        if layout.dir() != own.dir()
            && let Some((_, mut manifest)) = Generations::new(layout).active()
        {
            manifest.tools.retain(|_, tool| matches!(tool.voucher, Voucher::Table | Voucher::ChecksumDatabase));
            manifest.tools.values_mut().for_each(|tool| tool.differs_from = None);
            kept.push(manifest);
        }
    }
    kept
}

/// The binary that the lock file names, if the store has it and it says of itself what it should.
///
/// A lock file may be edited by anybody who proposes a change, and a store that others write to may hold anything: the two
/// together prove nothing. So what the compatibility table vouches for is built again there; its sum decides.
fn locked(wanted: &Wanted, store: &Store) -> Option<InstalledTool> {
    if store.is_shared() && wanted.h1.as_ref().is_some_and(|h1| h1.from_table) {
        return None;
    }
    let (sha256, module, h1) = (wanted.sha256.as_ref()?, wanted.module.as_ref()?, wanted.h1.as_ref()?);
    let fingerprint = store.compare(sha256, &wanted.name)?;
    let tool = InstalledTool {
        module: module.clone(),
        package: wanted.package.clone(),
        version: wanted.version.clone(),
        h1: h1.sum.clone(),
        voucher: Voucher::LockFile,
        sha256: sha256.clone(),
        built_with: wanted.builder.name(),
        differs_from: None,
        refuted: false,
        fingerprint,
    };
    match verify::check_build(&store.path(sha256, &wanted.name), &tool.build(), &BuildTarget::host()) {
        Ok(()) => Some(tool),
        Err(problem) => {
            tracing::warn!(tool = wanted.name, problem, "the binary that the lock file names is passed over");
            None
        }
    }
}

/// Whether an installed tool is what is wanted, built by the Go that has to.
pub(crate) fn fits(wanted: &Wanted, tool: &InstalledTool) -> bool {
    // Of what the table does not know, only a download tells whether it takes a newer Go.
    let newer = || tool.built_with.parse::<GoVersion>().is_ok_and(|go| go > wanted.builder);
    let locked = |sha256: &String| *sha256 == tool.sha256 || tool.differs_from.as_ref() == Some(sha256);
    tool.version == wanted.version
        && tool.package == wanted.package
        && (tool.built_with == wanted.builder.name() || !wanted.builder_is_known() && newer())
        && wanted.h1.as_ref().is_none_or(|h1| h1.sum == tool.h1)
        && wanted.sha256.as_ref().is_none_or(locked)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use burrow_protocol::model::{ContainerKind, ContainerStatus};
    use tokio::sync::watch;

    use super::super::store::Fingerprint;
    use super::*;
    use crate::durable::{self, StateLayout};
    use crate::model::Model;

    fn tool(voucher: Voucher) -> InstalledTool {
        InstalledTool {
            module: "m.example".into(),
            package: "m.example/t".into(),
            version: "v1.0.0".into(),
            h1: "h1:x".into(),
            voucher,
            sha256: "00".into(),
            built_with: "go1.26.8".into(),
            differs_from: Some("11".into()),
            refuted: false,
            fingerprint: Fingerprint::of(Utf8Path::new("/proc/version")).unwrap(),
        }
    }

    /// What was built for one workspace is at hand for the next; what only another one's lock file vouches for is not.
    #[test]
    fn tools_of_other_workspaces_count_as_far_as_they_were_built_here() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateLayout::new(Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap());
        let store = Store::new(state.dir().join("store"), "other".to_owned(), false);
        let other = state.workspace("/other".into());
        durable::create_dir(other.dir()).unwrap();
        let tools = [("built", Voucher::Table), ("locked", Voucher::LockFile), ("odd", Voucher::Nobody)];
        let manifest = Manifest::new(tools.map(|(name, voucher)| (name.to_owned(), tool(voucher))).into());
        let generations = Generations::new(other);
        generations.activate(generations.create(&manifest, &store).unwrap()).unwrap();

        let container = ContainerStatus { kind: ContainerKind::Host, id: String::new(), start_id: String::new() };
        let context = ToolchainContext {
            workspace: "/own".into(),
            state,
            store_dir: "/nowhere".into(),
            container: container.clone(),
            settings: watch::channel(Arc::default()).1,
            publisher: Model::new(container).workspace("/own".into()),
            looked_at: watch::Sender::default(),
            asked_go: crate::toolchain::AskedGo::default(),
        };
        let kept = kept_anywhere(&context);
        let [manifest] = kept.as_slice() else { panic!("one other workspace: {kept:?}") };
        assert_eq!(manifest.tools.keys().collect::<Vec<_>>(), ["built"]);
        assert_eq!(manifest.tools["built"].differs_from, None, "that was said of the other's lock file");
    }
}
