//! The terminals of commands that have one. No engine stands between a keystroke and its command: the shim is asked itself.

use camino::Utf8PathBuf;

use super::Hooks;
use super::error::HookError;
use super::record::RunId;
use crate::process::{TerminalSize, terminal};

impl Hooks {
    /// Types `text` into the terminal of `command` in `run`.
    ///
    /// # Errors
    /// [`HookError::RunUnknown`]; [`HookError::Terminal`] where it has none, or has ended.
    pub async fn input(&self, run: &str, command: &str, text: &str) -> Result<(), HookError> {
        let folder = self.newest_folder(run, command).await?;
        terminal::input(&folder, text).await.map_err(|source| HookError::Terminal { run: run.to_owned(), source })
    }

    /// Tells `command` in `run` that its terminal has another size.
    ///
    /// # Errors
    /// As [`Self::input`].
    pub async fn resize(&self, run: &str, command: &str, size: TerminalSize) -> Result<(), HookError> {
        let folder = self.newest_folder(run, command).await?;
        terminal::resize(&folder, size).await.map_err(|source| HookError::Terminal { run: run.to_owned(), source })
    }

    async fn newest_folder(&self, run: &str, command: &str) -> Result<Utf8PathBuf, HookError> {
        let run: RunId = run.parse().map_err(|_| HookError::RunUnknown { run: run.to_owned() })?;
        let (runs, command) = (self.runs.clone(), command.to_owned());
        let look = move || runs.command(run, &command, runs.newest_start(run, &command));
        tokio::task::spawn_blocking(look).await.map_err(|_| HookError::Stopping)
    }
}
