//! Bringing the tools in order: what is missing is built; without the network the newest set that is whole serves, then what
//! was downloaded before.

use std::collections::BTreeMap;
use std::sync::Arc;

use burrow_protocol::lock::LockFile;
use burrow_protocol::toolchain::RepairAction;

use super::{Done, Operation, fallen_back, settle};
use crate::coded::with_causes;
use crate::toolchain::environment::Modules;
use crate::toolchain::error::ToolchainError;
use crate::toolchain::generations::{InstalledTool, Manifest};
use crate::toolchain::install::{Installed, blocking};
use crate::toolchain::observe::{Active, Asked, Observation, Relax, fits};
use crate::toolchain::repair::{self, Plan};
use crate::toolchain::{lock, modules, update};

impl Operation {
    pub(super) async fn repair(self, locked: bool, keep_rollback: bool) -> Result<Done, ToolchainError> {
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
            let observation = Observation { asked: Ok(asked), active, at_hand, surplus, looked_at };
            return Ok(settle(observation, Vec::new(), notes));
        }
        let mut failure = None;
        let mut plan = plan;
        let built = match self.look_up(&mut asked).await {
            Ok(looked_up) => {
                failure = looked_up.none;
                if looked_up.any {
                    plan = repair::plan(&asked, active.as_ref(), &at_hand, &surplus);
                }
                let built = self.build(&asked, &plan, Modules::Users).await;
                built.and_then(|installed| without_failed(&mut plan, installed, active.as_ref(), &mut failure))
            }
            Err(error) => Err(error),
        };
        let built = match built {
            Err(error @ ToolchainError::Download { .. }) => {
                let (this, generation) = (self.clone(), active.clone());
                if let Some((action, note)) = blocking(move || this.fall_back(generation.as_ref())).await? {
                    notes.push(note);
                    let done = self.finish(action.into_iter().collect(), notes).await?;
                    return Ok(Done { out_of_reach: Some(error), ..done });
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
        let done = self.finish(actions, notes).await?;
        Ok(Done { error: failure.or(done.error), ..done })
    }

    /// Builds without network, from what was downloaded before: here, or by the caller's own Go. All of it is checked as a
    /// download is.
    pub(super) async fn build_from_what_is_kept(
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
                built => {
                    let Installed { tools, failed } = built?;
                    if failed.is_empty() {
                        return Ok(tools);
                    }
                    let is_other = |error: &ToolchainError| !matches!(error, ToolchainError::Download { .. });
                    failed.into_values().find(is_other).map_or(Ok(()), Err)?;
                    "the downloads that are kept are not enough"
                }
            }
        };
        let needs = plan.build.iter().map(|(wanted, _)| {
            let module = wanted.module.as_ref().unwrap_or(&wanted.package);
            format!("{module}@{}", wanted.version)
        });
        Err(ToolchainError::OutOfReach { needs: needs.collect(), network: with_causes(&network), caches })
    }

    /// Without the network: the newest generation that is whole, the active one first. None where none is.
    fn fall_back(&self, active: Option<&Active>) -> Result<Option<(Option<RepairAction>, String)>, ToolchainError> {
        let note =
            |number, stands: &str| format!("not all that is asked for is within reach: generation {number} {stands}");
        if let Some(active) = active.filter(|active| active.is_whole()) {
            self.generations.relink(active.number, &active.manifest, &self.store)?;
            return Ok(Some((None, note(active.number, "stays in use"))));
        }
        let whole = self.generations.all().into_iter().find(|(number, manifest)| self.is_whole(*number, manifest));
        let Some((number, manifest)) = whole else { return Ok(None) };
        self.generations.relink(number, &manifest, &self.store)?;
        self.generations.activate(number)?;
        Ok(Some((
            Some(fallen_back(number, "not all that is asked for is within reach")),
            note(number, "is used instead"),
        )))
    }
}

/// Takes out of `plan` what could not be had, so that the rest can be made active. Where that would take away a tool, or leave
/// nothing to be done, it is the first failure instead.
fn without_failed(
    plan: &mut Plan,
    installed: Installed,
    active: Option<&Active>,
    failure: &mut Option<ToolchainError>,
) -> Result<BTreeMap<String, InstalledTool>, ToolchainError> {
    let Installed { tools, mut failed } = installed;
    let mut rest = plan.clone();
    let is_kept = failed.keys().all(|name| rest.give_up(name, active));
    if let Some((_, first)) = failed.pop_first() {
        if !(is_kept && rest.makes_generation()) {
            return Err(first);
        }
        *plan = rest;
        failure.get_or_insert(first);
    }
    Ok(tools)
}

/// Writes the lock file where there is none; what to tell about it.
fn write_missing_lock(asked: &Asked, manifest: &Manifest) -> Result<Option<String>, ToolchainError> {
    if asked.lock.is_some() {
        return Ok(missing_rows(asked, Some(manifest)));
    }
    if manifest.tools.is_empty() {
        return Ok(None);
    }
    // What stays only because something else could not be had is no choice to hold on to.
    let is_wanted = |name: &String, tool: &InstalledTool| {
        let choice = asked.choices.iter().find(|choice| choice.name == *name);
        choice.and_then(|choice| choice.wanted.as_ref().ok()).is_some_and(|wanted| fits(wanted, tool))
    };
    let wanted = manifest.tools.iter().filter(|(name, tool)| is_wanted(name, tool));
    let rows = wanted.map(|(name, tool)| (name.clone(), update::row(tool)));
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
