//! Between one debug client and dlv's private socket: bytes are copied, not parsed.
//!
//! State: the candidates, connections that have not shown yet that a debug client is behind them.
//! Invariants: dlv is dialled once, and only after a peer's first bytes were a debug client's, so that a probe, a web
//! page or silence does not use the lease up; from then on the port refuses connections; a buffer a direction is all the
//! memory there is, however slow a reader.
//! Not here: when a lease ends otherwise (`session`), who may have a port (`tcp_table`).

use std::io;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::dap::OPENING;
use super::ports::Listening;
use super::tcp_table::{self, PeerRefused};

/// How long a peer has for its first bytes.
const OPENING_DEADLINE: Duration = Duration::from_secs(5);
/// Connections that are looked at side by side; more wait in the kernel's queue.
const MAX_CANDIDATES: usize = 32;
/// How long one side may go on after the other has finished.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);
/// The buffer of each direction.
const BUFFER: usize = 64 * 1024;
/// A peer that vanished (a laptop that sleeps) is noticed after at most 45 s.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 6;
const UNACKNOWLEDGED: Duration = Duration::from_secs(45);

/// What a relay serves.
#[derive(Debug)]
pub(super) struct Relay {
    /// The port.
    pub(super) listening: Listening,
    /// The uid whose processes, with root's, may connect.
    pub(super) uid: u32,
    /// dlv's private socket.
    pub(super) dlv: Utf8PathBuf,
    /// Turns true when dlv listens there; its sender is dropped where that never comes.
    pub(super) ready: watch::Receiver<bool>,
    /// Told when a client has spoken.
    pub(super) spoke: oneshot::Sender<()>,
    /// How long the port waits for a client.
    pub(super) unclaimed: Duration,
}

/// How a relay ended.
#[derive(Debug)]
pub(super) enum RelayEnd {
    /// No client came.
    Expired,
    /// The client hung up first.
    ClientLeft,
    /// dlv hung up first, or was never there.
    DlvLeft,
    /// The port could not be served.
    Broken(io::Error),
}

#[derive(Debug, thiserror::Error)]
enum Turned {
    #[error(transparent)]
    Refused(#[from] PeerRefused),
    #[error("it said nothing")]
    Silent,
    #[error("its first bytes are no debug client's")]
    NoDap,
    #[error("the connection failed")]
    Io(#[from] io::Error),
}

impl Relay {
    /// Serves one client, to the end. Runs on the runtime that it is spawned on; dropping it refuses and hangs up.
    pub(super) async fn serve(self) -> RelayEnd {
        let Self { listening, uid, dlv, mut ready, spoke, unclaimed } = self;
        let client = match timeout(unclaimed, first_client(&listening, uid)).await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return RelayEnd::Broken(error),
            Err(_) => return RelayEnd::Expired,
        };
        drop(listening);
        // Nobody listens where the session is ending already.
        let _ = spoke.send(());
        if ready.wait_for(|ready| *ready).await.is_err() {
            return RelayEnd::DlvLeft;
        }
        match dial(&dlv).await {
            Ok(dlv) => copy(client, dlv).await,
            Err(error) => {
                tracing::warn!(%error, socket = %dlv, "dlv does not answer");
                RelayEnd::DlvLeft
            }
        }
    }
}

/// The first connection that a debug client is behind. The others are hung up on when it is found.
async fn first_client(listening: &Listening, uid: u32) -> io::Result<TcpStream> {
    let listeners = listening.listeners()?.into_iter().map(TcpListener::from_std).collect::<io::Result<Vec<_>>>()?;
    let mut candidates = JoinSet::new();
    loop {
        tokio::select! {
            accepted = accept(&listeners), if candidates.len() < MAX_CANDIDATES => match accepted {
                Ok(client) => { candidates.spawn(vet(client, uid)); }
                // The peer may have gone (ECONNABORTED), or descriptors are short (EMFILE): neither ends the lease.
                Err(error) => {
                    tracing::warn!(%error, "a debug client could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(vetted) = candidates.join_next() => match vetted {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(turned)) => tracing::info!(reason = %turned, "a connection to a debug port was turned away"),
                Err(error) => tracing::error!(%error, "a connection's check failed"),
            },
        }
    }
}

async fn accept(listeners: &[TcpListener]) -> io::Result<TcpStream> {
    std::future::poll_fn(|context| {
        for listener in listeners {
            if let std::task::Poll::Ready(accepted) = listener.poll_accept(context) {
                return std::task::Poll::Ready(accepted.map(|(client, _)| client));
            }
        }
        std::task::Poll::Pending
    })
    .await
}

/// Gives the client back when its user may be here and its first bytes, which are taken, are [`OPENING`].
async fn vet(mut client: TcpStream, uid: u32) -> Result<TcpStream, Turned> {
    let (peer, ours) = (client.peer_addr()?, client.local_addr()?);
    let rows = spawn_blocking(tcp_table::read).await.map_err(io::Error::other)??;
    tcp_table::admit(&rows, peer, ours, uid)?;
    timeout(OPENING_DEADLINE, take_opening(&mut client)).await.map_err(|_| Turned::Silent)??;
    watch_over(&client)?;
    Ok(client)
}

async fn take_opening(client: &mut TcpStream) -> Result<(), Turned> {
    let mut seen = [0; OPENING.len()];
    let mut known = 0;
    while known < OPENING.len() {
        let length = client.read(&mut seen[known..]).await?;
        known += length;
        if length == 0 || !OPENING.starts_with(&seen[..known]) {
            return Err(Turned::NoDap);
        }
    }
    Ok(())
}

/// A connection to dlv that has what was taken of the client's.
async fn dial(socket: &Utf8Path) -> io::Result<UnixStream> {
    let mut dlv = UnixStream::connect(socket.as_std_path()).await?;
    dlv.write_all(OPENING).await?;
    Ok(dlv)
}

fn watch_over(client: &TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let socket = SockRef::from(client);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_PROBES))?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

/// Copies both ways until both sides are done. When one has finished, the other has [`FAREWELL`] to do so.
async fn copy(client: TcpStream, dlv: UnixStream) -> RelayEnd {
    let (client_reader, client_writer) = client.into_split();
    let (dlv_reader, dlv_writer) = dlv.into_split();
    let upward = one_way(client_reader, dlv_writer);
    let downward = one_way(dlv_reader, client_writer);
    tokio::pin!(upward, downward);
    tokio::select! {
        result = &mut upward => {
            tracing::debug!(?result, "the debug client hung up");
            let _ = timeout(FAREWELL, downward).await;
            RelayEnd::ClientLeft
        }
        result = &mut downward => {
            tracing::debug!(?result, "dlv hung up");
            let _ = timeout(FAREWELL, upward).await;
            RelayEnd::DlvLeft
        }
    }
}

/// Copies until `from` ends, then tells `to` so. The next read waits for the write: a slow reader slows the writer.
async fn one_way(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut copied = 0;
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            to.shutdown().await?;
            return Ok(copied);
        }
        to.write_all(&buffer[..length]).await?;
        copied += length as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::sync::Arc;
    use std::time::Duration;

    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpSocket, TcpStream, UnixListener, UnixStream};
    use tokio::sync::{oneshot, watch};
    use tokio::task::JoinHandle;

    use super::{OPENING, Relay, RelayEnd};
    use crate::debug::ports::HeldPort;

    const SOON: Duration = Duration::from_secs(10);

    /// A relay on a port of its own, in front of a listener that stands for dlv.
    struct Bench {
        port: u16,
        dlv: UnixListener,
        spoke: oneshot::Receiver<()>,
        end: JoinHandle<RelayEnd>,
        _folder: TempDir,
        _ready: watch::Sender<bool>,
    }

    fn bench(uid: u32, unclaimed: Duration) -> Bench {
        let held = (0..50).find_map(|_| HeldPort::hold(portpicker::pick_unused_port()?).ok()).expect("a port");
        let held = Arc::new(held);
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("dlv.sock");
        let dlv = UnixListener::bind(&path).expect("bind");
        let (spoke_sender, spoke) = oneshot::channel();
        let (ready_sender, ready) = watch::channel(true);
        let relay = Relay {
            listening: held.listen().expect("listen"),
            uid,
            dlv: path.try_into().expect("UTF-8"),
            ready,
            spoke: spoke_sender,
            unclaimed,
        };
        Bench { port: held.port(), dlv, spoke, end: tokio::spawn(relay.serve()), _folder: folder, _ready: ready_sender }
    }

    fn our_uid() -> u32 {
        rustix::process::getuid().as_raw()
    }

    async fn connect(port: u16) -> std::io::Result<TcpStream> {
        TcpSocket::new_v4()?.connect(([127, 0, 0, 1], port).into()).await
    }

    /// Says `bytes` and waits until the relay hangs up.
    async fn is_turned_away(port: u16, bytes: &[u8]) {
        let mut stranger = connect(port).await.expect("connect");
        stranger.write_all(bytes).await.expect("write");
        // Unread bytes make the close a reset.
        let end = tokio::time::timeout(SOON, stranger.read(&mut [0])).await.expect("hung up on in time");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }

    async fn claim(bench: &mut Bench) -> (TcpStream, UnixStream) {
        let mut client = connect(bench.port).await.expect("connect");
        client.write_all(&OPENING[..5]).await.expect("write");
        client.write_all(&OPENING[5..]).await.expect("write");
        let (mut dlv, _) = bench.dlv.accept().await.expect("accept");
        let mut opening = [0; OPENING.len()];
        dlv.read_exact(&mut opening).await.expect("opening");
        assert_eq!(opening, OPENING);
        (client, dlv)
    }

    #[tokio::test]
    async fn probes_and_web_pages_do_not_use_the_lease_up() {
        let mut bench = bench(our_uid(), SOON);
        drop(connect(bench.port).await.expect("connect"));
        is_turned_away(bench.port, b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}").await;
        is_turned_away(bench.port, b"Content-length: 2\r\n\r\n{}").await;
        let silent = connect(bench.port).await.expect("connect");
        assert!(bench.spoke.try_recv().is_err(), "nobody was taken for a client");
        let (_client, _dlv) = claim(&mut bench).await;
        (&mut bench.spoke).await.expect("the client has spoken");
        drop(silent);
    }

    #[tokio::test]
    async fn second_client_is_refused() {
        let mut bench = bench(our_uid(), SOON);
        let mut waiting = connect(bench.port).await.expect("connect");
        let (_client, _dlv) = claim(&mut bench).await;
        assert!(matches!(waiting.read(&mut [0]).await, Ok(0) | Err(_)), "one that waited is hung up on");
        let late = connect(bench.port).await.expect_err("one that comes later is refused");
        assert_eq!(late.kind(), std::io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn silence_ends_after_its_deadline() {
        let bench = bench(our_uid(), Duration::from_secs(60));
        let mut silent = connect(bench.port).await.expect("connect");
        let hung_up = tokio::time::timeout(super::OPENING_DEADLINE + SOON, silent.read(&mut [0])).await;
        assert!(matches!(hung_up, Ok(Ok(0))), "{hung_up:?}");
        assert!(!bench.end.is_finished(), "the lease stays");
    }

    #[tokio::test]
    async fn stranger_is_turned_away() {
        if our_uid() != 0 {
            let bench = bench(our_uid() + 1, SOON);
            return is_turned_away(bench.port, OPENING).await;
        }
        // Root may everywhere: a thread of root's becomes another user first.
        let bench = bench(0, SOON);
        let port = bench.port;
        let stranger = std::thread::spawn(move || {
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65534)).expect("another user");
            let mut stranger =
                socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
            stranger.connect(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()).expect("connect");
            stranger.set_read_timeout(Some(SOON)).expect("timeout");
            stranger.write_all(OPENING).expect("write");
            // Unread bytes make the close a reset.
            let end = stranger.read(&mut [0]);
            matches!(&end, Ok(0)) || end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
        });
        let turned_away = tokio::task::spawn_blocking(|| stranger.join().expect("the stranger"));
        assert!(turned_away.await.expect("joined"));
        assert!(!bench.end.is_finished(), "the lease stays");
    }

    #[tokio::test]
    async fn unclaimed_port_expires() {
        let bench = bench(our_uid(), Duration::from_millis(50));
        assert!(matches!(bench.end.await, Ok(RelayEnd::Expired)));
        assert!(connect(bench.port).await.is_err(), "the port is held again");
    }

    #[tokio::test]
    async fn half_closed_client_still_hears_the_end() {
        let mut bench = bench(our_uid(), SOON);
        let (mut client, mut dlv) = claim(&mut bench).await;
        client.shutdown().await.expect("shutdown");
        assert_eq!(dlv.read(&mut [0; 8]).await.expect("end of the client"), 0);
        dlv.write_all(b"bye").await.expect("write");
        drop(dlv);
        let mut last = String::new();
        client.read_to_string(&mut last).await.expect("read");
        assert_eq!(last, "bye");
        assert!(matches!(bench.end.await, Ok(RelayEnd::ClientLeft)));
    }

    #[tokio::test]
    async fn end_of_dlv_ends_the_client() {
        let mut bench = bench(our_uid(), SOON);
        let (mut client, dlv) = claim(&mut bench).await;
        drop(dlv);
        assert_eq!(client.read(&mut [0; 8]).await.expect("end of dlv"), 0);
        drop(client);
        assert!(matches!(bench.end.await, Ok(RelayEnd::DlvLeft)));
    }

    #[tokio::test]
    async fn slow_reader_stops_the_writer() {
        let mut bench = bench(our_uid(), SOON);
        let (client, mut dlv) = claim(&mut bench).await;
        let chunk = vec![b'x'; 1 << 20];
        let mut written = 0_usize;
        // The kernel's buffers fill, then ours; from then on nothing more is taken.
        while let Ok(length) = tokio::time::timeout(Duration::from_millis(300), dlv.write(&chunk)).await {
            written += length.expect("write");
            assert!(written < 64 << 20, "the relay swallows without limit");
        }
        let mut client = client;
        let mut read = 0;
        let mut buffer = vec![0; 1 << 20];
        while read < written {
            read += client.read(&mut buffer).await.expect("read");
        }
        assert_eq!(read, written, "and nothing is lost");
    }
}
