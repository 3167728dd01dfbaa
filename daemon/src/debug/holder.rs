//! Who has a port that Burrow could not take, or that a service should have: a listener, or a connection that happens to go
//! out from it.
//!
//! Invariants: nothing is guessed. A process is named where `/proc` shows its descriptors, else its uid is told.
//! Not here: taking ports (`ports`).

use std::collections::{HashMap, HashSet};

use super::tcp_table::{Row, TcpState};

/// Who has a foreign port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// In words, such as `node`, `uid 1001`, or `curl, connected to 192.0.2.1:443`.
    pub name: String,
    /// Its process, where it may be known.
    pub pid: Option<u32>,
}

/// A process that has a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// The name that the kernel has for it.
    pub name: String,
}

/// The holders of `ports`, those that are known. Walks all of `/proc`: not for a runtime's thread.
#[must_use]
pub fn find(ports: &[u16]) -> HashMap<u16, Holder> {
    let rows = super::tcp_table::read().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot tell who has the foreign ports");
        Vec::new()
    });
    let rows: Vec<_> = ports.iter().filter_map(|port| Some((*port, blocking_row(&rows, *port)?))).collect();
    let owners = socket_owners(&rows.iter().map(|(_, row)| row.inode).collect());
    rows.into_iter().map(|(port, row)| (port, describe(&row, owners.get(&row.inode)))).collect()
}

/// Who listens at `port` that is none of the processes `own`, nor below one; none where these do, or where it cannot be known:
/// of another user's process, or of a port that is served from another network namespace. Walks all of `/proc`: not for a
/// runtime's thread.
#[must_use]
pub fn foreign_listener(port: u16, own: &[u32]) -> Option<Process> {
    let rows = super::tcp_table::read().ok()?;
    let listens = |row: &&Row| row.state == TcpState::Listen && row.local.port() == port;
    let inodes: HashSet<u64> = rows.iter().filter(listens).map(|row| row.inode).collect();
    let below = own.iter().flat_map(|pid| super::process_tree::descendants(*pid));
    if own.iter().copied().chain(below).flat_map(sockets_of).any(|inode| inodes.contains(&inode)) {
        return None;
    }
    let owners = socket_owners(&inodes);
    let all_known = inodes.iter().all(|inode| owners.contains_key(inode));
    owners.into_values().next().filter(|_| all_known)
}

/// The processes that have the sockets with these inodes, as far as this user may look.
#[must_use]
pub fn socket_owners(inodes: &HashSet<u64>) -> HashMap<u64, Process> {
    let mut owners = HashMap::new();
    for pid in crate::debug::process_tree::all_pids() {
        // Another user's descriptors are not ours to see, and a process may end while we look.
        for inode in sockets_of(pid).into_iter().filter(|inode| inodes.contains(inode)) {
            owners.entry(inode).or_insert_with(|| Process { pid, name: name_of(pid) });
        }
    }
    owners
}

/// The inodes of the sockets that `pid` has open; none where this user may not look.
#[must_use]
pub fn sockets_of(pid: u32) -> Vec<u64> {
    let Ok(entries) = fs_err::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let links = entries.flatten().filter_map(|entry| fs_err::read_link(entry.path()).ok());
    links.filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()).collect()
}

fn name_of(pid: u32) -> String {
    let name = fs_err::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name.trim().is_empty() { format!("process {pid}") } else { name.trim().to_owned() }
}

/// The row that keeps us off `port`: a listener before a connection, a live one before one that is ending.
fn blocking_row(rows: &[Row], port: u16) -> Option<Row> {
    let on_port = rows.iter().filter(|row| row.local.port() == port);
    on_port.min_by_key(|row| (row.state != TcpState::Listen, row.inode == 0)).copied()
}

fn describe(row: &Row, owner: Option<&Process>) -> Holder {
    let who = match owner {
        Some(process) => process.name.clone(),
        None if row.inode == 0 => "a connection that is ending".to_owned(),
        None => format!("uid {}", row.uid),
    };
    let name = match row.state {
        TcpState::Listen => who,
        TcpState::Established | TcpState::Other => format!("{who}, connected to {}", row.remote),
    };
    Holder { name, pid: owner.map(|process| process.pid) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::tcp_table::{Row, TcpState};
    use super::{Holder, Process, blocking_row, describe, find, foreign_listener};

    fn row(state: TcpState, inode: u64) -> Row {
        let local = "10.0.0.2:40000".parse().expect("address");
        let remote = "192.0.2.1:443".parse().expect("address");
        Row { local, remote, state, uid: 1001, inode }
    }

    #[test]
    fn holders_in_words() {
        let curl = Process { pid: 7, name: "curl".to_owned() };
        for (row, owner, name, pid, why) in [
            (row(TcpState::Listen, 1), Some(&curl), "curl", Some(7), "a listener is its process"),
            (row(TcpState::Listen, 1), None, "uid 1001", None, "a process that may not be known is its uid"),
            (row(TcpState::Established, 1), Some(&curl), "curl, connected to 192.0.2.1:443", Some(7), "outgoing"),
            (
                row(TcpState::Other, 0),
                None,
                "a connection that is ending, connected to 192.0.2.1:443",
                None,
                "TIME_WAIT belongs to nobody",
            ),
        ] {
            assert_eq!(describe(&row, owner), Holder { name: name.to_owned(), pid }, "{why}");
        }
    }

    #[test]
    fn listener_is_told_before_connections() {
        let rows = [row(TcpState::Other, 0), row(TcpState::Established, 3), row(TcpState::Listen, 2)];
        assert_eq!(blocking_row(&rows, 40000), Some(rows[2]));
        assert_eq!(blocking_row(&rows[..2], 40000), Some(rows[1]), "a live connection before one that is ending");
        assert_eq!(blocking_row(&rows, 40001), None);
    }

    #[test]
    fn listener_is_foreign_unless_it_is_of_the_processes() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = listener.local_addr().expect("address").port();
        let this = std::process::id();
        assert_eq!(foreign_listener(port, &[this]), None, "it is ours");
        let parent = rustix::process::getppid().map_or(1, |pid| pid.as_raw_nonzero().get().unsigned_abs());
        assert_eq!(foreign_listener(port, &[parent]), None, "it is below one of ours");
        assert_eq!(
            foreign_listener(port, &[u32::MAX]).map(|process| process.pid),
            Some(this),
            "it is nobody's of ours"
        );
        drop(listener);
        assert_eq!(foreign_listener(port, &[u32::MAX]), None, "nobody listens");
    }

    #[test]
    fn this_process_is_found_as_holder() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = listener.local_addr().expect("address").port();
        let holders = find(&[port]);
        assert_eq!(holders[&port].pid, Some(std::process::id()));
    }
}
