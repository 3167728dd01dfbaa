//! What it costs to bring the Go tools in order, beside what `go install` costs.
//!
//! The cold installs take many minutes and both cores: they are measured with `BURROW_BENCH_ALL=1` alone.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use burrow_protocol::lock::LockFile;
use camino::{Utf8Path, Utf8PathBuf};

use crate::home::{Home, copy_tree, program, time};
use crate::report::{Report, Samples};

/// How many times each side is measured, in turns.
const TURNS: usize = 5;
/// Repairs in one turn: one takes about as long as a tick of the clock's noise.
const REPAIRS: usize = 20;

/// The figures of tools that are in order already.
pub(crate) fn in_order(home: &Home, report: &mut Report) -> Result<()> {
    let workspace = &home.workspaces[0];
    nothing_to_do(home, workspace, report)?;
    full_verify(home, workspace, report)?;
    links(home, workspace, report)
}

fn nothing_to_do(home: &Home, workspace: &Utf8Path, report: &mut Report) -> Result<()> {
    let queries = queries(workspace)?;
    let bin = home.folder("go-bin")?;
    report.note("three `go install` in the user's own caches, which are filled first where they are not");
    let peer = || -> Result<Duration> {
        let start = Instant::now();
        for query in &queries {
            time(go_install(&bin, query).env("GOTOOLCHAIN", "local"))?;
        }
        Ok(start.elapsed())
    };
    peer()?;
    home.burrow(workspace, &["tools", "repair"])?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        for _ in 0..REPAIRS {
            ours.push(home.burrow(workspace, &["tools", "repair"])?);
        }
        theirs.push(peer()?);
    }
    let (ours, theirs) = (Samples::of(ours), Samples::of(theirs));
    let definition = "exec to exit of `burrow tools repair`; daemon running, every tool in order, warm page cache";
    report.median("repair, nothing to do", &ours, Some(10.0), definition);
    let definition = "exec to exit of three `go install PACKAGE@VERSION` one after another, all built and in place";
    report.median("go install, the same", &theirs, None, definition);
    let definition = "the medians' ratio; taken in turns";
    report.at_least("go install / repair", theirs.median() / ours.median(), "times", 100.0, definition);
    Ok(())
}

fn full_verify(home: &Home, workspace: &Utf8Path, report: &mut Report) -> Result<()> {
    let bytes: u64 = binaries(home)?.iter().map(|path| path.metadata().map_or(0, |metadata| metadata.len())).sum();
    let megabytes = f64::from(u32::try_from(bytes / 1000)?) / 1000.0;
    let peer = openssl()?;
    home.burrow(workspace, &["tools", "verify", "--full"])?;
    let times = (0..30).map(|_| home.burrow(workspace, &["tools", "verify", "--full"])).collect::<Result<Vec<_>>>()?;
    let times = Samples::of(times);
    let definition = "exec to exit of `burrow tools verify --full`: SHA-256 of each binary, and its build information";
    report.median("verify --full", &times, None, definition);
    let definition =
        "bytes of the binaries by that median; warm page cache; the bar is 0.9 of openssl, at most 800 MB/s";
    let bar = (0.9 * peer).min(800.0);
    report.at_least("verify --full, speed", megabytes / (times.median() / 1e3), "MB/s", bar, definition);
    let definition = "`openssl speed -evp sha256 -bytes 16384`, one thread";
    report.once("openssl sha256", peer, "MB/s", None, definition);
    Ok(())
}

fn links(home: &Home, workspace: &Utf8Path, report: &mut Report) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..20 {
        let bin = home.state_dir().join("current").canonicalize_utf8()?;
        for link in bin.read_dir_utf8()? {
            fs_err::remove_file(link?.path())?;
        }
        times.push(home.burrow(workspace, &["tools", "repair"])?);
        ensure!(bin.read_dir_utf8()?.count() == 3, "the links are back");
    }
    let definition = "exec to exit of `burrow tools repair` after all three links were deleted";
    report.median("links restored", &Samples::of(times), Some(100.0), definition);
    Ok(())
}

/// A cold install beside three plain `go install`, in turns: both from one local file proxy, with empty caches.
pub(crate) fn cold_install(home: &Home, report: &mut Report) -> Result<()> {
    const PAIRS: usize = 3;
    if std::env::var_os("BURROW_BENCH_ALL").is_none() {
        report.note("the cold installs are left out: BURROW_BENCH_ALL=1 measures them, in about a quarter of an hour");
        return Ok(());
    }
    let workspace = &home.workspaces[0];
    let queries = queries(workspace)?;
    // What the real `up` downloaded is the proxy of both.
    let proxy = home.folder("proxy")?;
    copy_tree(&home.state_dir().join("modules"), &proxy)?;
    let proxy = format!("file://{proxy}");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let mut sides = [true, false];
        sides.rotate_left(pair % 2);
        for is_ours in sides {
            let took = if is_ours { ours_cold(home, workspace, &proxy)? } else { plain_cold(home, &queries, &proxy)? };
            report.note(&format!(
                "cold, {}: {:.1} s",
                if is_ours { "Burrow" } else { "go install" },
                took.as_secs_f64()
            ));
            if is_ours { &mut ours } else { &mut theirs }.push(took);
        }
    }
    let (ours, theirs) = (Samples::of(ours), Samples::of(theirs));
    let definition = "exec to exit of `burrow up --only tools`: empty state, store and caches, daemon's start included";
    report.median("cold install", &ours, None, definition);
    let definition = "exec to exit of three `go install -trimpath` one after another, CGO_ENABLED=0, empty caches";
    report.median("cold go install", &theirs, None, definition);
    let definition = "the medians' ratio; pairs in turns, both from one file proxy, no checksum database";
    report.once("cold, ratio", ours.median() / theirs.median(), "times", Some(1.10), definition);
    Ok(())
}

fn ours_cold(home: &Home, workspace: &Utf8Path, proxy: &str) -> Result<Duration> {
    let folder = home.folder("cold")?;
    let copy = folder.join("workspace");
    copy_tree(workspace, &copy)?;
    let command = |args: &[&str]| -> Command {
        let mut command = home.command(&copy, args);
        command.env("BURROW_STATE_DIR", folder.join("state")).env("BURROW_STORE_DIR", folder.join("state/store"));
        command.env("BURROW_PORTS", "19920-19930").env("GOPROXY", proxy).env("GOSUMDB", "off");
        command
    };
    let took = time(&mut command(&["up", "--only", "tools"]));
    time(&mut command(&["stop"]))?;
    fs_err::remove_dir_all(&folder)?;
    took
}

fn plain_cold(home: &Home, queries: &[String], proxy: &str) -> Result<Duration> {
    let folder = home.folder("plain")?;
    let start = Instant::now();
    for query in queries {
        let mut command = go_install(&folder.join("bin"), query);
        command.env("GOPATH", &folder).env("GOMODCACHE", folder.join("mod")).env("GOCACHE", folder.join("cache"));
        command.env("GOPROXY", proxy).env("GOSUMDB", "off").env("GOFLAGS", "-modcacherw").env("CGO_ENABLED", "0");
        time(command.env("GOTOOLCHAIN", "local"))?;
    }
    let took = start.elapsed();
    fs_err::remove_dir_all(&folder)?;
    Ok(took)
}

fn go_install(bin: &Utf8Path, query: &str) -> Command {
    let mut command = program("go");
    command.args(["install", "-trimpath", query]).env("GOBIN", bin).env_remove("GOFLAGS").current_dir("/");
    command
}

/// The tools that the lock file of `workspace` names, as `go install` takes them.
fn queries(workspace: &Utf8Path) -> Result<Vec<String>> {
    let text = fs_err::read_to_string(workspace.join(".devcontainer/burrow-lock.json"))?;
    let lock: LockFile = serde_json::from_str(&text)?;
    Ok(lock.tools.values().map(|tool| format!("{}@{}", tool.package, tool.version)).collect())
}

fn binaries(home: &Home) -> Result<Vec<Utf8PathBuf>> {
    let bin = home.state_dir().join("current");
    bin.read_dir_utf8()?.map(|entry| Ok(entry?.path().canonicalize_utf8()?)).collect()
}

/// Millions of bytes a second, as `openssl speed` says.
fn openssl() -> Result<f64> {
    let mut command = program("openssl");
    command.args(["speed", "-evp", "sha256", "-bytes", "16384", "-seconds", "3"]).stdout(std::process::Stdio::piped());
    let output = command.output().context("run openssl")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let figure = text.lines().last().and_then(|line| line.split_whitespace().last()?.strip_suffix('k'));
    let kilobytes: f64 = figure.with_context(|| format!("openssl speed: {text}"))?.parse()?;
    Ok(kilobytes / 1000.0)
}
