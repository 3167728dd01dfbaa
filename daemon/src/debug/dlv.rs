//! Starting dlv on a private socket, under a shim that ends it with the daemon.
//!
//! Invariants: nobody connects to find out whether dlv listens (a probe ends it): it says so itself, in its output.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use burrow_protocol::debug::{HeadlessMode, HeadlessTarget};
use camino::Utf8Path;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::error::DebugError;
use super::folder::LeaseFolder;
use super::messages::Service;
use super::tracing_rights::refuses_tracing;
use crate::durable;
use crate::process::{self, LogReader, ProcessError, Shim, ShimSpec, Spare, Survivors};

/// What dlv prints when it listens, as `dap` and as `--headless`. The path that follows has no prefix.
const LISTENING: [&str; 2] = ["DAP server listening at:", "API server listening at:"];
/// How long dlv has to listen: 7 to 18 ms were measured.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// How long it has where it builds a program first.
const BUILD_DEADLINE: Duration = Duration::from_secs(15 * 60);
/// dlv ends its program and removes its binary within 10 ms of TERM.
const GRACE_MS: u32 = 2_000;
/// How long the program may hold the output open after dlv.
const LEAK_MS: u32 = 500;
/// How much of dlv's output an error quotes.
const QUOTED: usize = 4 * 1024;

/// The command line of dlv for `service`, listening on `socket`; `None` where somebody else has started it.
pub(super) fn command_line(
    service: &Service,
    dlv: &Utf8Path,
    flags: &[String],
    socket: &Utf8Path,
) -> Option<Vec<String>> {
    let listen = format!("--listen=unix:{socket}");
    match service {
        Service::Dap { follow: false } => {
            let line = vec![dlv.to_string(), "dap".to_owned(), listen];
            Some([line, flags.to_vec()].concat())
        }
        Service::Dap { follow: true } => {
            // One dlv after another, for as long as each ends in order. A dead one's socket would be in the next one's way.
            const AGAIN: &str = "while rm -f \"$0\" && \"$@\"; do :; done";
            let words = ["/bin/sh", "-c", AGAIN, socket.as_str(), dlv.as_str(), "dap", &listen];
            Some([words.map(str::to_owned).to_vec(), flags.to_vec()].concat())
        }
        Service::Headless(target) => Some(headless(target, dlv, flags, listen)),
        Service::Adopt(_) => None,
    }
}

fn headless(target: &HeadlessTarget, dlv: &Utf8Path, flags: &[String], listen: String) -> Vec<String> {
    let mode = match target.mode {
        HeadlessMode::Debug => "debug",
        HeadlessMode::Test => "test",
        HeadlessMode::Exec => "exec",
        HeadlessMode::Attach => "attach",
        HeadlessMode::Core => "core",
    };
    let mut line = vec![dlv.to_string(), mode.to_owned(), target.target.clone()];
    line.extend(target.core.clone());
    line.extend(["--headless", "--accept-multiclient", "--api-version=2"].map(str::to_owned));
    line.push(listen);
    line.extend_from_slice(flags);
    if target.running {
        line.push("--continue".to_owned());
    }
    line.extend(target.build_flags.as_ref().map(|flags| format!("--build-flags={flags}")));
    if !target.args.is_empty() {
        line.push("--".to_owned());
        line.extend(target.args.iter().cloned());
    }
    line
}

/// The command line of a dlv that knows no Unix sockets (before 1.22.1): it listens on a port that it tells, or, since it
/// would take whoever comes first, dials `back`, where it is waited for.
pub(super) fn older_command_line(
    service: &Service,
    dlv: &Utf8Path,
    flags: &[String],
    back: SocketAddr,
) -> Option<Vec<String>> {
    match service {
        Service::Dap { follow: false } => {
            let line = vec![dlv.to_string(), "dap".to_owned(), format!("--client-addr={back}")];
            Some([line, flags.to_vec()].concat())
        }
        Service::Headless(target) => Some(headless(target, dlv, flags, "--listen=127.0.0.1:0".to_owned())),
        // Each of several would have to dial.
        Service::Dap { follow: true } | Service::Adopt(_) => None,
    }
}

/// Whether a dlv said that it cannot listen on a Unix socket.
pub(super) fn knows_no_sockets(said: &str) -> bool {
    // It took the path for a port.
    said.contains("couldn't start listener: listen tcp")
}

/// The port on which a dlv listens that printed `said`.
pub(super) fn told_port(said: &str) -> Option<u16> {
    let address = LISTENING.iter().find_map(|words| said.split_once(words))?.1;
    address.lines().next()?.trim().parse::<SocketAddr>().ok().map(|address| address.port())
}

/// Starts `argv` as the lease's command of that number, by the shim that waits for it, if any. It listens a little later.
pub(super) async fn start(
    folder: &LeaseFolder,
    number: u32,
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    cwd: &Utf8Path,
    spare: Option<Spare>,
) -> Result<Shim, DebugError> {
    let command = folder.command(number);
    let its = command.clone();
    spawn_blocking(move || durable::create_dir_for_now(&its)).await.map_err(|_| DebugError::Stopping)??;
    let spec = ShimSpec {
        schema: process::SCHEMA,
        run: folder.run(),
        folder: command,
        argv,
        env,
        cwd: cwd.to_owned(),
        timeout_ms: None,
        grace_ms: GRACE_MS,
        leak_ms: LEAK_MS,
        secrets: Vec::new(),
        survivors: Survivors::EndAlways,
        lifeline: true,
        tty: None,
        interrupt: false,
    };
    Ok(process::start_by(spare, spec).await?)
}

/// Waits until dlv says that it listens; what it said, and how much of its output that is.
pub(super) async fn wait_until_it_listens(
    shim: &mut Shim,
    service: &Service,
    dlv: &Utf8Path,
    stop: &CancellationToken,
) -> Result<(String, u64), DebugError> {
    let built = match service {
        Service::Headless(target) if matches!(target.mode, HeadlessMode::Debug | HeadlessMode::Test) => Some(target),
        Service::Headless(_) | Service::Dap { .. } | Service::Adopt(_) => None,
    };
    let within = if built.is_some() { BUILD_DEADLINE } else { START_DEADLINE };
    let deadline = Instant::now() + within;
    let mut output = shim.output();
    loop {
        output.mark_unchanged();
        let (said, next) = said(shim).await?;
        if LISTENING.iter().any(|words| said.contains(words)) {
            return Ok((said, next));
        }
        tokio::select! {
            changed = output.changed() => if changed.is_err() {
                // The output is complete: what came last is read once more.
                let (said, _) = self::said(shim).await?;
                return Err(match built {
                    Some(target) if !refuses_tracing(&said) => DebugError::Build { target: target.target.clone(), said },
                    _ => DebugError::DlvEnded { dlv: dlv.to_owned(), said },
                });
            },
            () = sleep_until(deadline) => {
                return Err(DebugError::DlvSilent { dlv: dlv.to_owned(), said, within });
            }
            () = stop.cancelled() => return Err(DebugError::Stopping),
        }
    }
}

/// The beginning of what dlv printed, and how much that is.
async fn said(shim: &Shim) -> Result<(String, u64), ProcessError> {
    let command = shim.folder().dir().to_owned();
    let read = move || -> Result<(String, u64), ProcessError> {
        let chunk = LogReader::open(&command)?.read(0, QUOTED)?;
        let bytes: Vec<u8> = chunk.reads.into_iter().flat_map(|read| read.bytes).collect();
        Ok((String::from_utf8_lossy(&bytes).into_owned(), chunk.next))
    };
    // The closure neither panics nor is it cancelled.
    spawn_blocking(read).await.unwrap_or_else(|_| Ok((String::new(), 0)))
}

/// The environment of dlv in `cwd`: its caller's, with the workspace's Go first on PATH. `go build` takes a folder's name
/// from PWD: where links lead to it, only its caller's name for it fits the paths of the breakpoints.
pub(super) fn environment(
    mut caller: BTreeMap<String, String>,
    go_bin: Option<&Utf8Path>,
    cwd: &Utf8Path,
) -> BTreeMap<String, String> {
    caller.insert("PWD".to_owned(), cwd.to_string());
    if let Some(go_bin) = go_bin {
        let path = match caller.get("PATH") {
            Some(path) if !path.is_empty() => format!("{go_bin}:{path}"),
            _ => go_bin.to_string(),
        };
        caller.insert("PATH".to_owned(), path);
    }
    caller
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use camino::Utf8Path;

    use burrow_protocol::debug::{HeadlessMode, HeadlessTarget};

    use super::{Service, command_line, environment, knows_no_sockets, older_command_line, told_port};

    #[test]
    fn command_lines() {
        let line = |service: &Service| {
            command_line(service, Utf8Path::new("/t/dlv"), &[], Utf8Path::new("/s")).map(|line| line.join(" "))
        };
        let dap = Service::Dap { follow: false };
        assert_eq!(line(&dap).as_deref(), Some("/t/dlv dap --listen=unix:/s"));
        let target = |mode, target: &str, core: Option<&str>, args: &[&str], running| {
            Service::Headless(HeadlessTarget {
                mode,
                target: target.to_owned(),
                core: core.map(str::to_owned),
                args: args.iter().map(|arg| (*arg).to_owned()).collect(),
                build_flags: None,
                running,
            })
        };
        let shared = "--headless --accept-multiclient --api-version=2 --listen=unix:/s";
        for (service, expected, why) in [
            (
                target(HeadlessMode::Exec, "./api", None, &["--port", "80"], true),
                format!("/t/dlv exec ./api {shared} --continue -- --port 80"),
                "the program's own flags come last",
            ),
            (target(HeadlessMode::Attach, "7", None, &[], false), format!("/t/dlv attach 7 {shared}"), "a process"),
            (
                target(HeadlessMode::Core, "./api", Some("core.7"), &[], false),
                format!("/t/dlv core ./api core.7 {shared}"),
                "a core",
            ),
        ] {
            assert_eq!(line(&service), Some(expected), "{why}");
        }
        assert_eq!(line(&Service::Adopt("127.0.0.1:1".parse().expect("an address"))), None, "it is somebody else's");
    }

    #[test]
    fn older_dlvs() {
        let back = "127.0.0.1:4711".parse().expect("an address");
        let line = |service: &Service| {
            older_command_line(service, Utf8Path::new("/t/dlv"), &[], back).map(|line| line.join(" "))
        };
        let dials = line(&Service::Dap { follow: false });
        assert_eq!(dials.as_deref(), Some("/t/dlv dap --client-addr=127.0.0.1:4711"));
        assert_eq!(line(&Service::Dap { follow: true }), None, "it would have to dial each time");
        for (said, port, why) in [
            ("API server listening at: 127.0.0.1:40123\n", Some(40123), "as it says"),
            ("API server listening at: /s\n", None, "a socket"),
            ("", None, "nothing yet"),
        ] {
            assert_eq!(told_port(said), port, "{why}");
        }
        // Said by Delve 1.22.0.
        assert!(knows_no_sockets("couldn't start listener: listen tcp: lookup tcp//s: unknown port\n"));
        assert!(!knows_no_sockets("couldn't start listener: listen unix /s: bind: permission denied\n"));
    }

    #[test]
    fn workspace_go_comes_first() {
        let go = Some(Utf8Path::new("/go/bin"));
        for (path, go, expected, why) in [
            (Some("/bin"), go, Some("/go/bin:/bin"), "before the caller's"),
            (Some(""), go, Some("/go/bin"), "an empty PATH would mean the working directory"),
            (None, go, Some("/go/bin"), "the caller has none"),
            (Some("/bin"), None, Some("/bin"), "no Go of its own"),
        ] {
            let caller: BTreeMap<_, _> = path.map(|path| ("PATH".to_owned(), path.to_owned())).into_iter().collect();
            let env = environment(caller, go, Utf8Path::new("/link"));
            assert_eq!(env.get("PATH").map(String::as_str), expected, "{why}");
        }
    }

    #[test]
    fn the_folder_has_its_callers_name() {
        let caller = BTreeMap::from([("PWD".to_owned(), "/elsewhere".to_owned())]);
        assert_eq!(environment(caller, None, Utf8Path::new("/link"))["PWD"], "/link");
    }
}
