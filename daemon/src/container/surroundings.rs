//! What is around the container: from its engine where its socket is here, else from `/proc` as far as that goes; and what
//! is wrong with the folders that Burrow calls its own.
//!
//! Nothing here fails: what cannot be known is left out, with a word. Asked once a daemon, after it listens.

use std::os::unix::fs::MetadataExt;

use burrow_protocol::error::ErrorCode;
use burrow_protocol::model::{ContainerKind, KnownBy, Reason, Surroundings};
use camino::{Utf8Path, Utf8PathBuf};

use super::engine;
use super::feature;
use super::mountinfo;
use crate::coded::Coded;
use crate::process::user::User;

/// Looks around.
pub async fn look_around(kind: ContainerKind) -> Surroundings {
    // A panic in there is a bug; a release build has aborted already.
    let (own_id, mut found) = tokio::task::spawn_blocking(move || from_proc(kind))
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    let Some(id) = own_id else { return found };
    match engine::ask(&id).await {
        Some(Ok(told)) => found = Surroundings { notes: found.notes, ..told },
        Some(Err(error)) => found.notes.push(error.to_reason()),
        None => {}
    }
    found
}

fn from_proc(kind: ContainerKind) -> (Option<String>, Surroundings) {
    if kind == ContainerKind::Host {
        return (None, Surroundings::default());
    }
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let id = mountinfo::parse(&text).container_id;
    let found = Surroundings {
        known_by: KnownBy::Proc,
        engine_id: id.clone(),
        mounts: mountinfo::host_mounts(&text),
        notes: ownership_notes(rustix::process::getuid().as_raw()),
        ..Surroundings::default()
    };
    (id, found)
}

/// What of Burrow's own folders is not the user's.
fn ownership_notes(uid: u32) -> Vec<Reason> {
    let others =
        |path: Utf8PathBuf| Some((path.symlink_metadata().ok()?.uid(), path)).filter(|(owner, _)| *owner != uid);
    let mut notes: Vec<_> = feature::own_folders(uid)
        .filter_map(others)
        .map(|(owner, path)| {
            let hint = Some(format!("as root: chown -R {uid} {path}"));
            (format!("{path} belongs to uid {owner}, and Burrow runs as uid {uid}"), hint)
        })
        .collect();
    let tools = Utf8Path::new(feature::TOOLS);
    let own = Utf8Path::new(feature::STATES).join(uid.to_string()).join("current");
    if feature::remote_user().is_some_and(|user| user.uid == uid)
        && tools.read_link_utf8().is_ok_and(|target| target != own)
    {
        let hint = Some(format!(
            "as root: mkdir -p -m 700 {0}; chown {uid} {0}; ln -sfn {own} {tools}",
            own.parent().unwrap_or(&own)
        ));
        notes.push((format!("{tools} leads to another user's tools, not to those of uid {uid}"), hint));
    }
    let because = first_process()
        .filter(|_| !notes.is_empty())
        .map_or_else(String::new, |name| format!("; the container starts as {name}, so nobody mends it"));
    let code = Some(ErrorCode::OwnerWrong.code().to_owned());
    notes
        .into_iter()
        .map(|(message, hint)| Reason { code: code.clone(), message: format!("{message}{because}"), hint })
        .collect()
}

/// As whom the container starts, where it is not root.
fn first_process() -> Option<String> {
    let uid = std::fs::metadata("/proc/1").ok()?.uid();
    (uid != 0).then(|| User::by_uid(uid).map_or_else(|| format!("uid {uid}"), |user| user.name))
}
