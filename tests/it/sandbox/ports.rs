//! Eleven debug ports for each sandbox, never the same for two that live at one time, in any process.

use std::fs::{self, File, OpenOptions};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU16, Ordering};

/// As many as the default range 40000-40010 has.
const SIZE: u16 = 11;
/// Below the ephemeral ports (from 32768), so that no outgoing connection of the machine sits on one.
const FIRST: u16 = 20_000;
const BLOCKS: u16 = (32_000 - FIRST) / SIZE;

/// A block of ports. A lock on a file of its number keeps others from it, and falls with the process.
pub(super) struct PortBlock {
    first: u16,
    _lock: File,
}

impl PortBlock {
    /// Takes the next block that nobody has and whose ports are all free.
    pub(super) fn take() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let folder = "/tmp/burrow-it-ports";
        fs::create_dir_all(folder).unwrap();
        // Processes begin apart, so that they seldom meet.
        let offset = std::process::id() % u32::from(BLOCKS);
        for _ in 0..BLOCKS {
            let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
            let number = u16::try_from((offset + step) % u32::from(BLOCKS)).unwrap();
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(format!("{folder}/{number}"));
            let Ok(lock) = file else { continue };
            let block = Self { first: FIRST + number * SIZE, _lock: lock };
            if block._lock.try_lock().is_ok() && block.taken().is_empty() {
                return block;
            }
        }
        panic!("none of {BLOCKS} blocks of {SIZE} ports from {FIRST} is free");
    }

    pub(super) fn range(&self) -> RangeInclusive<u16> {
        self.first..=self.first + (SIZE - 1)
    }

    /// The ports that somebody listens on, or holds.
    pub(super) fn taken(&self) -> Vec<u16> {
        let hosts = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into()];
        // A machine without IPv6 has nobody there.
        let in_use = |host: IpAddr, port| {
            TcpListener::bind((host, port)).is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
        };
        self.range().filter(|port| hosts.iter().any(|host| in_use(*host, *port))).collect()
    }
}
