//! The container's identity: a random id, bound to what a copy of the container does not share.
//!
//! A file in the container's layer is copied by `docker commit` and by snapshots, so the id alone proves nothing: it
//! counts only together with what it was bound to. That has to last over a restart of the same container.

use std::os::unix::fs::MetadataExt;

use burrow_protocol::error::ErrorCode;
use burrow_protocol::model::{ContainerKind, ContainerStatus};
use camino::Utf8Path;
use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, StatxTimestamp, statx};
use serde::{Deserialize, Serialize};

use super::mountinfo::{Mounts, parse};
use crate::coded::Coded;
use crate::durable::{self, DurableError, StateLayout};
use crate::hex;

const SCHEMA: u32 = 1;

/// Why the identity could not be established.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file with the id cannot be read or written.
    #[error("keep the container's identity")]
    State {
        /// Why.
        #[from]
        source: DurableError,
    },
    /// The kernel's random numbers are out of reach.
    #[error("draw a random identity")]
    Random {
        /// Why.
        source: std::io::Error,
    },
}

impl Coded for IdentityError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::State { source } => source.code(),
            Self::Random { .. } => ErrorCode::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::State { source } => source.hint(),
            Self::Random { .. } => None,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentityFile {
    schema: u32,
    id: String,
    bound_to: String,
}

/// Establishes kind, identity and start of the container, writing the identity where it is new. Blocks.
///
/// # Errors
/// [`IdentityError`].
pub fn identify(state: &StateLayout) -> Result<ContainerStatus, IdentityError> {
    let mounts = parse(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default());
    let kind = kind(&mounts);
    let bound_to = bound_to(&mounts, state.dir());
    let path = state.identity();
    let id = match durable::read_json::<IdentityFile>(&path) {
        Ok(Some(known)) if known.bound_to == bound_to => known.id,
        // A copy of another container, a new one, or a damaged file: all of them are a new identity.
        Ok(_) | Err(DurableError::Damaged { .. }) => {
            let id = random_id().map_err(|source| IdentityError::Random { source })?;
            durable::replace_json(&path, &IdentityFile { schema: SCHEMA, id: id.clone(), bound_to })?;
            id
        }
        Err(error) => return Err(error.into()),
    };
    Ok(ContainerStatus { kind, id, start_id: start_id(kind) })
}

/// Whether this is a container at all, and no machine. Blocks.
#[must_use]
pub fn is_one() -> bool {
    kind(&parse(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())) != ContainerKind::Host
}

/// This start of the container, as in the status: it changes with each one. Blocks, and writes nothing.
#[must_use]
pub fn current_start() -> String {
    start_id(kind(&parse(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())))
}

fn kind(mounts: &Mounts) -> ContainerKind {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        ContainerKind::Kubernetes
    } else if Utf8Path::new("/.dockerenv").exists() {
        ContainerKind::Docker
    } else if Utf8Path::new("/run/.containerenv").exists() {
        ContainerKind::Podman
    } else if mounts.root_is_overlay || mounts.network_id.is_some() {
        ContainerKind::Container
    } else {
        ContainerKind::Host
    }
}

/// The layer differs in a copy on the same machine, also where both share a network and with it the id. The id differs in
/// a copy on another machine, whose engine may have counted its layers to the same number.
fn bound_to(mounts: &Mounts, state_dir: &Utf8Path) -> String {
    let id = mounts.network_id.as_ref().map(|id| format!("container {id}"));
    let layer = mounts.layer.as_ref().map(|layer| format!("layer {layer}"));
    let all: Vec<_> = [id, layer].into_iter().flatten().collect();
    if !all.is_empty() {
        return all.join(", ");
    }
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let inode = state_dir.metadata().map(|metadata| metadata.ino()).unwrap_or_default();
    format!("machine {} directory {inode}", machine.trim())
}

/// What stays the same for one start of the container: never a wall-clock boot time, which moves when the clock is set.
/// In a pid namespace of the machine's, of another container's or of the pod's, the first process outlives this start.
fn start_id(kind: ContainerKind) -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let init = init_start_ticks();
    let dev = if kind == ContainerKind::Host { None } else { dev_birth() };
    hex::short_digest(&format!("{} {} {}", boot.trim(), init.unwrap_or_default(), dev.unwrap_or_default()))
}

fn init_start_ticks() -> Option<String> {
    // The name, in parentheses, may hold anything; the start time is the 22nd field (proc_pid_stat(5)).
    let stat = std::fs::read_to_string("/proc/1/stat").ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

/// The birth time of the container's own `/dev`, a tmpfs that is made at each start. Where the kernel keeps none (before
/// 5.18), the time of `/dev/fd`: a link that the engine makes at each start, and that nobody changes.
fn dev_birth() -> Option<String> {
    let time = |path, wanted, of: fn(&Statx) -> StatxTimestamp| {
        let stat = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, wanted).ok()?;
        StatxFlags::from_bits_retain(stat.stx_mask).contains(wanted).then(|| of(&stat))
    };
    let birth = time("/dev", StatxFlags::BTIME, |stat| stat.stx_btime)
        .or_else(|| time("/dev/fd", StatxFlags::CTIME, |stat| stat.stx_ctime))?;
    Some(format!("{}.{}", birth.tv_sec, birth.tv_nsec))
}

fn random_id() -> std::io::Result<String> {
    let mut bytes = [0_u8; 16];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(hex::encode(&bytes))
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::super::mountinfo::Mounts;
    use super::{bound_to, identify};
    use crate::durable::{StateLayout, read_json, replace_json};

    #[test]
    fn an_identity_lasts_and_a_copy_gets_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateLayout::new(Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap());
        let first = identify(&state).unwrap();
        assert_eq!(identify(&state).unwrap(), first, "the same container, the same start");
        let mut file: super::IdentityFile = read_json(&state.identity()).unwrap().unwrap();
        file.bound_to = "container of which this is a copy".into();
        replace_json(&state.identity(), &file).unwrap();
        assert_ne!(identify(&state).unwrap().id, first.id, "a copy is another container");
    }

    #[test]
    fn what_a_copy_does_not_share() {
        let mounts = |id: Option<&str>, layer: Option<&str>| Mounts {
            network_id: id.map(str::to_owned),
            layer: layer.map(str::to_owned),
            root_is_overlay: layer.is_some(),
        };
        for (own, copy, why) in [
            (mounts(Some("a"), Some("1/fs")), mounts(Some("b"), Some("2/fs")), "a copy"),
            (mounts(Some("db"), Some("1/fs")), mounts(Some("db"), Some("2/fs")), "a copy in the same network"),
            (mounts(Some("a"), Some("1/fs")), mounts(Some("b"), Some("1/fs")), "a copy on a machine that counts alike"),
            (mounts(Some("a"), None), mounts(Some("b"), None), "a copy where the root is no overlay"),
            (mounts(None, Some("1/fs")), mounts(None, Some("2/fs")), "a copy of which no engine tells"),
        ] {
            assert_ne!(bound_to(&own, "/".into()), bound_to(&copy, "/".into()), "{why}");
        }
    }
}
