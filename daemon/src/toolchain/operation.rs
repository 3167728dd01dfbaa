//! Operations: repair, update, rollback. Each looks, plans, does, and looks again.
//!
//! Invariants: nothing is switched before all of it is in the store; an operation that fails or is dropped leaves the active
//! generation as it was; a lock file is written where there is none, and changed by an update alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use burrow_protocol::lock::{LockFile, LockedTool};
use burrow_protocol::toolchain::{RepairAction, RepairVerb};
use tokio::sync::mpsc;

use super::ToolchainContext;
use super::compat::Compat;
use super::environment::{self, BuildFolders};
use super::error::ToolchainError;
use super::generations::{Generations, InstalledTool, Manifest};
use super::install::{Installer, Step, blocking};
use super::lock;
use super::lookup::Lookup;
use super::observe::{self, Active, Asked, Observation, Relax, observe};
use super::pins::{self, Choice};
use super::repair::{self, Plan};
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
    },
    /// Choose versions anew within the pins, and move the lock file.
    Update {
        /// One tool, else all.
        name: Option<String>,
    },
    /// Make the generation before the active one active.
    Rollback,
}

impl Kind {
    /// The kind in one word, for names and logs.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Repair { .. } => "repair",
            Self::Update { .. } => "update",
            Self::Rollback => "rollback",
        }
    }

    /// What is shown while it runs.
    pub(crate) const fn title(&self) -> &'static str {
        match self {
            Self::Repair { .. } => "Repairing the Go tools",
            Self::Update { .. } => "Updating the Go tools",
            Self::Rollback => "Rolling back the Go tools",
        }
    }
}

/// What came of an operation that did not fail.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) actions: Vec<RepairAction>,
    pub(crate) notes: Vec<String>,
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
}

/// Runs an operation to its end.
pub(crate) async fn run(
    context: Arc<ToolchainContext>,
    kind: Kind,
    caller: Caller,
    events: mpsc::Sender<Event>,
) -> Result<Done, ToolchainError> {
    let operation = Operation {
        store: Store::new(context.store_dir.clone()),
        generations: Generations::new(context.layout()),
        context,
        caller,
        events,
    };
    match kind {
        Kind::Repair { locked } => operation.repair(locked).await,
        Kind::Update { name } => operation.update(name).await,
        Kind::Rollback => operation.rollback().await,
    }
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
}

impl Operation {
    async fn repair(self, locked: bool) -> Result<Done, ToolchainError> {
        let Observation { asked, active, at_hand, surplus, looked_at } = self.look(Relax::Nothing).await?;
        let mut asked = asked?;
        if locked {
            repair::check_locked(&asked)?;
        }
        let plan = repair::plan(&asked, active.as_ref(), &at_hand, &surplus);
        let mut notes = Vec::new();
        if plan.is_empty() && asked.lock.is_some() {
            // The one link outside of the generations: it may be gone, or its making was cut off.
            let (context, installed) = (Arc::clone(&self.context), active.is_some());
            blocking(move || if installed { Ok(context.link_current()?) } else { Ok(()) }).await?;
            notes.extend(missing_rows(&asked, active.as_ref().map(|active| &active.manifest)));
            return settle(Observation { asked: Ok(asked), active, at_hand, surplus, looked_at }, Vec::new(), notes);
        }
        let mut not_found = None;
        let built = match self.look_up(&mut asked).await {
            Ok(looked_up) => {
                not_found = looked_up.none;
                let plan = if looked_up.any {
                    repair::plan(&asked, active.as_ref(), &at_hand, &surplus)
                } else {
                    plan
                };
                self.build(&asked, &plan).await.map(|built| (plan, built))
            }
            Err(error) => Err(error),
        };
        let actions = match built {
            Ok((plan, built)) => {
                let this = self.clone();
                let (actions, told) = blocking(move || {
                    let (manifest, actions) = this.apply(&plan, built, active.as_ref())?;
                    Ok((actions, write_missing_lock(&asked, &manifest)?))
                })
                .await?;
                notes.extend(told);
                actions
            }
            Err(error @ ToolchainError::Download { .. }) => {
                let this = self.clone();
                let (action, note) = blocking(move || this.fall_back(active.as_ref(), error)).await?;
                notes.push(note);
                action.into_iter().collect()
            }
            Err(error) => return Err(error),
        };
        // Now that the others are in order.
        not_found.map_or(Ok(()), Err)?;
        self.finish(actions, notes).await
    }

    async fn update(self, name: Option<String>) -> Result<Done, ToolchainError> {
        let relax = name.clone().map_or(Relax::All, Relax::Tool);
        let seen = self.look(relax).await?;
        let mut asked = seen.asked?;
        if let Some(name) = name.as_ref().filter(|name| !asked.choices.iter().any(|choice| choice.name == **name)) {
            let known = asked.choices.iter().map(|choice| choice.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(ToolchainError::ToolUnknown { tool: name.clone(), known });
        }
        let looked_up = self.look_up(&mut asked).await?;
        let plan = repair::plan(&asked, seen.active.as_ref(), &seen.at_hand, &seen.surplus);
        let built = self.build(&asked, &plan).await?;
        let this = self.clone();
        let (actions, notes) = blocking(move || {
            let (manifest, actions) = this.apply(&plan, built, seen.active.as_ref())?;
            Ok((actions, move_lock(&asked, &manifest, name.as_deref())?))
        })
        .await?;
        looked_up.none.map_or(Ok(()), Err)?;
        self.finish(actions, notes).await
    }

    async fn rollback(self) -> Result<Done, ToolchainError> {
        let this = self.clone();
        let action = blocking(move || {
            let active = this.generations.active().map(|(number, _)| number);
            let older =
                this.generations.all().into_iter().filter(|(number, _)| active.is_none_or(|active| *number < active));
            let (number, manifest) = older
                .into_iter()
                .find(|(number, manifest)| this.is_whole(*number, manifest))
                .ok_or(ToolchainError::NoGeneration)?;
            this.generations.relink(number, &manifest, &this.store)?;
            this.generations.activate(number)?;
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
        let this = self.clone();
        let go = asked.go.clone();
        let (work, env) = blocking(move || {
            let work = this.store.work_folder()?;
            let folders = BuildFolders { root: work.path.clone() };
            Ok((work, environment::for_build(&this.caller.env, &this.context.workspace, &go, &folders)))
        })
        .await?;
        let lookup = Lookup { go: &asked.go, env, folder: work.path.clone(), gos: asked.gos() };
        let mut found = Vec::new();
        for (index, wanted) in asked.choices.iter().enumerate() {
            let Ok(wanted) = &wanted.wanted else { continue };
            let Some(query) = &wanted.open else { continue };
            match lookup.resolve(wanted, query).await {
                Ok(resolved) => found.push((index, Ok(resolved))),
                // That one tool has no version is its own affair.
                Err(error @ ToolchainError::NoneUpstream { .. }) => found.push((index, Err(error))),
                Err(error) => return Err(error),
            }
        }
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
        blocking(move || {
            work.remove();
            Ok(())
        })
        .await?;
        Ok(looked_up)
    }

    async fn build(&self, asked: &Asked, plan: &Plan) -> Result<BTreeMap<String, InstalledTool>, ToolchainError> {
        if plan.build.is_empty() {
            return Ok(BTreeMap::new());
        }
        let tools = plan.build.iter().map(|(wanted, _)| wanted.name.clone()).collect();
        self.tell(Event::Planned { tools, actions: plan.actions().actions.len() });
        let this = self.clone();
        let go = asked.go.clone();
        let (work, env) = blocking(move || {
            let work = this.store.work_folder()?;
            let folders = BuildFolders { root: work.path.clone() };
            Ok((work, environment::for_build(&this.caller.env, &this.context.workspace, &go, &folders)))
        })
        .await?;
        let folders = BuildFolders { root: work.path.clone() };
        let (steps, mut told) = mpsc::channel(64);
        let installer = Installer::new(asked.go.clone(), env, folders, self.store.clone(), steps);
        let forward = async {
            while let Some(step) = told.recv().await {
                self.tell(Event::Step(step));
            }
        };
        let (built, ()) = tokio::join!(installer.install(plan.build.clone()), forward);
        blocking(move || {
            work.remove();
            Ok(())
        })
        .await?;
        built
    }

    /// Makes what was planned the active state; what became active, and what was done.
    fn apply(
        &self,
        plan: &Plan,
        built: BTreeMap<String, InstalledTool>,
        active: Option<&Active>,
    ) -> Result<(Manifest, Vec<RepairAction>), ToolchainError> {
        let manifest = plan.manifest(built);
        if plan.makes_generation() {
            let number = self.generations.create(&manifest, &self.store)?;
            self.generations.activate(number)?;
        } else if let Some(active) = active {
            if !plan.compared.is_empty() {
                self.generations.write(active.number, &manifest)?;
            }
            if !plan.relink.is_empty() {
                self.generations.relink(active.number, &manifest, &self.store)?;
            }
        }
        for number in self.generations.surplus() {
            self.generations.remove(number)?;
        }
        self.context.link_current()?;
        Ok((manifest, plan.actions().actions))
    }

    /// Without the network: the newest generation that is whole, the active one first.
    fn fall_back(
        &self,
        active: Option<&Active>,
        error: ToolchainError,
    ) -> Result<(Option<RepairAction>, String), ToolchainError> {
        let note = |number, stands: &str| format!("{}; generation {number} {stands}", with_causes(&error));
        if let Some(active) = active.filter(|active| is_whole(active)) {
            self.generations.relink(active.number, &active.manifest, &self.store)?;
            return Ok((None, note(active.number, "stays in use")));
        }
        let whole = self.generations.all().into_iter().find(|(number, manifest)| self.is_whole(*number, manifest));
        let Some((number, manifest)) = whole else { return Err(error) };
        self.generations.relink(number, &manifest, &self.store)?;
        self.generations.activate(number)?;
        Ok((Some(fallen_back(number, "the network cannot be reached")), note(number, "is used instead")))
    }

    fn is_whole(&self, number: u32, manifest: &Manifest) -> bool {
        is_whole(&observe::condition_of(&self.generations, &self.store, number, manifest.clone(), Depth::Quick))
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
    Ok(Done { actions, notes, observation })
}

/// Writes the lock file where there is none; what to tell about it.
fn write_missing_lock(asked: &Asked, manifest: &Manifest) -> Result<Option<String>, ToolchainError> {
    if asked.lock.is_some() {
        return Ok(missing_rows(asked, Some(manifest)));
    }
    if manifest.tools.is_empty() {
        return Ok(None);
    }
    let rows = manifest.tools.iter().map(|(name, tool)| (name.clone(), row(tool)));
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

fn is_whole(generation: &Active) -> bool {
    !generation.manifest.tools.is_empty() && generation.conditions.values().all(super::verify::Condition::is_whole)
}

fn fallen_back(number: u32, why: &str) -> RepairAction {
    RepairAction { verb: RepairVerb::Rollback, tool: None, version: None, why: format!("generation {number}, {why}") }
}

/// Writes the rows of what was updated; what changed, in words.
fn move_lock(asked: &Asked, manifest: &Manifest, name: Option<&str>) -> Result<Vec<String>, ToolchainError> {
    let old = asked.lock.clone().unwrap_or_else(lock::empty);
    let mut new = old.clone();
    if name.is_none() {
        new.tools.retain(|tool, _| asked.choices.iter().any(|choice| choice.name == *tool));
    }
    let mut notes = Vec::new();
    for choice in asked.choices.iter().filter(|choice| name.is_none_or(|name| name == choice.name)) {
        let (Ok(_), Some(tool)) = (&choice.wanted, manifest.tools.get(&choice.name)) else { continue };
        let mut row = row(tool);
        match old.tools.get(&choice.name) {
            // The same module: what other platforms' builds are is still true.
            Some(before) if (&before.h1, &before.version) == (&row.h1, &row.version) => {
                row.binaries = before.binaries.clone().into_iter().chain(row.binaries).collect();
            }
            Some(before) => notes.push(format!("{} {} -> {}", choice.name, before.version, row.version)),
            None => notes.push(format!("{} {} is new", choice.name, row.version)),
        }
        new.tools.insert(choice.name.clone(), row);
    }
    if new != old {
        lock::write(&asked.place, &new)?;
        notes.push(format!("wrote {}", asked.place.path));
    }
    Ok(notes)
}

fn row(tool: &InstalledTool) -> LockedTool {
    LockedTool {
        module: tool.module.clone(),
        package: tool.package.clone(),
        version: tool.version.clone(),
        h1: tool.h1.clone(),
        binaries: [(lock::build_key(&tool.built_with), tool.sha256.clone())].into(),
    }
}
