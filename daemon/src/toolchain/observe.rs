//! What is asked for and what is there: read from the workspace, the state directory and the store. Changes nothing.
//!
//! All functions block.

use std::collections::BTreeMap;

use burrow_protocol::lock::LockFile;
use burrow_protocol::settings::ToolSetting;

use super::ToolchainContext;
use super::compat::Compat;
use super::error::ToolchainError;
use super::generations::{Generations, InstalledTool, Manifest, Voucher};
use super::go::{self, EffectiveGo};
use super::lock::{self, LockPlace};
use super::pins::{self, Choice, Inputs, Wanted};
use super::store::Store;
use super::verify::{self, Condition, Depth};
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
}

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) go: EffectiveGo,
    pub(crate) place: LockPlace,
    pub(crate) lock: Option<LockFile>,
    pub(crate) choices: Vec<Choice>,
}

/// The active generation and the condition of what is in it.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) number: u32,
    pub(crate) manifest: Manifest,
    pub(crate) conditions: BTreeMap<String, Condition>,
}

impl Active {
    /// The tool with its condition.
    pub(crate) fn tool(&self, name: &str) -> Option<(&InstalledTool, &Condition)> {
        Some((self.manifest.tools.get(name)?, self.conditions.get(name)?))
    }
}

/// Whose locked versions are passed over, so that they are chosen anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Relax {
    Nothing,
    Tool(String),
    All,
}

impl Relax {
    fn of(&self, lock: &LockFile) -> LockFile {
        let mut lock = lock.clone();
        match self {
            Self::Nothing => {}
            Self::Tool(name) => drop(lock.tools.remove(name)),
            Self::All => lock.tools.clear(),
        }
        lock
    }
}

/// Looks at everything, for `caller`.
pub(crate) fn observe(context: &ToolchainContext, caller: &Caller, relax: &Relax, depth: Depth) -> Observation {
    let pins = context.settings.borrow().burrow.tools.clone();
    let asked = ask(context, caller, relax, &pins);
    let store = Store::new(context.store_dir.clone());
    let generations = Generations::new(context.layout());
    let active = active(&generations, &store, depth);
    let at_hand = match &asked {
        Ok(asked) => at_hand(asked, active.as_ref(), &generations, &store),
        Err(_) => BTreeMap::new(),
    };
    Observation { asked, active, at_hand, surplus: generations.surplus() }
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
    Active { number, manifest, conditions }
}

fn ask(
    context: &ToolchainContext,
    caller: &Caller,
    relax: &Relax,
    pins: &BTreeMap<String, ToolSetting>,
) -> Result<Asked, ToolchainError> {
    let go = go::effective(&context.workspace, &caller.env)?;
    let place = lock::place(&context.workspace, &context.layout())?;
    let lock = lock::read(&place)?;
    let heeded = lock.as_ref().map(|lock| relax.of(lock));
    let build_key = lock::build_key(&go.name());
    let inputs =
        Inputs { pins, lock: heeded.as_ref(), compat: Compat::built_in(), go: go.version, build_key: &build_key };
    Ok(Asked { choices: pins::choose(inputs), go, place, lock })
}

/// Looks for fitting binaries where the active generation has none: in the store by the lock file's digest, then among the
/// generations that are kept. Each was compared byte for byte.
fn at_hand(
    asked: &Asked,
    active: Option<&Active>,
    generations: &Generations,
    store: &Store,
) -> BTreeMap<String, InstalledTool> {
    let go = asked.go.name();
    let mut found = BTreeMap::new();
    let mut kept = None;
    for wanted in asked.choices.iter().filter_map(|choice| choice.wanted.as_ref().ok()) {
        let installed = active.and_then(|active| active.tool(&wanted.name));
        if installed.is_some_and(|(tool, condition)| condition.is_whole() && fits(wanted, tool, &go)) {
            continue;
        }
        let kept = kept.get_or_insert_with(|| generations.all());
        let candidates = kept.iter().filter_map(|(_, manifest)| manifest.tools.get(&wanted.name));
        let older = candidates.filter(|tool| fits(wanted, tool, &go)).find_map(|tool| {
            let fingerprint = store.compare(&tool.sha256, &wanted.name)?;
            Some(InstalledTool { fingerprint, ..tool.clone() })
        });
        if let Some(tool) = older.or_else(|| locked(wanted, &go, store)) {
            found.insert(wanted.name.clone(), tool);
        }
    }
    found
}

/// The binary that the lock file names, if the store has it and it says of itself what it should.
fn locked(wanted: &Wanted, go: &str, store: &Store) -> Option<InstalledTool> {
    let (sha256, module, h1) = (wanted.sha256.as_ref()?, wanted.module.as_ref()?, wanted.h1.as_ref()?);
    let fingerprint = store.compare(sha256, &wanted.name)?;
    let tool = InstalledTool {
        module: module.clone(),
        package: wanted.package.clone(),
        version: wanted.version.clone(),
        h1: h1.sum.clone(),
        voucher: Voucher::LockFile,
        sha256: sha256.clone(),
        built_with: go.to_owned(),
        differs_from: None,
        fingerprint,
    };
    match verify::check_build(&store.path(sha256, &wanted.name), &tool) {
        Ok(()) => Some(tool),
        Err(problem) => {
            tracing::warn!(tool = wanted.name, problem, "the binary that the lock file names is passed over");
            None
        }
    }
}

/// Whether an installed tool is what is wanted, built by `go`.
pub(crate) fn fits(wanted: &Wanted, tool: &InstalledTool, go: &str) -> bool {
    let locked = |sha256: &String| *sha256 == tool.sha256 || tool.differs_from.as_ref() == Some(sha256);
    tool.version == wanted.version
        && tool.package == wanted.package
        && tool.built_with == go
        && wanted.h1.as_ref().is_none_or(|h1| h1.sum == tool.h1)
        && wanted.sha256.as_ref().is_none_or(locked)
}
