//! A write of the tools that fails, or that the daemon does not live to make: what is active is whole in any case, an error
//! has its code, and the next repair ends well.
//!
//! Three scenes. The switch: a new set comes from the store, and a rollback goes back from it. The update: the lock file is
//! moved. The install: a small program is built, and its binary comes into the store. Of each `make test` takes one of eight
//! writes, `make test-all` all.

use std::sync::Mutex;
use std::time::Duration;

use burrow_protocol::lock::LockFile;
use burrow_protocol::toolchain::ToolsReport;
use camino::Utf8Path;

use super::trace::{self, Fault, Write};
use super::{eighth, key, traced_daemon};
use crate::sandbox::{Run, Sandbox, eventually};
use crate::toolchain::proxy::{Built, LOCK, Proxy, binary, workspace};

const FAULTS: [Fault; 3] = [Fault::Kill, Fault::Error("ENOSPC"), Fault::Error("EIO")];
/// For one run: two repairs and a build on a busy machine.
const LIMIT: Duration = Duration::from_secs(400);
const NAMES: [&str; 3] = ["dlv", "goimports", "gopls"];

#[test]
fn any_write_of_a_switch_and_of_a_rollback_may_fail() {
    let writes = {
        let sandbox = before_the_switch();
        let names = names(&sandbox);
        let trace = traced(&sandbox, &trace::all_writes(), |sandbox| {
            sandbox.burrow(["tools", "repair"]).exits(0).says("v1.1.0");
            sandbox.burrow(["tools", "rollback"]).exits(0).says("v1.0.0");
        });
        trace::writes_with(&trace, sandbox.root(), &names)
    };
    for part in ["/manifest.json", "/KEY/current", "holds/HOLDER", "(a new file)"] {
        assert!(writes.iter().any(|write| write.path().ends_with(part)), "the trace saw {part}: {writes:#?}");
    }
    sweep("any_write_of_a_switch_and_of_a_rollback_may_fail", &writes, |write, fault| {
        let why = format!("{fault:?} at {write}");
        let sandbox = before_the_switch();
        let trace = traced(&sandbox, &faulty(write, fault, &sandbox, &names(&sandbox)), |sandbox| {
            coded(&sandbox.burrow(["tools", "repair"]), &why);
            coded(&sandbox.burrow(["tools", "rollback"]), &why);
        });
        // Either set, but a whole one: this is what an editor would start.
        let active: Vec<_> = NAMES.iter().map(|name| digest_of(&binary(&sandbox, name))).collect();
        sandbox.burrow(["tools", "repair"]).exits(0).says("gopls      v1.1.0  verified by sha256");
        sandbox.burrow(["tools", "verify", "--full"]).exits(0);
        let after: Vec<_> = NAMES.iter().map(|name| digest_of(&binary(&sandbox, name))).collect();
        sandbox.burrow(["tools", "rollback"]).exits(0).says("gopls      v1.0.0");
        let before: Vec<_> = NAMES.iter().map(|name| digest_of(&binary(&sandbox, name))).collect();
        assert!(active == before || active == after, "a set is active as a whole; {why}");
        was_met(&trace)
    });
}

#[test]
fn any_write_of_an_update_may_fail() {
    let writes = {
        let sandbox = before_the_update();
        let names = names(&sandbox);
        let trace = traced(&sandbox, &trace::all_writes(), |sandbox| {
            sandbox.burrow(["tools", "update"]).exits(0).tells("wrote ");
        });
        trace::writes_with(&trace, sandbox.root(), &names)
    };
    assert!(writes.iter().any(|write| write.path().ends_with("burrow-lock.json")), "{writes:#?}");
    sweep("any_write_of_an_update_may_fail", &writes, |write, fault| {
        let why = format!("{fault:?} at {write}");
        let sandbox = before_the_update();
        let (before, bin) = (sandbox.read(LOCK), NAMES.map(|name| binary(&sandbox, name)));
        let trace = traced(&sandbox, &faulty(write, fault, &sandbox, &names(&sandbox)), |sandbox| {
            coded(&sandbox.burrow(["tools", "update"]), &why);
        });
        let between = sandbox.read(LOCK);
        sandbox.burrow(["tools", "update"]).exits(0);
        let after = sandbox.read(LOCK);
        assert!(between == before || between == after, "the lock file is whole; {why}: {between:?}");
        assert!(after.is_some_and(|text| !text.contains("\"old\"")), "{why}");
        assert_eq!(bin, NAMES.map(|name| binary(&sandbox, name)), "the same tools; {why}");
        sandbox.burrow(["tools", "repair", "--locked"]).exits(0);
        was_met(&trace)
    });
}

#[test]
fn any_write_of_an_install_may_fail() {
    let proxy = Proxy::with(&["v1.0.0"]);
    let fresh = || workspace(&proxy, "v1.0.0").limit(LIMIT);
    let writes: Vec<_> = {
        let sandbox = fresh();
        let mut arguments = trace::all_writes();
        arguments.insert(0, "--seccomp-bpf".to_owned());
        let trace = traced(&sandbox, &arguments, |sandbox| {
            sandbox.burrow(["tools", "repair"]).exits(0);
        });
        let writes = trace::writes_with(&trace, sandbox.root(), &[("KEY", key(&sandbox))]);
        // The rest are those of the switch, or of the daemon's own start.
        writes.into_iter().filter(|write| write.path().starts_with("state/store/tools")).collect()
    };
    assert!(writes.len() >= 6, "the trace saw three binaries come in: {writes:#?}");
    sweep("any_write_of_an_install_may_fail", &writes, |write, fault| {
        let why = format!("{fault:?} at {write}");
        let sandbox = fresh();
        let trace = traced(&sandbox, &faulty(write, fault, &sandbox, &[("KEY", key(&sandbox))]), |sandbox| {
            coded(&sandbox.burrow(["tools", "repair"]), &why);
        });
        let report: ToolsReport = sandbox.burrow(["tools", "list", "--json"]).parse();
        let left = sandbox.state_dir().join("work").read_dir_utf8().unwrap().count();
        assert!(left == 0 || fault == Fault::Kill, "{why}: nothing of the work is left");
        assert!(
            report.generation.is_none() || report.tools.iter().all(|tool| tool.path.is_some()),
            "{why}: {report:?}"
        );
        sandbox.burrow(["tools", "repair"]).exits(0);
        sandbox.burrow(["tools", "verify", "--full"]).exits(0);
        was_met(&trace)
    });
}

/// Version 1.0.0 is active; 1.1.0 is asked for, and in the store. No daemon runs.
fn before_the_switch() -> Sandbox {
    let sandbox = Built::at("v1.0.0").ask_for("v1.0.0", Sandbox::new().limit(LIMIT));
    sandbox.burrow(["tools", "repair"]).exits(0);
    sandbox.burrow(["stop"]).exits(0);
    Built::at("v1.1.0").ask_for("v1.1.0", sandbox)
}

/// Version 1.0.0 is active, and its lock file has rows of both platforms, and one that nobody asks for. No daemon runs.
fn before_the_update() -> Sandbox {
    let sandbox = Built::at("v1.0.0").ask_for("v1.0.0", Sandbox::new().limit(LIMIT));
    sandbox.burrow(["tools", "repair"]).exits(0);
    sandbox.burrow(["stop"]).exits(0);
    let mut lock: LockFile = serde_json::from_str(&sandbox.read(LOCK).unwrap()).unwrap();
    for tool in lock.tools.values_mut() {
        // As if they had been built on another machine: then there is nothing to build.
        let go = tool.binaries.keys().next().unwrap().split(' ').next().unwrap().to_owned();
        for platform in ["linux/amd64 v1", "linux/arm64 v8.0"] {
            tool.binaries.entry(format!("{go} {platform}")).or_insert_with(|| "0".repeat(64));
        }
    }
    let old = lock.tools["gopls"].clone();
    lock.tools.insert("old".to_owned(), old);
    let text = serde_json::to_string_pretty(&lock).unwrap();
    sandbox.write(LOCK, &text)
}

/// What differs from sandbox to sandbox: the workspace's folder, and the name under which it holds its tools.
fn names(sandbox: &Sandbox) -> Vec<(&'static str, String)> {
    let holds = sandbox.store_dir().join("holds").read_dir_utf8().unwrap().next().unwrap().unwrap();
    vec![("KEY", key(sandbox)), ("HOLDER", holds.file_name().to_owned())]
}

/// strace's arguments for one fault. Only what is injected stops a process: a compiler below the daemon runs as fast as ever.
fn faulty(write: &Write, fault: Fault, sandbox: &Sandbox, names: &[(&str, String)]) -> Vec<String> {
    let mut arguments = write.injection_with(fault, sandbox.root(), names);
    arguments.insert(0, "--seccomp-bpf".to_owned());
    arguments
}

/// Runs `work` with a daemon under strace, ends that daemon, and gives the trace.
fn traced(sandbox: &Sandbox, arguments: &[String], work: impl FnOnce(&Sandbox)) -> String {
    let mut daemon = traced_daemon(sandbox, arguments);
    work(sandbox);
    // Read before `stop`, which writes too.
    let trace = std::fs::read_to_string(sandbox.root().join("trace")).unwrap_or_default();
    // It may be dead, or be another one by now; and the fault may meet what `stop` writes.
    eventually("the daemon ends", LIMIT, || {
        sandbox.burrow(["stop"]);
        if daemon.has_ended() { Ok(()) } else { Err("it goes on") }
    });
    drop(daemon);
    sandbox.burrow(["start"]).exits(0);
    trace
}

/// Runs `scene` for each write and each fault of this run's share, two at a time. It tells whether the write was met.
fn sweep(name: &str, writes: &[Write], scene: impl Fn(&Write, Fault) -> bool + Sync) {
    let all: Vec<_> = writes.iter().flat_map(|write| FAULTS.map(|fault| (write.clone(), fault))).collect();
    let chosen: Vec<_> = match eighth() {
        None => all,
        Some(eighth) => all.into_iter().enumerate().filter(|(n, _)| n % 8 == eighth).map(|(_, one)| one).collect(),
    };
    let (count, queue, missed) = (chosen.len(), Mutex::new(chosen.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let worker = || {
                while let Some((write, fault)) = { queue.lock().unwrap().next() } {
                    println!("{fault:?} at {write}");
                    if !scene(&write, fault) {
                        missed.lock().unwrap().push(format!("{fault:?} {write}"));
                    }
                }
            };
            std::thread::Builder::new().name(format!("faults::toolchain::{name}")).spawn_scoped(scope, worker).unwrap();
        }
    });
    // A write that another thread makes this time is not met. Most must be, or nothing was tried.
    let missed = missed.into_inner().unwrap();
    assert!(missed.len() * 2 <= count, "{} of {count} writes were not met: {missed:#?}", missed.len());
}

fn was_met(trace: &str) -> bool {
    trace.contains("killed by SIGKILL") || trace.contains("(INJECTED)")
}

/// It went well, or its error has a code; a daemon that was killed is told as well.
#[track_caller]
fn coded(run: &Run, why: &str) {
    let told = run.code() == 0 || run.code() == 3 || run.stderr().contains("[BUR");
    assert!(told, "{why}: {}", run.whole());
}

fn digest_of(path: &Utf8Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}
