//! What a command becomes when it starts: arguments, environment, folder. Pure.
//!
//! Not here: the order of the environment's layers (`environment`).

use std::collections::BTreeMap;

use burrow_protocol::settings::{ReadyCheck, SingleCommand};
use camino::{Utf8Path, Utf8PathBuf};

use super::command::{Action, Command};
use super::environment;
use super::machine::{Cause, Job};
use crate::duration;
use crate::process::{self, ShimSpec, Survivors, TerminalSize};
use crate::workspace::files::devcontainer::Settings;
use crate::workspace::files::substitute::{SubstituteError, Substitution, substitute};

/// From TERM to KILL.
const GRACE_MS: u32 = 10_000;
/// How long output is read that a background process holds open.
const LEAK_MS: u32 = 1_000;

/// What does not depend on the command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) workspace: &'a Utf8Path,
    pub(crate) container_id: &'a str,
    pub(crate) settings: &'a Settings,
    /// What the user's shell sets.
    pub(crate) probed: &'a BTreeMap<String, String>,
}

/// What the shim of one command is told.
///
/// # Errors
/// [`SubstituteError`]: then the command cannot start.
pub(crate) fn spec(
    place: &Place<'_>,
    job: &Job,
    command: &Command,
    folder: Utf8PathBuf,
) -> Result<ShimSpec, SubstituteError> {
    let (argv, env, cwd) = match &job.cause {
        // Its caller's shell has done all that is to be done to it.
        Cause::Exec { argv, cwd, .. } => (argv.clone(), job.caller.env.as_ref().clone(), cwd.clone()),
        // All that was to be done was done when it was started first.
        Cause::TakenOver => {
            let env = job.caller.env.as_ref().clone();
            let cwd = folder_of(place, command, &env)?;
            (arguments(place, &command.action, &env)?, env, cwd)
        }
        Cause::Due | Cause::Retry | Cause::Again => {
            let env = environment::merge(place, &job.caller.env, &command.env, command.tty)?;
            let cwd = folder_of(place, command, &env)?;
            (arguments(place, &command.action, &env)?, env, cwd)
        }
    };
    Ok(ShimSpec {
        schema: process::SCHEMA,
        run: folder.to_string(),
        secrets: secrets(place.settings, &env),
        folder,
        argv,
        env,
        cwd,
        // Of a service it limits the time until it is ready.
        timeout_ms: command.timeout.filter(|_| !command.background).map(duration::to_millis),
        grace_ms: GRACE_MS,
        leak_ms: LEAK_MS,
        // Each start of a service would add to what the last one left.
        survivors: if command.background { Survivors::EndAlways } else { Survivors::KeepOnSuccess },
        lifeline: false,
        tty: command.tty.then(TerminalSize::default),
        interrupt: false,
    })
}

/// A ready check with its command as it is run.
///
/// # Errors
/// [`SubstituteError`].
pub(crate) fn ready_check(
    place: &Place<'_>,
    check: &ReadyCheck,
    env: &BTreeMap<String, String>,
) -> Result<ReadyCheck, SubstituteError> {
    let context = place.substitution(env);
    let command = match check {
        ReadyCheck::Log { .. } | ReadyCheck::Port { .. } => return Ok(check.clone()),
        ReadyCheck::Command { command: SingleCommand::Shell(line) } => {
            SingleCommand::Shell(substitute(line, &context)?)
        }
        ReadyCheck::Command { command: SingleCommand::Exec(argv) } => {
            SingleCommand::Exec(argv.iter().map(|argument| substitute(argument, &context)).collect::<Result<_, _>>()?)
        }
    };
    Ok(ReadyCheck::Command { command })
}

/// The folder in which the hooks of the workspace at `root` run: `workspaceFolder` where it is there, else `root`, else the
/// caller's home.
pub(crate) fn workspace_folder(
    root: &Utf8Path,
    container_id: &str,
    settings: &Settings,
    env: &BTreeMap<String, String>,
) -> Utf8PathBuf {
    let context = Substitution { workspace: root, env, container_id };
    let written = settings.devcontainer.workspace_folder.as_deref();
    let named = written.and_then(|text| substitute(text, &context).ok()).map(Utf8PathBuf::from);
    // A relative one would count from wherever the daemon stands.
    let named = named.filter(|path| path.is_absolute() && path.is_dir());
    let home = || env.get("HOME").map(Utf8PathBuf::from).filter(|home| !root.is_dir() && home.is_dir());
    named.or_else(home).unwrap_or_else(|| root.to_owned())
}

/// The values in `env` that must not be seen.
pub(crate) fn secrets(settings: &Settings, env: &BTreeMap<String, String>) -> Vec<String> {
    let values = settings.burrow.secrets.iter().filter_map(|name| env.get(name));
    values.filter(|value| value.len() >= 4).cloned().collect()
}

/// Where the command runs: its own folder counts from the workspace folder.
fn folder_of(
    place: &Place<'_>,
    command: &Command,
    env: &BTreeMap<String, String>,
) -> Result<Utf8PathBuf, SubstituteError> {
    let Some(cwd) = &command.cwd else { return Ok(place.workspace.to_owned()) };
    Ok(place.workspace.join(substitute(cwd, &place.substitution(env))?))
}

fn arguments(
    place: &Place<'_>,
    action: &Action,
    env: &BTreeMap<String, String>,
) -> Result<Vec<String>, SubstituteError> {
    let context = place.substitution(env);
    match action {
        Action::Run(SingleCommand::Shell(line)) => {
            Ok(vec!["/bin/sh".to_owned(), "-c".to_owned(), substitute(line, &context)?])
        }
        Action::Run(SingleCommand::Exec(argv)) => argv.iter().map(|argument| substitute(argument, &context)).collect(),
        // In the shim's child that is the very binary of the shim.
        Action::Uses(step) => Ok(["/proc/self/exe", "step", step.as_str()].map(str::to_owned).to_vec()),
    }
}

impl Place<'_> {
    pub(crate) const fn substitution<'a>(&'a self, env: &'a BTreeMap<String, String>) -> Substitution<'a> {
        Substitution { workspace: self.workspace, env, container_id: self.container_id }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use burrow_protocol::hooks::{HookName, HookOrigin};
    use burrow_protocol::settings::{BuiltInStep, SingleCommand};

    use super::{Place, spec};
    use crate::hooks::command::{Action, Command};
    use crate::hooks::machine::{Cause, Job};
    use crate::hooks::record::RunId;
    use crate::process::{Caller, ShimSpec};
    use crate::workspace::files::devcontainer::Settings;

    fn job(cause: Cause) -> Job {
        let env = [("HOME", "/home/me"), ("TOKEN", "hunter2"), ("PIN", "123"), ("OLD", "x")];
        let env: BTreeMap<_, _> = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Job {
            run: RunId { number: 1, hook: HookName::PostCreate },
            origin: HookOrigin::Devcontainer,
            commands: Vec::new(),
            jobs: None,
            cause,
            caller: Caller { env: Arc::new(env), cwd: "/elsewhere".into(), trusted: true },
        }
    }

    fn settings() -> Settings {
        let mut settings = Settings::default();
        settings.burrow.secrets = ["TOKEN", "PIN", "NONE"].map(str::to_owned).to_vec();
        settings.devcontainer.remote_env = [("BIN", Some("${containerEnv:HOME}/bin")), ("OLD", None)]
            .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
            .into();
        settings
    }

    fn built(job: &Job, line: SingleCommand) -> ShimSpec {
        launched(job, &Command::new("", line))
    }

    fn launched(job: &Job, command: &Command) -> ShimSpec {
        let settings = settings();
        let place = Place {
            workspace: "/workspaces/api".into(),
            container_id: "c",
            settings: &settings,
            probed: &BTreeMap::new(),
        };
        spec(&place, job, command, "/state/runs/1-postCreate/main".into()).unwrap()
    }

    #[test]
    fn a_named_command_has_its_own_folder_environment_and_time() {
        let mut command = Command::new("seed", SingleCommand::Shell("make".to_owned()));
        command.cwd = Some("${containerEnv:SUB}/db".to_owned());
        command.env = [("SUB", Some("api")), ("BIN", Some("${containerEnv:BIN}:/x")), ("HOME", None)]
            .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
            .into();
        command.timeout = Some(Duration::from_secs(30));
        let spec = launched(&job(Cause::Due), &command);
        assert_eq!(spec.cwd, "/workspaces/api/api/db", "relative to the workspace folder");
        assert_eq!(spec.env.get("BIN").map(String::as_str), Some("/home/me/bin:/x"), "over remoteEnv");
        assert_eq!(spec.env.get("HOME"), None, "null unsets");
        assert_eq!(spec.timeout_ms, Some(30_000));
        command.background = true;
        assert_eq!(launched(&job(Cause::Due), &command).timeout_ms, None, "a service has time for good");
    }

    #[test]
    fn a_built_in_step_is_this_very_binary() {
        let mut command = Command::new("deps", SingleCommand::Shell(String::new()));
        command.action = Action::Uses(BuiltInStep::Modules);
        assert_eq!(launched(&job(Cause::Due), &command).argv, ["/proc/self/exe", "step", "modules"]);
    }

    #[test]
    fn a_configured_command_runs_in_the_workspace_with_remote_env() {
        let spec = built(&job(Cause::Due), SingleCommand::Shell("ls ${containerEnv:BIN}".to_owned()));
        assert_eq!(spec.argv, ["/bin/sh", "-c", "ls /home/me/bin"]);
        assert_eq!(spec.cwd, "/workspaces/api");
        assert_eq!(spec.env.get("BIN").map(String::as_str), Some("/home/me/bin"), "set over the caller's");
        assert_eq!(spec.env.get("OLD"), None, "null unsets");
        assert_eq!(spec.secrets, ["hunter2"], "a value of three bytes would mask too much");
    }

    #[test]
    fn an_array_is_run_without_a_shell() {
        let argv = ["echo", "$HOME", "${containerWorkspaceFolder}"].map(str::to_owned).to_vec();
        assert_eq!(built(&job(Cause::Again), SingleCommand::Exec(argv)).argv, ["echo", "$HOME", "/workspaces/api"]);
    }

    #[test]
    fn a_recorded_command_line_is_left_as_its_caller_made_it() {
        let argv = vec!["echo".to_owned(), "${containerEnv:HOME}".to_owned()];
        let job = job(Cause::Exec { argv: argv.clone(), cwd: "/sub".into(), within: None });
        let spec = built(&job, SingleCommand::Exec(vec!["masked".to_owned()]));
        assert_eq!((spec.argv, spec.cwd.as_str()), (argv, "/sub"));
        assert_eq!(spec.env, *job.caller.env);
    }

    #[test]
    fn a_variable_without_a_name_is_told() {
        let settings = settings();
        let place = Place { workspace: "/w".into(), container_id: "c", settings: &settings, probed: &BTreeMap::new() };
        let command = Command::new("", SingleCommand::Shell("${containerEnv:}".to_owned()));
        assert!(spec(&place, &job(Cause::Due), &command, "/f".into()).is_err());
    }
}
