//! The daemon's start, its memory, and how it answers.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use camino::Utf8Path;
use rustix::process::{Pid, Signal, kill_process};

use crate::home::{Home, copy_tree};
use crate::report::{Report, Samples, megabytes};
use crate::wire::Peer;

/// After the last client has left, until memory is read.
const REST: Duration = Duration::from_secs(5);

/// Resident memory after `up`, and after 200 clients.
pub(crate) fn memory(home: &Home, report: &mut Report) -> Result<()> {
    let pid = home.daemon_pid()?;
    rest(REST);
    report.once("memory after up", resident(pid)?, "MB", Some(8.0), "VmRSS 5 s after a full `up`, no client");

    let workspace = home.workspaces[0].as_path();
    let mut peers = Vec::new();
    for _ in 0..200 {
        peers.push(Peer::open(&home.socket(), &[workspace])?);
    }
    for peer in &mut peers {
        peer.status()?;
    }
    drop(peers);
    rest(REST);
    let definition = "VmRSS 5 s after 200 clients that were connected at one time have left";
    report.once("memory after clients", resident(pid)?, "MB", Some(14.0), definition);
    Ok(())
}

/// A status call a millisecond: in quiet, and while two clients flood the socket.
pub(crate) fn calls(home: &Home, report: &mut Report) -> Result<()> {
    const CALLS: usize = 10_000;
    let quiet = time_calls(home, CALLS)?;
    report.p99("status call", &quiet, None, "request written to answer read, one a millisecond, nothing else going on");

    let over = AtomicBool::new(false);
    let socket = home.socket();
    let flooded = thread::scope(|scope| {
        for start in [b"Content-Length: 300000000\r\n\r\n".as_slice(), b"X-Filler: ".as_slice()] {
            let (socket, over) = (&socket, &over);
            scope.spawn(move || flood(socket, start, over));
        }
        let flooded = time_calls(home, CALLS);
        over.store(true, Ordering::Relaxed);
        flooded
    })?;
    let definition = "the same, while two others send a 300 MB frame and a header without end, again and again";
    report.p99("status call, flooded", &flooded, Some(5.0), definition);
    Ok(())
}

/// `burrow up` where there is nothing to do.
pub(crate) fn nothing_due(home: &Home, report: &mut Report) -> Result<()> {
    let workspace = &home.workspaces[0];
    home.burrow(workspace, &["up"])?;
    let times = (0..30).map(|_| home.burrow(workspace, &["up"])).collect::<Result<Vec<_>>>()?;
    report.median("up, nothing due", &Samples::of(times), Some(40.0), "exec to exit, daemon running");
    Ok(())
}

/// From exec to the first status, with three workspaces, 50 runs and three generations on disk.
pub(crate) fn cold_start(home: &Home, report: &mut Report) -> Result<()> {
    const RUNS: usize = 50;
    for workspace in &home.workspaces {
        home.burrow(workspace, &["up"])?;
    }
    let recorded = fs_err::read_dir(runs_of(home, &home.workspaces[1])?)?.count();
    for _ in recorded..RUNS {
        home.burrow(&home.workspaces[1], &["hook", "run", "--again", "postStart"])?;
    }
    home.burrow(&home.workspaces[0], &["stop"])?;
    for folder in fs_err::read_dir(home.state_dir().join("workspaces"))? {
        let generations = Utf8Path::from_path(&folder?.path()).context("a path in UTF-8")?.join("generations");
        for number in ["2", "3"] {
            copy_tree(&generations.join("1"), &generations.join(number))?;
        }
    }

    let mut times = Vec::new();
    for _ in 0..31 {
        times.push(time_start(home)?);
    }
    // The first warms the page cache.
    let definition =
        "exec of `burrow daemon` to the last byte of the first status of three workspaces; warm page cache";
    report.median("cold start", &Samples::of(times.into_iter().skip(1)), Some(10.0), definition);
    Ok(())
}

fn runs_of(home: &Home, workspace: &Utf8Path) -> Result<std::path::PathBuf> {
    for folder in fs_err::read_dir(home.state_dir().join("workspaces"))? {
        let folder = folder?.path();
        if fs_err::read_to_string(folder.join("workspace.json"))?.contains(workspace.as_str()) {
            return Ok(folder.join("runs"));
        }
    }
    anyhow::bail!("{workspace} has no state")
}

fn time_start(home: &Home) -> Result<Duration> {
    let workspaces: Vec<_> = home.workspaces.iter().map(|workspace| workspace.as_path()).collect();
    let start = Instant::now();
    let mut daemon = home.daemon()?;
    let mut peer = loop {
        match Peer::open(&home.socket(), &workspaces) {
            Ok(peer) => break peer,
            // Not there yet.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                anyhow::ensure!(start.elapsed() < Duration::from_secs(10), "the daemon does not listen");
                thread::yield_now();
            }
            Err(error) => return Err(error.into()),
        }
    };
    let status = peer.status()?;
    let took = start.elapsed();
    anyhow::ensure!(status.workspaces.len() == 3, "{} workspaces", status.workspaces.len());
    drop(peer);
    kill_process(Pid::from_child(&daemon), Signal::TERM)?;
    daemon.wait()?;
    Ok(took)
}

fn time_calls(home: &Home, calls: usize) -> Result<Samples> {
    let mut peer = Peer::open(&home.socket(), &[&home.workspaces[0]])?;
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        rest(Duration::from_millis(1));
        let start = Instant::now();
        peer.status()?;
        times.push(start.elapsed());
    }
    Ok(Samples::of(times))
}

/// Connects and sends `start` and then 300 MB, again and again.
fn flood(socket: &Utf8Path, start: &[u8], over: &AtomicBool) {
    let chunk = vec![b'x'; 64 * 1024];
    while !over.load(Ordering::Relaxed) {
        let Ok(mut peer) = Peer::connect(socket) else { return };
        let sent = std::iter::once(start).chain(std::iter::repeat_n(chunk.as_slice(), 300_000_000 / chunk.len()));
        if sent.map(|bytes| peer.send_raw(bytes)).all(|sent| sent.is_ok()) {
            // The daemon took it all. It must at least hang up.
            peer.is_closed();
        }
    }
}

fn resident(pid: u32) -> Result<f64> {
    let status = fs_err::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS in /proc/PID/status")?;
    let kibibytes: usize = line.trim().trim_end_matches(" kB").parse()?;
    Ok(megabytes(kibibytes * 1024))
}

fn rest(time: Duration) {
    let start = Instant::now();
    while let left = time.saturating_sub(start.elapsed())
        && !left.is_zero()
    {
        thread::park_timeout(left);
    }
}
