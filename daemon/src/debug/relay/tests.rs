//! A relay on a port of its own, in front of a listener that stands for dlv.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::door::OPENING_DEADLINE;
use super::{Adapter, Admission, Mode, Relay, RelayEnd, Upstream};
use crate::debug::dap::OPENING;
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
    ready: watch::Sender<Option<Adapter>>,
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
    Bench { port: held.port(), dlv, clients, end, _folder: folder, ready: ready_sender }
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
    let hung_up = tokio::time::timeout(OPENING_DEADLINE + SOON, silent.read(&mut [0])).await;
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
        let mut stranger = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
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

#[tokio::test(start_paused = true)]
async fn port_does_not_expire_before_there_is_a_dlv() {
    let Bench { port, end, ready, _folder, .. } = bench(our_uid(), Duration::from_millis(50));
    let adapter = ready.send_replace(None);
    tokio::time::advance(Duration::from_secs(600)).await;
    let late = connect(port).await.expect("it listens");
    assert!(!end.is_finished(), "dlv is still being started");
    drop(late);
    ready.send_replace(adapter);
    assert!(matches!(end.await, Ok(RelayEnd::Expired)), "from then on it waits");
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

/// The kernel asks a peer whose window is shut whether it takes more, and counts for how long it does not.
#[tokio::test]
#[ignore = "slow: part of `make test-all`"]
async fn client_that_does_not_read_for_a_while_keeps_its_session() {
    let mut bench = bench(our_uid(), SOON);
    let (mut client, mut dlv) = claim(&mut bench).await;
    let written = 48 << 20;
    let writer = tokio::spawn(async move {
        let result = dlv.write_all(&vec![b'x'; written]).await;
        result.map(|()| dlv)
    });
    tokio::time::sleep(Duration::from_secs(75)).await;
    assert!(!bench.end.is_finished(), "it is there, and says so when it is asked");
    let mut read = 0;
    let mut buffer = vec![0; 1 << 20];
    while read < written {
        let length = tokio::time::timeout(SOON, client.read(&mut buffer)).await.expect("in time").expect("read");
        assert_ne!(length, 0, "after {read} bytes");
        read += length;
    }
    drop(writer.await.expect("the writer").expect("written"));
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
