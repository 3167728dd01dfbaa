//! A container of plain Docker: the base image, the binary, a sandbox's workspace, and no Dev Containers tool.

use std::rc::Rc;

use super::engine::{self, docker, docker_prints};
use crate::sandbox::{BURROW, Background, Run, Sandbox};

const WORKSPACE: &str = "/workspaces/workspace";
/// Where the Features lie in a container that a test installs them in.
const FEATURES: &str = "/features";
const ENTRYPOINT: [&str; 2] = ["--entrypoint", "burrow"];
/// What an entrypoint is given for a container that does nothing.
const FOREVER: [&str; 4] = ["entrypoint", "--", "sleep", "infinity"];

/// It is removed on drop.
pub(crate) struct PlainContainer {
    sandbox: Rc<Sandbox>,
    id: String,
    /// Made for this container alone.
    image: Option<String>,
}

impl PlainContainer {
    /// It runs, and nothing in it.
    pub(crate) fn start(sandbox: Sandbox) -> Self {
        Self::run(sandbox, &["--init"], &["sleep", "infinity"])
    }

    /// The binary is its entrypoint, before `command`.
    pub(crate) fn entrypoint(sandbox: Sandbox, options: &[&str], command: &[&str]) -> Self {
        let options = [options, &ENTRYPOINT].concat();
        Self::run(sandbox, &options, &[&["entrypoint", "--"], command].concat())
    }

    /// Without the binary: the Features as `make feature` leaves them, for [`Self::install`]. Nothing runs in it, and its init
    /// is root's.
    pub(crate) fn with_features(sandbox: Sandbox, options: &[&str]) -> Self {
        engine::require(&Sandbox::cache_dir());
        let features = sandbox.root().join("features");
        let package = Sandbox::repository().join(".devcontainer/features/package");
        // What is in it counts for VS Code alone.
        sandbox.change("../any.vsix", "an extension");
        let vsix = sandbox.root().join("any.vsix");
        sandbox.run_program(package, [features.as_str(), BURROW, vsix.as_str()]).exits(0);
        let options = [&["--init"], options].concat();
        let id =
            create(&format!("{features}:{FEATURES}:ro"), &sandbox, &options, engine::IMAGE, &["sleep", "infinity"]);
        Self { sandbox: Rc::new(sandbox), id, image: None }
    }

    /// Runs the install scripts, as a build of the image does, for the remote user `user`; `env` are more variables.
    pub(crate) fn install(&self, user: &str, env: &[&str]) -> Run {
        let user = format!("_REMOTE_USER={user}");
        let install = format!("sh {FEATURES}/burrow-caches/install.sh && exec sh {FEATURES}/burrow/install.sh");
        let line = [&["env", &user], env, &["sh", "-c", &install]].concat();
        self.exec_as("root", line)
    }

    /// Another one with the same workspace and `options`; of a copy of this one (`docker commit`), or of the base image.
    pub(crate) fn beside(&self, copy: bool, options: &[&str]) -> Self {
        let image = copy.then(|| docker_prints(["commit", &self.id]));
        let options = [options, &ENTRYPOINT].concat();
        let id = create(&of_the_binary(), &self.sandbox, &options, image.as_deref().unwrap_or(engine::IMAGE), &FOREVER);
        Self { sandbox: Rc::clone(&self.sandbox), id, image }
    }

    fn run(sandbox: Sandbox, options: &[&str], command: &[&str]) -> Self {
        engine::require(&Sandbox::cache_dir());
        sandbox.run_program("chown", ["-R", "1000:1000", sandbox.workspace().as_str()]).exits(0);
        let id = create(&of_the_binary(), &sandbox, options, engine::IMAGE, command);
        Self { sandbox: Rc::new(sandbox), id, image: None }
    }

    /// Runs `ARGS` as the user `vscode` in the workspace folder.
    pub(crate) fn exec<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Run {
        self.exec_as("vscode", args)
    }

    /// Like [`Self::exec`], as another user.
    pub(crate) fn exec_as<'a>(&self, user: &str, args: impl IntoIterator<Item = &'a str>) -> Run {
        self.start_as(user, args).finish()
    }

    /// Like [`Self::exec_as`], without waiting for its end.
    pub(crate) fn start_as<'a>(&self, user: &str, args: impl IntoIterator<Item = &'a str>) -> Background {
        let mut command = self.sandbox.command("docker");
        command.args(["exec", "--user", user, "--workdir", WORKSPACE, &self.id]).args(args);
        self.sandbox.start(command)
    }

    /// The engine's id of it.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The sandbox around it.
    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }
}

impl Drop for PlainContainer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = docker(["logs", &self.id]);
            eprintln!("the container's output:\n{}", String::from_utf8_lossy(&logs.stderr));
        }
        docker(["rm", "--force", "--volumes", &self.id]);
        if let Some(image) = &self.image {
            docker(["rmi", image]);
        }
    }
}

fn of_the_binary() -> String {
    format!("{BURROW}:/usr/local/bin/burrow:ro")
}

fn create(volume: &str, sandbox: &Sandbox, options: &[&str], image: &str, command: &[&str]) -> String {
    let workspace = format!("{}:{WORKSPACE}", sandbox.workspace());
    let fixed = ["run", "--detach", "--volume", volume, "--volume", &workspace];
    docker_prints(fixed.iter().chain(options).chain(&[image]).chain(command).copied())
}
