//! Where a program listens, found from outside: a listening socket of one of dlv's descendants.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::debug::tcp_table::{self, Row, TcpState};
use crate::debug::{holder, process_tree};

/// The kernel tells nobody of a new listener: it is looked for this often.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Waits until a descendant of `root` listens; where it can be reached. Dropping the future ends the wait.
pub(super) async fn address_of(root: u32) -> SocketAddr {
    loop {
        // An error says that the look failed: the next one may not.
        if let Ok(Some(address)) = spawn_blocking(move || look(root)).await {
            return address;
        }
        sleep(LOOK_EVERY).await;
    }
}

fn look(root: u32) -> Option<SocketAddr> {
    let sockets: HashSet<u64> = process_tree::descendants(root).into_iter().flat_map(holder::sockets_of).collect();
    if sockets.is_empty() { None } else { choose(&tcp_table::read().ok()?, &sockets) }
}

/// The listener with the lowest port, so that every look at the same program gives the same.
fn choose(rows: &[Row], sockets: &HashSet<u64>) -> Option<SocketAddr> {
    let ours = rows.iter().filter(|row| row.state == TcpState::Listen && sockets.contains(&row.inode));
    ours.map(|row| reachable(row.local)).min_by_key(SocketAddr::port)
}

fn reachable(local: SocketAddr) -> SocketAddr {
    let ip = match local.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        // Go listens on [::] for both; where a program means IPv6 only, ::1 would be right, and is rare.
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, local.port())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Row, TcpState, choose};

    #[test]
    fn listener_of_the_program() {
        let row = |local: &str, state, inode| Row {
            local: local.parse().expect("address"),
            remote: "0.0.0.0:0".parse().expect("address"),
            state,
            uid: 0,
            inode,
        };
        let rows = [
            row("0.0.0.0:8081", TcpState::Listen, 1),
            row("[::]:8080", TcpState::Listen, 2),
            row("127.0.0.1:80", TcpState::Listen, 3),
            row("127.0.0.1:81", TcpState::Established, 4),
            row("[::1]:9000", TcpState::Listen, 5),
        ];
        for (inodes, expected, why) in [
            (&[1, 2][..], Some("127.0.0.1:8080"), "the lowest port; a wildcard is reached on loopback"),
            (&[5], Some("[::1]:9000"), "an address of its own stays"),
            (&[4], None, "a connection is no listener"),
            (&[9], None, "somebody else's"),
        ] {
            let sockets: HashSet<u64> = inodes.iter().copied().collect();
            let found = choose(&rows, &sockets).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{why}");
        }
    }
}
