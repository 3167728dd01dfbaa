//! Paths here and the same on the host. Pure.
//!
//! A bind mount and a volume have a path on the host. Docker Desktop runs its engine in a machine of its own, and mounts the
//! real host's folders there first: such a path is turned into the one that the user knows.

use burrow_protocol::model::MountStatus;

/// The path on the host of `path` here; `None` where no mount has it, or the mount's own path there is not wholly known.
#[must_use]
pub fn to_host(mounts: &[MountStatus], path: &str) -> Option<String> {
    let (mount, rest) = longest(mounts, |mount| below(path, &mount.target, '/'))?;
    mount.exact.then(|| join(&mount.host_path, rest, '/'))
}

/// The path here of `path` on the host; `None` where nothing of it is mounted.
#[must_use]
pub fn to_container(mounts: &[MountStatus], path: &str) -> Option<String> {
    let exact: Vec<_> = mounts.iter().filter(|mount| mount.exact).cloned().collect();
    let (mount, rest) = longest(&exact, |mount| below(path, &mount.host_path, separator(&mount.host_path)))?;
    Some(join(&mount.target, rest, separator(path)))
}

/// The path on the user's own machine of one that an engine names.
#[must_use]
pub(super) fn of_desktop(path: &str) -> String {
    for prefix in ["/run/desktop/mnt/host/", "/host_mnt/", "/run/host_mark/"] {
        let Some(rest) = path.strip_prefix(prefix) else { continue };
        let (first, inner) = rest.split_once('/').unwrap_or((rest, ""));
        return match first.as_bytes() {
            // A folder of the other system on the same Windows machine: it has no drive.
            b"wsl" => path.to_owned(),
            [drive @ b'a'..=b'z'] => {
                format!("{}:\\{}", char::from(drive.to_ascii_uppercase()), inner.replace('/', "\\"))
            }
            _ => format!("/{rest}"),
        };
    }
    path.to_owned()
}

/// The mount whose path is the longest of those that `path` lies below, and the rest of the path.
fn longest<'a, 'p>(
    mounts: &'a [MountStatus],
    rest: impl Fn(&MountStatus) -> Option<&'p str>,
) -> Option<(&'a MountStatus, &'p str)> {
    mounts.iter().filter_map(|mount| Some((mount, rest(mount)?))).min_by_key(|(_, rest)| rest.len())
}

/// What follows `folder` in `path`; `None` where it does not lie below.
fn below<'p>(path: &'p str, folder: &str, separator: char) -> Option<&'p str> {
    let folder = folder.trim_end_matches(separator);
    // Windows does not tell cases apart.
    let is_prefix = path
        .get(..folder.len())
        .is_some_and(|start| if separator == '\\' { start.eq_ignore_ascii_case(folder) } else { start == folder });
    let rest = path.get(folder.len()..).filter(|_| is_prefix)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(separator) }
}

fn join(folder: &str, rest: &str, separator_of_rest: char) -> String {
    let separator = separator(folder);
    if rest.is_empty() {
        return folder.to_owned();
    }
    let rest = rest.replace(separator_of_rest, &separator.to_string());
    format!("{}{separator}{rest}", folder.trim_end_matches(separator))
}

/// Windows' paths begin with a drive.
fn separator(path: &str) -> char {
    if path.as_bytes().get(1) == Some(&b':') { '\\' } else { '/' }
}

#[cfg(test)]
mod tests {
    use burrow_protocol::model::{MountKind, MountStatus};

    use super::{of_desktop, to_container, to_host};

    fn mount(target: &str, host_path: &str) -> MountStatus {
        MountStatus { target: target.into(), kind: MountKind::Bind, host_path: host_path.into(), exact: true }
    }

    #[test]
    fn both_ways() {
        let mounts = [
            mount("/workspaces/shop", "/home/ann/shop"),
            mount("/workspaces/shop/vendor", "/srv/vendor"),
            mount("/src", "C:\\Users\\Ann\\shop"),
            mount("/cache", "/var/lib/docker/volumes/go-mod/_data"),
        ];
        for (here, host, why) in [
            ("/workspaces/shop/main.go", Some("/home/ann/shop/main.go"), "a bind mount"),
            ("/workspaces/shop", Some("/home/ann/shop"), "its root"),
            ("/workspaces/shopping/main.go", None, "a name that only begins the same"),
            ("/workspaces/shop/vendor/x.go", Some("/srv/vendor/x.go"), "the mount that lies deepest"),
            ("/src/cmd/main.go", Some("C:\\Users\\Ann\\shop\\cmd\\main.go"), "a host with drives"),
            ("/cache/x", Some("/var/lib/docker/volumes/go-mod/_data/x"), "a volume"),
            ("/etc/passwd", None, "the container's own"),
        ] {
            assert_eq!(to_host(&mounts, here).as_deref(), host, "{why}");
            if let Some(host) = host {
                assert_eq!(to_container(&mounts, host).as_deref(), Some(here), "{why}, back");
            }
        }
        assert_eq!(to_container(&mounts, "c:\\users\\ann\\SHOP\\a.go").as_deref(), Some("/src/a.go"), "no cases there");
        assert_eq!(to_container(&mounts, "/home/bob"), None, "not mounted");
        let all = [mount("/host", "/")];
        assert_eq!(to_host(&all, "/host/etc").as_deref(), Some("/etc"), "the host's root");
        assert_eq!(to_container(&all, "/etc").as_deref(), Some("/host/etc"), "and back");
    }

    #[test]
    fn a_path_of_which_only_the_end_is_known_is_none() {
        let mounts = [MountStatus { exact: false, ..mount("/w", "/ann/shop") }];
        assert_eq!(to_host(&mounts, "/w/main.go"), None);
        assert_eq!(to_container(&mounts, "/ann/shop/main.go"), None);
    }

    #[test]
    fn what_docker_desktop_mounts() {
        for (engine, user, why) in [
            ("/host_mnt/Users/ann/shop", "/Users/ann/shop", "macOS"),
            ("/run/host_mark/Users/ann", "/Users/ann", "macOS, as /proc has it"),
            ("/host_mnt/c/Users/ann", "C:\\Users\\ann", "Windows, Hyper-V"),
            ("/run/desktop/mnt/host/d/src", "D:\\src", "Windows, WSL 2"),
            ("/run/desktop/mnt/host/c", "C:\\", "a whole drive"),
            (
                "/run/desktop/mnt/host/wsl/docker-desktop-bind-mounts/x",
                "/run/desktop/mnt/host/wsl/docker-desktop-bind-mounts/x",
                "a folder of WSL's own",
            ),
            ("/home/ann/shop", "/home/ann/shop", "no Docker Desktop"),
        ] {
            assert_eq!(of_desktop(engine), user, "{why}");
        }
    }
}
