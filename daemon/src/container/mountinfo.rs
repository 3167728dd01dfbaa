//! What `/proc/self/mountinfo` tells of the container (proc_pid_mountinfo(5)). Pure.

use burrow_protocol::model::{MountKind, MountStatus};

use super::host_paths::of_desktop;

/// What binds an identity to this very container, and differs in a copy of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mounts {
    /// The engine's id of the container whose `/etc/hostname` this one has, or else whose `/etc/hosts`: of itself, or of
    /// the one whose network it shares.
    pub(super) network_id: Option<String>,
    /// The writable layer of the root file system, where it is an overlay: see [`layer`].
    pub(super) layer: Option<String>,
    /// Whether the root file system is an overlay.
    pub(super) root_is_overlay: bool,
}

/// Reads the whole file's text.
pub(super) fn parse(text: &str) -> Mounts {
    let mut mounts = Mounts::default();
    let mut id_of_hosts = None;
    for line in text.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let mut fields = before.split(' ').skip(3);
        let (Some(root), Some(target)) = (fields.next(), fields.next()) else { continue };
        let mut fields = after.split(' ');
        let (file_system, options) = (fields.next(), fields.nth(1));
        match target {
            "/" if file_system == Some("overlay") => {
                mounts.root_is_overlay = true;
                let upper = options.unwrap_or_default().split(',').find_map(|option| option.strip_prefix("upperdir="));
                mounts.layer = upper.and_then(|upper| layer(&unescaped(upper)));
            }
            "/etc/hostname" => mounts.network_id = container_id(root),
            "/etc/hosts" => id_of_hosts = container_id(root),
            _ => {}
        }
    }
    mounts.network_id = mounts.network_id.or(id_of_hosts);
    mounts
}

/// The end of an overlay's upper directory, by which its engine tells layers apart: `ID/diff` or `NUMBER/fs`. What comes
/// before is left out of long options, and changes when the engine's data moves. `None` where the path is no longer than that.
pub(super) fn layer(upper_dir: &str) -> Option<String> {
    let (before, name) = upper_dir.trim_end_matches('/').rsplit_once('/')?;
    let id = before.rsplit('/').next().filter(|id| !id.is_empty())?;
    Some(format!("{id}/{name}"))
}

/// The part of a path that is an id: 64 hexadecimal digits, as Docker, Podman and containerd write it.
fn container_id(path: &str) -> Option<String> {
    let is_id = |part: &&str| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    path.split('/').find(is_id).map(str::to_owned)
}

/// What of the host is mounted here, by the path here: what the kernel and the engine mount for themselves is left out.
pub(super) fn host_mounts(text: &str) -> Vec<MountStatus> {
    text.lines().filter_map(host_mount).collect()
}

fn host_mount(line: &str) -> Option<MountStatus> {
    const OWN: [&str; 6] =
        ["/", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/run/.containerenv", "/sbin/docker-init"];
    const OF_THE_KERNEL: [&str; 13] = [
        "proc",
        "sysfs",
        "tmpfs",
        "devtmpfs",
        "devpts",
        "mqueue",
        "cgroup",
        "cgroup2",
        "overlay",
        "nsfs",
        "securityfs",
        "hugetlbfs",
        "ramfs",
    ];
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(3);
    let (root, target) = (unescaped(fields.next()?), unescaped(fields.next()?));
    let mut fields = after.split(' ');
    let (file_system, source) = (fields.next()?, unescaped(fields.next()?));
    let is_own = ["/proc/", "/sys/", "/dev/"].iter().any(|folder| target.starts_with(folder))
        || target.ends_with("/docker-init")
        || OWN.contains(&target.as_str());
    if is_own || OF_THE_KERNEL.contains(&file_system) {
        return None;
    }
    let kind = if root.ends_with("/_data") && root.contains("/volumes/") { MountKind::Volume } else { MountKind::Bind };
    // Docker Desktop's mounts name the host's folder as the source; a block device says nothing of where it is mounted.
    let shared = of_desktop(&format!("{}{}", source.trim_end_matches('/'), root.trim_end_matches('/')));
    let exact = source.starts_with("/run/host_mark/") || source.starts_with("/host_mnt/");
    let host_path = if exact { shared } else { root };
    Some(MountStatus { target, kind, host_path, exact })
}

/// Blanks, tabs, line ends and backslashes are octal there.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (code, sign)| text.replace(code, sign))
}

#[cfg(test)]
mod tests {
    use burrow_protocol::model::{MountKind, MountStatus};

    use super::{Mounts, host_mounts, layer, parse};

    #[test]
    fn a_docker_container() {
        let id = "d".repeat(64);
        let text = format!(
            "610 500 0:52 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/var/lib/docker/overlay2/x/diff,workdir=/w\n\
             615 610 254:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/vda1 rw\n"
        );
        let expected = Mounts { network_id: Some(id), layer: Some("x/diff".into()), root_is_overlay: true };
        assert_eq!(parse(&text), expected);
    }

    /// Podman shares `/etc/hosts` with the network, and `/etc/hostname` with nobody.
    #[test]
    fn the_file_that_is_rather_ones_own_counts() {
        let line = |id: &str, file: &str| format!("615 610 254:1 /c/{id}/{file} /etc/{file} rw - ext4 /dev/vda1 rw\n");
        let (own, other) = ("a".repeat(64), "b".repeat(64));
        for (text, expected, why) in [
            (line(&other, "hosts") + &line(&own, "hostname"), Some(own.clone()), "whichever is mounted first"),
            (line(&own, "hostname") + &line(&other, "hosts"), Some(own), "in the other order too"),
            (line("pods", "hostname") + &line(&other, "hosts"), Some(other), "the one that has an id"),
            (line("pods", "hosts"), None, "none has one"),
        ] {
            assert_eq!(parse(&text).network_id, expected, "{why}");
        }
    }

    #[test]
    fn what_of_an_upper_directory_tells_layers_apart() {
        for (upper_dir, expected, why) in [
            ("/var/lib/docker/overlay2/x/diff", Some("x/diff"), "docker's own storage"),
            ("x/diff", Some("x/diff"), "the same, with more lower layers than a page of options holds"),
            ("/var/lib/containerd/overlayfs/snapshots/42/fs", Some("42/fs"), "containerd's"),
            ("diff", None, "nothing tells it apart"),
            ("/diff", None, "nor here"),
        ] {
            assert_eq!(layer(upper_dir).as_deref(), expected, "{why}");
        }
    }

    #[test]
    fn a_plain_machine_and_nonsense() {
        assert_eq!(parse("22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"), Mounts::default());
        assert_eq!(parse("x - y\n\n - \n1 2 3 - overlay"), Mounts::default());
    }

    #[test]
    fn what_is_of_the_host() {
        let text = "610 500 0:52 / / rw - overlay overlay rw,upperdir=/u\n\
             611 610 0:54 / /proc rw - proc proc rw\n\
             615 610 254:1 /var/lib/docker/containers/x/hostname /etc/hostname rw - ext4 /dev/vda1 rw\n\
             616 610 254:1 /usr/bin/docker-init /sbin/docker-init ro - ext4 /dev/vda1 rw\n\
             617 610 254:1 /home/ann/my\\040shop /workspaces/shop rw - ext4 /dev/vda1 rw\n\
             618 610 254:1 /var/lib/docker/volumes/mod/_data /var/cache/burrow/mod rw - ext4 /dev/vda1 rw\n\
             619 610 0:60 /ann/shop /src rw - fakeowner /run/host_mark/Users rw\n";
        let mount = |target: &str, kind, host_path: &str, exact| MountStatus {
            target: target.into(),
            kind,
            host_path: host_path.into(),
            exact,
        };
        let expected = [
            mount("/workspaces/shop", MountKind::Bind, "/home/ann/my shop", false),
            mount("/var/cache/burrow/mod", MountKind::Volume, "/var/lib/docker/volumes/mod/_data", false),
            mount("/src", MountKind::Bind, "/Users/ann/shop", true),
        ];
        assert_eq!(host_mounts(text), expected);
    }
}
