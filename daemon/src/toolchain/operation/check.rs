//! Checks that run Go: a build of the installed tools that must give the same binaries, and the checksum database's word on
//! modules that the compatibility table does not know.
//!
//! Invariants: nothing is installed; what turns out to be another counts as changed from here on, to everybody.

use std::collections::BTreeMap;

use burrow_protocol::toolchain::{RepairAction, RepairVerb};

use super::{Done, Event, Operation, settle};
use crate::coded::with_causes;
use crate::toolchain::compat::Compat;
use crate::toolchain::environment::{BuildTarget, Modules};
use crate::toolchain::error::ToolchainError;
use crate::toolchain::generations::{InstalledTool, Voucher};
use crate::toolchain::install::{Installer, blocking};
use crate::toolchain::observe::{Active, Observation, Relax};
use crate::toolchain::pins::{ExpectedSum, Wanted};
use crate::toolchain::repair;

impl Operation {
    /// Builds the active tools once more; those that come out differently count as changed from here on.
    pub(super) async fn rebuild(self) -> Result<Done, ToolchainError> {
        let Observation { asked, active, .. } = self.look(Relax::Nothing).await?;
        let (asked, active) = (asked?, active.ok_or(ToolchainError::NoGeneration)?);
        let tools = active.manifest.tools.clone();
        self.tell(Event::Planned { tools: Vec::new(), actions: tools.len() * 3 });
        let builds = self.in_workshop(&asked, Modules::Users, async |installer: &Installer| {
            let mut differing = Vec::new();
            for (name, tool) in &tools {
                let Some(wanted) = again(name, tool) else { continue };
                let fetched = installer.fetch(&wanted).await?;
                if installer.build(&wanted, &fetched, &BuildTarget::host()).await?.sha256 != tool.sha256 {
                    differing.push(name.clone());
                }
            }
            Ok(differing)
        });
        let differing = builds.await?;
        if !differing.is_empty() {
            self.refute(active, differing.clone()).await?;
            return Err(ToolchainError::NotReproduced { tools: differing });
        }
        let action = |(name, tool): (&String, &InstalledTool)| RepairAction {
            verb: RepairVerb::Verify,
            tool: Some(name.clone()),
            version: Some(tool.version.clone()),
            why: "built again in empty caches, and the same byte for byte".to_owned(),
            cost: repair::cost(RepairVerb::Build),
        };
        let actions = tools.iter().map(action).collect();
        self.finish(actions, Vec::new()).await
    }

    /// Downloads the modules of the active tools that the compatibility table does not know, so that Go asks the checksum
    /// database about them, and compares their sums with the recorded ones.
    pub(super) async fn check_sums(self) -> Result<Done, ToolchainError> {
        let mut observation = self.look(Relax::Nothing).await?;
        let active = observation.active.take().ok_or(ToolchainError::NoGeneration)?;
        let in_table = |tool: &InstalledTool| Compat::built_in().sum_of(&tool.module, &tool.version).is_some();
        let tools = active.manifest.tools.clone().into_iter().filter(|(_, tool)| !in_table(tool));
        let tools: BTreeMap<String, InstalledTool> = tools.collect();
        let asked = match &observation.asked {
            Ok(asked) if !tools.is_empty() => asked,
            _ => {
                observation.active = Some(active);
                return Ok(settle(observation, Vec::new(), Vec::new()));
            }
        };
        self.tell(Event::Planned { tools: Vec::new(), actions: tools.len() });
        let (mut actions, mut notes) = (Vec::new(), Vec::new());
        let checked = self.in_workshop(asked, Modules::Users, async |installer: &Installer| {
            for (name, tool) in &tools {
                // What it has to be is what the database says, and not the record.
                let Some(wanted) = again(name, tool).map(|wanted| Wanted { h1: None, ..wanted }) else { continue };
                let (module, version) = (&tool.module, &tool.version);
                if !installer.asks_database_about(module) {
                    notes.push(format!(
                        "{name}: nobody vouches for {module}@{version}: Go does not ask the checksum database about it"
                    ));
                    continue;
                }
                match installer.fetch(&wanted).await {
                    Ok(fetched) if fetched.h1() == tool.h1 => actions.push(verified(name, tool)),
                    Ok(fetched) => return Ok(Some((name.clone(), fetched.h1().to_owned()))),
                    Err(error @ ToolchainError::Download { .. }) => {
                        notes.push(format!("{name}: the checksum database was not asked: {}", with_causes(&error)));
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(None)
        });
        if let Some((name, expected)) = checked.await? {
            let tool = &tools[&name];
            let what = format!("{}@{}, from which the installed {name} was built", tool.module, tool.version);
            let found = tool.h1.clone();
            self.refute(active, vec![name]).await?;
            return Err(ToolchainError::ChecksumMismatch {
                what,
                found,
                expected,
                by: "the checksum database".to_owned(),
            });
        }
        self.finish(actions, notes).await
    }

    /// Marks these tools of the active generation as changed.
    async fn refute(&self, mut active: Active, names: Vec<String>) -> Result<(), ToolchainError> {
        let this = self.clone();
        blocking(move || {
            for name in &names {
                if let Some(tool) = active.manifest.tools.get_mut(name) {
                    tool.refuted = true;
                }
            }
            this.generations.write(active.number, &active.manifest)
        })
        .await
    }
}

fn verified(name: &str, tool: &InstalledTool) -> RepairAction {
    RepairAction {
        verb: RepairVerb::Verify,
        tool: Some(name.to_owned()),
        version: Some(tool.version.clone()),
        why: "the checksum database knows its module by the recorded sum".to_owned(),
        cost: repair::cost(RepairVerb::Fetch),
    }
}

/// What has to be built to have an installed tool once more; none where its record makes no sense.
fn again(name: &str, tool: &InstalledTool) -> Option<Wanted> {
    Some(Wanted {
        name: name.to_owned(),
        module: Some(tool.module.clone()),
        package: tool.package.clone(),
        version: tool.version.clone(),
        open: None,
        h1: Some(ExpectedSum { sum: tool.h1.clone(), from_table: tool.voucher == Voucher::Table }),
        builder: tool.built_with.parse().ok()?,
        sha256: None,
        why: String::new(),
    })
}
