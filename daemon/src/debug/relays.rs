//! The runtime that relays run on: a thread of its own, so that a session's bytes do not wait for the daemon's work, nor
//! the daemon for them.

use std::io;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// The running runtime. Dropping it hangs up on every relay.
#[derive(Debug)]
pub struct Relays {
    handle: Handle,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Relays {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system has no more threads or descriptors.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("relays".to_owned());
        let thread = thread.spawn(move || runtime.block_on(stopped.cancelled()))?;
        Ok(Self { handle, stop, thread: Some(thread) })
    }

    /// Where to spawn relays.
    #[must_use]
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // It neither panics nor waits for anything.
            let _ = thread.join();
        }
    }
}
