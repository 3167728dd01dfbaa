//! A container of plain Docker: the base image, the binary, a sandbox's workspace, and no Dev Containers tool.

use super::engine::{self, docker, docker_prints};
use crate::sandbox::{BURROW, Run, Sandbox};

const WORKSPACE: &str = "/workspaces/workspace";

/// It is removed on drop.
pub(crate) struct PlainContainer {
    sandbox: Sandbox,
    id: String,
}

impl PlainContainer {
    /// It runs, and nothing in it.
    pub(crate) fn start(sandbox: Sandbox) -> Self {
        engine::require(&Sandbox::cache_dir());
        sandbox.run_program("chown", ["-R", "1000:1000", sandbox.workspace().as_str()]).exits(0);
        let binary = format!("{BURROW}:/usr/local/bin/burrow:ro");
        let workspace = format!("{}:{WORKSPACE}", sandbox.workspace());
        let options = ["run", "--detach", "--init", "--volume", &binary, "--volume", &workspace];
        let id = docker_prints(options.into_iter().chain([engine::IMAGE, "sleep", "infinity"]));
        Self { sandbox, id }
    }

    /// Runs `ARGS` as the user `vscode` in the workspace folder.
    pub(crate) fn exec<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Run {
        let mut command = self.sandbox.command("docker");
        command.args(["exec", "--user", "vscode", "--workdir", WORKSPACE, &self.id]).args(args);
        self.sandbox.run(command)
    }

    /// The sandbox around it.
    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }
}

impl Drop for PlainContainer {
    fn drop(&mut self) {
        docker(["rm", "--force", "--volumes", &self.id]);
    }
}
