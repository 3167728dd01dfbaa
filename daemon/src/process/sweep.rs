//! Finding what a dead daemon or shim left behind, by the mark that every process of a run carries, and ending it.
//!
//! Only processes of the own uid are looked at, and each is signalled through a pidfd after its start time was compared:
//! nobody else's process is touched.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use camino::Utf8Path;
use rustix::process::{Signal, geteuid, pidfd_send_signal};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::{Folder, RUN_VARIABLE, procfs};

/// Processes that KILL has not ended after this long are not to be ended.
const KILL_WAIT: Duration = Duration::from_secs(2);
/// Between two looks at what is left.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A living process of a run: one of the command's, or its shim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// Its process id.
    pub pid: u32,
    /// Its start, in clock ticks since boot.
    pub start_ticks: u64,
    /// The value of `BURROW_RUN` in its environment.
    pub run: String,
    /// Its name, at most 15 bytes.
    pub name: String,
}

/// The living processes of this uid whose `BURROW_RUN` is one of ours. Blocks.
pub fn find(ours: impl Fn(&str) -> bool) -> Vec<Marked> {
    let uid = geteuid().as_raw();
    procfs::pids()
        .filter_map(|pid| {
            let owner = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
            if owner != uid {
                return None;
            }
            let run = mark(&fs::read(format!("/proc/{pid}/environ")).ok()?)?;
            let stat = procfs::stat(pid).filter(|stat| !stat.dead && ours(&run))?;
            Some(Marked { pid, start_ticks: stat.start_ticks, run, name: stat.name })
        })
        .collect()
}

/// Those of [`find`] that are marked with the folder of a command whose shim died before its outcome was on disk. Blocks.
pub fn find_lost(ours: impl Fn(&str) -> bool) -> Vec<Marked> {
    let mut found = find(ours);
    let mut lost = BTreeMap::new();
    found.retain(|process| *lost.entry(process.run.clone()).or_insert_with_key(|run| is_lost(Utf8Path::new(run))));
    found
}

fn is_lost(dir: &Utf8Path) -> bool {
    let folder = Folder::new(dir);
    // In this order: a shim goes to its folder before it makes the claim, and ends after its outcome was written.
    folder.claim_file().exists() && !procfs::has_shim(dir) && folder.outcome().is_ok_and(|outcome| outcome.is_none())
}

/// Ends the processes that [`find`] finds: TERM, `grace`, KILL. A shim among them ends its command itself and writes the
/// outcome. Returns those that are left all the same.
pub async fn end(ours: impl Fn(&str) -> bool + Clone + Send + 'static, grace: Duration) -> Vec<Marked> {
    let mut left = signal_all(&ours, Signal::TERM).await;
    for (signal, wait) in [(None, grace), (Some(Signal::KILL), KILL_WAIT)] {
        let until = Instant::now() + wait;
        while !left.is_empty() && Instant::now() < until {
            // KILL is sent again and again: what is being ended may fork.
            left = match signal {
                Some(signal) => signal_all(&ours, signal).await,
                None => look(&ours).await,
            };
            sleep(LOOK_AGAIN).await;
        }
    }
    if left.is_empty() { left } else { look(&ours).await }
}

async fn look<F: Fn(&str) -> bool + Clone + Send + 'static>(ours: &F) -> Vec<Marked> {
    let ours = ours.clone();
    // A look that panics has found nothing.
    spawn_blocking(move || find(ours)).await.unwrap_or_default()
}

/// Signals what is there, and returns it.
async fn signal_all<F: Fn(&str) -> bool + Clone + Send + 'static>(ours: &F, signal: Signal) -> Vec<Marked> {
    let found = look(ours).await;
    for process in &found {
        if let Some(handle) = procfs::open(process.pid, process.start_ticks) {
            // It has just ended: the next look tells.
            let _ = pidfd_send_signal(&handle, signal);
        }
    }
    found
}

/// The value of `BURROW_RUN` in a process's environment as `/proc` shows it.
fn mark(environment: &[u8]) -> Option<String> {
    environment.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(RUN_VARIABLE.as_bytes())?.strip_prefix(b"=")?;
        String::from_utf8(value.to_vec()).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_is_read_from_an_environment() {
        for (environment, expected, why) in [
            (&b"PATH=/bin\0BURROW_RUN=7-postCreate\0HOME=/\0"[..], Some("7-postCreate"), "among others"),
            (b"BURROW_RUNS=7\0XBURROW_RUN=8\0", None, "names that only resemble it"),
            (b"", None, "a kernel thread has none"),
        ] {
            assert_eq!(mark(environment).as_deref(), expected, "{why}");
        }
    }
}
