//! What `/proc/self/mountinfo` tells of the container (proc_pid_mountinfo(5)). Pure.

/// What binds an identity to this very container, and differs in a copy of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mounts {
    /// The engine's id of the container, from the source of `/etc/hostname` or `/etc/hosts`.
    pub(super) container_id: Option<String>,
    /// The writable layer of the root file system, where it is an overlay.
    pub(super) upper_dir: Option<String>,
    /// Whether the root file system is an overlay.
    pub(super) root_is_overlay: bool,
}

/// Reads the whole file's text.
pub(super) fn parse(text: &str) -> Mounts {
    let mut mounts = Mounts::default();
    for line in text.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let mut fields = before.split(' ').skip(3);
        let (Some(root), Some(target)) = (fields.next(), fields.next()) else { continue };
        let mut fields = after.split(' ');
        let (file_system, options) = (fields.next(), fields.nth(1));
        if target == "/" && file_system == Some("overlay") {
            mounts.root_is_overlay = true;
            let upper = options.unwrap_or_default().split(',').find_map(|option| option.strip_prefix("upperdir="));
            mounts.upper_dir = upper.map(str::to_owned);
        }
        if matches!(target, "/etc/hostname" | "/etc/hosts") {
            mounts.container_id = mounts.container_id.or_else(|| container_id(root));
        }
    }
    mounts
}

/// The part of a path that is an id: 64 hexadecimal digits, as Docker, Podman and containerd write it.
fn container_id(path: &str) -> Option<String> {
    let is_id = |part: &&str| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    path.split('/').find(is_id).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{Mounts, parse};

    #[test]
    fn a_docker_container() {
        let id = "d".repeat(64);
        let text = format!(
            "610 500 0:52 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/var/lib/docker/overlay2/x/diff,workdir=/w\n\
             615 610 254:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/vda1 rw\n"
        );
        let expected = Mounts {
            container_id: Some(id),
            upper_dir: Some("/var/lib/docker/overlay2/x/diff".into()),
            root_is_overlay: true,
        };
        assert_eq!(parse(&text), expected);
    }

    #[test]
    fn a_plain_machine_and_nonsense() {
        assert_eq!(parse("22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"), Mounts::default());
        assert_eq!(parse("x - y\n\n - \n1 2 3 - overlay"), Mounts::default());
    }
}
