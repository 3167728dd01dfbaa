//! Whether the processes of a run do anything: what they read and how long they computed, as `/proc` counts it.
//!
//! For a program that waits for a silent network without end, and says nothing meanwhile.

use std::fs;

use super::{procfs, sweep};

/// Fewer bytes than this are no progress: a runtime's own wake-ups read a few.
const SOME_BYTES: u64 = 256;
/// Less than this is no progress: an idle runtime computes for a moment now and then. A tick is 10 ms.
const SOME_TICKS: u64 = 50;

/// What the living processes of a run have done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Of all process ids: another set of processes is progress.
    pids: u64,
    read: u64,
    ticks: u64,
}

impl Activity {
    /// The activity of the processes whose `BURROW_RUN` is one of ours. Blocks.
    #[must_use]
    pub fn of(ours: impl Fn(&str) -> bool) -> Self {
        let mut all = Self::default();
        for process in sweep::find(ours) {
            all.pids = all.pids.wrapping_add(u64::from(process.pid).wrapping_mul(process.start_ticks | 1));
            all.read = all.read.wrapping_add(bytes_read(process.pid).unwrap_or(0));
            all.ticks = all.ticks.wrapping_add(procfs::cpu_ticks(process.pid).unwrap_or(0));
        }
        all
    }

    /// Whether something was done since `earlier`.
    #[must_use]
    pub fn has_moved_since(&self, earlier: &Self) -> bool {
        self.pids != earlier.pids
            || self.read.abs_diff(earlier.read) >= SOME_BYTES
            || self.ticks.abs_diff(earlier.ticks) >= SOME_TICKS
    }
}

/// All bytes that a process has read, from files and sockets alike: proc(5), `io`.
fn bytes_read(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("rchar: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_change_is_silence() {
        let base = Activity { pids: 7, read: 10_000, ticks: 300 };
        for (now, moved, why) in [
            (base, false, "nothing"),
            (Activity { read: 10_100, ticks: 310, ..base }, false, "a runtime's own wake-ups"),
            (Activity { read: 12_000, ..base }, true, "bytes came in"),
            (Activity { ticks: 400, ..base }, true, "it computes"),
            (Activity { pids: 8, ..base }, true, "another process"),
        ] {
            assert_eq!(now.has_moved_since(&base), moved, "{why}");
        }
    }

    #[test]
    fn own_activity_is_counted() {
        let pid = std::process::id();
        let before = bytes_read(pid).unwrap();
        std::fs::read("/proc/self/status").unwrap();
        assert!(bytes_read(pid).unwrap() > before);
    }
}
