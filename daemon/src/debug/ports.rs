//! A debug port, held: bound without listening, so that it refuses connections, shows in no listing, and nobody else
//! can take it (the range lies inside the ephemeral ports, which outgoing connections use).
//!
//! State: the sockets of one port on 127.0.0.1, ::1 and 0.0.0.0. Listening is a [`Listening`], and its end holds again.
//! Invariants: `loopback` has 127.0.0.1 first. `SO_REUSEADDR` is set just before `bind()` and `listen()`, because a session that our side closed leaves
//! TIME_WAIT behind; a held socket has it cleared, or a listener that sets it (Go's and Node's do) takes the port.
//! Not here: who has a port that cannot be held (`holder`), which lease has which port (`actor`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be looked at: a flood of strangers' is not to keep the owner's out for long.
const BACKLOG: i32 = 256;

/// A port that is ours.
#[derive(Debug)]
pub struct HeldPort {
    port: u16,
    /// 127.0.0.1 and, where the machine has it, ::1: what a lease listens on.
    loopback: Vec<Socket>,
    /// 0.0.0.0: it only keeps others away, from every address of the machine.
    any: Socket,
}

/// A held port that accepts connections. Dropping it refuses them again and keeps the port held; connections that were
/// accepted live on.
#[derive(Debug)]
pub struct Listening {
    held: Arc<HeldPort>,
    /// Whether it listens on all IPv4 addresses and not on 127.0.0.1 alone.
    everywhere: bool,
}

impl HeldPort {
    /// Takes `port` on all three addresses, or on none.
    ///
    /// # Errors
    /// Somebody else has the port on one of them.
    pub fn hold(port: u16) -> io::Result<Self> {
        let mut loopback = vec![bound(Ipv4Addr::LOCALHOST.into(), port)?];
        match bound(Ipv6Addr::LOCALHOST.into(), port) {
            Ok(socket) => loopback.push(socket),
            Err(error) if lacks_ipv6(&error) => {}
            Err(error) => return Err(error),
        }
        let any = bound(Ipv4Addr::UNSPECIFIED.into(), port)?;
        let held = Self { port, loopback, any };
        held.set_reuse(false)?;
        Ok(held)
    }

    /// The port's number.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Accepts connections on the loopback addresses, or `everywhere` on all IPv4 addresses and ::1, until the
    /// [`Listening`] is dropped.
    ///
    /// # Errors
    /// The kernel refused; the port stays held.
    pub fn listen(self: &Arc<Self>, everywhere: bool) -> io::Result<Listening> {
        let listening = Listening { held: Arc::clone(self), everywhere };
        self.set_reuse(true)?;
        for socket in listening.sockets() {
            socket.listen(BACKLOG)?;
        }
        // Those that listen keep it: accepted connections inherit it, and so does their TIME_WAIT.
        let deaf = if everywhere { &self.loopback[0] } else { &self.any };
        deaf.set_reuse_address(false)?;
        Ok(listening)
    }

    fn set_reuse(&self, reuse: bool) -> io::Result<()> {
        for socket in self.loopback.iter().chain([&self.any]) {
            socket.set_reuse_address(reuse)?;
        }
        Ok(())
    }
}

impl Listening {
    /// The listeners, for a runtime to accept on. They go deaf with this value, wherever they are.
    ///
    /// # Errors
    /// No more descriptors.
    pub fn listeners(&self) -> io::Result<Vec<TcpListener>> {
        self.sockets().map(|socket| socket.try_clone().map(TcpListener::from)).collect()
    }

    /// Two that listen on overlapping addresses cannot be: 0.0.0.0 serves 127.0.0.1 as well, whose own socket stays deaf.
    fn sockets(&self) -> impl Iterator<Item = &Socket> {
        let HeldPort { loopback, any, .. } = &*self.held;
        let (v4, v6) = loopback.split_at(1);
        (if self.everywhere { std::slice::from_ref(any) } else { v4 }).iter().chain(v6)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        for socket in self.sockets() {
            // Fails only where `listen` did; the socket stays bound either way.
            let _ = socket.shutdown(std::net::Shutdown::Read);
        }
        if let Err(error) = self.held.set_reuse(false) {
            tracing::warn!(port = self.held.port, %error, "the port may be taken by another listener");
        }
    }
}

/// A socket of `ip`:`port`, bound, not listening, `SO_REUSEADDR` set.
fn bound(ip: IpAddr, port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address((ip, port).into()), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if ip.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::new(ip, port).into())?;
    Ok(socket)
}

/// Whether the machine has no ::1: no IPv6 at all, or switched off.
fn lacks_ipv6(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL | Errno::PROTONOSUPPORT))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
    use std::sync::Arc;

    use rustix::io::Errno;
    use socket2::{Domain, Protocol, Socket, Type};

    use super::HeldPort;

    fn hold_any() -> Arc<HeldPort> {
        // portpicker's port may be taken between its look and ours.
        let held = (0..50).find_map(|_| HeldPort::hold(portpicker::pick_unused_port()?).ok());
        Arc::new(held.expect("a port that can be held"))
    }

    fn connect(ip: IpAddr, port: u16) -> std::io::Result<Socket> {
        let address = SocketAddr::new(ip, port).into();
        let socket = Socket::new(Domain::for_address(SocketAddr::new(ip, port)), Type::STREAM, Some(Protocol::TCP))?;
        socket.connect(&address)?;
        Ok(socket)
    }

    /// Another program's listener on each address, with and without SO_REUSEADDR: none may come through.
    fn assert_nobody_listens(port: u16, when: &str) {
        let v4 = [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED].map(IpAddr::V4);
        let v6 = [Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED].map(IpAddr::V6);
        for (ip, reuse) in v4.into_iter().chain(v6).flat_map(|ip| [(ip, false), (ip, true)]) {
            let address = SocketAddr::new(ip, port);
            let Ok(socket) = Socket::new(Domain::for_address(address), Type::STREAM, None) else { continue };
            socket.set_reuse_address(reuse).expect("setsockopt");
            let taken = socket.bind(&address.into()).and_then(|()| socket.listen(1));
            let errno = taken.as_ref().err().and_then(Errno::from_io_error);
            assert!(
                matches!(errno, Some(Errno::ADDRINUSE | Errno::ADDRNOTAVAIL)),
                "{when}: {address} with SO_REUSEADDR {reuse} gave {taken:?}",
            );
        }
    }

    /// One session that our side closes first, so that TIME_WAIT stays with us.
    fn session(held: &Arc<HeldPort>, everywhere: bool) {
        let listening = held.listen(everywhere).expect("listen");
        for listener in listening.listeners().expect("listeners") {
            let ip = listener.local_addr().expect("address").ip();
            let to = if ip.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { ip };
            let mut client = connect(to, held.port()).expect("connect");
            listener.set_nonblocking(false).expect("blocking");
            drop(listener.accept().expect("accept"));
            assert_eq!(client.read(&mut [0]).expect("end"), 0);
        }
        assert_nobody_listens(held.port(), "leased");
    }

    #[test]
    fn held_port_refuses_connections_and_listeners() {
        let held = hold_any();
        for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let errno = connect(ip, held.port()).err().as_ref().and_then(Errno::from_io_error);
            assert!(matches!(errno, Some(Errno::CONNREFUSED | Errno::ADDRNOTAVAIL)), "{ip}: {errno:?}");
        }
        assert_nobody_listens(held.port(), "held");
        assert!(HeldPort::hold(held.port()).is_err(), "a second daemon cannot hold it");
    }

    #[test]
    fn port_serves_again_after_a_session() {
        let held = hold_any();
        for everywhere in [false, true, false, true, true] {
            session(&held, everywhere);
            assert_nobody_listens(held.port(), "held again");
            let errno = connect(Ipv4Addr::LOCALHOST.into(), held.port()).err().as_ref().and_then(Errno::from_io_error);
            assert_eq!(errno, Some(Errno::CONNREFUSED), "held again");
        }
    }

    #[test]
    fn restarted_daemon_holds_at_once() {
        let held = hold_any();
        let port = held.port();
        session(&held, false);
        // As after SIGKILL: all sockets go, one of them with a client still connected.
        let listening = held.listen(false).expect("listen");
        let client = connect(Ipv4Addr::LOCALHOST.into(), port).expect("connect");
        drop((listening, held));
        let held = Arc::new(HeldPort::hold(port).expect("hold again, TIME_WAIT or not"));
        assert_nobody_listens(port, "held by the next daemon");
        session(&held, false);
        drop(client);
    }
}
