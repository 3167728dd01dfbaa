//! Whether the other end of a connection is still there.
//!
//! One that is idle is asked by the kernel's keepalive. Of one that something is on its way to the kernel is asked whether
//! it still acknowledges: a client that does not read for minutes does, one that vanished does not, and a
//! `TCP_USER_TIMEOUT` would end both.

use std::future::pending;
use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::super::sock_diag::{self, Heard};

/// A peer that vanished (a laptop that sleeps) is noticed within a minute: while it is idle by the keepalive, after 45 s;
/// else by its silence. Only one that had not read for minutes may take longer, as the kernel asks it ever more seldom, every
/// two minutes in the end.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 6;
const SILENT: Duration = Duration::from_secs(40);
/// How often it is looked. Two looks have to agree: between what is sent and its acknowledgement any peer is silent.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Has the kernel send what is written at once, and look after a peer that is idle.
pub(super) fn watch_over(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_PROBES))?;
    match sock_diag::heard(stream.local_addr()?, stream.peer_addr()?) {
        Ok(_) => Ok(()),
        // A kernel that tells nothing has to judge for itself.
        Err(_) => socket.set_tcp_user_timeout(Some(SILENT)),
    }
}

/// Resolves when the other end of `stream` acknowledges nothing any more. It does not hold the stream.
pub(super) fn lost(stream: &TcpStream) -> impl Future<Output = ()> + Send + use<> {
    let ends = stream.local_addr().and_then(|ours| Ok((ours, stream.peer_addr()?)));
    async move {
        let Ok((ours, peer)) = ends else { return pending().await };
        let mut was_silent = false;
        loop {
            sleep(LOOK_EVERY).await;
            let Ok(heard) = sock_diag::heard(ours, peer) else { return pending().await };
            let is_silent = heard.is_some_and(|Heard { unanswered, ago }| unanswered && ago >= SILENT);
            if is_silent && was_silent {
                return tracing::info!(%peer, "the other end of a debug connection does not answer any more");
            }
            was_silent = is_silent;
        }
    }
}
