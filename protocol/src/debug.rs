//! Debug ports and leases.

use std::collections::BTreeMap;

wire! {
    /// One of the debug ports.
    pub struct PortStatus {
        /// The port's number.
        pub port: u16,
        /// Its state.
        pub state: PortState,
        /// The lease on it.
        pub lease_id: Option<String>,
        /// Who has it: a workspace's program, or a foreign process by name.
        pub holder: Option<String>,
        /// The holder's process, where it is known.
        pub pid: Option<u32>,
        /// Since when, RFC 3339.
        pub since: Option<String>,
    }

    /// The state of a debug port.
    #[derive(Copy)]
    pub enum PortState {
        /// Held by the daemon, ready to be leased.
        Free,
        /// Leased, nobody connected.
        Leased,
        /// A debug client is connected.
        Connected,
        /// Another process has it; tried again.
        Foreign,
    }

    /// One lease.
    pub struct LeaseStatus {
        /// Its name, such as `lease-3`.
        pub id: String,
        /// What it serves.
        pub kind: LeaseKind,
        /// Its state.
        pub state: LeaseState,
        /// Where a debug client connects.
        pub endpoint: LeaseEndpoint,
        /// The workspace it belongs to.
        pub workspace: String,
        /// The program being debugged, as the client named it.
        pub program: Option<String>,
        /// The debug adapter's process.
        pub pid: Option<u32>,
        /// Since when it is in its state, RFC 3339.
        pub since: String,
        /// Why it ended.
        pub reason: Option<String>,
    }

    /// What a lease serves.
    #[derive(Copy)]
    pub enum LeaseKind {
        /// One `dlv dap` for one client.
        Dap,
    }

    /// The state of a lease.
    #[derive(Copy)]
    pub enum LeaseState {
        /// It listens, nobody connected.
        Leased,
        /// A debug client is connected.
        Connected,
        /// It is over.
        Ended,
    }

    /// Where a debug client connects.
    #[serde(untagged)]
    pub enum LeaseEndpoint {
        /// A TCP port on the loopback interface.
        Port {
            /// Its number.
            port: u16,
        },
        /// A Unix socket.
        Socket {
            /// Its path.
            socket: String,
        },
    }

    /// Params of `burrow/debug/lease`.
    pub struct LeaseParams {
        /// The workspace's path.
        pub workspace: String,
        /// What it serves.
        pub kind: LeaseKind,
        /// The port wanted; else the first free one.
        pub port: Option<u16>,
        /// The program, for the listing.
        pub program: Option<String>,
        /// The debug adapter's folder; else the workspace's.
        pub cwd: Option<String>,
        /// Environment on top of the session's.
        pub env: BTreeMap<String, String>,
        /// The absolute path of another dlv than the workspace's.
        #[serde(default)]
        pub dlv: Option<String>,
        /// Flags of dlv besides those that say where it listens, such as `--check-go-version=false`.
        #[serde(default)]
        pub flags: Vec<String>,
    }

    /// The answer of `burrow/debug/lease`: the port listens.
    pub struct LeaseGranted {
        /// The new lease.
        pub lease: LeaseStatus,
    }

    /// Params of `burrow/debug/release`.
    pub struct ReleaseParams {
        /// The lease's name.
        pub id: String,
    }

    /// Params of `burrow/debug/reclaim`: end whatever of ours sits on a port, with all its processes.
    pub struct ReclaimParams {
        /// The port's number.
        pub port: u16,
    }

    /// What a release or reclaim ended.
    pub struct Released {
        /// The lease, where there was one.
        pub lease: Option<LeaseStatus>,
    }

    /// Running Go programs, the newest first.
    pub struct GoProcesses {
        /// The programs of the daemon's user.
        pub processes: Vec<GoProcess>,
    }

    /// A running Go program.
    pub struct GoProcess {
        /// Its process.
        pub pid: u32,
        /// The name of its file.
        pub name: String,
        /// Its command line, its words apart by a space.
        pub command_line: String,
        /// The Go that built it, such as `go1.26.8`.
        pub go: String,
    }

    /// Params of `burrow/debug/readLog`.
    pub struct ReadDebugLogParams {
        /// The lease's name.
        pub id: String,
        /// The first byte wanted.
        pub offset: crate::SafeInt,
    }
}
