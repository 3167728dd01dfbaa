//! A dev container that the real Dev Containers CLI makes of a sandbox's workspace, with Burrow's Feature in it.
//!
//! On drop the container and its image are removed.

use std::fs::{File, OpenOptions};
use std::time::Duration;

use serde_json::{Value, json};

use super::engine::{self, docker, docker_prints};
use crate::sandbox::{BURROW, Run, Sandbox};

/// Building the image and starting the container, on a busy machine.
const LIMIT: Duration = Duration::from_secs(600);
/// The workspace folder inside: the CLI's default for a folder of this name.
const WORKSPACE: &str = "/workspaces/workspace";
/// The store that the remote user's daemon has by default. What lies in a store of others would be built again.
const STORE: &str = "/var/lib/burrow/1000/store";

/// A sandbox whose workspace becomes a dev container.
pub(crate) struct DevContainer {
    sandbox: Sandbox,
    id: Option<String>,
}

impl DevContainer {
    /// Not there yet. `sandbox` has the hooks and the store of tools; what a container needs is added, with this machine's Go.
    pub(crate) fn new(sandbox: Sandbox) -> Self {
        engine::require(&Sandbox::cache_dir());
        let store = sandbox.store_dir();
        std::fs::create_dir_all(&store).unwrap();
        let go = sandbox.run_program("go", ["env", "GOROOT"]).exits(0).stdout().trim().to_owned();
        let mount = |source: &str, target: &str| format!("type=bind,source={source},target={target}");
        let sandbox = sandbox
            .limit(LIMIT)
            .property("image", engine::IMAGE)
            .property("remoteUser", "vscode")
            .property("updateRemoteUserUID", false)
            .property("mounts", vec![mount(&go, "/usr/local/go"), mount(store.as_str(), STORE)])
            .property("containerEnv", json!({ "GOPROXY": "off" }))
            .property("features", json!({ "./burrow": {} }));
        let package = Sandbox::repository().join(".devcontainer/features/package");
        sandbox.run_program(package, [sandbox.workspace().join(".devcontainer").as_str(), BURROW]).exits(0);
        // The CLI asks the registry of each Feature that is named here, also of those that are not used: there may be none.
        let metadata = ".devcontainer/burrow/devcontainer-feature.json";
        let mut feature: Value = serde_json::from_str(&sandbox.read(metadata).unwrap()).unwrap();
        feature.as_object_mut().unwrap().remove("installsAfter").expect("it is installed after others");
        sandbox.change(metadata, &feature.to_string());
        // Inside, the files are vscode's.
        sandbox.run_program("chown", ["-R", "1000:1000", sandbox.workspace().as_str(), store.as_str()]).exits(0);
        Self { sandbox, id: None }
    }

    /// `devcontainer up`: makes or starts it, and runs the hooks that the CLI finds due.
    pub(crate) fn up(&mut self) -> Run {
        let lock = lock_builds();
        let run = self.cli("up");
        drop(lock);
        self.id = run.json()["containerId"].as_str().map(str::to_owned);
        run
    }

    /// Runs `ARGS` as the remote user in the workspace folder, with nothing of what the CLI would set.
    pub(crate) fn exec<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Run {
        self.exec_as("vscode", args)
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

    fn cli(&self, subcommand: &str) -> Run {
        let mut command = self.sandbox.command(engine::cli(&Sandbox::cache_dir()));
        command.args([subcommand, "--buildkit", "never", "--workspace-folder", self.sandbox.workspace().as_str()]);
        self.sandbox.run(command)
    }

    fn id(&self) -> &str {
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
                let log = docker(["exec", id, "cat", "/var/lib/burrow/1000/daemon.log"]);
                eprintln!("the daemon's log in the container:\n{}", String::from_utf8_lossy(&log.stdout));
            }
            docker(["rm", "--force", "--volumes", id]);
            let _lock = lock_builds();
            docker(["rmi", image]);
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
