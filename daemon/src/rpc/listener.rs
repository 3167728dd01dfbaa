//! The socket: the user's alone.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use burrow_protocol::error::ErrorCode;
use camino::{Utf8Path, Utf8PathBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::session;
use crate::coded::Coded;
use crate::daemon::Core;
use crate::memory;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;
/// When the last client has been gone for so long, none is about to follow it.
const QUIET: Duration = Duration::from_secs(1);

/// Why the socket does not listen.
#[derive(Debug, thiserror::Error)]
#[error("listen on {path}")]
pub struct ListenError {
    path: Utf8PathBuf,
    source: std::io::Error,
}

impl Coded for ListenError {
    fn code(&self) -> ErrorCode {
        ErrorCode::DaemonStart
    }

    fn hint(&self) -> Option<String> {
        Some(format!("make the folder of {} writable for this user, or set BURROW_SOCKET", self.path))
    }
}

/// A socket that listens; connections wait in its backlog until [`Self::serve`].
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
}

impl Listener {
    /// Binds `path`, in place of a socket that a dead daemon left: the caller holds the lock of the state directory.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn bind(path: &Utf8Path) -> Result<Self, ListenError> {
        let bind = || {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
            socket.bind(&socket2::SockAddr::unix(path)?)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
            socket.listen(BACKLOG)?;
            socket.set_nonblocking(true)?;
            UnixListener::from_std(socket.into())
        };
        bind().map(|listener| Self { listener }).map_err(|source| ListenError { path: path.to_owned(), source })
    }

    /// Serves connections until `cancel`; the sessions in `sessions` end with it.
    pub async fn serve(self, core: Arc<Core>, sessions: TaskTracker, cancel: CancellationToken) {
        let mut number = 0_u64;
        loop {
            let accepted = tokio::select! {
                () = cancel.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    number += 1;
                    let span = tracing::info_span!("connection", number);
                    if is_allowed(&stream) {
                        let task = session::serve(stream, Arc::clone(&core), cancel.clone()).instrument(span);
                        let (others, cancel) = (sessions.clone(), cancel.clone());
                        sessions.spawn(async move {
                            task.await;
                            let _ = cancel.run_until_cancelled(sleep(QUIET)).await;
                            if others.len() == 1 {
                                memory::give_back();
                            }
                        });
                    }
                }
                Err(error) => {
                    // Out of file descriptors, most likely: those who are connected go on, the others wait a moment.
                    tracing::warn!(%error, "could not accept a connection");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// Whether the peer may speak: the same user, or root; and a process that this pid namespace can see.
fn is_allowed(stream: &UnixStream) -> bool {
    let Ok(peer) = stream.peer_cred() else { return false };
    let own = rustix::process::getuid().as_raw();
    let allowed = (peer.uid() == own || peer.uid() == 0) && peer.pid().is_some_and(|pid| pid != 0);
    if !allowed {
        tracing::warn!(uid = peer.uid(), pid = peer.pid(), "refused a peer");
    }
    allowed
}
