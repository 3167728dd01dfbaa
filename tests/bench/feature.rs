//! What the Feature adds to an image and to each start of its containers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;

use crate::containers::cache_dir;
use crate::engine::{self, docker, docker_prints};
use crate::home::{Home, program};
use crate::report::{Report, Samples, megabytes};

/// The Feature in the base image, installed by its own script; the time of its entrypoint in fresh containers.
pub(crate) fn cost(home: &Home, report: &mut Report) -> Result<()> {
    const STARTS: usize = 20;
    engine::require(&cache_dir()?);
    let folder = home.folder("feature")?;
    let package = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../.devcontainer/features/package");
    let packed = program(package.as_str()).args([folder.as_str(), home.binary.as_str()]).status()?;
    ensure!(packed.success(), "{package}: {packed}");
    let image = Image::with_feature(&folder)?;

    let added = image.size()?.saturating_sub(size(engine::IMAGE)?);
    let definition = "`docker image inspect` Size with the Feature less without; one architecture, without the VSIX";
    report.once("image with the Feature", megabytes(added), "MB", Some(12.0), definition);

    // The clock runs inside: what `docker run` itself takes is not the Feature's.
    let clock = "a=$(date +%s%N); /usr/local/share/burrow/entrypoint; echo $(($(date +%s%N) - a))";
    let mut times = Vec::new();
    for _ in 0..=STARTS {
        let printed = docker_prints(["run", "--rm", "--init", &image.id, "sh", "-c", clock]);
        let nanoseconds = printed.lines().last().context("a container that says nothing")?.parse()?;
        times.push(Duration::from_nanos(nanoseconds));
    }
    // The first one reads the binary from the disk.
    let definition = "call to return of the Feature's entrypoint as root in a new container, to the daemon's first word; \
                      includes the `date` that reads the clock; warm page cache";
    report.median("entrypoint", &Samples::of(times.into_iter().skip(1)), Some(50.0), definition);
    Ok(())
}

/// It is removed on drop.
struct Image {
    id: String,
}

impl Image {
    /// No copy of the Feature's own folder stays in it, as with the Dev Containers tools.
    fn with_feature(folder: &Utf8Path) -> Result<Self> {
        let mount = format!("{folder}/burrow:/feature:ro");
        let user = ["--env", "_REMOTE_USER=vscode"];
        let options = ["run", "--detach", "--volume", &mount];
        let container =
            docker_prints(options.into_iter().chain(user).chain([engine::IMAGE, "sh", "/feature/install.sh"]));
        let code = docker_prints(["wait", &container]);
        let id = docker_prints(["commit", &container]);
        docker(["rm", &container]);
        let image = Self { id };
        ensure!(code == "0", "install.sh: exit code {code}");
        Ok(image)
    }

    fn size(&self) -> Result<usize> {
        size(&self.id)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // What is left of it has no name in `docker images`.
        let _ = docker(["rmi", "--force", &self.id]);
    }
}

fn size(image: &str) -> Result<usize> {
    Ok(docker_prints(["image", "inspect", "--format", "{{.Size}}", image]).parse()?)
}
