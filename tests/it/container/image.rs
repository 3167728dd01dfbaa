//! An image that is made of named files and nothing else.

use camino::Utf8Path;

use super::engine::{self, docker};
use crate::sandbox::{BURROW, Run, Sandbox};

/// It is removed on drop, and with it every container of it.
pub(crate) struct Image {
    sandbox: Sandbox,
    name: String,
}

impl Image {
    /// The binary alone, as the entrypoint.
    pub(crate) fn of_the_binary() -> Self {
        let sandbox = Sandbox::new();
        let files = sandbox.root().join("image");
        std::fs::create_dir(&files).unwrap();
        std::fs::copy(BURROW, files.join("burrow")).unwrap();
        Self::import(sandbox, &files)
    }

    /// Busybox, musl's loader in the place of the C library's, and the binary as the entrypoint.
    pub(crate) fn of_musl() -> Self {
        let sandbox = Sandbox::new();
        let files = sandbox.root().join("image");
        let prepared = Sandbox::cache_dir().join("musl");
        assert!(prepared.exists(), "{prepared} is missing\n  get it: run tests/setup as root");
        sandbox.run_program("cp", ["-a", prepared.as_str(), files.as_str()]).exits(0);
        std::fs::copy(BURROW, files.join("burrow")).unwrap();
        Self::import(sandbox, &files)
    }

    fn import(sandbox: Sandbox, files: &Utf8Path) -> Self {
        engine::require(&Sandbox::cache_dir());
        let name = sandbox.root().file_name().unwrap().to_lowercase().replace('.', "");
        let change = r#"ENTRYPOINT ["/burrow","entrypoint","--"]"#;
        let line = format!("tar -C {files} -c . | docker import --change '{change}' - {name}");
        sandbox.run_program("sh", ["-c", &line]).exits(0);
        Self { sandbox, name }
    }

    /// Runs `COMMAND` as the container's own, to its end.
    pub(crate) fn run<'a>(&self, options: &[&str], command: impl IntoIterator<Item = &'a str>) -> Run {
        let mut docker = self.sandbox.command("docker");
        docker.args(["run", "--rm"]).args(options).arg(&self.name).args(command);
        self.sandbox.run(docker)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        docker(["rmi", "--force", &self.name]);
    }
}
