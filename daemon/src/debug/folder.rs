//! Where a lease keeps its things: `debug/lease-N/` with `lease.json`, `dlv.sock` and `dlv/`, the command's own folder
//! (`dlv.2/` and so on where it was started again).
//!
//! Invariants: the record is written before dlv is started, so that whoever finds the folder knows where to look for
//! what dlv left; numbers only grow while any folder is left, so that a name means one lease. Nothing waits for the disk:
//! a crash of the machine ends dlv as well, and what that could leave is a binary in the user's folder. All functions block.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::binaries;
use super::error::DebugError;
use super::launch::Launched;
use crate::config::MAX_SOCKET_PATH;
use crate::durable::{self, DurableError};

/// Ended leases whose log is kept.
const KEPT: usize = 8;
/// The version of `lease.json`.
const SCHEMA: u32 = 1;

/// A lease's number; its name is `lease-N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LeaseId(pub(super) u32);

impl std::fmt::Display for LeaseId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "lease-{}", self.0)
    }
}

impl std::str::FromStr for LeaseId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix("lease-").unwrap_or_default();
        // `+1` and `01` parse as numbers, and are no names that we gave.
        if number.starts_with(['+', '0']) { "".parse().map(Self) } else { number.parse().map(Self) }
    }
}

/// A lease's folder.
#[derive(Clone, Debug)]
pub(super) struct LeaseFolder {
    dir: Utf8PathBuf,
}

/// `lease.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    schema: u32,
    /// Where dlv runs, and leaves its binary when it is killed.
    pub(super) cwd: Utf8PathBuf,
    /// The debug binaries that were there before it.
    pub(super) before: BTreeSet<String>,
    /// What the client chose otherwise, once it has.
    #[serde(default)]
    pub(super) chosen: Option<Chosen>,
    /// Whether everything of it is cleared away.
    pub(super) cleared: bool,
}

/// Where a client had dlv build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Chosen {
    /// The folder that dlv changed to, and the debug binaries that were there before.
    pub(super) dlv_cwd: Option<(Utf8PathBuf, BTreeSet<String>)>,
    /// The binary's path, and the file that was there before.
    pub(super) output: Option<(Utf8PathBuf, Option<String>)>,
    /// The file that dlv wrote there, once it has said so.
    #[serde(default)]
    pub(super) written: Option<String>,
}

impl Chosen {
    /// What is to be noted before `launched` reaches dlv; `None` where the client chose nothing.
    fn of(launched: &Launched) -> Option<Self> {
        let dlv_cwd = launched.dlv_cwd.as_ref().map(|folder| {
            let folder = folder.canonicalize_utf8().unwrap_or_else(|_| folder.clone());
            let before = binaries::present(&folder);
            (folder, before)
        });
        let output = launched.output.as_ref().map(|output| (output.clone(), binaries::stamp(output)));
        (dlv_cwd.is_some() || output.is_some()).then_some(Self { dlv_cwd, output, written: None })
    }

    /// Where dlv has ended just now, and never said that it had built: what is there, and was not before, is its work. Blocks.
    pub(super) fn ended_just_now(mut self) -> Self {
        if let (Some((output, before)), None) = (&self.output, &self.written) {
            self.written = binaries::stamp(output).filter(|now| Some(now) != before.as_ref());
        }
        self
    }

    /// Removes the binary that dlv wrote at the path that the client named, and left. Blocks.
    pub(super) fn clear_output(&self) {
        if let (Some((output, _)), Some(written)) = (&self.output, &self.written) {
            binaries::clear_output(output, written);
        }
    }
}

impl LeaseFolder {
    /// The folder of `id` in the service's folder.
    pub(super) fn new(debug_dir: &Utf8Path, id: LeaseId) -> Self {
        Self { dir: debug_dir.join(id.to_string()) }
    }

    /// The command folder of dlv's start of that number, from 1; its shim's alone.
    pub(super) fn command(&self, start: u32) -> Utf8PathBuf {
        if start > 1 { self.dir.join(format!("dlv.{start}")) } else { self.dir.join("dlv") }
    }

    /// dlv's socket.
    pub(super) fn socket(&self) -> Utf8PathBuf {
        self.dir.join("dlv.sock")
    }

    /// The value of `BURROW_RUN` in dlv and all that it starts: no two daemons share it.
    pub(super) fn run(&self) -> String {
        self.dir.to_string()
    }

    /// Where programs lie that Burrow builds for dlv.
    pub(super) fn programs(&self) -> Utf8PathBuf {
        self.dir.join("bin")
    }

    fn record_file(&self) -> Utf8PathBuf {
        self.dir.join("lease.json")
    }

    /// Makes the folder, and that of dlv's first start.
    pub(super) fn make(&self) -> Result<(), DebugError> {
        if self.socket().as_str().len() > MAX_SOCKET_PATH {
            return Err(DebugError::SocketPath { path: self.socket() });
        }
        Ok(durable::create_dir_for_now(&self.command(1))?)
    }

    /// Records a session that is about to run in `cwd`, which is told without links.
    pub(super) fn create_record(&self, cwd: &Utf8Path) -> Result<Record, DebugError> {
        // One that is not there makes dlv's start fail, which says so better.
        let cwd = &cwd.canonicalize_utf8().unwrap_or_else(|_| cwd.to_owned());
        let record = Record {
            schema: SCHEMA,
            cwd: cwd.to_owned(),
            before: binaries::present(cwd),
            chosen: None,
            cleared: false,
        };
        durable::replace_for_now(&self.record_file(), &record)?;
        Ok(record)
    }

    /// The record; `None` where the lease never got that far, or a crash of the machine took it.
    pub(super) fn record(&self) -> Result<Option<Record>, DurableError> {
        match durable::read_json(&self.record_file()) {
            Err(DurableError::Damaged { .. }) => Ok(None),
            read => read,
        }
    }

    /// Notes where a client has dlv build, before dlv hears of it.
    pub(super) fn note(&self, launched: &Launched) -> Result<Option<Chosen>, DurableError> {
        let Some(chosen) = Chosen::of(launched) else { return Ok(None) };
        if let Some(record) = self.record()? {
            durable::replace_for_now(&self.record_file(), &Record { chosen: Some(chosen.clone()), ..record })?;
        }
        Ok(Some(chosen))
    }

    /// Notes which file dlv wrote where its client had it build.
    pub(super) fn note_output(&self, chosen: Chosen) -> Result<Chosen, DurableError> {
        let written = chosen.output.as_ref().and_then(|(output, _)| binaries::stamp(output));
        let chosen = Chosen { written, ..chosen };
        if let Some(record) = self.record()? {
            durable::replace_for_now(&self.record_file(), &Record { chosen: Some(chosen.clone()), ..record })?;
        }
        Ok(chosen)
    }

    /// Notes that nothing but the log is left.
    pub(super) fn close(&self) -> Result<(), DurableError> {
        durable::remove_file(&self.socket())?;
        durable::remove_dir(&self.programs())?;
        match self.record()? {
            Some(record) => durable::replace_for_now(&self.record_file(), &Record { cleared: true, ..record }),
            // It never came to a log, or a crash of the machine took the record: nothing would ever prune it.
            None => self.remove(),
        }
    }

    fn remove(&self) -> Result<(), DurableError> {
        durable::remove_dir(&self.dir)
    }
}

/// The leases that have a folder, oldest first.
pub(super) fn list(debug_dir: &Utf8Path) -> Vec<LeaseId> {
    let Ok(entries) = fs_err::read_dir(debug_dir) else { return Vec::new() };
    let mut ids: Vec<LeaseId> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    ids.sort_unstable();
    ids
}

/// Removes the folders of cleared leases, but for the newest [`KEPT`].
pub(super) fn prune(debug_dir: &Utf8Path) -> Result<(), DurableError> {
    let mut cleared = Vec::new();
    for id in list(debug_dir) {
        let folder = LeaseFolder::new(debug_dir, id);
        if folder.record()?.is_some_and(|record| record.cleared) {
            cleared.push(folder);
        }
    }
    for folder in cleared.iter().rev().skip(KEPT) {
        folder.remove()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::{KEPT, LeaseFolder, LeaseId, list, prune};

    #[test]
    fn names_that_we_gave() {
        for (text, expected, why) in [
            ("lease-3", Some(LeaseId(3)), "its own name"),
            ("lease-10", Some(LeaseId(10)), "more than one digit"),
            ("lease-", None, "no number"),
            ("lease-03", None, "another spelling of a number"),
            ("lease-+3", None, "another spelling of a number"),
            ("lease-3/../..", None, "a way out of the folder"),
            ("3", None, "no name of ours"),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}: {why}");
        }
    }

    #[test]
    fn a_lease_without_a_record_leaves_nothing() {
        let temporary = tempfile::tempdir().expect("folder");
        let dir = Utf8Path::from_path(temporary.path()).expect("UTF-8");
        for (number, record) in [(1, None), (2, Some(""))] {
            let folder = LeaseFolder::new(dir, LeaseId(number));
            folder.make().expect("make");
            if let Some(record) = record {
                crate::durable::replace(&folder.record_file(), record.as_bytes()).expect("write");
            }
            folder.close().expect("close");
        }
        assert_eq!(list(dir), []);
    }

    #[test]
    fn newest_logs_are_kept() {
        let temporary = tempfile::tempdir().expect("folder");
        let dir = Utf8Path::from_path(temporary.path()).expect("UTF-8");
        let count = u32::try_from(KEPT).expect("small") + 3;
        for number in 1..=count {
            let folder = LeaseFolder::new(dir, LeaseId(number));
            folder.make().expect("make");
            folder.create_record(dir).expect("record");
            if number != 1 {
                folder.close().expect("close");
            }
        }
        prune(dir).expect("prune");
        let left: Vec<u32> = list(dir).into_iter().map(|id| id.0).collect();
        let expected: Vec<u32> = std::iter::once(1).chain(4..=count).collect();
        assert_eq!(left, expected, "the uncleared one, and the newest of the others in the order of their numbers");
    }
}
