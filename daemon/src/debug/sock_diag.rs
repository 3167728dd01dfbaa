//! One TCP socket by both its ends, asked of the kernel alone (`sock_diag(7)`): microseconds, where its tables
//! (`tcp_table`) take milliseconds, since it walks all its buckets for them.

use std::io::{self, Read};
use std::net::SocketAddr;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP, TCP_ESTABLISHED, TCP_LISTEN};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::tcp_table::{Row, TcpState, canonical};

/// `AF_NETLINK`.
const NETLINK: i32 = 16;
/// `NETLINK_SOCK_DIAG`.
const SOCK_DIAG: i32 = 4;
/// One answer: 88 bytes and its attributes.
const ANSWER_BYTES: usize = 4096;

/// The socket of this network namespace whose own address is `local` and whose peer's is `remote`; `None` where there is
/// none. Does not wait.
///
/// # Errors
/// The kernel does not answer such questions (it was built without, or is a sandbox's), or not in words that are known.
pub(super) fn find(local: SocketAddr, remote: SocketAddr) -> io::Result<Option<Row>> {
    let (local, remote) = (canonical(local), canonical(remote));
    let socket = Socket::new(Domain::from(NETLINK), Type::DGRAM, Some(Protocol::from(SOCK_DIAG)))?;
    // The kernel answers before `send` returns.
    socket.set_nonblocking(true)?;
    socket.send(&question(local, remote))?;
    let mut answer = [0; ANSWER_BYTES];
    let length = (&socket).read(&mut answer)?;
    let answer = NetlinkMessage::<SockDiagMessage>::deserialize(answer.get(..length).unwrap_or_default());
    match answer.map_err(io::Error::other)?.payload {
        NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
            // Where no connection fits, it may be one that listens.
            Ok(Some(row(&response.header)).filter(|row| row.local == local && row.remote == remote))
        }
        NetlinkPayload::Error(error) if error.raw_code() == -Errno::NOENT.raw_os_error() => Ok(None),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn question(local: SocketAddr, remote: SocketAddr) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let request = InetRequest {
        family: if local.is_ipv4() { AF_INET } else { AF_INET6 },
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
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
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::super::tcp_table;
    use super::find;

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
