//! Operations: repair, update, rollback, and the checks that run Go. Each looks, plans, does, and looks again.
//!
//! Invariants: nothing is switched before all of it is in the store; an operation that fails, is cancelled or is dropped
//! leaves the active generation as it was; a lock file is written where there is none, and changed by an update alone.

mod check; // what is installed, held against its sources

use std::collections::BTreeMap;
use std::sync::Arc;

use burrow_protocol::lock::LockFile;
use burrow_protocol::toolchain::{LockChange, RepairAction, RepairVerb};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::ToolchainContext;
use super::compat::Compat;
use super::environment::Modules;
use super::error::ToolchainError;
use super::generations::{Generations, InstalledTool, Manifest};
use super::go::EffectiveGo;
use super::install::{Installer, Step, blocking};
use super::lock;
use super::lookup::Lookup;
use super::modules;
use super::observe::{self, Active, Asked, Observation, Relax, observe};
use super::pins::{self, Choice};
use super::repair::{self, Plan};
use super::store::Store;
use super::update::{self, Rows};
use super::verify::Depth;
use super::work::WorkFolder;
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

/// What came of looking up the versions that only the module proxy knows.
#[derive(Debug, Default)]
struct LookedUp {
    /// Whether any was looked up.
    any: bool,
    /// Why one of them was not found.
    none: Option<ToolchainError>,
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
    async fn repair(self, locked: bool, keep_rollback: bool) -> Result<Done, ToolchainError> {
        let relax = if keep_rollback { Relax::Nothing } else { Relax::Rollback };
        let Observation { asked, active, at_hand, surplus, looked_at } = self.look(relax).await?;
        let mut asked = asked?;
        if locked {
            repair::check_locked(&asked)?;
        }
        let plan = repair::plan(&asked, active.as_ref(), &at_hand, &surplus);
        let mut notes = Vec::new();
        let rolled_back = active.as_ref().is_some_and(|active| active.rolled_back);
        if rolled_back && !plan.is_empty() {
            // Neither does the lock file, if there is none, get the versions that were gone back to.
            let this = self.clone();
            let (_, actions) = blocking(move || this.apply(&plan, BTreeMap::new(), active.as_ref())).await?;
            return self.finish(actions, notes).await;
        }
        if plan.is_empty() && (asked.lock.is_some() || rolled_back) {
            // The one link outside of the generations: it may be gone, or its making was cut off.
            let (context, installed) = (Arc::clone(&self.context), active.is_some());
            blocking(move || if installed { Ok(context.link_current()?) } else { Ok(()) }).await?;
            notes.extend(missing_rows(&asked, active.as_ref().map(|active| &active.manifest)));
            return settle(Observation { asked: Ok(asked), active, at_hand, surplus, looked_at }, Vec::new(), notes);
        }
        let mut not_found = None;
        let mut plan = plan;
        let built = match self.look_up(&mut asked).await {
            Ok(looked_up) => {
                not_found = looked_up.none;
                if looked_up.any {
                    plan = repair::plan(&asked, active.as_ref(), &at_hand, &surplus);
                }
                self.build(&asked, &plan, Modules::Users).await
            }
            Err(error) => Err(error),
        };
        let built = match built {
            Err(error @ ToolchainError::Download { .. }) => {
                let (this, generation) = (self.clone(), active.clone());
                let text = with_causes(&error);
                if let Some((action, note)) = blocking(move || this.fall_back(generation.as_ref(), &text)).await? {
                    notes.push(note);
                    return self.finish(action.into_iter().collect(), notes).await;
                }
                let built = self.build_from_what_is_kept(&asked, &plan, error).await?;
                notes.push(
                    "the network cannot be reached: the tools were built from downloads that were kept".to_owned(),
                );
                built
            }
            built => built?,
        };
        let this = self.clone();
        let (actions, told) = blocking(move || {
            let (manifest, actions) = this.apply(&plan, built, active.as_ref())?;
            Ok((actions, write_missing_lock(&asked, &manifest)?))
        })
        .await?;
        notes.extend(told);
        // Now that the others are in order.
        not_found.map_or(Ok(()), Err)?;
        self.finish(actions, notes).await
    }

    /// Builds without network, from what was downloaded before: here, or by the caller's own Go. All of it is checked as a
    /// download is.
    async fn build_from_what_is_kept(
        &self,
        asked: &Asked,
        plan: &Plan,
        network: ToolchainError,
    ) -> Result<BTreeMap<String, InstalledTool>, ToolchainError> {
        let (kept, caller, root) = (self.context.state.modules(), self.caller.clone(), asked.go.local.root.clone());
        let folders = blocking(move || Ok(modules::at_hand(kept, &caller, &root))).await?;
        let caches = if folders.is_empty() {
            "no downloads are kept"
        } else {
            match self.build(asked, plan, Modules::Folders(folders)).await {
                Err(error @ ToolchainError::Download { .. }) => {
                    tracing::info!(error = with_causes(&error), "the downloads that are kept are not enough");
                    "the downloads that are kept are not enough"
                }
                built => return built,
            }
        };
        let needs = plan.build.iter().map(|(wanted, _)| {
            let module = wanted.module.as_ref().unwrap_or(&wanted.package);
            format!("{module}@{}", wanted.version)
        });
        Err(ToolchainError::OutOfReach { needs: needs.collect(), network: with_causes(&network), caches })
    }

    async fn update(self, name: Option<String>, create_folder: bool) -> Result<Done, ToolchainError> {
        let relax = name.clone().map_or(Relax::All, Relax::Tool);
        let seen = self.look(relax).await?;
        let mut asked = seen.asked?;
        if let Some(name) = name.as_ref().filter(|name| !asked.choices.iter().any(|choice| choice.name == **name)) {
            let known = asked.choices.iter().map(|choice| choice.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(ToolchainError::ToolUnknown { tool: name.clone(), known });
        }
        if !asked.place.shared && !create_folder {
            let [path, _] = lock::looked_at(&self.context.workspace);
            return Err(ToolchainError::ConsentNeeded { path });
        }
        let looked_up = self.look_up(&mut asked).await?;
        let plan = repair::plan(&asked, seen.active.as_ref(), &seen.at_hand, &seen.surplus);
        let mut notes = Vec::new();
        let (built, rows) = self.build_for_all(&asked, &plan, name.as_deref(), &mut notes).await?;
        let this = self.clone();
        let (actions, changes, written) = blocking(move || {
            let (manifest, actions) = this.apply(&plan, built, seen.active.as_ref())?;
            let (new, changes) = update::moved(&asked, &manifest.tools, &rows, name.as_deref());
            let place = if asked.place.shared {
                asked.place
            } else {
                lock::make_shared(&this.context.workspace, &this.context.layout())?
            };
            let differs = !place.path.exists() || asked.lock.as_ref() != Some(&new);
            if differs {
                lock::write(&place, &new)?;
            }
            Ok((actions, changes, differs.then(|| format!("wrote {}", place.path))))
        })
        .await?;
        notes.extend(written);
        looked_up.none.map_or(Ok(()), Err)?;
        let mut done = self.finish(actions, notes).await?;
        done.changes = changes;
        Ok(done)
    }

    /// Builds what is planned, and then the binaries of other platforms that the lock file lacks: their digests alone are
    /// kept. One that cannot be built is told: without its row it is verified by its module's sum there.
    async fn build_for_all(
        &self,
        asked: &Asked,
        plan: &Plan,
        name: Option<&str>,
        notes: &mut Vec<String>,
    ) -> Result<(BTreeMap<String, InstalledTool>, Rows), ToolchainError> {
        let known = plan.manifest(BTreeMap::new()).tools;
        let tools = plan.build.iter().map(|(wanted, _)| wanted.name.clone()).collect();
        let others = update::missing(asked, &known, name).len() + plan.build.len();
        self.tell(Event::Planned { tools, actions: plan.actions().actions.len() + others * 3 });
        if plan.build.is_empty() && others == 0 {
            return Ok((BTreeMap::new(), Rows::new()));
        }
        self.in_workshop(&asked.go, Modules::Users, async |installer: &Installer| {
            let wanted: Vec<_> = plan.build.iter().map(|(wanted, _)| wanted.clone()).collect();
            let built = installer.install(wanted, &self.store).await?;
            let all: BTreeMap<_, _> = known.into_iter().chain(built.clone()).collect();
            let mut rows = Rows::new();
            for (wanted, target) in update::missing(asked, &all, name) {
                let fetched = installer.fetch(&wanted).await?;
                match installer.build(&wanted, &fetched, &target).await {
                    Ok(binary) => {
                        let key = lock::key_for(&wanted.builder.name(), &target);
                        rows.entry(wanted.name).or_default().insert(key, binary.sha256);
                    }
                    Err(error @ ToolchainError::BuildFailed { .. }) => {
                        let (tool, why) = (&wanted.name, with_causes(&error));
                        notes.push(format!("no row of {tool} for {}: {why}", target.platform()));
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok((built, rows))
        })
        .await
    }

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
        settle(self.look(Relax::Nothing).await?, actions, notes)
    }

    /// Completes the choices that only the module proxy can complete.
    async fn look_up(&self, asked: &mut Asked) -> Result<LookedUp, ToolchainError> {
        let is_open = |choice: &Choice| choice.wanted.as_ref().is_ok_and(|wanted| wanted.open.is_some());
        if !asked.choices.iter().any(is_open) {
            return Ok(LookedUp::default());
        }
        let open: &Asked = asked;
        let found = self.in_workshop(&open.go, Modules::Users, async |installer: &Installer| {
            let lookup = Lookup { installer, gos: open.gos() };
            let mut found = Vec::new();
            for (index, choice) in open.choices.iter().enumerate() {
                let Ok(wanted) = &choice.wanted else { continue };
                let Some(query) = &wanted.open else { continue };
                match lookup.resolve(wanted, query).await {
                    Ok(resolved) => found.push((index, Ok(resolved))),
                    // That one tool has no version is its own affair.
                    Err(error @ ToolchainError::NoneUpstream { .. }) => found.push((index, Err(error))),
                    Err(error) => return Err(error),
                }
            }
            Ok(found)
        });
        let found = found.await?;
        let own = asked.go.version;
        let mut looked_up = LookedUp { any: true, none: None };
        for (index, resolved) in found {
            let choice = &mut asked.choices[index];
            match resolved {
                Ok(resolved) => {
                    if let Ok(wanted) = &mut choice.wanted {
                        pins::complete(wanted, resolved, Compat::built_in(), own);
                    }
                }
                Err(error) => {
                    let tool = choice.name.clone();
                    choice.wanted = Err(ToolchainError::NotInstalled { tool, why: "no version of it was found" });
                    looked_up.none.get_or_insert(error);
                }
            }
        }
        Ok(looked_up)
    }

    async fn build(
        &self,
        asked: &Asked,
        plan: &Plan,
        modules: Modules,
    ) -> Result<BTreeMap<String, InstalledTool>, ToolchainError> {
        if plan.build.is_empty() {
            return Ok(BTreeMap::new());
        }
        let tools = plan.build.iter().map(|(wanted, _)| wanted.name.clone()).collect();
        self.tell(Event::Planned { tools, actions: plan.actions().actions.len() });
        let wanted: Vec<_> = plan.build.iter().map(|(wanted, _)| wanted.clone()).collect();
        let install = async |installer: &Installer| installer.install(wanted, &self.store).await;
        self.in_workshop(&asked.go, modules, install).await
    }

    /// Has `work` build in a folder of its own, until it is done or the operation is cancelled. What was downloaded is kept
    /// where it worked, and no `go` is left in any case.
    async fn in_workshop<T>(
        &self,
        go: &EffectiveGo,
        modules: Modules,
        work: impl AsyncFnOnce(&Installer) -> Result<T, ToolchainError>,
    ) -> Result<T, ToolchainError> {
        let (steps, mut told) = mpsc::channel(64);
        let (this, go) = (self.clone(), go.clone());
        let keeps = modules == Modules::Users;
        let (folder, installer) = blocking(move || {
            this.store.check_writable()?;
            let folder = WorkFolder::make(&this.context.state.work())?;
            let installer = Installer::new(go, &this.caller, &this.context.workspace, &folder, &modules, steps)?;
            Ok((folder, installer))
        })
        .await?;
        let forward = async {
            while let Some(step) = told.recv().await {
                self.tell(Event::Step(step));
            }
            std::future::pending::<()>().await;
        };
        let done = tokio::select! {
            done = work(&installer) => done,
            () = forward => Err(ToolchainError::Ending),
            () = self.cancel.cancelled() => Err(ToolchainError::Cancelled),
        };
        if done.is_ok() && keeps {
            let (from, to) = (installer.downloads(), self.context.state.modules());
            blocking(move || {
                // They are for a bad day, and no reason to fail on a good one.
                if let Err(error) = modules::keep(&from, &to) {
                    tracing::warn!(error = with_causes(&error), "downloads are not kept");
                }
                Ok(())
            })
            .await?;
        }
        folder.close().await;
        done
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

    /// Without the network: the newest generation that is whole, the active one first. None where none is.
    fn fall_back(
        &self,
        active: Option<&Active>,
        error: &str,
    ) -> Result<Option<(Option<RepairAction>, String)>, ToolchainError> {
        let note = |number, stands: &str| format!("{error}; generation {number} {stands}");
        if let Some(active) = active.filter(|active| active.is_whole()) {
            self.generations.relink(active.number, &active.manifest, &self.store)?;
            return Ok(Some((None, note(active.number, "stays in use"))));
        }
        let whole = self.generations.all().into_iter().find(|(number, manifest)| self.is_whole(*number, manifest));
        let Some((number, manifest)) = whole else { return Ok(None) };
        self.generations.relink(number, &manifest, &self.store)?;
        self.generations.activate(number)?;
        Ok(Some((Some(fallen_back(number, "the network cannot be reached")), note(number, "is used instead"))))
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
fn settle(
    mut observation: Observation,
    actions: Vec<RepairAction>,
    notes: Vec<String>,
) -> Result<Done, ToolchainError> {
    if let Ok(asked) = &mut observation.asked {
        let is_fatal = |error: &ToolchainError| !matches!(error, ToolchainError::Drifted { .. });
        if let Some(fatal) = asked.choices.iter().position(|choice| choice.wanted.as_ref().is_err_and(is_fatal)) {
            asked.choices.swap_remove(fatal).wanted?;
        }
    }
    Ok(Done { actions, notes, changes: Vec::new(), switched: None, observation })
}

/// Writes the lock file where there is none; what to tell about it.
fn write_missing_lock(asked: &Asked, manifest: &Manifest) -> Result<Option<String>, ToolchainError> {
    if asked.lock.is_some() {
        return Ok(missing_rows(asked, Some(manifest)));
    }
    if manifest.tools.is_empty() {
        return Ok(None);
    }
    let rows = manifest.tools.iter().map(|(name, tool)| (name.clone(), update::row(tool)));
    lock::write(&asked.place, &LockFile { tools: rows.collect(), ..lock::empty() })?;
    let path = &asked.place.path;
    Ok(Some(if asked.place.shared {
        format!("wrote {path}: commit it, and everybody gets these very tools")
    } else {
        format!("there is no .devcontainer folder, so the versions are locked in {path}")
    }))
}

/// The tools that are installed and that the lock file does not name, told.
fn missing_rows(asked: &Asked, manifest: Option<&Manifest>) -> Option<String> {
    let lock = asked.lock.as_ref()?;
    let names: Vec<_> =
        manifest?.tools.keys().filter(|name| !lock.tools.contains_key(*name)).map(String::as_str).collect();
    let note = || format!("{} has no row for {}: `burrow tools update` adds it", asked.place.path, names.join(", "));
    (!names.is_empty()).then(note)
}

fn fallen_back(number: u32, why: &str) -> RepairAction {
    let why = format!("generation {number}, {why}");
    RepairAction {
        verb: RepairVerb::Rollback,
        tool: None,
        version: None,
        why,
        cost: repair::cost(RepairVerb::Rollback),
    }
}
