//! What is around the container: from its engine where its socket is here, else from `/proc` as far as that goes; and what
//! is wrong with the folders that Burrow calls its own.
//!
//! Nothing here fails: what cannot be known is left out, with a word.

use std::os::unix::fs::MetadataExt;

use burrow_protocol::error::ErrorCode;
use burrow_protocol::model::{KnownBy, Reason, Surroundings};
use camino::Utf8Path;

use super::engine::{self, Own};
use super::feature;
use super::mountinfo;
use super::ownership;
use crate::coded::Coded;
use crate::durable::StateLayout;
use crate::process::user::User;

/// Looks around, in a container, for the daemon of the state directory `state`: by the file that leads to it, which that
/// daemon wrote, the engine finds the container.
pub async fn look_around(state: StateLayout) -> Surroundings {
    // A panic in there is a bug; a release build has aborted already.
    let (own, mut found) = tokio::task::spawn_blocking(move || from_proc(&state))
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

fn from_proc(state: &StateLayout) -> (Option<Own>, Surroundings) {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = mountinfo::parse(&text);
    let own = mounts.network_id.map(|network_id| Own { network_id, layer: mounts.layer, file: state.rendezvous() });
    let found = Surroundings {
        known_by: KnownBy::Proc,
        mounts: mountinfo::host_mounts(&text),
        notes: ownership_notes(rustix::process::getuid().as_raw(), state.dir()),
        ..Surroundings::default()
    };
    (own, found)
}

/// What of Burrow's own folders is not the user's, whose daemon has the state directory `state`.
fn ownership_notes(uid: u32, state: &Utf8Path) -> Vec<Reason> {
    let mut notes: Vec<_> = feature::own_folders(uid)
        .filter_map(|(folder, levels)| {
            let (path, owner) = ownership::of_others(&folder, levels, uid)?;
            let hint = Some(format!("as root: chown -R {uid} {folder}"));
            Some((format!("{path} belongs to uid {owner}, and Burrow runs as uid {uid}"), hint))
        })
        .collect();
    let tools = Utf8Path::new(feature::TOOLS);
    let own = feature::state_of(uid).join("current");
    if matches!(feature::remote_user(), Ok(Some(user)) if user.uid == uid)
        && tools.read_link_utf8().is_ok_and(|target| target != own && target != state.join("current"))
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
