//! The files of a command's folder, and the claim: who makes it may start the command, and nobody else ever.

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use super::procfs;
use crate::durable::{self, DurableError};

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

    /// Takes room while the command runs; see `shim/reserve.rs`.
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

    /// Claims the command for this process. `false`: somebody was first.
    pub(super) fn claim_as_shim(&self) -> Result<bool, DurableError> {
        let pid = std::process::id();
        let start_ticks = procfs::start_ticks(pid).unwrap_or_default();
        self.claim(Claim::Shim { schema: super::SCHEMA, pid, start_ticks })
    }

    /// The claim; where there is none, it is made here and now, so that no shim ever starts the command. `None`: somebody
    /// is about to write it, or died before.
    pub(super) fn claim_or_abandon(&self) -> Result<Option<Claim>, DurableError> {
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
        durable::create_new(&path, &bytes)
    }
}
