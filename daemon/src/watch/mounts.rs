//! Which file systems do not tell of changes that were made on their other side: by the mount's type
//! (proc_pid_mountinfo(5)). Pure.

use camino::{Utf8Path, Utf8PathBuf};

/// Shares of a host or a server. `fakeowner` and the `fuse.` ones are Docker Desktop's; the host's editor writes behind
/// them, and no event or not every event comes through.
const SILENT: [&str; 14] = [
    "9p",
    "virtiofs",
    "fakeowner",
    "fuse.grpcfuse",
    "grpcfuse",
    "fuse.osxfs",
    "osxfs",
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "vboxsf",
    "fuse.sshfs",
    "fuse.vmhgfs-fuse",
];

/// The type of the mount that `path` lies on, where it does not tell of all changes. `mountinfo` is the whole file's text.
pub(super) fn silent_type(mountinfo: &str, path: &Utf8Path) -> Option<&'static str> {
    let mut found: Option<(Utf8PathBuf, &str)> = None;
    for line in mountinfo.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let (Some(target), Some(kind)) = (before.split(' ').nth(4), after.split(' ').next()) else { continue };
        let target = unescape(target);
        // Of two at one place the later one lies on top.
        let deeper = found.as_ref().is_none_or(|(known, _)| target.starts_with(known));
        if path.starts_with(&target) && deeper {
            found = Some((target, kind));
        }
    }
    let (_, kind) = found?;
    SILENT.into_iter().find(|silent| *silent == kind)
}

/// Blanks, tabs, ends of line and backslashes stand as three octal digits.
fn unescape(text: &str) -> Utf8PathBuf {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.into_iter().fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain)).into()
}

#[cfg(test)]
mod tests {
    use super::silent_type;

    #[test]
    fn the_deepest_mount_counts() {
        let mountinfo = "\
            22 1 254:1 / / rw,relatime shared:1 - overlay overlay rw\n\
            30 22 0:40 / /workspaces rw - fuse.grpcfuse grpcfuse rw\n\
            31 30 0:41 / /workspaces/local rw - ext4 /dev/vdb rw\n\
            32 22 0:42 / /mnt/with\\040blank rw - 9p C: rw\n\
            33 22 0:43 / /stacked rw - nfs4 server:/ rw\n\
            34 33 0:44 / /stacked rw - tmpfs tmpfs rw\n\
            nonsense - \n";
        for (path, expected, why) in [
            ("/home/me", None, "the container's own layer"),
            ("/workspaces/api/cmd", Some("fuse.grpcfuse"), "a share of the host"),
            ("/workspaces", Some("fuse.grpcfuse"), "the mount's own folder"),
            ("/workspaces/local/api", None, "a volume inside of the share"),
            ("/workspaces2", None, "a name that only begins alike"),
            ("/mnt/with blank/api", Some("9p"), "names are escaped"),
            ("/stacked/api", None, "the mount on top counts"),
        ] {
            assert_eq!(silent_type(mountinfo, path.into()), expected, "{path}: {why}");
        }
    }
}
