//! Operations: repair, update, rollback, and the checks that run Go. Each looks, plans, does, and looks again.
//!
//! Invariants: nothing is switched before all of it is in the store; an operation that fails, is cancelled or is dropped
//! leaves the active generation as it was; a lock file is written where there is none, and changed by an update alone.

mod build; // what is fetched and built, in a folder of its own
mod check; // what is installed, held against its sources
mod repair; // the tools brought in order, with the network or without
mod update; // versions chosen anew, and the lock file moved

use std::collections::BTreeMap;
use std::sync::Arc;

use burrow_protocol::toolchain::{LockChange, RepairAction, RepairVerb};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::ToolchainContext;
use super::error::ToolchainError;
use super::generations::{Generations, InstalledTool, Manifest};
use super::install::{Step, blocking};
use super::observe::{self, Active, Observation, Relax, observe};
use super::repair::{Plan, cost};
use super::store::Store;
use super::verify::Depth;
use crate::coded::with_causes;
use crate::process::Caller;

/// What an operation is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bring the tools in order.
    Repair {
        /// Fail rather than install anything that the lock file does not name.
        locked: bool,
        /// Leave the tools at the set that somebody rolled back to.
        keep_rollback: bool,
    },
    /// Choose versions anew within the pins, and move the lock file.
    Update {
        /// One tool, else all.
        name: Option<String>,
        /// Whether a folder may be made for the lock file.
        create_folder: bool,
    },
    /// Make the generation before the active one active.
    Rollback,
    /// Build what is installed once more, in empty caches: the same binaries must come of it.
    Rebuild,
    /// Ask the checksum database about the tools that the compatibility table does not know.
    CheckSums,
}

impl Kind {
    /// The kind in one word, for names and logs.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Repair { .. } => "repair",
            Self::Update { .. } => "update",
            Self::Rollback => "rollback",
            Self::Rebuild => "rebuild",
            Self::CheckSums => "check",
        }
    }

    /// What is shown while it runs.
    pub(crate) const fn title(&self) -> &'static str {
        match self {
            Self::Repair { .. } => "Repairing the Go tools",
            Self::Update { .. } => "Updating the Go tools",
            Self::Rollback => "Rolling back the Go tools",
            Self::Rebuild => "Building the Go tools again",
            Self::CheckSums => "Checking the sums of the Go tools",
        }
    }
}

/// What came of an operation that did not fail.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) actions: Vec<RepairAction>,
    pub(crate) notes: Vec<String>,
    /// What an update did to the lock file.
    pub(crate) changes: Vec<LockChange>,
    /// The generation that is active now, with the tools that are others than before, or whose links were mended.
    pub(crate) switched: Option<(u32, Vec<String>)>,
    /// Why an older set serves, or what was there stays: not all that is asked for is within reach.
    pub(crate) out_of_reach: Option<ToolchainError>,
    /// What could not be done. The operation has failed, now that the rest is done.
    pub(crate) error: Option<ToolchainError>,
    /// How things stand afterwards.
    pub(crate) observation: Observation,
}

/// What an operation tells while it runs.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// These tools are being installed, with so many actions in all.
    Planned { tools: Vec<String>, actions: usize },
    /// A step of the installation.
    Step(Step),
    /// Not an operation's: a look found that this would bring the tools in order, and nobody has to ask for it.
    OutOfOrder(Vec<RepairAction>),
}

/// Runs an operation to its end.
pub(crate) async fn run(
    context: Arc<ToolchainContext>,
    kind: Kind,
    caller: Caller,
    events: mpsc::Sender<Event>,
    cancel: CancellationToken,
) -> Result<Done, ToolchainError> {
    let generations = Generations::new(context.layout());
    let operation =
        Operation { store: context.store(), generations: generations.clone(), context, caller, events, cancel };
    let active = move |generations: Generations| blocking(move || Ok(generations.active()));
    let held = Arc::clone(&operation.context);
    let renew = move || {
        held.renew_hold();
        Ok(())
    };
    blocking(renew).await?;
    let before = active(generations.clone()).await?;
    let mut done = match kind {
        Kind::Repair { locked, keep_rollback } => operation.repair(locked, keep_rollback).await,
        Kind::Update { name, create_folder } => operation.update(name, create_folder).await,
        Kind::Rollback => operation.rollback().await,
        Kind::Rebuild => operation.rebuild().await,
        Kind::CheckSums => operation.check_sums().await,
    }?;
    let now = active(generations).await?;
    done.switched = switched(before.as_ref(), now.as_ref()).or_else(|| relinked(&done.actions, now.as_ref()));
    Ok(done)
}

/// The generation that is active, with the tools whose links were mended: an editor that found none has to look again.
fn relinked(actions: &[RepairAction], now: Option<&(u32, Manifest)>) -> Option<(u32, Vec<String>)> {
    let mended = actions.iter().filter(|action| action.verb == RepairVerb::Relink);
    let mended: Vec<String> = mended.filter_map(|action| action.tool.clone()).collect();
    now.filter(|_| !mended.is_empty()).map(|(number, _)| (*number, mended))
}

/// The generation that is active now, where another one was before, with the tools that are others in it.
fn switched(before: Option<&(u32, Manifest)>, now: Option<&(u32, Manifest)>) -> Option<(u32, Vec<String>)> {
    let (number, manifest) = now?;
    if before.is_some_and(|(before, _)| before == number) {
        return None;
    }
    let old = |name: &String| before.and_then(|(_, manifest)| manifest.tools.get(name)).map(|tool| &tool.sha256);
    let others = manifest.tools.iter().filter(|(name, tool)| old(name) != Some(&tool.sha256));
    Some((*number, others.map(|(name, _)| name.clone()).collect()))
}

#[derive(Clone, Debug)]
struct Operation {
    context: Arc<ToolchainContext>,
    caller: Caller,
    store: Store,
    generations: Generations,
    events: mpsc::Sender<Event>,
    /// Ends it, as long as nothing was switched.
    cancel: CancellationToken,
}

impl Operation {
    async fn rollback(self) -> Result<Done, ToolchainError> {
        let asked = self.look(Relax::Nothing).await?.asked.ok().map(|asked| asked.versions());
        let this = self.clone();
        let action = blocking(move || {
            let active = this.generations.active();
            let is_older = |(number, manifest): &(u32, Manifest)| {
                let same = |(active, now): &(u32, Manifest)| number >= active || manifest.has_the_binaries_of(now);
                !active.as_ref().is_some_and(same)
            };
            let older = this.generations.all().into_iter().filter(is_older);
            let (number, manifest) = older
                .into_iter()
                .find(|(number, manifest)| this.is_whole(*number, manifest))
                .ok_or(ToolchainError::NoGeneration)?;
            this.generations.relink(number, &manifest, &this.store)?;
            this.generations.roll_back(number, asked)?;
            Ok(fallen_back(number, "as asked for"))
        })
        .await?;
        self.finish(vec![action], Vec::new()).await
    }

    async fn look(&self, relax: Relax) -> Result<Observation, ToolchainError> {
        let this = self.clone();
        blocking(move || Ok(observe(&this.context, &this.caller, &relax, Depth::Quick))).await
    }

    async fn finish(self, actions: Vec<RepairAction>, notes: Vec<String>) -> Result<Done, ToolchainError> {
        Ok(settle(self.look(Relax::Nothing).await?, actions, notes))
    }

    /// Makes what was planned the active state; what became active, and what was done.
    fn apply(
        &self,
        plan: &Plan,
        built: BTreeMap<String, InstalledTool>,
        active: Option<&Active>,
    ) -> Result<(Manifest, Vec<RepairAction>), ToolchainError> {
        let manifest = plan.manifest(built);
        self.store.hold(manifest.tools.values().map(|tool| tool.sha256.clone()));
        if plan.makes_generation() {
            // What a rollback left is gone forward to, so that the sets that are kept stay different ones.
            let newer = self.generations.all().into_iter().find(|(number, kept)| {
                active.is_some_and(|active| *number > active.number) && kept.has_the_binaries_of(&manifest)
            });
            let number = match newer {
                Some((number, _)) => {
                    self.generations.relink(number, &manifest, &self.store)?;
                    self.generations.write(number, &manifest)?;
                    number
                }
                None => self.generations.create(&manifest, &self.store)?,
            };
            self.generations.activate(number)?;
        } else if let Some(active) = active {
            if !plan.compared.is_empty() {
                self.generations.write(active.number, &manifest)?;
            }
            if !plan.relink.is_empty() {
                self.generations.relink(active.number, &manifest, &self.store)?;
            }
        }
        self.context.link_current()?;
        let surplus = self.generations.surplus();
        for number in &surplus {
            self.generations.remove(*number)?;
        }
        if !surplus.is_empty() {
            // The tools are in order already: what stays behind is removed with a later generation.
            match self.store.collect(&self.generations.digests()) {
                Ok(removed) => tracing::info!(removed, "binaries that nobody uses were removed"),
                Err(error) => tracing::warn!(error = with_causes(&error), "binaries that nobody uses stay"),
            }
        }
        Ok((manifest, plan.actions().actions))
    }

    fn is_whole(&self, number: u32, manifest: &Manifest) -> bool {
        observe::condition_of(&self.generations, &self.store, number, manifest.clone(), Depth::Quick).is_whole()
    }

    fn tell(&self, event: Event) {
        // Lost where the actor is behind: progress is shown as it comes, what was done is told at the end.
        let _ = self.events.try_send(event);
    }
}

/// How an operation ends that did its work. A tool for which nothing could be chosen is an error now that the others are in
/// order; drift is a state of the tool, which the report has.
fn settle(mut observation: Observation, actions: Vec<RepairAction>, notes: Vec<String>) -> Done {
    let mut error = None;
    if let Ok(asked) = &mut observation.asked {
        let is_fatal = |error: &ToolchainError| !matches!(error, ToolchainError::Drifted { .. });
        if let Some(fatal) = asked.choices.iter().position(|choice| choice.wanted.as_ref().is_err_and(is_fatal)) {
            error = asked.choices.swap_remove(fatal).wanted.err();
        }
    }
    Done { actions, notes, changes: Vec::new(), switched: None, out_of_reach: None, error, observation }
}

fn fallen_back(number: u32, why: &str) -> RepairAction {
    let why = format!("generation {number}, {why}");
    RepairAction { verb: RepairVerb::Rollback, tool: None, version: None, why, cost: cost(RepairVerb::Rollback) }
}
