//! How soon a saved change runs: `burrow dev` against Air.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::home::{Home, copy_tree, program};
use crate::report::{Report, Samples};

/// The version that is measured against.
const AIR: &str = "github.com/air-verse/air@v1.67.4";
const ROUNDS: usize = 15;
/// How long a change may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// From a save to the first line of the new program, both with a delay of 0, in turn.
pub(crate) fn save_to_run(home: &Home, report: &mut Report) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("burrow-bench-").tempdir_in("/tmp")?;
    let root = Utf8Path::from_path(folder.path()).context("a path in UTF-8")?;
    let (ours, theirs) = (root.join("ours"), root.join("theirs"));
    for workspace in [&ours, &theirs] {
        copy_tree(&home.workspaces[0], workspace)?;
        // The settings of the copy are the bench's own.
        std::fs::remove_dir_all(workspace.join(".devcontainer"))?;
        save(workspace, "start")?;
    }
    let settings = r#"{ "customizations": { "burrow": { "reload": { "delay": "0ms" } } } }"#;
    std::fs::create_dir(ours.join(".devcontainer"))?;
    write(&ours.join(".devcontainer/devcontainer.json"), settings)?;
    let config = "[build]\ncmd = \"go build -o ./tmp/main .\"\nentrypoint = [\"./tmp/main\"]\ndelay = 0\n";
    write(&theirs.join(".air.toml"), config)?;

    let burrow = Watching::start(&mut home.command(&ours, &["dev", "."]))?;
    let air = Watching::start(program(air(root)?.as_str()).current_dir(&theirs))?;
    burrow.wait("saved start")?;
    air.wait("saved start")?;
    let (mut of_burrow, mut of_air) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mark = format!("round {round}");
        of_burrow.push(burrow.round(&ours, &mark)?);
        of_air.push(air.round(&theirs, &mark)?);
    }
    let (of_burrow, of_air) = (Samples::of(of_burrow), Samples::of(of_air));
    let definition = "a save to the new program's first line, as `burrow dev` prints it; delay 0, warm Go cache";
    report.median("save to run", &of_burrow, None, definition);
    report.median("save to run, Air", &of_air, None, &format!("the same with {AIR}, in turn"));
    let ratio = of_burrow.median() / of_air.median();
    report.once("burrow dev / Air", ratio, "times", Some(1.0), "the medians, taken in turn in one run");
    Ok(())
}

/// Makes the fixture's program say `saved MARK` first of all.
fn save(workspace: &Utf8Path, mark: &str) -> Result<()> {
    let file = workspace.join("main.go");
    let text = fs_err::read_to_string(&file)?;
    let without: Vec<_> = text.lines().filter(|line| !line.contains("\"saved ")).collect();
    let says = format!("func main() {{\n\tfmt.Println(\"saved {mark}\")");
    write(&file, &(without.join("\n").replace("func main() {", &says) + "\n"))
}

/// The real Air, installed in `root`.
fn air(root: &Utf8Path) -> Result<Utf8PathBuf> {
    let status = program("go").args(["install", AIR]).env("GOBIN", root).env("GOFLAGS", "-mod=mod").status()?;
    ensure!(status.success(), "go install {AIR}: {status}");
    Ok(root.join("air"))
}

/// A program that watches, and what it prints.
struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("its output")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The bench is over.
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines })
    }

    fn wait(&self, text: &str) -> Result<()> {
        let until = Instant::now() + DEADLINE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).with_context(|| format!("{text:?} does not come"))?;
            if line.contains(text) {
                return Ok(());
            }
        }
    }

    fn round(&self, workspace: &Utf8Path, mark: &str) -> Result<Duration> {
        let start = Instant::now();
        save(workspace, mark)?;
        self.wait(&format!("saved {mark}"))?;
        Ok(start.elapsed())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // Asked first: it ends what it runs.
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench saves as an editor does")]
fn write(path: &Utf8Path, text: &str) -> Result<()> {
    Ok(std::fs::write(path, text)?)
}
