//! Moving the lock file: versions are chosen anew within the pins, and built for every platform that it names.

use std::collections::BTreeMap;

use super::{Done, Event, Operation};
use crate::coded::with_causes;
use crate::toolchain::environment::Modules;
use crate::toolchain::error::ToolchainError;
use crate::toolchain::generations::InstalledTool;
use crate::toolchain::install::{Installed, Installer, blocking};
use crate::toolchain::lock;
use crate::toolchain::observe::{Asked, Relax};
use crate::toolchain::repair::{self, Plan};
use crate::toolchain::update::{self, Rows};

impl Operation {
    pub(super) async fn update(self, name: Option<String>, create_folder: bool) -> Result<Done, ToolchainError> {
        let relax = name.clone().map_or(Relax::All, Relax::Tool);
        let seen = self.look(relax).await?;
        let mut asked = seen.asked?;
        if let Some(name) = name.as_ref().filter(|name| !asked.choices.iter().any(|choice| choice.name == **name)) {
            let asked = asked.choices.iter().map(|choice| choice.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(ToolchainError::NotAsked { tool: name.clone(), asked });
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
        let done = self.finish(actions, notes).await?;
        Ok(Done { changes, error: looked_up.none.or(done.error), ..done })
    }

    /// Builds what is planned, and then the binaries of other platforms that the lock file lacks: their digests alone are
    /// kept. One that cannot be built is told: without its row it is verified by its module's sum there.
    pub(super) async fn build_for_all(
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
        self.in_workshop(asked, Modules::Users, async |installer: &Installer| {
            let wanted: Vec<_> = plan.build.iter().map(|(wanted, _)| wanted.clone()).collect();
            let Installed { tools: built, failed } = installer.install(wanted, &self.store).await?;
            // A lock file is moved as a whole.
            failed.into_values().next().map_or(Ok(()), Err)?;
            let all: BTreeMap<_, _> = known.into_iter().chain(built.clone()).collect();
            let mut rows = Rows::new();
            for (wanted, target) in update::missing(asked, &all, name) {
                let fetched = installer.fetch(&wanted).await?;
                match installer.build(&wanted, &fetched, &target).await {
                    Ok(binary) => {
                        let key = lock::key_for(&fetched.builder().name(), &target);
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
}
