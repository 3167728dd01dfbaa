//! Starting `dlv dap` on a private socket, under a shim that ends it with the daemon.
//!
//! Invariants: nobody connects to find out whether dlv listens (a probe ends it): it says so itself, in its output.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::Utf8Path;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::error::DebugError;
use super::folder::LeaseFolder;
use crate::process::{self, LogReader, ProcessError, Shim, ShimSpec, Survivors};

/// What dlv prints when it listens. The path that follows has no prefix.
const LISTENING: &str = "DAP server listening at:";
/// How long dlv has to listen: 7 to 18 ms were measured.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// dlv ends its program and removes its binary within 10 ms of TERM.
const GRACE_MS: u32 = 2_000;
/// How long the program may hold the output open after dlv.
const LEAK_MS: u32 = 500;
/// How much of dlv's output an error quotes.
const QUOTED: usize = 4 * 1024;

/// Starts dlv. It listens on the folder's socket a little later.
pub(super) async fn start(
    folder: &LeaseFolder,
    dlv: &Utf8Path,
    flags: &[String],
    env: BTreeMap<String, String>,
    cwd: &Utf8Path,
) -> Result<Shim, DebugError> {
    let mut argv = vec![dlv.to_string(), "dap".to_owned(), format!("--listen=unix:{}", folder.socket())];
    argv.extend_from_slice(flags);
    let spec = ShimSpec {
        schema: process::SCHEMA,
        run: folder.run(),
        folder: folder.command(),
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
    Ok(process::start(spec).await?)
}

/// Waits until dlv says that it listens.
pub(super) async fn wait_until_it_listens(
    shim: &mut Shim,
    dlv: &Utf8Path,
    stop: &CancellationToken,
) -> Result<(), DebugError> {
    let deadline = Instant::now() + START_DEADLINE;
    let mut output = shim.output();
    loop {
        output.mark_unchanged();
        let said = said(shim).await?;
        if said.contains(LISTENING) {
            return Ok(());
        }
        tokio::select! {
            changed = output.changed() => if changed.is_err() {
                // The output is complete: what came last is read once more.
                let said = self::said(shim).await?;
                return Err(DebugError::DlvEnded { dlv: dlv.to_owned(), said });
            },
            () = sleep_until(deadline) => {
                return Err(DebugError::DlvSilent { dlv: dlv.to_owned(), said, within: START_DEADLINE });
            }
            () = stop.cancelled() => return Err(DebugError::Stopping),
        }
    }
}

/// The beginning of what dlv printed.
async fn said(shim: &Shim) -> Result<String, ProcessError> {
    let command = shim.folder().dir().to_owned();
    let read = move || -> Result<String, ProcessError> {
        let chunk = LogReader::open(&command)?.read(0, QUOTED)?;
        let bytes: Vec<u8> = chunk.reads.into_iter().flat_map(|read| read.bytes).collect();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    // The closure neither panics nor is it cancelled.
    spawn_blocking(read).await.unwrap_or_else(|_| Ok(String::new()))
}

/// The environment of dlv: its caller's, with the workspace's Go first on PATH.
pub(super) fn environment(mut caller: BTreeMap<String, String>, go_bin: Option<&Utf8Path>) -> BTreeMap<String, String> {
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

    use super::environment;

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
            assert_eq!(environment(caller, go).get("PATH").map(String::as_str), expected, "{why}");
        }
    }
}
