//! What a recorded run costs above the bare command, and how much output a command may have.

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use burrow::durable::StateLayout;
use burrow_protocol::hooks::{HookName, HookState, HooksReport, StartedHooks};
use burrow_protocol::methods::{HooksAwait, HooksRun, Method};
use camino::{Utf8Path, Utf8PathBuf};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::home::{Home, program, time};
use crate::report::{Report, Samples, megabytes};
use crate::wire::Peer;

/// Between two looks for a file or a process.
const LOOK_AGAIN: Duration = Duration::from_micros(50);

/// One hook of `true`: the bare command, the disk's sync and the run in turn.
pub(crate) fn overhead(home: &Home, report: &mut Report) -> Result<()> {
    const RUNS: usize = 200;
    let mut stage = Stage::open(home, &json!({ "postStartCommand": ["true"], "userEnvProbe": "none" }))?;
    let disk = std::fs::OpenOptions::new().create(true).append(true).open(home.state_dir().join("bench"))?;
    let (mut bare, mut sync, mut recorded, mut answered) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        bare.push(time(&mut program("true"))?);
        let start = Instant::now();
        (&disk).write_all(&[b'x'; 300])?;
        disk.sync_data()?;
        sync.push(start.elapsed());

        let start = Instant::now();
        let run = stage.run_again()?;
        let outcome = stage.command(&run, "main").join("outcome.json");
        while !outcome.exists() {
            ensure!(start.elapsed() < Duration::from_secs(10), "{outcome} does not come");
            thread::park_timeout(LOOK_AGAIN);
        }
        recorded.push(start.elapsed());
        stage.settled()?;
        answered.push(start.elapsed());
    }
    report.median(
        "fdatasync",
        &Samples::of(sync),
        None,
        "300 bytes appended and synced on the disk of the state directory",
    );
    let above = Samples::pairs(&recorded, &bare);
    report.median("bare command", &Samples::of(bare), None, "spawn to exit of `true`");
    let definition =
        "request written to outcome synced and renamed, of a hook `[\"true\"]`; daemon running, client connected";
    report.median("recorded run", &Samples::of(recorded), Some(5.0), definition);
    report.median("recorded, above bare", &above, Some(4.0), "the difference to the bare command right before it");
    report.median(
        "recorded, answered",
        &Samples::of(answered),
        None,
        "request written to the answer that all is at rest",
    );

    const CALLS: usize = 50;
    let workspace = stage.workspace.clone();
    let calls = (0..CALLS).map(|_| home.burrow(&workspace, &["hook", "run", "--again", "postStart"]));
    let calls = Samples::of(calls.collect::<Result<Vec<_>>>()?);
    report.median("`hook run`", &calls, None, "exec to exit of `burrow hook run --again postStart` of the same");
    Ok(())
}

/// A hundred short commands, two at a time, and `xargs` with the same, in turn.
pub(crate) fn many_commands(home: &Home, report: &mut Report) -> Result<()> {
    const BLOCKS: usize = 5;
    let commands: serde_json::Map<_, _> =
        (0..100).map(|number| (format!("c{number:02}"), json!({ "run": ["sleep", "0.01"] }))).collect();
    let hook = json!({ "commands": commands, "jobs": 2 });
    let burrow = json!({ "hooks": { "postStart": hook } });
    let mut stage = Stage::open(home, &json!({ "userEnvProbe": "none", "customizations": { "burrow": burrow } }))?;
    let list = vec!["0.01"; 100].join("\n");
    let script = format!("printf '{list}' | xargs -P2 -n1 sleep");
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..BLOCKS {
        theirs.push(time(program("sh").args(["-c", &script]))?);
        let start = Instant::now();
        stage.run_again()?;
        stage.settled()?;
        ours.push(start.elapsed());
    }
    let (ours, theirs) = (Samples::of(ours), Samples::of(theirs));
    report.median("100 x sleep, xargs", &theirs, None, "spawn to exit of `xargs -P2 -n1 sleep` with 100 times 0.01");
    report.median("100 x sleep, hook", &ours, None, "request written to the answer that all is at rest; `jobs: 2`");
    let ratio = ours.median() / theirs.median();
    report.once("hook / xargs", ratio, "times", Some(1.2), "the medians of five blocks each, taken in turn");
    Ok(())
}

/// 4 GiB of lines with secrets in them, past the cap.
pub(crate) fn throughput(home: &Home, report: &mut Report) -> Result<()> {
    const BLOCK: usize = 16 * 1024 * 1024;
    const BLOCKS: usize = 256;
    let secrets =
        ["hunter2-correct-horse", "ghp_0123456789abcdefABCDEF", "s3cr3t-value-of-some-length", "eyJhbGciOiJIUzI1NiJ9"];
    let file = home.state_dir().join("lines");
    write_lines(&file, BLOCK, &secrets)?;
    let command: Vec<_> = std::iter::once("cat").chain(std::iter::repeat_n(file.as_str(), BLOCKS)).collect();
    let env: serde_json::Map<_, _> =
        secrets.iter().enumerate().map(|(number, secret)| (format!("SECRET_{number}"), json!(secret))).collect();
    let names: Vec<_> = env.keys().cloned().collect();
    let config = json!({
        "userEnvProbe": "none", "postStartCommand": command, "remoteEnv": env,
        "customizations": { "burrow": { "secrets": names } },
    });
    let mut stage = Stage::open(home, &config)?;
    let megabytes_in_all = megabytes(BLOCK) * f64::from(u32::try_from(BLOCKS)?);

    let alone = time(program("cat").args(&command[1..]))?;
    let start = Instant::now();
    let run = stage.run_again()?;
    let shim = shim_in(&stage.command(&run, "main"))?;
    let (mut shims, mut daemons) = (0.0, 0.0);
    // A shim that has ended has no memory to be read.
    while let Ok(resident) = memory(shim, "VmHWM:") {
        shims = f64::max(shims, resident);
        daemons = f64::max(daemons, memory(home.daemon_pid()?, "VmRSS:")?);
        thread::park_timeout(Duration::from_millis(20));
    }
    let hooks = stage.settled()?;
    let took = start.elapsed();
    ensure!(hooks.hooks.iter().any(|hook| hook.state == HookState::Succeeded), "{:?}", hooks.hooks);
    let outcome: Value = serde_json::from_slice(&fs_err::read(stage.command(&run, "main").join("outcome.json"))?)?;
    ensure!(outcome["outputLost"] == 0, "all of it was written: {outcome}");

    let rate = |took: Duration| megabytes_in_all / took.as_secs_f64();
    report.once("producer alone", rate(alone), "MB/s", None, "`cat` of 4 GiB of 80-byte lines into /dev/null");
    let definition = "the same as a hook: request to rest; every hundredth line holds one of four secrets, all masked";
    report.at_least("output of a hook", rate(took), "MB/s", 400.0, definition);
    report.once("shim's memory", shims, "MB", Some(20.0), "VmHWM of the shim meanwhile");
    report.once("daemon's memory", daemons, "MB", Some(20.0), "the largest VmRSS of the daemon meanwhile, each 20 ms");
    fs_err::remove_file(file)?;
    Ok(())
}

/// A workspace with its own devcontainer.json, and a client in it.
struct Stage {
    peer: Peer,
    workspace: Utf8PathBuf,
    runs: Utf8PathBuf,
}

impl Stage {
    fn open(home: &Home, config: &Value) -> Result<Self> {
        let workspace = home.workspaces[1].clone();
        write(&workspace.join(".devcontainer/devcontainer.json"), &config.to_string())?;
        // Reading the settings is part of opening the workspace.
        let peer = Peer::open(&home.socket(), &[&workspace])?;
        let runs = StateLayout::new(home.state_dir()).workspace(&workspace).runs();
        let mut stage = Self { peer, workspace, runs };
        stage.run_again()?;
        stage.settled()?;
        Ok(stage)
    }

    /// Runs postStart; gives the run.
    fn run_again(&mut self) -> Result<String> {
        let params = json!({ "workspace": self.workspace, "hook": HookName::PostStart, "again": true });
        let started: StartedHooks = self.call(HooksRun::NAME, &params)?;
        started.runs.into_iter().next().context("a run")
    }

    /// Waits until all is at rest.
    fn settled(&mut self) -> Result<HooksReport> {
        loop {
            let params = json!({ "workspace": self.workspace, "timeoutMs": 20_000 });
            let report: HooksReport = self.call(HooksAwait::NAME, &params)?;
            if !report.timed_out {
                return Ok(report);
            }
        }
    }

    fn call<T: DeserializeOwned>(&mut self, method: &str, params: &Value) -> Result<T> {
        let mut answer = self.peer.request(method, params)?;
        serde_json::from_value(answer["result"].take()).with_context(|| format!("{method}: {answer}"))
    }

    /// The folder of a command.
    fn command(&self, run: &str, name: &str) -> Utf8PathBuf {
        self.runs.join(run).join(name)
    }
}

/// The shim that works in `folder`.
fn shim_in(folder: &Utf8Path) -> Result<u32> {
    let (path, start) = (folder.join("claim"), Instant::now());
    // It is made, and then written.
    let claim: Value = loop {
        match fs_err::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
            Some(claim) => break claim,
            None => ensure!(start.elapsed() < Duration::from_secs(10), "{path} does not come"),
        }
        thread::park_timeout(LOOK_AGAIN);
    };
    Ok(u32::try_from(claim["pid"].as_u64().context("the shim's process")?)?)
}

/// A row of `/proc/PID/status`, in MB.
fn memory(pid: u32, row: &str) -> Result<f64> {
    let status = fs_err::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(row)).context("the row in /proc/PID/status")?;
    let kibibytes: usize = line.trim().trim_end_matches(" kB").parse()?;
    Ok(megabytes(kibibytes * 1024))
}

/// `length` bytes of lines of 80 bytes, a secret in every hundredth.
fn write_lines(path: &Utf8Path, length: usize, secrets: &[&str]) -> Result<()> {
    let mut text = Vec::with_capacity(length);
    for number in 0..length / 80 {
        let line = match number % 100 {
            0 => format!("{number:09} token {}", secrets[number / 100 % secrets.len()]),
            _ => {
                format!("{number:09} compiling github.com/example/project/internal/package{:04}/file.go", number % 1000)
            }
        };
        writeln!(text, "{line:.<79}")?;
    }
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    Ok(file.write_all_at(&text, 0)?)
}

#[expect(clippy::disallowed_methods, reason = "a bench writes what the daemon then reads")]
fn write(path: &Utf8Path, text: &str) -> Result<()> {
    Ok(std::fs::write(path, text)?)
}
