//! A dev container that the real Dev Containers CLI makes of a sandbox's workspace, with Burrow's Feature in it.
//!
//! On drop the container and its image are removed.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::time::Duration;

use camino::Utf8Path;
use serde_json::{Value, json};

use super::engine::{self, docker, docker_prints};
use crate::sandbox::{BURROW, Run, Sandbox};

/// Building the image and starting the container, on a busy machine.
const LIMIT: Duration = Duration::from_secs(600);
/// The workspace folder inside: the CLI's default for a folder of this name.
const WORKSPACE: &str = "/workspaces/workspace";
/// A sandbox whose workspace becomes a dev container.
pub(crate) struct DevContainer {
    sandbox: Sandbox,
    user: String,
    /// As whom the CLI is called, where it is not root.
    caller: Option<u32>,
    id: Option<String>,
}

/// What a dev container is to be.
struct Setup<'a> {
    user: &'a str,
    features: Value,
    caller: Option<u32>,
}

impl DevContainer {
    /// Not there yet; its remoteUser is `vscode` (uid 1000). `sandbox` has the hooks and the store of tools; what a container
    /// needs is added, with this machine's Go.
    pub(crate) fn new(sandbox: Sandbox) -> Self {
        Self::of("vscode", sandbox)
    }

    /// Like [`Self::new`], for another remoteUser.
    pub(crate) fn of(user: &str, sandbox: Sandbox) -> Self {
        Self::prepare(sandbox, &Setup { user, features: json!({ "./burrow": {} }), caller: None })
    }

    /// Like [`Self::new`], without tools and with the Feature `burrow-caches`. The CLI is called by the uid `caller`, which
    /// `updateRemoteUserUID` then gives to remoteUser, or by root, which it cannot give.
    pub(crate) fn with_caches(sandbox: Sandbox, caller: Option<u32>) -> Self {
        let features = json!({ "./burrow": { "tools": false }, "./burrow-caches": {} });
        Self::prepare(sandbox, &Setup { user: "vscode", features, caller })
    }

    fn prepare(sandbox: Sandbox, setup: &Setup<'_>) -> Self {
        // What lies in a store of others would be built again.
        let (image_uid, store_target) =
            if setup.user == "root" { (0, "/var/lib/burrow/0/store") } else { (1000, "/var/lib/burrow/1000/store") };
        let uid = setup.caller.unwrap_or(image_uid);
        engine::require(&Sandbox::cache_dir());
        let store = sandbox.store_dir();
        std::fs::create_dir_all(&store).unwrap();
        let go = sandbox.run_program("go", ["env", "GOROOT"]).exits(0).stdout().trim().to_owned();
        let mount = |source: &str, target: &str| format!("type=bind,source={source},target={target}");
        let sandbox = sandbox
            .limit(LIMIT)
            .property("image", engine::IMAGE)
            .property("remoteUser", setup.user)
            .property("updateRemoteUserUID", setup.caller.is_some())
            .property("mounts", vec![mount(&go, "/usr/local/go"), mount(store.as_str(), store_target)])
            .property("containerEnv", json!({ "GOPROXY": "off" }))
            .property("features", setup.features.clone());
        let package = Sandbox::repository().join(".devcontainer/features/package");
        sandbox.run_program(package, [sandbox.workspace().join(".devcontainer").as_str(), BURROW]).exits(0);
        for name in ["burrow", "burrow-caches"] {
            // The CLI asks the registry of each Feature that is named here, also of those that are not used: there may be none.
            let metadata = format!(".devcontainer/{name}/devcontainer-feature.json");
            let mut feature: Value = serde_json::from_str(&sandbox.read(&metadata).unwrap()).unwrap();
            feature.as_object_mut().unwrap().remove("installsAfter").expect("it is installed after others");
            sandbox.change(&metadata, &feature.to_string());
        }
        // Inside, the files are the remote user's.
        let owner = format!("{uid}:{uid}");
        sandbox.run_program("chown", ["-R", &owner, sandbox.workspace().as_str(), store.as_str()]).exits(0);
        Self { sandbox, user: setup.user.to_owned(), caller: setup.caller, id: None }
    }

    /// With one more of `mounts`, before `up`.
    pub(crate) fn with_mount(self, mount: &str) -> Self {
        let path = ".devcontainer/devcontainer.json";
        let mut settings: Value = serde_json::from_str(&self.sandbox.read(path).unwrap()).unwrap();
        settings["mounts"].as_array_mut().unwrap().push(mount.into());
        self.sandbox.change(path, &settings.to_string());
        self
    }

    /// `devcontainer up`: makes or starts it, and runs the hooks that the CLI finds due.
    pub(crate) fn up(&mut self) -> Run {
        let lock = lock_builds();
        let run = self.cli("up", &[]);
        drop(lock);
        self.id = run.json()["containerId"].as_str().map(str::to_owned);
        run
    }

    /// `devcontainer up --remove-existing-container`: a new container from the same files, with the same volumes.
    pub(crate) fn rebuild(&mut self) -> Run {
        let lock = lock_builds();
        let old = docker_prints(["inspect", "--format", "{{.Image}}", self.id()]);
        let run = self.cli("up", &["--remove-existing-container"]);
        drop(lock);
        self.id = run.json()["containerId"].as_str().map(str::to_owned);
        // Where nothing changed it is the same image, and in use.
        docker(["rmi", &old]);
        run
    }

    /// Runs `ARGS` as the remote user in the workspace folder, with nothing of what the CLI would set.
    pub(crate) fn exec<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Run {
        self.exec_as(&self.user, args)
    }

    /// Like [`Self::exec`], as another user.
    pub(crate) fn exec_as<'a>(&self, user: &str, args: impl IntoIterator<Item = &'a str>) -> Run {
        let mut command = self.sandbox.command("docker");
        command.args(["exec", "--user", user, "--workdir", WORKSPACE, self.id()]).args(args);
        self.sandbox.run(command)
    }

    /// `burrow hook list --json` as the remote user.
    pub(crate) fn hooks(&self) -> Vec<Value> {
        self.exec(["burrow", "hook", "list", "--json"]).json().as_array().unwrap().clone()
    }

    /// The state of one hook of one origin.
    pub(crate) fn state(&self, hook: &str, origin: &str) -> String {
        let hooks = self.hooks();
        let found = hooks.iter().find(|status| status["name"] == hook && status["origin"] == origin);
        let found = found.unwrap_or_else(|| panic!("{hook} of {origin} is not among {hooks:#?}"));
        found["state"].as_str().unwrap().to_owned()
    }

    /// `docker restart`: nobody runs hooks then.
    pub(crate) fn restart(&self) {
        docker_prints(["restart", "--time", "5", self.id()]);
    }

    /// The sandbox around it.
    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn cli(&self, subcommand: &str, options: &[&str]) -> Run {
        let cli = engine::cli(&Sandbox::cache_dir());
        let mut command = match self.caller {
            None => self.sandbox.command(cli),
            Some(uid) => self.as_caller(uid, &cli),
        };
        let fixed = ["--buildkit", "never", "--workspace-folder", self.sandbox.workspace().as_str()];
        command.arg(subcommand).args(fixed).args(options);
        self.sandbox.run(command)
    }

    /// The CLI as an account of the machine that is not root, may speak to the engine, and sees the tests' cache.
    fn as_caller(&self, uid: u32, cli: &Utf8Path) -> Command {
        let root = self.sandbox.root();
        let modules = cli.ancestors().nth(3).expect("it lies in node_modules/.bin");
        let engine_group = std::fs::metadata("/var/run/docker.sock").unwrap().gid();
        std::fs::set_permissions(root, PermissionsExt::from_mode(0o755)).unwrap();
        self.sandbox
            .run_program("chown", ["-R", &uid.to_string(), root.join("home").as_str(), root.join("tmp").as_str()])
            .exits(0);
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
        // Beside the workspace.
        self.sandbox.change("../passwd", &format!("{passwd}caller:x:{uid}:{uid}::{root}/home:/bin/sh\n"));
        std::fs::create_dir_all(root.join("cli")).unwrap();
        let enter = format!(
            "mount --bind {root}/passwd /etc/passwd && mount --bind {modules} {root}/cli && exec setpriv --reuid {uid} --regid {uid} \
             --groups {engine_group} {root}/cli/node_modules/.bin/devcontainer \"$@\""
        );
        let mut command = self.sandbox.command("unshare");
        command.args(["--mount", "--propagation", "private", "--", "sh", "-c", &enter, "cli"]);
        command
    }

    /// The engine's id of it.
    pub(crate) fn id(&self) -> &str {
        self.id.as_deref().expect("`up` made it")
    }
}

impl Drop for DevContainer {
    fn drop(&mut self) {
        // Found by its label: an `up` that failed half-way left one as well.
        let label = format!("label=devcontainer.local_folder={}", self.sandbox.workspace());
        let format = "{{.ID}} {{.Image}}";
        let found = docker(["ps", "--all", "--filter", &label, "--format", format]);
        for line in String::from_utf8_lossy(&found.stdout).lines() {
            let Some((id, image)) = line.split_once(' ') else { continue };
            if std::thread::panicking() {
                let log = docker(["exec", id, "sh", "-c", "cat /var/lib/burrow/*/daemon.log"]);
                eprintln!("the daemon's log in the container:\n{}", String::from_utf8_lossy(&log.stdout));
            }
            let named = docker(["inspect", "--format", "{{range .Mounts}}{{.Name}} {{end}}", id]);
            docker(["rm", "--force", "--volumes", id]);
            for volume in String::from_utf8_lossy(&named.stdout).split_whitespace() {
                docker(["volume", "rm", volume]);
            }
            let _lock = lock_builds();
            docker(["rmi", image]);
            // One with another uid is made of the one with the Features.
            if let Some(below) = image.strip_suffix("-uid") {
                docker(["rmi", below]);
            }
        }
    }
}

/// The CLI builds every Feature under one name, so two builds at a time would take each other's binary; and an image that is
/// removed takes the layers along that a build is about to use.
fn lock_builds() -> File {
    let file = Sandbox::cache_dir().join("devcontainer-build.lock");
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(file).unwrap();
    lock.lock().unwrap();
    lock
}
