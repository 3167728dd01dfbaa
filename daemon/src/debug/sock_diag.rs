//! One TCP socket by both its ends, asked of the kernel alone (`sock_diag(7)`): microseconds, where its tables
//! (`tcp_table`) take milliseconds, since it walks all its buckets for them.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::Duration;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP, TCP_ESTABLISHED, TCP_LISTEN};
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponse, InetResponseHeader, SocketId, StateFlags,
};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::tcp_table::{Row, TcpState, canonical};

/// `AF_NETLINK`.
const NETLINK: i32 = 16;
/// `NETLINK_SOCK_DIAG`.
const SOCK_DIAG: i32 = 4;
/// Where `struct tcp_info` (`linux/tcp.h`) has what is asked for here: how many questions to a shut window are open, and the
/// milliseconds since data was sent last and since the last acknowledgement came.
const PROBES: usize = 3;
const LAST_DATA_SENT: usize = 44;
const LAST_ACK_RECV: usize = 56;
/// One answer: 88 bytes and its attributes.
const ANSWER_BYTES: usize = 4096;

/// The socket of this network namespace whose own address is `local` and whose peer's is `remote`; `None` where there is
/// none. Does not wait.
///
/// # Errors
/// The kernel does not answer such questions (it was built without, or is a sandbox's), or not in words that are known.
pub(super) fn find(local: SocketAddr, remote: SocketAddr) -> io::Result<Option<Row>> {
    Ok(ask(local, remote, ExtensionFlags::empty())?.map(|response| row(&response.header)))
}

/// What was heard of the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// Whether something was sent since, or it was asked whether it takes more.
    pub(super) unanswered: bool,
    /// The time since it last acknowledged anything.
    pub(super) ago: Duration,
}

/// When the peer of a connection was last heard of; addresses, answer and errors as of [`find`].
pub(super) fn heard(local: SocketAddr, remote: SocketAddr) -> io::Result<Option<Heard>> {
    let Some(response) = ask(local, remote, ExtensionFlags::INFO)? else { return Ok(None) };
    let info = response.nlas.iter().find_map(|nla| if let Nla::TcpInfo(info) = nla { Some(info) } else { None });
    let heard = info.and_then(|info| {
        let time = |place: usize| Some(u32::from_ne_bytes(*info.get(place..)?.first_chunk()?));
        let (sent, acknowledged) = (time(LAST_DATA_SENT)?, time(LAST_ACK_RECV)?);
        let unanswered = sent < acknowledged || *info.get(PROBES)? > 0;
        Some(Heard { unanswered, ago: Duration::from_millis(acknowledged.into()) })
    });
    heard.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn ask(local: SocketAddr, remote: SocketAddr, extensions: ExtensionFlags) -> io::Result<Option<InetResponse>> {
    let (local, remote) = (canonical(local), canonical(remote));
    let socket = Socket::new(Domain::from(NETLINK), Type::DGRAM, Some(Protocol::from(SOCK_DIAG)))?;
    // The kernel answers before `send` returns.
    socket.set_nonblocking(true)?;
    socket.send(&question(local, remote, extensions))?;
    let mut answer = [0; ANSWER_BYTES];
    let length = (&socket).read(&mut answer)?;
    let answer = NetlinkMessage::<SockDiagMessage>::deserialize(answer.get(..length).unwrap_or_default());
    match answer.map_err(io::Error::other)?.payload {
        NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
            // Where no connection fits, it may be one that listens.
            let its = row(&response.header);
            Ok((its.local == local && its.remote == remote).then_some(*response))
        }
        NetlinkPayload::Error(error) if error.raw_code() == -Errno::NOENT.raw_os_error() => Ok(None),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn question(local: SocketAddr, remote: SocketAddr, extensions: ExtensionFlags) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let request = InetRequest {
        family: if local.is_ipv4() { AF_INET } else { AF_INET6 },
        protocol: IPPROTO_TCP,
        extensions,
        states: StateFlags::all(),
        socket_id: SocketId {
            source_port: local.port(),
            destination_port: remote.port(),
            source_address: local.ip(),
            destination_address: remote.ip(),
            interface_id: 0,
            // `INET_DIAG_NOCOOKIE`: its addresses are enough.
            cookie: [0xff; 8],
        },
    };
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn row(header: &InetResponseHeader) -> Row {
    let id = &header.socket_id;
    Row {
        local: canonical(SocketAddr::new(id.source_address, id.source_port)),
        remote: canonical(SocketAddr::new(id.destination_address, id.destination_port)),
        state: match header.state {
            TCP_ESTABLISHED => TcpState::Established,
            TCP_LISTEN => TcpState::Listen,
            _ => TcpState::Other,
        },
        uid: header.uid,
        inode: header.inode.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use super::super::tcp_table;
    use super::{find, heard};

    #[test]
    fn both_ways_of_asking_say_the_same() {
        for (address, why) in [("127.0.0.1:0", "IPv4"), ("[::1]:0", "IPv6")] {
            let listener = TcpListener::bind(address).expect("bind");
            let ours = listener.local_addr().expect("address");
            let client = connect(ours);
            let peer = client.local_addr().expect("address");
            let rows = tcp_table::read().expect("tables");
            let row = find(peer, ours).expect("an answer");
            assert!(row.is_some(), "{why}");
            assert_eq!(row.as_ref(), tcp_table::find(&rows, peer, ours), "{why}");
        }
    }

    #[test]
    fn a_peer_that_is_there_was_heard_of() {
        for (address, why) in [("127.0.0.1:0", "IPv4"), ("[::1]:0", "IPv6")] {
            let listener = TcpListener::bind(address).expect("bind");
            let ours = listener.local_addr().expect("address");
            let client = connect(ours);
            let (mut server, peer) = listener.accept().expect("accept");
            server.write_all(b"hello").expect("write");
            let seen = heard(ours, peer).expect("an answer").expect("the connection");
            assert!(seen.ago < Duration::from_secs(60), "{why}: {seen:?}");
            drop((client, server));
            let elsewhere = SocketAddr::new(ours.ip(), 1);
            assert_eq!(heard(ours, elsewhere).expect("an answer"), None, "{why}: nobody is there");
        }
    }

    #[test]
    fn one_that_listens_is_no_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let ours = listener.local_addr().expect("address");
        let elsewhere: SocketAddr = "127.0.0.1:1".parse().expect("an address");
        assert_eq!(find(ours, elsewhere).expect("an answer"), None, "only its listener fits");
        assert_eq!(find(elsewhere, ours).expect("an answer"), None, "nobody is there");
    }

    #[expect(clippy::disallowed_methods, reason = "a test is a debug client")]
    fn connect(to: SocketAddr) -> TcpStream {
        TcpStream::connect(to).expect("connect")
    }
}
