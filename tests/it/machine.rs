//! A machine with a remote user, as a Feature leaves it: its own `/etc`, `/var/lib` and `/var/tmp`, in mount namespaces. For what
//! Burrow finds without any environment variable. Needs root.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use camino::Utf8PathBuf;

use crate::sandbox::{BURROW, Background, Sandbox};

const REMOTE_USER: &str = "gopher";

/// The machine. Its daemon is to be stopped by the test.
pub(crate) struct Machine {
    sandbox: Sandbox,
    uid: u32,
    binary: Utf8PathBuf,
}

impl Machine {
    /// A machine whose `/etc/burrow/feature.json` names the user `uid`.
    pub(crate) fn with_remote_user(uid: u32) -> Self {
        let sandbox = Sandbox::new().without_env("BURROW_STATE_DIR").without_env("BURROW_STORE_DIR");
        let root = sandbox.root().to_owned();
        for (folder, mode) in
            [("", 0o755), ("var-tmp", 0o1777), ("var-lib", 0o755), ("home", 0o755), ("workspace", 0o755)]
        {
            fs::create_dir_all(root.join(folder)).unwrap();
            fs::set_permissions(root.join(folder), PermissionsExt::from_mode(mode)).unwrap();
        }
        for folder in ["home", "tmp", "workspace"] {
            chown(root.join(folder), Some(uid), Some(uid)).unwrap();
        }
        // Where the user can run it: the checkout may lie in a home that is root's alone.
        let binary = root.join("burrow");
        fs::copy(BURROW, &binary).unwrap();

        let mut copy = sandbox.command("cp");
        copy.args(["-a", "/etc"]).arg(root.join("etc"));
        sandbox.run(copy).exits(0);
        let home = root.join("home");
        append(&root.join("etc/passwd"), &format!("{REMOTE_USER}:x:{uid}:{uid}::{home}:/bin/sh\n"));
        append(&root.join("etc/group"), &format!("{REMOTE_USER}:x:{uid}:\n"));
        fs::create_dir_all(root.join("etc/burrow")).unwrap();
        append(&root.join("etc/burrow/feature.json"), &format!("{{\"remoteUser\": \"{REMOTE_USER}\"}}\n"));
        Self { sandbox, uid, binary }
    }

    /// Starts `burrow ARGS`, as root or as the remote user, with or without `XDG_RUNTIME_DIR`.
    pub(crate) fn start(&self, as_root: bool, runtime_dir: bool, args: &[&str]) -> Background {
        let enter = "for name in etc var/lib var/tmp; do mount --bind \"$0/$(echo $name | tr / -)\" /$name || exit; done; exec \"$@\"";
        let mut command = self.sandbox.command("unshare");
        command.args(["--mount", "--propagation", "private", "--", "sh", "-c", enter, self.sandbox.root().as_str()]);
        if !as_root {
            let uid = self.uid.to_string();
            command.args(["setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups", "--"]);
        }
        if runtime_dir {
            command.env("XDG_RUNTIME_DIR", self.sandbox.root().join("tmp"));
        }
        command.arg(&self.binary).args(args);
        self.sandbox.start(command)
    }

    /// Where the machine lies.
    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }
}

fn append(path: &Utf8PathBuf, text: &str) {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
