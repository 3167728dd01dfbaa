//! How soon a debugger stands in the code that was saved: in a session that reloads, against the sum of what has to be
//! done, and against what a script beside Air does.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use burrow_protocol::debug::{LeaseEndpoint, LeaseGranted};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use crate::home::{Home, copy_tree, program, time};
use crate::relay::{Bench, Dap, Direct};
use crate::report::{Report, Samples};
use crate::wire::Peer;

const ROUNDS: usize = 11;
/// As Burrow builds for a debugger.
const FLAGS: [&str; 3] = ["-buildvcs=false", "-gcflags=all=-N -l", "-ldflags=-compressdwarf=false"];

/// As the manuals of Air and dlv have it.
const SCRIPT_FLAGS: [&str; 1] = ["-gcflags=all=-N -l"];

/// A program with as much in it as a small service has; `MARK` is what is saved anew.
const PROGRAM: &str = "package main

import (
	\"fmt\"
	\"net/http\"
	\"time\"
)

func tick(count int) {
	mark := \"MARK\"
	fmt.Println(mark, count) // here
}

func main() {
	go http.ListenAndServe(\"127.0.0.1:0\", nil)
	for count := 0; ; count++ {
		tick(count)
		time.Sleep(10 * time.Millisecond)
	}
}
";

/// From a save to the debugger in the new code.
pub(crate) fn save_to_stopped(home: &Home, report: &mut Report) -> Result<()> {
    let bench = Bench::new(home)?;
    let workspace = home.folder("stopped")?;
    copy_tree(&home.workspaces[0].join(".devcontainer"), &workspace.join(".devcontainer"))?;
    let settings = r#"{ "customizations": { "burrow": { "reload": { "delay": "0ms" } } } }"#;
    write(&workspace.join(".devcontainer/devcontainer.json"), settings)?;
    write(&workspace.join("go.mod"), "module example.com/stopped\n\ngo 1.24\n")?;
    save(&workspace, "start")?;

    let mut reloading = reloading(&bench, &workspace)?;
    let apart = home.folder("stopped-apart")?;
    copy_tree(&workspace, &apart)?;
    let mut restarting = Restarting::start(&bench, &apart)?;
    let (mut ours, mut sum, mut builds, mut script) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let mark = format!("round {round}");
        let begun = Instant::now();
        save(&workspace, &mark)?;
        reloading.until("initialized")?;
        stops(&mut reloading, &workspace)?;
        let took = begun.elapsed();
        ensure!(stands_in(&mut reloading)?.contains(&mark), "the old code runs");

        save(&apart, &mark)?;
        let built = build(&apart, &FLAGS)?;
        let restarted = restarting.restart(&apart)?;
        ensure!(stands_in(&mut restarting.dap)?.contains(&mark), "the old code runs");

        save(&apart, &format!("script {round}"))?;
        let scripted = script_way(&bench, &apart)?;
        // The first of each warms what there is to warm.
        if round > 0 {
            ours.push(took);
            sum.push(built + restarted);
            builds.push(built);
            script.push(scripted);
        }
    }
    let [ours, sum, builds, script] = [ours, sum, builds, script].map(Samples::of);
    let whole = "a save to `stopped` at a breakpoint in the new code, in a DAP session that reloads; delay 0";
    report.median("save to stopped", &ours, None, whole);
    report.median(
        "its parts",
        &sum,
        None,
        "`go build` with the same flags, then dlv's own restart to `stopped`; alone, in turn",
    );
    report.median("its build", &builds, None, "`go build` of those, after a save");
    let scripted = "`go build -gcflags='all=-N -l'`, `dlv exec --headless`, attach, set the breakpoint, continue to `stopped`; in turn";
    report.median("save to stopped, by script", &script, None, scripted);
    let ratio = |of: &Samples| ours.median() / of.median();
    report.once("save to stopped / parts", ratio(&sum), "times", Some(1.1), "the medians, the debounce being 0");
    report.once(
        "save to stopped / script",
        ratio(&script),
        "times",
        Some(0.9),
        "the medians, taken in turn in one run",
    );
    Ok(())
}

/// A client of a session that reloads, stopped in the first program.
fn reloading(bench: &Bench<'_>, workspace: &Utf8Path) -> Result<Dap> {
    let mut peer = Peer::open(&bench.home.socket(), &[workspace])?;
    let env: serde_json::Map<_, _> = std::env::vars().map(|(name, value)| (name, Value::from(value))).collect();
    let params = json!({ "workspace": workspace, "kind": "dap", "env": env, "dlv": bench.dlv });
    let mut answer = peer.request("burrow/debug/lease", &params)?;
    ensure!(answer.get("error").is_none(), "{answer}");
    let granted: LeaseGranted = serde_json::from_value(answer["result"].take())?;
    let LeaseEndpoint::Port { port } = granted.lease.endpoint else { bail!("a port") };
    let mut dap = Dap::connect(([127, 0, 0, 1], port).into())?;
    hello(&mut dap)?;
    let reload = json!({ "whenStopped": "restart" });
    dap.send("launch", &json!({ "mode": "debug", "program": workspace, "cwd": workspace, "reload": reload }))?;
    dap.until("initialized")?;
    stops(&mut dap, workspace)?;
    Ok(dap)
}

/// A dlv alone, which restarts what was built.
struct Restarting {
    dap: Dap,
    _dlv: Direct,
}

impl Restarting {
    fn start(bench: &Bench<'_>, workspace: &Utf8Path) -> Result<Self> {
        build(workspace, &FLAGS)?;
        let dlv = bench.direct()?;
        let mut dap = Dap::connect(dlv.address)?;
        hello(&mut dap)?;
        dap.send("launch", &launch(workspace))?;
        dap.until("initialized")?;
        stops(&mut dap, workspace)?;
        Ok(Self { dap, _dlv: dlv })
    }

    fn restart(&mut self, workspace: &Utf8Path) -> Result<Duration> {
        let begun = Instant::now();
        let mut arguments = launch(workspace);
        arguments["request"] = json!("launch");
        arguments["rebuild"] = json!(false);
        self.dap.send("restart", &json!({ "arguments": arguments }))?;
        self.dap.until("initialized")?;
        stops(&mut self.dap, workspace)?;
        Ok(begun.elapsed())
    }
}

/// What is done by hand where nothing reloads.
fn script_way(bench: &Bench<'_>, workspace: &Utf8Path) -> Result<Duration> {
    let begun = Instant::now();
    build(workspace, &SCRIPT_FLAGS)?;
    let mut command = program(bench.dlv.as_str());
    let flags = ["exec", "--headless", "--accept-multiclient", "--api-version=2", "--listen=127.0.0.1:0"];
    command.args(flags).arg(built(workspace)).current_dir(workspace).stdout(Stdio::piped());
    let dlv = Direct::start(&mut command)?;
    let mut dap = Dap::connect(dlv.address)?;
    hello(&mut dap)?;
    dap.send("attach", &json!({ "mode": "remote" }))?;
    dap.until("initialized")?;
    stops(&mut dap, workspace)?;
    let took = begun.elapsed();
    dap.request("disconnect", &json!({ "terminateDebuggee": true }))?;
    Ok(took)
}

fn hello(dap: &mut Dap) -> Result<()> {
    dap.request("initialize", &json!({ "adapterID": "go", "pathFormat": "path", "linesStartAt1": true }))
}

fn launch(workspace: &Utf8Path) -> Value {
    json!({ "mode": "exec", "program": built(workspace), "cwd": workspace })
}

/// Sets the breakpoint, lets the program go, and returns when it stands there.
fn stops(dap: &mut Dap, workspace: &Utf8Path) -> Result<()> {
    let line = PROGRAM.lines().position(|line| line.contains("// here")).context("the line")? + 1;
    let breakpoints = json!({ "source": { "path": workspace.join("main.go") }, "breakpoints": [{ "line": line }] });
    dap.request("setBreakpoints", &breakpoints)?;
    dap.request("configurationDone", &json!({}))?;
    dap.until("stopped").map(drop)
}

/// The value of `mark` where the program stands.
fn stands_in(dap: &mut Dap) -> Result<String> {
    let threads = dap.ask("threads", &json!({}))?;
    let threads = threads["threads"].as_array().context("threads")?.clone();
    for thread in threads {
        let frames = dap.ask("stackTrace", &json!({ "threadId": thread["id"], "levels": 1 }))?;
        let frame = &frames["stackFrames"][0];
        if frame["name"] == "main.tick" {
            let question = json!({ "expression": "mark", "frameId": frame["id"], "context": "watch" });
            return Ok(dap.ask("evaluate", &question)?["result"].to_string());
        }
    }
    bail!("no goroutine stands in main.tick")
}

/// Builds the program; the old one is replaced at once.
#[expect(clippy::disallowed_methods, reason = "a bench replaces what a script would")]
fn build(workspace: &Utf8Path, flags: &[&str]) -> Result<Duration> {
    let begun = Instant::now();
    let next = workspace.join("next");
    let mut command = program("go");
    time(command.arg("build").args(flags).args(["-o", next.as_str(), "."]).current_dir(workspace))?;
    fs_err::rename(&next, built(workspace))?;
    Ok(begun.elapsed())
}

fn built(workspace: &Utf8Path) -> Utf8PathBuf {
    workspace.join("program")
}

/// Makes the program say `mark`.
fn save(workspace: &Utf8Path, mark: &str) -> Result<()> {
    write(&workspace.join("main.go"), &PROGRAM.replace("MARK", mark))
}

#[expect(clippy::disallowed_methods, reason = "a bench saves as an editor does")]
fn write(path: &Utf8Path, text: &str) -> Result<()> {
    Ok(std::fs::write(path, text)?)
}
