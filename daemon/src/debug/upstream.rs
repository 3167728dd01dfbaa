//! Where a relay finds its debug adapter: dlv's private socket, or one that somebody else's dlv listens on.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use camino::Utf8PathBuf;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::holder::{self, Process};
use super::tcp_table::{self, TcpState};
use crate::process::Printing;

/// Where a debug adapter listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// On a Unix socket.
    Unix(Utf8PathBuf),
    /// On a port: of this machine, or of one that is reached from here.
    Tcp {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
    },
}

/// A connection to a debug adapter.
#[derive(Debug)]
pub(super) enum Connection {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// The half of a connection that a debug adapter is heard on.
pub(super) type FromAdapter = Box<dyn AsyncRead + Send + Unpin>;
/// The half of a connection that a debug adapter is spoken to on.
pub(super) type ToAdapter = Box<dyn AsyncWrite + Send + Unpin>;

/// A debug adapter that is there.
#[derive(Clone, Debug)]
pub(super) struct Adapter {
    /// Where it listens.
    pub(super) upstream: Upstream,
    /// Its one connection, where it has dialled us.
    pub(super) dialled: Option<Arc<Mutex<Option<std::net::TcpStream>>>>,
    /// What it and its program print, and how many bytes of that were there before its client.
    pub(super) printing: Option<(Printing, u64)>,
}

impl Adapter {
    /// One of which nothing is known but where it listens.
    pub(super) const fn at(upstream: Upstream) -> Self {
        Self { upstream, dialled: None, printing: None }
    }

    /// As [`Upstream::dial`]; one that has dialled us is not there a second time.
    pub(super) async fn dial(&self) -> io::Result<Connection> {
        let Some(dialled) = &self.dialled else { return self.upstream.dial().await };
        let stream = dialled.lock().unwrap_or_else(PoisonError::into_inner).take();
        let stream = stream.ok_or(io::ErrorKind::ConnectionRefused)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Connection::Tcp(TcpStream::from_std(stream)?))
    }
}

impl Connection {
    /// Both halves.
    pub(super) fn into_split(self) -> (FromAdapter, ToAdapter) {
        match self {
            Self::Unix(stream) => {
                let (reader, writer) = stream.into_split();
                (Box::new(reader), Box::new(writer))
            }
            Self::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                (Box::new(reader), Box::new(writer))
            }
        }
    }
}

impl Upstream {
    /// Connects. dlv counts this as its client: only for one that has spoken.
    pub(super) async fn dial(&self) -> io::Result<Connection> {
        match self {
            Self::Unix(path) => Ok(Connection::Unix(UnixStream::connect(path.as_std_path()).await?)),
            Self::Tcp { host, port } => {
                #[expect(clippy::disallowed_methods, reason = "the relay dials the adopted debug adapter")]
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Connection::Tcp(stream))
            }
        }
    }

    /// Whether it is on this machine, so that one who does not listen has ended.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            // The unspecified address leads to this machine, too.
            Self::Tcp { host, .. } => {
                let is_own = |ip: IpAddr| ip.to_canonical().is_loopback() || ip.to_canonical().is_unspecified();
                host == "localhost" || host.parse().is_ok_and(is_own)
            }
        }
    }

    /// The process that listens there, without connecting. Blocks: walks `/proc`.
    ///
    /// # Errors
    /// Nobody listens, as far as that can be known: another machine is not asked.
    pub(super) fn listener(&self) -> Result<Option<Process>, NobodyListens> {
        let inodes: HashSet<u64> = match self {
            Self::Unix(path) => {
                let table = fs_err::read_to_string("/proc/net/unix").unwrap_or_default();
                // One that another container or the host listens on is in no table here.
                if !fs_err::metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
                    return Err(NobodyListens);
                }
                // Written as it was bound, which may have been by another path.
                let real = path.canonicalize_utf8().unwrap_or_else(|_| path.clone());
                listeners_at(&table, path.as_str()).into_iter().chain(listeners_at(&table, real.as_str())).collect()
            }
            Self::Tcp { .. } if !self.is_local() => return Ok(None),
            Self::Tcp { port, .. } => {
                let rows = tcp_table::read().unwrap_or_default();
                let reachable = |address: SocketAddr| {
                    address.port() == *port && (address.ip().is_unspecified() || address.ip().is_loopback())
                };
                let listeners = rows.iter().filter(|row| row.state == TcpState::Listen && reachable(row.local));
                let inodes: HashSet<u64> = listeners.map(|row| row.inode).collect();
                if inodes.is_empty() {
                    return Err(NobodyListens);
                }
                inodes
            }
        };
        Ok(holder::socket_owners(&inodes).into_values().next())
    }
}

/// Nobody listens where a debug adapter should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NobodyListens;

/// The inodes of the sockets that listen at `path`: `Num RefCount Protocol Flags Type St Inode Path`.
fn listeners_at(table: &str, path: &str) -> Vec<u64> {
    /// `__SO_ACCEPTCON`.
    const ACCEPTS: u32 = 1 << 16;
    let inode = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
        let inode = fields.nth(2)?.parse().ok()?;
        (flags & ACCEPTS != 0 && line.ends_with(&format!(" {path}"))).then_some(inode)
    };
    table.lines().filter_map(inode).collect()
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || format!("`{text}` is neither unix:PATH with an absolute path nor HOST:PORT");
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(form()) };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match port.parse() {
            Ok(port @ 1..) if !host.is_empty() => Ok(Self::Tcp { host: host.to_owned(), port }),
            _ => Err(form()),
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix:{path}"),
            Self::Tcp { host, port } if host.contains(':') => write!(formatter, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(formatter, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::{NobodyListens, Upstream, listeners_at};

    #[test]
    fn forms() {
        for (text, expected, why) in [
            ("unix:/run/dlv.sock", Some("unix:/run/dlv.sock"), "a socket"),
            ("127.0.0.1:2345", Some("127.0.0.1:2345"), "an address"),
            ("db.internal:2345", Some("db.internal:2345"), "a name"),
            ("[::1]:2345", Some("[::1]:2345"), "IPv6"),
            ("unix:dlv.sock", None, "relative to what?"),
            ("127.0.0.1", None, "no port"),
            ("127.0.0.1:0", None, "port 0 is any port"),
            (":2345", None, "no host"),
            ("", None, "nothing"),
        ] {
            assert_eq!(text.parse::<Upstream>().ok().map(|to| to.to_string()).as_deref(), expected, "{why}");
        }
    }

    #[test]
    fn what_is_on_this_machine() {
        for (text, expected, why) in [
            ("unix:/run/dlv.sock", true, "a socket"),
            ("localhost:2345", true, "by its name"),
            ("127.0.0.9:2345", true, "loopback is a network"),
            ("[::1]:2345", true, "IPv6"),
            ("[::ffff:127.0.0.1]:2345", true, "IPv4 in IPv6"),
            ("0.0.0.0:2345", true, "whoever dials it gets here"),
            ("[::]:2345", true, "so in IPv6"),
            ("10.0.0.1:2345", false, "another machine"),
            ("db.internal:2345", false, "a name is not asked for"),
        ] {
            assert_eq!(text.parse::<Upstream>().expect("a form").is_local(), expected, "{why}");
        }
    }

    #[test]
    fn listener_is_found_without_connecting() {
        let own = std::process::id();
        let tcp = TcpListener::bind("127.0.0.1:0").expect("bind");
        let to: Upstream = tcp.local_addr().expect("address").to_string().parse().expect("an address");
        assert_eq!(to.listener().expect("it listens").map(|process| process.pid), Some(own));
        tcp.set_nonblocking(true).expect("nonblocking");
        assert!(tcp.accept().is_err(), "nobody connected");
        drop(tcp);
        assert_eq!(to.listener(), Err(NobodyListens));

        let folder = tempfile::tempdir().expect("folder");
        let file = tempfile::NamedTempFile::new_in(&folder).expect("file");
        let to: Upstream = format!("unix:{}", file.path().display()).parse().expect("a path");
        assert_eq!(to.listener(), Err(NobodyListens), "it is no socket");
        let path = folder.path().join("dlv.sock");
        let to: Upstream = format!("unix:{}", path.display()).parse().expect("a path");
        assert_eq!(to.listener(), Err(NobodyListens));
        let _unix = UnixListener::bind(&path).expect("bind");
        assert_eq!(to.listener().expect("it listens").map(|process| process.pid), Some(own));
    }

    #[test]
    fn rows_of_unix_sockets() {
        let table = "Num RefCount Protocol Flags Type St Inode Path\n\
                     0: 00000002 00000000 00010000 0001 01 4711 /run/dlv.sock\n\
                     0: 00000003 00000000 00000000 0001 03 4712 /run/dlv.sock\n\
                     0: 00000002 00000000 00010000 0001 01 4713 /other/run/dlv.sock\n";
        assert_eq!(listeners_at(table, "/run/dlv.sock"), [4711], "the one that listens, and no other path");
    }
}
