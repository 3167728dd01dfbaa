//! The container's identity: a random id, bound to what a copy of the container does not share.
//!
//! A file in the container's layer is copied by `docker commit` and by snapshots, so the id alone proves nothing: it
//! counts only together with what it was bound to.

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

/// The number of the first pid namespace (`PROC_PID_INIT_INO` of the kernel): a container in it shares the machine's.
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

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
    } else if mounts.root_is_overlay || mounts.container_id.is_some() {
        ContainerKind::Container
    } else {
        ContainerKind::Host
    }
}

fn bound_to(mounts: &Mounts, state_dir: &Utf8Path) -> String {
    if let Some(id) = &mounts.container_id {
        return format!("container {id}");
    }
    if let Some(upper) = &mounts.upper_dir {
        return format!("overlay {upper}");
    }
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let inode = state_dir.metadata().map(|metadata| metadata.ino()).unwrap_or_default();
    format!("machine {} directory {inode}", machine.trim())
}

/// What stays the same for one start of the container: never a wall-clock boot time, which moves when the clock is set.
fn start_id(kind: ContainerKind) -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let start = if kind != ContainerKind::Host && shares_pid_namespace() { dev_birth() } else { init_start_ticks() };
    hex::short_digest(&format!("{} {}", boot.trim(), start.unwrap_or_default()))
}

fn shares_pid_namespace() -> bool {
    std::fs::metadata("/proc/self/ns/pid").is_ok_and(|metadata| metadata.ino() == FIRST_PID_NAMESPACE)
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

    use super::identify;
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
}
