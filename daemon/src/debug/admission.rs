//! Who may connect to a leased port. Pure, but for reading the kernel's route table.
//!
//! Invariants: a process of this machine is admitted by its uid alone, whatever address it comes from; everybody else
//! only where the workspace opened its ports, and then only the container's gateway and the networks it names.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use super::tcp_table::{self, PeerRefused, Row};

/// Who may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The uid whose processes, with root's, may connect.
    pub uid: u32,
    /// Whether the port listens on all addresses, and the container's gateway may connect as well.
    pub everywhere: bool,
    /// Networks that may then connect, too.
    pub allow: Vec<Network>,
}

/// Why a peer is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// A process of this machine that may not.
    #[error(transparent)]
    Local(#[from] PeerRefused),
    /// Another machine, or a container's neighbour.
    #[error("the peer {ip} is neither this container's gateway nor in `debug.allow`")]
    Outside {
        /// Its address.
        ip: IpAddr,
    },
}

impl Admission {
    /// Whether a peer may use the port that connects from `ip`. `row` is its socket where that is on this machine,
    /// `gateways` are the kernel's default routes.
    ///
    /// # Errors
    /// [`NotAdmitted`] says why not.
    pub fn admit(&self, row: Option<&Row>, gateways: &[Ipv4Addr], ip: IpAddr) -> Result<(), NotAdmitted> {
        let ip = ip.to_canonical();
        if ip.is_loopback() || row.is_some() {
            return Ok(tcp_table::admit(row, self.uid)?);
        }
        let is_gateway = gateways.iter().any(|gateway| IpAddr::V4(*gateway) == ip);
        let known = is_gateway || self.allow.iter().any(|network| network.contains(ip));
        if self.everywhere && known { Ok(()) } else { Err(NotAdmitted::Outside { ip }) }
    }

    /// Who may connect beyond the loopback interface, in words; empty where nobody may.
    #[must_use]
    pub fn open_to(&self) -> Vec<String> {
        if !self.everywhere {
            return Vec::new();
        }
        let gateways = gateways().into_iter().map(|gateway| gateway.to_string());
        gateways.chain(self.allow.iter().map(Network::to_string)).collect()
    }
}

/// A network in CIDR notation; a lone address is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    ip: IpAddr,
    bits: u8,
}

impl Network {
    fn contains(&self, ip: IpAddr) -> bool {
        match (self.ip, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => same(own.to_bits().into(), ip.to_bits().into(), self.bits, 32),
            (IpAddr::V6(own), IpAddr::V6(ip)) => same(own.to_bits(), ip.to_bits(), self.bits, 128),
            _ => false,
        }
    }
}

/// Whether the first `bits` of two numbers of `width` bits are the same.
fn same(one: u128, other: u128, bits: u8, width: u8) -> bool {
    bits == 0 || (one ^ other) >> (width - bits) == 0
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (ip, bits) = text.trim().split_once('/').map_or((text.trim(), None), |(ip, bits)| (ip, Some(bits)));
        let ip: IpAddr = ip.parse().map_err(|_| ())?;
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), |bits| bits.parse().map_err(|_| ()))?;
        if bits <= width { Ok(Self { ip, bits }) } else { Err(()) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.ip, self.bits)
    }
}

/// The gateways of the default routes: where a published port's connections come from. Reads a file of `/proc`.
#[must_use]
pub(super) fn gateways() -> Vec<Ipv4Addr> {
    parse_routes(&fs_err::read_to_string("/proc/net/route").unwrap_or_default())
}

/// `Iface Destination Gateway Flags ...`, addresses as the machine's own 32-bit number in hexadecimal.
fn parse_routes(table: &str) -> Vec<Ipv4Addr> {
    let gateway = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let destination = u32::from_str_radix(fields.next()?, 16).ok()?;
        let gateway = u32::from_str_radix(fields.next()?, 16).ok()?;
        (destination == 0 && gateway != 0).then(|| Ipv4Addr::from(gateway.to_ne_bytes()))
    };
    table.lines().filter_map(gateway).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::super::tcp_table::{PeerRefused, Row, TcpState, find};
    use super::{Admission, Network, NotAdmitted, parse_routes};

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn networks() {
        for (network, ip, expected, why) in [
            ("10.0.0.0/8", "10.200.3.4", true, "inside"),
            ("10.0.0.0/8", "11.0.0.1", false, "outside"),
            ("0.0.0.0/0", "192.0.2.1", true, "everybody"),
            ("192.0.2.1", "192.0.2.1", true, "one address"),
            ("192.0.2.1", "192.0.2.2", false, "its neighbour"),
            ("fd00::/8", "fd12::1", true, "IPv6"),
            ("::/0", "192.0.2.1", false, "IPv4 is no IPv6"),
        ] {
            let network: Network = network.parse().expect("a network");
            assert_eq!(network.contains(ip.parse().expect("an address")), expected, "{why}");
        }
        for text in ["10.0.0.0/33", "10.0.0/8", "x", "", "10.0.0.0/-1", "::/129"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn peers() {
        let ours = address("172.17.0.2:40000");
        let row =
            |local: &str, uid| Row { local: address(local), remote: ours, state: TcpState::Established, uid, inode: 7 };
        let rows = [row("172.17.0.2:50000", 1000), row("172.17.0.2:50001", 1001)];
        let gateways = [Ipv4Addr::new(172, 17, 0, 1)];
        let closed = Admission { uid: 1000, everywhere: false, allow: vec!["10.0.0.0/8".parse().expect("a network")] };
        let open = Admission { everywhere: true, ..closed.clone() };
        let outside = |ip: &str| Err(NotAdmitted::Outside { ip: ip.parse().expect("an address") });
        for (rules, peer, expected, why) in [
            (&open, "172.17.0.1:9", Ok(()), "the gateway: a published port"),
            (&open, "10.1.2.3:9", Ok(()), "an allowed network"),
            (&open, "172.17.0.3:9", outside("172.17.0.3"), "a neighbour on the bridge"),
            (&closed, "172.17.0.1:9", outside("172.17.0.1"), "nothing was opened"),
            (&closed, "10.1.2.3:9", outside("10.1.2.3"), "`allow` alone opens nothing"),
            (&open, "172.17.0.2:50000", Ok(()), "our own process, by the container's address"),
            (
                &open,
                "172.17.0.2:50001",
                Err(NotAdmitted::Local(PeerRefused::Stranger { uid: 1001 })),
                "another user's, by the container's address",
            ),
            (
                &open,
                "127.0.0.1:9",
                Err(NotAdmitted::Local(PeerRefused::Unknown)),
                "loopback is judged by its row alone",
            ),
        ] {
            let peer = address(peer);
            assert_eq!(rules.admit(find(&rows, peer, ours), &gateways, peer.ip()), expected, "{why}");
        }
    }

    #[test]
    fn gateway_of_the_default_route() {
        let gateway = u32::from_ne_bytes([172, 17, 0, 1]);
        let table = format!(
            "Iface\tDestination\tGateway\tFlags\neth0\t00000000\t{gateway:08X}\t0003\neth0\t000011AC\t00000000\t0001\n"
        );
        assert_eq!(parse_routes(&table), [Ipv4Addr::new(172, 17, 0, 1)]);
        assert_eq!(parse_routes("nonsense\n"), Vec::<Ipv4Addr>::new());
    }
}
