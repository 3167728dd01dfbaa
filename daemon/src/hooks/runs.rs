//! The runs on disk: `runs/<number>-<hook>/record.json`, and beside it one folder a command.
//!
//! Invariants: the record is the daemon's alone, a command's folder its shim's alone; the newest runs are kept, and every
//! one that is still running or that somebody is still to look at. All methods that touch the disk block.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::error::HookError;
use super::record::{RunId, RunRecord, folder_of_start, start_of_folder};
use crate::durable::{self, DurableError};
use crate::process::{self, Folder};

/// How many runs a workspace keeps.
const KEPT: usize = 50;

/// How many starts of one command a run keeps: a service may be started anew very often.
pub(crate) const STARTS_KEPT: u32 = 8;

/// The folder of a workspace's runs.
#[derive(Clone, Debug)]
pub(crate) struct Runs {
    dir: Utf8PathBuf,
}

impl Runs {
    pub(crate) const fn new(dir: Utf8PathBuf) -> Self {
        Self { dir }
    }

    /// The folder of one start of a command of a run; starts count from 1.
    pub(crate) fn command(&self, run: RunId, name: &str, start: u32) -> Utf8PathBuf {
        self.folder(run).join(folder_of_start(name, start))
    }

    /// The first start of a command that is kept. Blocks.
    pub(crate) fn first_start(&self, run: RunId, name: &str) -> u32 {
        let has_folder = |start: &u32| self.command(run, name, *start).is_dir();
        Some(1).filter(has_folder).unwrap_or_else(|| self.starts(run, name).min().unwrap_or(1))
    }

    /// The newest start of a command. Blocks.
    pub(crate) fn newest_start(&self, run: RunId, name: &str) -> u32 {
        self.starts(run, name).max().unwrap_or(1)
    }

    fn starts(&self, run: RunId, name: &str) -> impl Iterator<Item = u32> {
        let entries = self.folder(run).read_dir_utf8().into_iter().flatten().flatten();
        entries.filter_map(move |entry| start_of_folder(entry.file_name(), name))
    }

    /// Makes the folder of a later start of a command, and drops that of one long past.
    ///
    /// # Errors
    /// [`DurableError::Write`].
    pub(crate) fn create_start(&self, run: RunId, name: &str, start: u32) -> Result<(), DurableError> {
        Folder::new(self.command(run, name, start)).prepare()?;
        if let Some(old) = start.checked_sub(STARTS_KEPT).filter(|old| *old > 0)
            && let Err(error) = durable::remove_dir(&self.command(run, name, old))
        {
            tracing::warn!(%run, name, %error, "left the folder of an old start");
        }
        Ok(())
    }

    /// The run that the folder of a command belongs to.
    pub(crate) fn run_of(&self, command: &Utf8Path) -> Option<RunId> {
        command.strip_prefix(&self.dir).ok()?.iter().next()?.parse().ok()
    }

    /// Makes the folders of a run and writes its record. Nobody waits for the disk: if the machine crashes now, what the
    /// ledger knows of the run has to do.
    ///
    /// # Errors
    /// [`DurableError::Write`]; what was made is removed again as far as that works.
    pub(crate) fn create(&self, record: &RunRecord) -> Result<(), DurableError> {
        let make = || {
            process::note_boot(&self.folder(record.run))?;
            for command in &record.commands {
                Folder::new(self.command(record.run, &command.name, 1)).prepare()?;
            }
            durable::replace_for_now(&self.folder(record.run).join("record.json"), record)
        };
        make().inspect_err(|_| self.discard(record.run))
    }

    /// Replaces a run's record.
    ///
    /// # Errors
    /// [`DurableError::Write`].
    pub(crate) fn write(&self, record: &RunRecord) -> Result<(), DurableError> {
        durable::replace_json(&self.folder(record.run).join("record.json"), record)
    }

    /// Reads a run's record; none where there is none.
    ///
    /// # Errors
    /// [`DurableError::Read`], [`DurableError::Damaged`].
    pub(crate) fn read(&self, run: RunId) -> Result<Option<RunRecord>, DurableError> {
        durable::read_json(&self.folder(run).join("record.json"))
    }

    /// Removes a run that was never started.
    pub(crate) fn discard(&self, run: RunId) {
        if let Err(error) = durable::remove_dir(&self.folder(run)) {
            tracing::warn!(%run, %error, "left the folder of a run that did not start");
        }
    }

    /// All runs that have a folder, oldest first.
    ///
    /// # Errors
    /// [`HookError::Runs`].
    pub(crate) fn list(&self) -> Result<Vec<RunId>, HookError> {
        let failed = |source| HookError::Runs { path: self.dir.clone(), source };
        let entries = match self.dir.read_dir_utf8() {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut runs = Vec::new();
        for entry in entries {
            runs.extend(entry.map_err(failed)?.file_name().parse::<RunId>().ok());
        }
        runs.sort_unstable();
        Ok(runs)
    }

    /// Removes the oldest runs beyond the number that is kept, none of `kept` among them.
    pub(crate) fn prune(&self, kept: &BTreeSet<RunId>) {
        let runs = match self.list() {
            Ok(runs) => runs,
            Err(error) => return tracing::warn!(%error, "left old runs"),
        };
        let surplus = runs.len().saturating_sub(KEPT);
        for run in runs.into_iter().take(surplus).filter(|run| !kept.contains(run)) {
            self.discard(run);
        }
    }

    fn folder(&self, run: RunId) -> Utf8PathBuf {
        self.dir.join(run.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use burrow_protocol::hooks::{HookName, HookOrigin};
    use burrow_protocol::settings::SingleCommand;
    use camino::Utf8PathBuf;

    use super::{KEPT, Runs, STARTS_KEPT};
    use crate::hooks::fate::Fate;
    use crate::hooks::record::{RecordedCommand, RunId, RunRecord};

    fn runs() -> (tempfile::TempDir, Runs) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("runs")).unwrap();
        (folder, Runs::new(path))
    }

    fn record(number: u32) -> RunRecord {
        RunRecord {
            schema: RunRecord::SCHEMA,
            run: RunId { number, hook: HookName::PostStart },
            origin: HookOrigin::Burrow,
            scope: "s".to_owned(),
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            container_start: "s".to_owned(),
            variables: vec!["HOME".to_owned()],
            commands: vec![RecordedCommand {
                name: "a/b".to_owned(),
                line: SingleCommand::Shell("echo ${containerEnv:TOKEN}".to_owned()),
                hash: "h".to_owned(),
                fate: Fate::Running,
                attempts: Vec::new(),
                background: false,
            }],
        }
    }

    #[test]
    fn a_record_reads_back_beside_its_commands_folder() {
        let (_keep, runs) = runs();
        runs.create(&record(9)).unwrap();
        assert_eq!(runs.read(record(9).run).unwrap(), Some(record(9)));
        let folder = runs.command(record(9).run, "a/b", 1);
        assert!(folder.is_dir());
        assert_eq!(runs.run_of(&folder), Some(record(9).run));
        assert_eq!(runs.run_of("/elsewhere/9-postStart/main".into()), None);
    }

    #[test]
    fn the_newest_starts_of_a_command_are_kept() {
        let (_keep, runs) = runs();
        runs.create(&record(9)).unwrap();
        let run = record(9).run;
        assert_eq!(runs.first_start(run, "a/b"), 1);
        for start in 2..=STARTS_KEPT + 2 {
            runs.create_start(run, "a/b", start).unwrap();
        }
        assert_eq!(runs.first_start(run, "a/b"), 3, "the first two are gone");
        assert_eq!(runs.run_of(&runs.command(run, "a/b", STARTS_KEPT)), Some(run));
    }

    #[test]
    fn the_newest_runs_are_kept_and_those_that_must_be() {
        let (_keep, runs) = runs();
        let count = u32::try_from(KEPT).unwrap() + 3;
        for number in 1..=count {
            runs.create(&record(number)).unwrap();
        }
        runs.prune(&BTreeSet::from([record(2).run]));
        let left: Vec<_> = runs.list().unwrap().iter().map(|run| run.number).collect();
        assert_eq!(left[..3], [2, 4, 5], "1 and 3 are gone, 2 runs");
        assert_eq!(left.len(), KEPT + 1);
    }
}
