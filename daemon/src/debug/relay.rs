//! Between debug clients and their debug adapter: bytes are copied; parsed is only what a client asks to be launched
//! (`launch`), a session that follows its program (`follow`) and one that reloads (`reload`). What a session prints comes
//! between the adapter's messages (`printed`).
//!
//! State: the candidates, connections that have not shown yet that a debug client is behind them.
//! Invariants: the adapter is dialled only for a peer whose first bytes were a debug client's, so that a probe, a web
//! page or silence does not use the lease up; where it serves one client, the port refuses from then on; a buffer a
//! direction is all the memory there is, however slow a reader.
//! Not here: when a lease ends otherwise (`session`), who may connect (`admission`).

use std::io;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;
use tokio_util::bytes::BytesMut;

use super::admission::{self, Admission, NotAdmitted};
use super::dap::OPENING;
use super::dap::stream::Stream;
use super::follow;
use super::launch::{Launches, pass_launch};
use super::ports::Listening;
use super::printed::Printed;
use super::reload::{self, Held, Reloads};
use super::tcp_table;
use super::upstream::{Adapter, Connection, FromAdapter, ToAdapter, Upstream};

/// How long a peer has for its first bytes.
const OPENING_DEADLINE: Duration = Duration::from_secs(5);
/// Connections that are looked at side by side; more wait in the kernel's queue.
const MAX_CANDIDATES: usize = 32;
/// Clients of one program at one time.
const MAX_CLIENTS: usize = 32;
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
    /// Who may connect.
    pub(super) admission: Admission,
    /// How the debug adapter is served.
    pub(super) mode: Mode,
    /// The debug adapter, once it is there; its sender is dropped where that never comes.
    pub(super) ready: watch::Receiver<Option<Adapter>>,
    /// How many clients are connected.
    pub(super) clients: watch::Sender<u32>,
    /// How long the port waits for its first client.
    pub(super) unclaimed: Duration,
}

/// How a debug adapter is served.
#[derive(Clone, Debug)]
pub(super) enum Mode {
    /// One client; what it asks to be launched is told first.
    One {
        /// Who is told.
        launches: Launches,
        /// dlv's folder, from which a client's paths count.
        cwd: Utf8PathBuf,
        /// Whether an attached program is attached to again when it starts anew.
        follow: bool,
        /// How a launched program is built and restarted when its files change.
        reloads: Option<Reloads>,
    },
    /// Clients come and go, in DAP or JSON-RPC.
    Many,
}

/// How a relay ended.
#[derive(Debug)]
pub(super) enum RelayEnd {
    /// No client came.
    Expired,
    /// The client hung up first.
    ClientLeft,
    /// The debug adapter hung up first, or was never there.
    DlvLeft,
    /// The port could not be served.
    Broken(io::Error),
}

/// A debug client, and the first bytes that it said.
#[derive(Debug)]
pub(super) struct DebugClient {
    pub(super) stream: TcpStream,
    pub(super) opening: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
enum Turned {
    #[error(transparent)]
    Refused(#[from] NotAdmitted),
    #[error("it said nothing")]
    Silent,
    #[error("its first bytes are no debug client's")]
    NoDap,
    #[error("the connection failed")]
    Io(#[from] io::Error),
}

impl Relay {
    /// Serves to the end. Runs on the runtime that it is spawned on; dropping it refuses and hangs up.
    pub(super) async fn serve(self) -> RelayEnd {
        let Self { listening, admission, mode, ready, clients, unclaimed } = self;
        let mut door = match Door::open(&listening, admission, matches!(mode, Mode::Many)) {
            Ok(door) => door,
            Err(error) => return RelayEnd::Broken(error),
        };
        let Ok(client) = timeout(unclaimed, door.next()).await else { return RelayEnd::Expired };
        match mode {
            Mode::One { launches, cwd, follow, reloads } => {
                drop(door);
                drop(listening);
                clients.send_replace(1);
                let Some(adapter) = awaited(ready).await else { return RelayEnd::DlvLeft };
                if follow {
                    follow::serve(client, &adapter.upstream, &cwd, &launches).await
                } else {
                    serve_one(client, adapter, &cwd, &launches, reloads.as_ref()).await
                }
            }
            Mode::Many => {
                let Some(adapter) = awaited(ready).await else { return RelayEnd::DlvLeft };
                serve_many(door, client, &adapter.upstream, &clients).await
            }
        }
    }
}

async fn awaited(mut ready: watch::Receiver<Option<Adapter>>) -> Option<Adapter> {
    ready.wait_for(Option::is_some).await.ok().and_then(|adapter| adapter.clone())
}

/// A client and its debug adapter.
pub(super) struct Conversation {
    pub(super) from_client: OwnedReadHalf,
    pub(super) to_client: OwnedWriteHalf,
    pub(super) from_dlv: Stream<FromAdapter>,
    pub(super) to_dlv: ToAdapter,
    /// What dlv and its program print, where that is known.
    pub(super) printed: Option<Printed>,
}

async fn serve_one(
    client: DebugClient,
    adapter: Adapter,
    cwd: &Utf8Path,
    launches: &Launches,
    reloads: Option<&Reloads>,
) -> RelayEnd {
    let (from_dlv, to_dlv) = match adapter.dial().await {
        Ok(dlv) => dlv.into_split(),
        Err(error) => {
            tracing::warn!(%error, upstream = %adapter.upstream, "dlv does not answer");
            return RelayEnd::DlvLeft;
        }
    };
    let (from_client, to_client) = client.stream.into_split();
    let mut conversation = Conversation {
        from_client,
        to_client,
        from_dlv: Stream::new(from_dlv, BytesMut::new()),
        to_dlv,
        printed: adapter.printing.map(|(printing, offset)| Printed::new(printing, offset)),
    };
    // dlv says nothing of its own accord but answers to what comes before a launch: both ways are open meanwhile.
    match conversation.before_launch(&client.opening, cwd, launches, reloads).await {
        Ok(None) => conversation.copy().await,
        Ok(Some(held)) => match reloads {
            Some(reloads) => reload::serve(conversation, held, reloads).await,
            // Nothing is held back for nobody.
            None => RelayEnd::DlvLeft,
        },
        Err(end) => end,
    }
}

impl Conversation {
    /// Passes what comes before the launch, both ways, and the launch itself.
    async fn before_launch(
        &mut self,
        opening: &[u8],
        cwd: &Utf8Path,
        launches: &Launches,
        reloads: Option<&Reloads>,
    ) -> Result<Option<Held>, RelayEnd> {
        let Self { from_client, to_client, from_dlv, to_dlv, .. } = self;
        let upward = pass_launch(from_client, to_dlv, opening, cwd, launches, reloads);
        tokio::pin!(upward);
        loop {
            tokio::select! {
                passed = &mut upward => return passed.map_err(|error| {
                    tracing::debug!(%error, "a debug client was lost before it launched");
                    RelayEnd::ClientLeft
                }),
                piece = from_dlv.piece() => match piece {
                    Ok(Some(piece)) => to_client.write_all(&piece.bytes).await.map_err(|_| RelayEnd::ClientLeft)?,
                    Ok(None) | Err(_) => return Err(RelayEnd::DlvLeft),
                },
            }
        }
    }

    /// Passes everything, to the end.
    async fn copy(self) -> RelayEnd {
        let Self { from_client, to_client, from_dlv, to_dlv, printed } = self;
        match printed {
            Some(printed) => copy_both(one_way(from_client, to_dlv), with_printed(from_dlv, to_client, printed)).await,
            None => copy_both(one_way(from_client, to_dlv), pass(from_dlv, to_client)).await,
        }
    }
}

/// Passes what dlv says, and between it what is printed: what was printed before a stop or an end comes before that.
async fn with_printed(mut from: Stream<FromAdapter>, mut to: OwnedWriteHalf, mut printed: Printed) -> io::Result<u64> {
    let mut copied = 0;
    loop {
        let between = from.is_between();
        tokio::select! {
            piece = from.piece() => match piece? {
                Some(piece) => {
                    if ["stopped", "exited", "terminated"].iter().any(|name| piece.is_event(name)) {
                        printed.catch_up(&mut to).await?;
                    }
                    to.write_all(&piece.bytes).await?;
                    copied += piece.bytes.len() as u64;
                }
                None => {
                    if from.is_between() {
                        printed.catch_up(&mut to).await?;
                    }
                    to.shutdown().await?;
                    return Ok(copied);
                }
            },
            () = printed.grown(), if between => {
                printed.pass(&mut to).await?;
            }
        }
    }
}

/// Passes what dlv says.
async fn pass(mut from: Stream<FromAdapter>, mut to: OwnedWriteHalf) -> io::Result<u64> {
    let mut copied = 0;
    while let Some(piece) = from.piece().await? {
        to.write_all(&piece.bytes).await?;
        copied += piece.bytes.len() as u64;
    }
    to.shutdown().await?;
    Ok(copied)
}

/// Serves clients until the debug adapter is gone.
async fn serve_many(mut door: Door, first: DebugClient, upstream: &Upstream, count: &watch::Sender<u32>) -> RelayEnd {
    let mut clients = JoinSet::new();
    let serve = |client: DebugClient, clients: &mut JoinSet<io::Result<()>>| {
        let upstream = upstream.clone();
        clients.spawn(serve_guest(client, upstream));
        count.send_replace(u32::try_from(clients.len()).unwrap_or(u32::MAX));
    };
    serve(first, &mut clients);
    loop {
        tokio::select! {
            client = door.next(), if clients.len() < MAX_CLIENTS => serve(client, &mut clients),
            Some(served) = clients.join_next() => {
                count.send_replace(u32::try_from(clients.len()).unwrap_or(u32::MAX));
                match served {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::info!(%error, %upstream, "a debug client found nobody");
                        let gone = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
                        if gone && upstream.is_local() {
                            return RelayEnd::DlvLeft;
                        }
                    }
                    Err(error) => tracing::error!(%error, "a debug client's relay failed"),
                }
            }
        }
    }
}

/// Serves one of many clients, to its end.
async fn serve_guest(client: DebugClient, upstream: Upstream) -> io::Result<()> {
    let mut adapter = upstream.dial().await?;
    match &mut adapter {
        Connection::Unix(adapter) => adapter.write_all(&client.opening).await?,
        Connection::Tcp(adapter) => {
            watch_over(adapter)?;
            adapter.write_all(&client.opening).await?;
        }
    }
    let (from_client, to_client) = client.stream.into_split();
    let (from_adapter, to_adapter) = adapter.into_split();
    copy_both(one_way(from_client, to_adapter), one_way(from_adapter, to_client)).await;
    Ok(())
}

/// Where clients come in.
struct Door {
    listeners: Vec<TcpListener>,
    admission: Admission,
    /// Whether JSON-RPC is spoken here, too.
    json_rpc: bool,
    candidates: JoinSet<Result<DebugClient, Turned>>,
}

impl Door {
    fn open(listening: &Listening, admission: Admission, json_rpc: bool) -> io::Result<Self> {
        let listeners =
            listening.listeners()?.into_iter().map(TcpListener::from_std).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { listeners, admission, json_rpc, candidates: JoinSet::new() })
    }

    /// The next connection that a debug client is behind. May be dropped and called again.
    async fn next(&mut self) -> DebugClient {
        loop {
            tokio::select! {
                accepted = accept(&self.listeners), if self.candidates.len() < MAX_CANDIDATES => match accepted {
                    Ok(client) => { self.candidates.spawn(vet(client, self.admission.clone(), self.json_rpc)); }
                    // The peer may have gone (ECONNABORTED), or descriptors are short (EMFILE): neither ends the lease.
                    Err(error) => {
                        tracing::warn!(%error, "a debug client could not be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(vetted) = self.candidates.join_next() => match vetted {
                    Ok(Ok(client)) => return client,
                    Ok(Err(turned)) => tracing::info!(reason = %turned, "a connection to a debug port was turned away"),
                    Err(error) => tracing::error!(%error, "a connection's check failed"),
                },
            }
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

/// Gives the client back when it may be here and its first bytes are a debug client's.
async fn vet(mut stream: TcpStream, admission: Admission, json_rpc: bool) -> Result<DebugClient, Turned> {
    let (peer, ours) = (stream.peer_addr()?, stream.local_addr()?);
    let tables = spawn_blocking(|| tcp_table::read().map(|rows| (rows, admission::gateways())));
    let (rows, gateways) = tables.await.map_err(io::Error::other)??;
    admission.admit(&rows, &gateways, peer, ours)?;
    let opening =
        timeout(OPENING_DEADLINE, take_opening(&mut stream, json_rpc)).await.map_err(|_| Turned::Silent)??;
    watch_over(&stream)?;
    Ok(DebugClient { stream, opening })
}

/// The first bytes: [`OPENING`], or the `{` of JSON-RPC where that is spoken.
async fn take_opening(stream: &mut TcpStream, json_rpc: bool) -> Result<Vec<u8>, Turned> {
    let mut seen = Vec::with_capacity(OPENING.len());
    while seen.len() < OPENING.len() {
        let left = OPENING.len() - seen.len();
        let length = (&mut *stream).take(left as u64).read_buf(&mut seen).await?;
        if json_rpc && seen.first() == Some(&b'{') {
            break;
        }
        if length == 0 || !OPENING.starts_with(&seen) {
            return Err(Turned::NoDap);
        }
    }
    Ok(seen)
}

fn watch_over(client: &TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let socket = SockRef::from(client);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_PROBES))?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

/// Copies both ways until both sides are done. When one has finished, the other has [`FAREWELL`] to do so.
async fn copy_both(
    upward: impl Future<Output = io::Result<u64>>,
    downward: impl Future<Output = io::Result<u64>>,
) -> RelayEnd {
    tokio::pin!(upward, downward);
    tokio::select! {
        result = &mut upward => {
            tracing::debug!(?result, "the debug client hung up");
            let _ = timeout(FAREWELL, downward).await;
            RelayEnd::ClientLeft
        }
        result = &mut downward => {
            tracing::debug!(?result, "the debug adapter hung up");
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
    use tokio::sync::{mpsc, watch};
    use tokio::task::JoinHandle;

    use super::{Adapter, Admission, Mode, OPENING, Relay, RelayEnd, Upstream};
    use crate::debug::ports::HeldPort;

    const SOON: Duration = Duration::from_secs(10);

    const LAUNCH: &[u8] = b"Content-Length: 20\r\n\r\n{\"command\":\"launch\"}";

    /// A relay on a port of its own, in front of a listener that stands for dlv.
    struct Bench {
        port: u16,
        dlv: UnixListener,
        clients: watch::Receiver<u32>,
        end: JoinHandle<RelayEnd>,
        _folder: TempDir,
        _ready: watch::Sender<Option<Adapter>>,
    }

    fn bench(uid: u32, unclaimed: Duration) -> Bench {
        let (launches, mut heard) = mpsc::channel::<(_, tokio::sync::oneshot::Sender<()>)>(1);
        tokio::spawn(async move { while heard.recv().await.is_some() {} });
        bench_in(Mode::One { launches, cwd: "/".into(), follow: false, reloads: None }, uid, unclaimed)
    }

    fn bench_in(mode: Mode, uid: u32, unclaimed: Duration) -> Bench {
        let held = (0..50).find_map(|_| HeldPort::hold(portpicker::pick_unused_port()?).ok()).expect("a port");
        let held = Arc::new(held);
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("dlv.sock");
        let dlv = UnixListener::bind(&path).expect("bind");
        let (clients_sender, clients) = watch::channel(0);
        let upstream = Upstream::Unix(path.try_into().expect("UTF-8"));
        let (ready_sender, ready) = watch::channel(Some(Adapter::at(upstream)));
        let relay = Relay {
            listening: held.listen(false).expect("listen"),
            admission: Admission { uid, everywhere: false, allow: Vec::new() },
            mode,
            ready,
            clients: clients_sender,
            unclaimed,
        };
        let end = tokio::spawn(relay.serve());
        Bench { port: held.port(), dlv, clients, end, _folder: folder, _ready: ready_sender }
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
        client.write_all(&LAUNCH[5..]).await.expect("write");
        let (mut dlv, _) = bench.dlv.accept().await.expect("accept");
        let mut launch = [0; LAUNCH.len()];
        dlv.read_exact(&mut launch).await.expect("launch");
        assert_eq!(launch, LAUNCH);
        (client, dlv)
    }

    #[tokio::test]
    async fn probes_and_web_pages_do_not_use_the_lease_up() {
        let mut bench = bench(our_uid(), SOON);
        drop(connect(bench.port).await.expect("connect"));
        is_turned_away(bench.port, b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}").await;
        is_turned_away(bench.port, b"Content-length: 2\r\n\r\n{}").await;
        let silent = connect(bench.port).await.expect("connect");
        is_turned_away(bench.port, b"{\"method\":\"RPCServer.State\"}").await;
        assert_eq!(*bench.clients.borrow(), 0, "nobody was taken for a client");
        let (_client, _dlv) = claim(&mut bench).await;
        bench.clients.wait_for(|count| *count == 1).await.expect("the client has spoken");
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

    #[tokio::test]
    async fn many_clients_come_and_go() {
        let mut bench = bench_in(Mode::Many, our_uid(), SOON);
        is_turned_away(bench.port, b"POST / HTTP/1.1\r\n\r\n").await;
        let mut clients = Vec::new();
        for (count, opening) in [(1, &b"{\"method\":1}"[..]), (2, LAUNCH), (3, LAUNCH)] {
            let mut client = connect(bench.port).await.expect("connect");
            client.write_all(opening).await.expect("write");
            let (mut dlv, _) = bench.dlv.accept().await.expect("accept");
            let mut heard = vec![0; opening.len()];
            dlv.read_exact(&mut heard).await.expect("opening");
            assert_eq!(heard, opening);
            bench.clients.wait_for(|clients| *clients == count).await.expect("counted");
            clients.push((client, dlv));
        }
        clients.clear();
        bench.clients.wait_for(|clients| *clients == 0).await.expect("all have gone");
        assert!(!bench.end.is_finished(), "the program waits for the next client");
        drop(bench.dlv);
        let mut late = connect(bench.port).await.expect("connect");
        late.write_all(OPENING).await.expect("write");
        assert!(matches!(bench.end.await, Ok(RelayEnd::DlvLeft)), "a client that finds nobody ends the lease");
    }
}
