//! What is found out before a command starts: the environment that the user's shell sets, then what its shim is told.
//!
//! It goes on beside the loop: a slow shell holds up its own command alone.

use std::sync::Arc;

use camino::Utf8PathBuf;

use super::Engine;
use crate::hooks::command::Command;
use crate::hooks::follower::Readiness;
use crate::hooks::launch::{self, Place};
use crate::hooks::machine::{Cause, Job};
use crate::hooks::probe::Probe;
use crate::hooks::ready::Ports;
use crate::model::{ProgressStep, WorkspacePublisher};
use crate::process::ShimSpec;
use crate::workspace::files::devcontainer::Settings;
use crate::workspace::files::substitute::SubstituteError;

/// All that it takes to know how a command starts.
pub(super) struct Preparation {
    root: Utf8PathBuf,
    container_id: String,
    settings: Arc<Settings>,
    probe: Probe,
    publisher: WorkspacePublisher,
    ports: Ports,
    job: Arc<Job>,
    command: Command,
    folder: Utf8PathBuf,
    /// Whether it is a service that has not been ready yet.
    is_checked: bool,
}

impl Engine {
    pub(super) fn preparation(
        &self,
        job: Arc<Job>,
        command: Command,
        folder: Utf8PathBuf,
        is_checked: bool,
    ) -> Preparation {
        Preparation {
            root: self.context.workspace.clone(),
            container_id: self.context.container.id.clone(),
            settings: self.context.settings.borrow().clone(),
            probe: self.probe.clone(),
            publisher: self.context.publisher.clone(),
            ports: self.context.ports.clone(),
            job,
            command,
            folder,
            is_checked,
        }
    }
}

impl Preparation {
    /// What the shim is told, and what shows that a service is ready.
    ///
    /// # Errors
    /// [`SubstituteError`]: then the command cannot start.
    pub(super) async fn carry_out(self) -> Result<(ShimSpec, Option<Readiness>), SubstituteError> {
        let Self { settings, job, command, .. } = &self;
        let slow = |message: &str| {
            let step = ProgressStep::Report { message: message.to_owned(), percentage: None };
            self.publisher.progress(&job.run.to_string(), step);
        };
        let probed = match job.cause {
            Cause::Exec { .. } | Cause::TakenOver => Arc::default(),
            Cause::Due | Cause::Retry | Cause::Again => {
                self.probe.environment(settings.devcontainer.user_env_probe, &job.caller.env, slow).await
            }
        };
        let workspace = launch::workspace_folder(&self.root, &self.container_id, settings, &job.caller.env);
        let place = Place { workspace: &workspace, container_id: &self.container_id, settings, probed: &probed };
        let spec = launch::spec(&place, job, command, self.folder.clone())?;
        let readiness = self.is_checked.then(|| Readiness::of(&place, command, &spec, self.ports.clone()));
        Ok((spec, readiness.transpose()?))
    }
}
