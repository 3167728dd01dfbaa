//! The kernel's tables of TCP sockets, `/proc/net/tcp` and `/proc/net/tcp6`: who is at the other end of a loopback
//! connection, and who sits on a port.
//!
//! Invariants: a v4-mapped IPv6 address (an IPv6 socket that speaks IPv4, found in `tcp6` only) reads as its IPv4 one.
//! Not here: which process has a socket (`holder`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::sock_diag;

/// The state of a TCP socket, as far as Burrow asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpState {
    /// 01: both sides are there.
    Established,
    /// 0A: it waits for connections.
    Listen,
    /// Any other.
    Other,
}

/// One socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its own address.
    pub local: SocketAddr,
    /// Its peer's.
    pub remote: SocketAddr,
    /// Its state.
    pub state: TcpState,
    /// The owner's uid; 0 as well once the socket was closed.
    pub uid: u32,
    /// The socket's inode; 0 once the socket was closed.
    pub inode: u64,
}

/// Why a peer on the loopback interface is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerRefused {
    /// The kernel does not know the other end.
    #[error("the peer has no socket on this machine")]
    Unknown,
    /// It has closed its end: then its row says uid 0, whoever it was.
    #[error("the peer has closed its socket already")]
    Closed,
    /// Another user's process.
    #[error("the peer is a process of uid {uid}")]
    Stranger {
        /// Its uid.
        uid: u32,
    },
}

/// All TCP sockets of this network namespace. Reads two files: not for a runtime's thread.
///
/// # Errors
/// The tables cannot be read. A machine without IPv6 has no `tcp6`; that is none.
pub fn read() -> io::Result<Vec<Row>> {
    let mut rows = parse(&fs_err::read_to_string("/proc/net/tcp")?);
    match fs_err::read_to_string("/proc/net/tcp6") {
        Ok(text) => rows.extend(parse(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(rows)
}

/// The socket of `peer`, the other end of a connection to `ours`, where it is on this machine. Not for a runtime's thread:
/// a kernel that does not answer for one socket is read whole.
///
/// # Errors
/// As [`read`].
pub fn other_end(peer: SocketAddr, ours: SocketAddr) -> io::Result<Option<Row>> {
    sock_diag::find(peer, ours).or_else(|error| {
        tracing::debug!(%error, "the kernel tells of no single socket");
        Ok(find(&read()?, peer, ours).copied())
    })
}

/// Whether the process behind `row`, the other end of a connection, may use a debug port of `uid`: it must be established,
/// have an inode, and belong to `uid` or root.
///
/// # Errors
/// [`PeerRefused`] says why not.
pub fn admit(row: Option<&Row>, uid: u32) -> Result<(), PeerRefused> {
    let row = row.ok_or(PeerRefused::Unknown)?;
    if row.state != TcpState::Established || row.inode == 0 {
        return Err(PeerRefused::Closed);
    }
    if row.uid == uid || row.uid == 0 { Ok(()) } else { Err(PeerRefused::Stranger { uid: row.uid }) }
}

/// The row of the other end of a connection, `peer`, to `ours`, where it is on this machine.
#[must_use]
pub(super) fn find(rows: &[Row], peer: SocketAddr, ours: SocketAddr) -> Option<&Row> {
    let (peer, ours) = (canonical(peer), canonical(ours));
    rows.iter().find(|row| row.local == peer && row.remote == ours)
}

/// Reads one table. A line that is no row (the heading) is left out.
#[must_use]
pub fn parse(table: &str) -> Vec<Row> {
    table.lines().filter_map(parse_row).collect()
}

fn parse_row(line: &str) -> Option<Row> {
    // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ...
    let mut fields = line.split_ascii_whitespace();
    let local = parse_address(fields.nth(1)?)?;
    let remote = parse_address(fields.next()?)?;
    let state = match fields.next()? {
        "01" => TcpState::Established,
        "0A" => TcpState::Listen,
        _ => TcpState::Other,
    };
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some(Row { local, remote, state, uid, inode })
}

/// `0100007F:9C40`: the address as words in the machine's own byte order, the port in hexadecimal.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = [0; 16];
    if !address.is_ascii() || address.len() / 2 > bytes.len() {
        return None;
    }
    for (index, word) in address.as_bytes().chunks(8).enumerate() {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.get_mut(index * 4..index * 4 + 4)?.copy_from_slice(&word.to_ne_bytes());
    }
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
        32 => IpAddr::V6(Ipv6Addr::from(bytes)),
        _ => return None,
    };
    Some(canonical(SocketAddr::new(ip, port)))
}

/// With a v4-mapped IPv6 address as its IPv4 one.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use socket2::{Domain, Socket, Type};

    use super::{PeerRefused, Row, TcpState, admit, find, other_end, parse, read};

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0
   1: 0100007F:B3B0 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 20 4 30 10 -1
   2: 0100007F:B3B2 0100007F:9C40 05 00000000:00000000 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1
   3: 0100007F:B3B4 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1001        0 4714 1 0 20 4 30 10 -1
   4: 0100007F:B3B6 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4715 1 0 20 4 30 10 -1
   5: 0100007F:B3B8 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1
   6: 0000000000000000FFFF00000100007F:B3BA 0000000000000000FFFF00000100007F:9C40 01 0:0 00:0 0  1000        0 4716 1
   7: 00000000000000000000000001000000:B3BC 00000000000000000000000001000000:9C40 01 0:0 00:0 0  1000        0 4717 1
   8: what:1 is:2 this
";

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn rows_of_both_tables() {
        let rows = parse(TABLE);
        assert_eq!(rows.len(), 8, "the heading and the broken line are no rows");
        let listener = Row {
            local: address("0.0.0.0:8080"),
            remote: address("0.0.0.0:0"),
            state: TcpState::Listen,
            uid: 1000,
            inode: 4711,
        };
        assert_eq!(rows[0], listener);
        assert_eq!(rows[6].local, address("127.0.0.1:46010"), "a v4-mapped address is its IPv4 one");
        assert_eq!(rows[7].local, address("[::1]:46012"));
    }

    #[test]
    fn peers() {
        let rows = parse(TABLE);
        let (ours, ours_v6) = (address("127.0.0.1:40000"), address("[::1]:40000"));
        for (peer, ours, expected, why) in [
            ("127.0.0.1:46000", ours, Ok(()), "our own uid"),
            ("127.0.0.1:46002", ours, Err(PeerRefused::Closed), "a closed socket says uid 0 and proves nothing"),
            ("127.0.0.1:46004", ours, Err(PeerRefused::Stranger { uid: 1001 }), "another user"),
            ("127.0.0.1:46006", ours, Ok(()), "root may"),
            ("127.0.0.1:46008", ours, Err(PeerRefused::Closed), "uid 0 without an inode is nobody"),
            ("127.0.0.1:46010", ours, Ok(()), "an IPv6 socket that speaks IPv4"),
            ("[::1]:46012", ours_v6, Ok(()), "IPv6"),
            ("127.0.0.1:46012", ours, Err(PeerRefused::Unknown), "no such row"),
            ("127.0.0.1:46000", address("127.0.0.1:40001"), Err(PeerRefused::Unknown), "connected to another port"),
        ] {
            assert_eq!(admit(find(&rows, address(peer), ours), 1000), expected, "{why}");
        }
    }

    #[test]
    fn kernel_tables_show_a_listener_of_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let local = listener.local_addr().expect("address");
        let rows = read().expect("tables");
        let row = rows.iter().find(|row| row.local == local).expect("the listener's row");
        assert_eq!(row.state, TcpState::Listen);
        assert_eq!(row.uid, rustix::process::getuid().as_raw());
    }

    #[test]
    fn peers_are_found_whichever_socket_they_have() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = listener.local_addr().expect("address").port();
        let uid = rustix::process::getuid().as_raw();
        for (domain, to, why) in [
            (Domain::IPV4, format!("127.0.0.1:{port}"), "IPv4"),
            (Domain::IPV6, format!("[::ffff:127.0.0.1]:{port}"), "an IPv6 socket that speaks IPv4"),
        ] {
            let client = Socket::new(domain, Type::STREAM, None).expect("socket");
            client.connect(&address(&to).into()).expect("connect");
            let (stream, peer) = listener.accept().expect("accept");
            let ours = stream.local_addr().expect("address");
            let row = other_end(peer, ours).expect("an answer");
            assert_eq!(admit(row.as_ref(), uid), Ok(()), "{why}");
            assert_eq!(row.as_ref(), find(&read().expect("tables"), peer, ours), "{why}: the tables say the same");
        }
    }
}
