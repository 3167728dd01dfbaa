//! Starting the daemon so that it outlives the command line that starts it.

use std::collections::BTreeMap;
use std::process::Stdio;

use tokio::process::{Child, ChildStdout, Command};

use super::ProcessError;

/// Starts this binary again with `args`; what it has to tell goes where our errors go. It goes on when we have ended, and
/// leaves our session by itself.
///
/// # Errors
/// [`ProcessError::Spawn`].
#[expect(clippy::disallowed_methods, reason = "this is the module that spawns")]
pub fn spawn_beside(args: &[&str]) -> Result<Child, ProcessError> {
    let failed = |source| ProcessError::Spawn { program: "burrow".to_owned(), source };
    let program = std::env::current_exe().map_err(failed)?;
    Command::new(program).args(args).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(failed)
}

/// Starts this binary again with `args` and exactly `env`; its standard output is the pipe returned, on which it says its
/// first word. It leaves the caller's session by itself (`setsid` at its start), and nobody waits for it.
///
/// # Errors
/// [`ProcessError::Spawn`].
#[expect(clippy::disallowed_methods, reason = "this is the module that spawns")]
pub fn spawn_detached(args: &[&str], env: &BTreeMap<String, String>) -> Result<ChildStdout, ProcessError> {
    let failed = |source| ProcessError::Spawn { program: "burrow".to_owned(), source };
    let program = std::env::current_exe().map_err(failed)?;
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .envs(env)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    child.stdout.take().ok_or_else(|| failed(std::io::ErrorKind::BrokenPipe.into()))
}
