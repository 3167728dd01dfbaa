//! What is around the container: from its engine where its socket is here, else from `/proc` as far as that goes; and what
//! is wrong with the folders that Burrow calls its own.
//!
//! Nothing here fails: what cannot be known is left out, with a word.

use std::os::unix::fs::MetadataExt;

use burrow_protocol::error::ErrorCode;
use burrow_protocol::model::{KnownBy, Reason, Surroundings};
use camino::{Utf8Path, Utf8PathBuf};

use super::engine::{self, Own};
use super::feature;
use super::mountinfo;
use crate::coded::Coded;
use crate::process::user::User;

/// Looks around, in a container. `own_file` lies in the state directory, and this daemon wrote it: by it the engine finds
/// the container.
pub async fn look_around(own_file: Utf8PathBuf) -> Surroundings {
    // A panic in there is a bug; a release build has aborted already.
    let (own, mut found) = tokio::task::spawn_blocking(move || from_proc(own_file))
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    let Some(own) = own else { return found };
    match engine::ask(&own).await {
        Ok(Some(told)) => found = Surroundings { notes: found.notes, ..told },
        Ok(None) => {}
        Err(error) => found.notes.push(error.to_reason()),
    }
    found
}

fn from_proc(own_file: Utf8PathBuf) -> (Option<Own>, Surroundings) {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = mountinfo::parse(&text);
    let own = mounts.network_id.map(|network_id| Own { network_id, layer: mounts.layer, file: own_file });
    let found = Surroundings {
        known_by: KnownBy::Proc,
        mounts: mountinfo::host_mounts(&text),
        notes: ownership_notes(rustix::process::getuid().as_raw()),
        ..Surroundings::default()
    };
    (own, found)
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
