//! Who runs the standard hooks of this container: a Dev Containers tool, or Burrow.
//!
//! A tool tells nobody. What can be seen is the environment that it gives its terminals, and the marker that it leaves
//! before each hook in the remote user's home, which may be a volume that outlives the container. It leaves one also for a
//! hook that has no commands, and none after a hook that failed: so a marker says that the hook before it ended well.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::SystemTime;

use burrow_protocol::hooks::HookName;

/// Variables that a tool sets for what runs inside.
const TOOL_VARIABLES: [&str; 2] = ["REMOTE_CONTAINERS", "CODESPACES"];

/// Who runs the hooks of devcontainer.json itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runner {
    /// Nobody else does.
    Burrow,
    /// A Dev Containers tool: Burrow leaves them alone.
    Tool,
    /// There are only markers that may be another container's: Burrow leaves them alone, and says so.
    Unclear,
}

/// Decides from the environment of the caller, the newest marker, and when the container was made.
pub(crate) fn runner(
    env: &BTreeMap<String, String>,
    marker: Option<SystemTime>,
    container: Option<SystemTime>,
) -> Runner {
    let is_set = |name: &str| env.get(name).is_some_and(|value| !value.is_empty());
    if TOOL_VARIABLES.iter().any(|name| is_set(name)) {
        return Runner::Tool;
    }
    match (marker, container) {
        (None, _) => Runner::Burrow,
        (Some(marker), Some(container)) if marker >= container => Runner::Tool,
        (Some(_), _) => Runner::Unclear,
    }
}

/// Where the reference and VS Code leave their markers, below the home directory.
const FOLDERS: [&str; 2] = [".devcontainer", ".vscode-server/data/Machine"];

/// When the newest marker of a tool was written, below any of the home directories and where DevPod keeps its own. Blocks.
pub(crate) fn newest_marker(homes: &BTreeSet<String>) -> Option<SystemTime> {
    let below_home = markers(homes).into_iter().flat_map(BTreeMap::into_values);
    let devpod = HookName::ALL.into_iter().filter_map(|hook| written(format!("/var/devpod/{hook}Commands.marker")));
    below_home.chain(devpod).max()
}

/// When each hook was marked, for every folder below the home directories that has markers. Blocks.
pub(crate) fn markers(homes: &BTreeSet<String>) -> Vec<BTreeMap<HookName, SystemTime>> {
    let folders = homes.iter().flat_map(|home| FOLDERS.map(|folder| Path::new(home).join(folder)));
    let in_folder = |folder: std::path::PathBuf| {
        let of_hook = |hook| Some((hook, written(folder.join(format!(".{hook}CommandMarker")))?));
        HookName::ALL.into_iter().filter_map(of_hook).collect::<BTreeMap<_, _>>()
    };
    folders.map(in_folder).filter(|markers| !markers.is_empty()).collect()
}

/// The hooks that a tool is not known to have come to the end of, though it marks what it does in this container. Of the
/// last one that is marked nothing tells the end.
pub(crate) fn unfinished(
    markers: &[BTreeMap<HookName, SystemTime>],
    container: Option<SystemTime>,
) -> BTreeSet<HookName> {
    let of_this_container = |at: &SystemTime| container.is_none_or(|container| *at >= container);
    let last = markers.iter().filter_map(|folder| {
        let marked = |hook: &HookName| folder.get(hook).is_some_and(of_this_container);
        MARKED.iter().rposition(marked)
    });
    let [before @ .., _] = &MARKED;
    // Several tools in one container: the one that is furthest has done what the others do not do again.
    last.max().and_then(|last| before.get(last..)).unwrap_or_default().iter().copied().collect()
}

/// The hooks that tools mark, in their order. Of the last one no marker tells the end.
const MARKED: [HookName; 4] = [HookName::OnCreate, HookName::UpdateContent, HookName::PostCreate, HookName::PostStart];

fn written(path: impl AsRef<Path>) -> Option<SystemTime> {
    path.as_ref().metadata().ok()?.modified().ok()
}

/// When this container was made: the engine writes `/etc/hostname` for each. Blocks.
pub(crate) fn container_birth() -> Option<SystemTime> {
    let hostname = Path::new("/etc/hostname").metadata().ok()?;
    // Some file systems tell the beginning of time where they do not know.
    let born = hostname.created().ok().filter(|born| *born > SystemTime::UNIX_EPOCH);
    born.or_else(|| hostname.modified().ok())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::{Duration, SystemTime};

    use burrow_protocol::hooks::HookName::{self, OnCreate, PostCreate, PostStart, UpdateContent};

    use super::{Runner, newest_marker, runner, unfinished};

    #[test]
    fn what_can_be_seen_decides() {
        let time = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        for (variable, marker, container, expected, why) in [
            (None, None, time(10), Runner::Burrow, "no trace of a tool"),
            (None, None, None, Runner::Burrow, "no trace, and no container's age needed"),
            (Some(("REMOTE_CONTAINERS", "true")), None, time(10), Runner::Tool, "a terminal of VS Code"),
            (Some(("CODESPACES", "true")), None, None, Runner::Tool, "a codespace"),
            (Some(("REMOTE_CONTAINERS", "")), None, time(10), Runner::Burrow, "an empty variable says nothing"),
            (None, time(11), time(10), Runner::Tool, "a marker of this container"),
            (None, time(9), time(10), Runner::Unclear, "a marker in a home that outlived its container"),
            (None, time(9), None, Runner::Unclear, "a marker of unknown age"),
        ] {
            let env = variable.map(|(name, value): (&str, &str)| (name.to_owned(), value.to_owned()));
            assert_eq!(runner(&env.into_iter().collect::<BTreeMap<_, _>>(), marker, container), expected, "{why}");
        }
    }

    #[test]
    fn markers_are_found_where_tools_put_them() {
        let home = tempfile::tempdir().unwrap();
        let homes = BTreeSet::from(["/nobody/here".to_owned(), home.path().to_str().unwrap().to_owned()]);
        assert_eq!(newest_marker(&homes), None);
        let folder = home.path().join(".devcontainer");
        std::fs::create_dir(&folder).unwrap();
        crate::durable::replace(folder.join(".postCreateCommandMarker").to_str().unwrap().into(), b"").unwrap();
        assert!(newest_marker(&homes).is_some());
    }

    #[test]
    fn a_marker_tells_the_end_of_the_hook_before_it() {
        let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let folder =
            |marked: &[(HookName, u64)]| marked.iter().map(|(hook, at)| (*hook, time(*at))).collect::<BTreeMap<_, _>>();
        let up_to_post_create = &[(OnCreate, 11), (UpdateContent, 12), (PostCreate, 13)][..];
        let all = &[(OnCreate, 11), (UpdateContent, 12), (PostCreate, 13), (PostStart, 14)][..];
        for (folders, expected, why) in [
            (vec![], &[][..], "a tool that leaves no markers says nothing"),
            (vec![folder(&[(OnCreate, 11)])], &[OnCreate, UpdateContent, PostCreate], "it began with the first"),
            (vec![folder(up_to_post_create)], &[PostCreate], "it runs, or it failed"),
            (vec![folder(all)], &[], "of postStart nothing tells the end"),
            (vec![folder(all), folder(up_to_post_create)], &[], "another tool is further"),
            (vec![folder(&[(OnCreate, 9), (PostStart, 9)])], &[], "another container's"),
        ] {
            let expected: BTreeSet<_> = expected.iter().copied().collect();
            assert_eq!(unfinished(&folders, Some(time(10))), expected, "{why}");
        }
    }
}
