//! Who runs the standard hooks of this container: a Dev Containers tool, or Burrow.
//!
//! A tool tells nobody. What can be seen is the environment that it gives its terminals, and the marker that it leaves
//! before each hook in the remote user's home, which may be a volume that outlives the container.

use std::collections::BTreeMap;
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

/// When the newest marker of a tool was written, below the home directory `home` and where DevPod keeps its own. Blocks.
pub(crate) fn newest_marker(home: Option<&str>) -> Option<SystemTime> {
    let names = HookName::ALL.into_iter().flat_map(|hook| {
        let below_home = [".devcontainer", ".vscode-server/data/Machine"]
            .map(|folder| home.map(|home| Path::new(home).join(folder).join(format!(".{hook}CommandMarker"))));
        below_home.into_iter().flatten().chain([format!("/var/devpod/{hook}Commands.marker").into()])
    });
    names.filter_map(|path| path.metadata().ok()?.modified().ok()).max()
}

/// When this container was made: the engine writes `/etc/hostname` for each. Blocks.
pub(crate) fn container_birth() -> Option<SystemTime> {
    let hostname = Path::new("/etc/hostname").metadata().ok()?;
    hostname.created().or_else(|_| hostname.modified()).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, SystemTime};

    use super::{Runner, newest_marker, runner};

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
        let path = home.path().to_str().unwrap();
        assert_eq!(newest_marker(Some(path)), None);
        let folder = home.path().join(".devcontainer");
        std::fs::create_dir(&folder).unwrap();
        crate::durable::replace(folder.join(".postCreateCommandMarker").to_str().unwrap().into(), b"").unwrap();
        assert!(newest_marker(Some(path)).is_some());
    }
}
