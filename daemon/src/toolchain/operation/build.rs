//! What an operation has the module proxy and Go do: versions are looked up, tools are built, in a work folder that is gone
//! afterwards.

use tokio::sync::mpsc;

use super::{Event, Operation};
use crate::coded::with_causes;
use crate::toolchain::compat::Compat;
use crate::toolchain::environment::Modules;
use crate::toolchain::error::ToolchainError;
use crate::toolchain::install::{Installed, Installer, blocking};
use crate::toolchain::lookup::Lookup;
use crate::toolchain::modules;
use crate::toolchain::observe::Asked;
use crate::toolchain::pins::{self, Choice};
use crate::toolchain::repair::Plan;
use crate::toolchain::work::WorkFolder;

/// What came of looking up the versions that only the module proxy knows.
#[derive(Debug, Default)]
pub(super) struct LookedUp {
    /// Whether any was looked up.
    pub(super) any: bool,
    /// Why one of them was not found.
    pub(super) none: Option<ToolchainError>,
}

impl Operation {
    /// Completes the choices that only the module proxy can complete.
    pub(super) async fn look_up(&self, asked: &mut Asked) -> Result<LookedUp, ToolchainError> {
        let is_open = |choice: &Choice| choice.wanted.as_ref().is_ok_and(|wanted| wanted.open.is_some());
        if !asked.choices.iter().any(is_open) {
            return Ok(LookedUp::default());
        }
        let open: &Asked = asked;
        let found = self.in_workshop(open, Modules::Users, async |installer: &Installer| {
            let lookup = Lookup { installer, gos: open.gos() };
            let mut found = Vec::new();
            for (index, choice) in open.choices.iter().enumerate() {
                let Ok(wanted) = &choice.wanted else { continue };
                let Some(query) = &wanted.open else { continue };
                match lookup.resolve(wanted, query).await {
                    Ok(resolved) => found.push((index, Ok(resolved))),
                    Err(error) if error.is_of_one_tool() => found.push((index, Err(error))),
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

    pub(super) async fn build(
        &self,
        asked: &Asked,
        plan: &Plan,
        modules: Modules,
    ) -> Result<Installed, ToolchainError> {
        if plan.build.is_empty() {
            return Ok(Installed::default());
        }
        let tools = plan.build.iter().map(|(wanted, _)| wanted.name.clone()).collect();
        self.tell(Event::Planned { tools, actions: plan.actions().actions.len() });
        let wanted: Vec<_> = plan.build.iter().map(|(wanted, _)| wanted.clone()).collect();
        let install = async |installer: &Installer| installer.install(wanted, &self.store).await;
        self.in_workshop(asked, modules, install).await
    }

    /// Has `work` build in a folder of its own, until it is done or the operation is cancelled. What was downloaded is kept
    /// where it worked, and no `go` is left in any case.
    pub(super) async fn in_workshop<T>(
        &self,
        asked: &Asked,
        modules: Modules,
        work: impl AsyncFnOnce(&Installer) -> Result<T, ToolchainError>,
    ) -> Result<T, ToolchainError> {
        let (steps, mut told) = mpsc::channel(64);
        let (this, go, fetchable) = (self.clone(), asked.go.clone(), asked.fetchable.clone());
        let keeps = modules == Modules::Users;
        let (folder, installer) = blocking(move || {
            this.store.check_writable()?;
            let folder = WorkFolder::make(&this.context.state.work())?;
            let (caller, workspace) = (&this.caller, &this.context.workspace);
            let installer = Installer::new(go, fetchable, caller, workspace, &folder, &modules, steps)?;
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
}
