//! Ends a test that takes too long: first the sandbox's processes, so that the test itself can say where it stood, then
//! the whole test run.

use std::fs;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use camino::Utf8Path;

use super::leftovers;

/// From the end of the processes to the end of the test run.
const GRACE: Duration = Duration::from_secs(30);

/// Runs while the sandbox lives.
pub(super) struct Watchdog {
    shared: Arc<(Mutex<Watch>, Condvar)>,
}

struct Watch {
    limit: Duration,
    deadline: Instant,
    paused: bool,
    over: bool,
}

impl Watchdog {
    /// Watches the current thread's test.
    pub(super) fn start(root: &Utf8Path, limit: Duration) -> Self {
        let watch = Watch { limit, deadline: Instant::now() + limit, paused: false, over: false };
        let shared = Arc::new((Mutex::new(watch), Condvar::new()));
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let (watched, root) = (Arc::clone(&shared), root.to_owned());
        std::thread::spawn(move || {
            if !wait(&watched, Duration::ZERO) {
                return;
            }
            eprintln!("watchdog: {test} takes too long; its processes are killed:");
            for process in leftovers::processes_of(&root) {
                eprintln!("watchdog:   {process}");
                leftovers::kill(process.pid);
            }
            if wait(&watched, GRACE) {
                eprintln!("watchdog: {test} does not end; the test run does");
                std::process::abort();
            }
        });
        Self { shared }
    }

    /// When the test has to be over.
    pub(super) fn deadline(&self) -> Instant {
        self.shared.0.lock().unwrap().deadline
    }

    /// Allows `limit` from now on.
    pub(super) fn set(&self, limit: Duration) {
        self.change(|watch| {
            watch.limit = limit;
            watch.deadline = Instant::now() + limit;
        });
    }

    /// Stops the clock for work that is not the test's own.
    pub(super) fn pause(&self) {
        self.change(|watch| watch.paused = true);
    }

    /// Starts the clock again from nought.
    pub(super) fn resume(&self) {
        self.change(|watch| {
            watch.paused = false;
            watch.deadline = Instant::now() + watch.limit;
        });
    }

    /// Shows the end of the daemon's log beside a failed test.
    pub(super) fn print_log(&self, path: &Utf8Path) {
        let Ok(log) = fs::read_to_string(path) else { return };
        let lines: Vec<_> = log.lines().collect();
        eprintln!("the end of {path}:");
        for line in &lines[lines.len().saturating_sub(40)..] {
            eprintln!("  {line}");
        }
    }

    fn change(&self, change: impl FnOnce(&mut Watch)) {
        let (watch, changed) = &*self.shared;
        change(&mut watch.lock().unwrap());
        changed.notify_all();
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.change(|watch| watch.over = true);
    }
}

/// Waits for the deadline and `extra` after it; false when the test was over before.
fn wait((watch, changed): &(Mutex<Watch>, Condvar), extra: Duration) -> bool {
    let mut watch = watch.lock().unwrap();
    loop {
        if watch.over {
            return false;
        }
        let left = (watch.deadline + extra).saturating_duration_since(Instant::now());
        if left.is_zero() && !watch.paused {
            return true;
        }
        let pause = if watch.paused { Duration::from_secs(3600) } else { left };
        watch = changed.wait_timeout(watch, pause).unwrap().0;
    }
}
