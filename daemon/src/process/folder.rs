//! The files of a command's folder, and the claim: who makes it may start the command, and nobody else ever.

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use super::procfs;
use crate::durable::{self, DurableError};

/// Which boot of the machine it was, in the folder of a run, among those of its commands.
const BOOT: &str = "boot.id";

/// The folder of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    dir: Utf8PathBuf,
}

/// What the claim file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub(super) enum Claim {
    /// A shim may start the command.
    #[serde(rename_all = "camelCase")]
    Shim {
        /// The version of this file.
        schema: u32,
        /// The shim's process.
        pid: u32,
        /// Its start, in clock ticks since boot.
        start_ticks: u64,
    },
    /// A daemon gave the command up before any shim claimed it.
    Abandoned {
        /// The version of this file.
        schema: u32,
    },
}

/// What a daemon finds in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The command has ended.
    Ended(Outcome),
    /// Somebody has the command.
    Claimed(Claim),
    /// The claim was made and is not written: its maker is about to, or died before it started anything.
    Unclear,
    /// The machine has crashed since: no claim there does not mean that there was none. (A claim waits for no disk. Between
    /// processes it decides all the same.)
    Lost,
}

impl Folder {
    /// The folder at `dir`.
    #[must_use]
    pub fn new(dir: impl Into<Utf8PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The folder itself.
    #[must_use]
    pub fn dir(&self) -> &Utf8Path {
        &self.dir
    }

    /// What [`note_boot`] wrote.
    fn boot_file(&self) -> Utf8PathBuf {
        self.dir.with_file_name(BOOT)
    }

    pub(super) fn claim_file(&self) -> Utf8PathBuf {
        self.dir.join("claim")
    }

    pub(super) fn outcome_file(&self) -> Utf8PathBuf {
        self.dir.join("outcome.json")
    }

    pub(super) fn index_file(&self) -> Utf8PathBuf {
        self.dir.join("output.idx")
    }

    pub(super) fn segment_file(&self, number: u64) -> Utf8PathBuf {
        self.dir.join(format!("output.{number:06}"))
    }

    /// Takes the room of the outcome while the command runs, and becomes it.
    pub(super) fn reserve_file(&self) -> Utf8PathBuf {
        self.dir.join("reserve")
    }

    /// The outcome, if the command has ended and its shim lived to say so. Blocks.
    ///
    /// # Errors
    /// [`DurableError`] where there is one that cannot be read.
    pub fn outcome(&self) -> Result<Option<Outcome>, DurableError> {
        durable::read_json(&self.outcome_file())
    }

    /// The outcome, where the shim is dead: also one that a crash of the machine left under the name it was written to.
    pub(super) fn last_outcome(&self) -> Result<Option<Outcome>, DurableError> {
        if let Some(outcome) = self.outcome()? {
            return Ok(Some(outcome));
        }
        match durable::read_json(&self.reserve_file()) {
            // The outcome was not written: there are blanks.
            Err(DurableError::Damaged { .. }) => Ok(None),
            Ok(Some(outcome)) => {
                durable::rename(&self.reserve_file(), &self.outcome_file())?;
                Ok(Some(outcome))
            }
            other => other,
        }
    }

    /// Makes the folder for a command that is about to be recorded, in one with [`note_boot`]. It needs no sync: see
    /// [`Standing::Lost`].
    ///
    /// # Errors
    /// [`DurableError::Write`].
    pub fn prepare(&self) -> Result<(), DurableError> {
        durable::create_dir_for_now(&self.dir)
    }

    /// Claims the command for this process. `false`: somebody was first.
    pub(super) fn claim_as_shim(&self) -> Result<bool, DurableError> {
        let pid = std::process::id();
        let start_ticks = procfs::start_ticks(pid).unwrap_or_default();
        self.claim(Claim::Shim { schema: super::SCHEMA, pid, start_ticks })
    }

    /// What there is: the outcome, else the claim.
    pub(super) fn standing(&self) -> Result<Standing, DurableError> {
        if let Some(outcome) = self.outcome()? {
            return Ok(Standing::Ended(outcome));
        }
        let this_boot = || std::fs::read(self.boot_file()).is_ok_and(|boot| boot == boot_id().as_bytes());
        if self.claim_file().exists() || this_boot() {
            return Ok(self.claim_or_abandon()?.map_or(Standing::Unclear, Standing::Claimed));
        }
        Ok(self.last_outcome()?.map_or(Standing::Lost, Standing::Ended))
    }

    /// The claim; where there is none, it is made here and now, so that no shim ever starts the command. `None`: somebody
    /// is about to write it, or died before.
    fn claim_or_abandon(&self) -> Result<Option<Claim>, DurableError> {
        let abandoned = Claim::Abandoned { schema: super::SCHEMA };
        if self.claim(abandoned)? {
            return Ok(Some(abandoned));
        }
        match durable::read_json(&self.claim_file()) {
            // It is made before it is written.
            Err(DurableError::Damaged { .. }) => Ok(None),
            read => read,
        }
    }

    fn claim(&self, claim: Claim) -> Result<bool, DurableError> {
        let path = self.claim_file();
        let mut bytes = serde_json::to_vec(&claim)
            .map_err(|error| DurableError::Write { path: path.clone(), source: error.into() })?;
        bytes.push(b'\n');
        durable::create_new_for_now(&path, &bytes)
    }
}

/// Notes in the folder `run`, which is made, that the commands whose folders it will hold are recorded in this boot of the
/// machine. It needs no sync, as [`Folder::prepare`].
///
/// # Errors
/// [`DurableError::Write`].
pub fn note_boot(run: &Utf8Path) -> Result<(), DurableError> {
    durable::create_dir_for_now(run)?;
    durable::create_new_for_now(&run.join(BOOT), boot_id().as_bytes()).map(|_| ())
}

/// This boot of the machine; empty where the kernel does not tell.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use burrow_protocol::SafeInt;

    use super::*;
    use crate::process::End;

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let run = Utf8PathBuf::try_from(dir.path().to_owned()).unwrap();
        note_boot(&run).unwrap();
        (dir, Folder::new(run.join("command")))
    }

    fn outcome() -> Outcome {
        Outcome {
            schema: 1,
            end: End::Exited { code: 0 },
            started_at: String::new(),
            ended_at: String::new(),
            duration_ms: 1,
            output_bytes: SafeInt::default(),
            output_lost: SafeInt::default(),
            survivors: Vec::new(),
            stdout_left_open: false,
            memory_kills: 0,
        }
    }

    #[test]
    fn without_a_claim_the_boot_decides() {
        let (_dir, folder) = folder();
        folder.prepare().unwrap();
        let abandoned = Standing::Claimed(Claim::Abandoned { schema: 1 });
        assert_eq!(folder.standing().unwrap(), abandoned, "never started, and now never will be");
        assert!(!folder.claim_as_shim().unwrap());
        std::fs::remove_file(folder.claim_file()).unwrap();
        std::fs::remove_file(folder.boot_file()).unwrap();
        assert_eq!(folder.standing().unwrap(), Standing::Lost, "a crash of the machine took the folder's files");
        durable::replace(&folder.boot_file(), b"another boot").unwrap();
        assert_eq!(folder.standing().unwrap(), Standing::Lost, "the machine crashed or was started again");
        std::fs::remove_dir_all(folder.dir()).unwrap();
        assert_eq!(folder.standing().unwrap(), Standing::Lost, "a crash of the machine took the folder");
    }

    #[test]
    fn outcome_is_found_under_the_name_it_was_written_to() {
        let (_dir, folder) = folder();
        folder.prepare().unwrap();
        let reserved = durable::Reserved::take(&folder.reserve_file(), 4096).unwrap();
        assert_eq!(folder.last_outcome().unwrap(), None, "its shim died before it wrote one");
        reserved.become_file(&folder.outcome_file(), &serde_json::to_vec(&outcome()).unwrap()).unwrap();
        durable::rename(&folder.outcome_file(), &folder.reserve_file()).unwrap();
        assert_eq!(folder.outcome().unwrap(), None);
        assert_eq!(folder.last_outcome().unwrap(), Some(outcome()), "a crash of the machine took the renaming");
        assert_eq!(folder.outcome().unwrap(), Some(outcome()));
    }
}
