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
        /// What the lease on it serves.
        #[serde(default)]
        pub kind: Option<LeaseKind>,
        /// What the lease on it is for, as its owner said.
        #[serde(default)]
        pub purpose: Option<String>,
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
        /// What it is for, as its owner said: an editor's window, a script.
        #[serde(default)]
        pub purpose: Option<String>,
        /// The debug adapter's process; for `adopt`, that of the process that listens there, where it is known.
        pub pid: Option<u32>,
        /// Where an adopted debug adapter listens.
        #[serde(default)]
        pub to: Option<String>,
        /// Debug clients that are connected.
        #[serde(default)]
        pub clients: u32,
        /// Addresses beyond the loopback interface whose clients may connect: `debug.bind` and `debug.allow`.
        #[serde(default)]
        pub open_to: Vec<String>,
        /// Since when it is in its state, RFC 3339.
        pub since: String,
        /// Why it ended.
        pub reason: Option<String>,
    }

    /// What a lease serves.
    #[derive(Copy, Default)]
    pub enum LeaseKind {
        /// One `dlv dap` for one client.
        #[default]
        Dap,
        /// One program under `dlv --headless`, for many clients, one after another or at once.
        Headless,
        /// A debug adapter that somebody else started: relayed and listed, not ended with the lease.
        Adopt,
    }

    /// What `dlv --headless` debugs.
    pub struct HeadlessTarget {
        /// How the program comes about.
        pub mode: HeadlessMode,
        /// The package, the binary, or the process id.
        pub target: String,
        /// The core file, for `core`.
        #[serde(default)]
        pub core: Option<String>,
        /// The program's arguments.
        #[serde(default)]
        pub args: Vec<String>,
        /// Flags of `go build`, such as `-tags=integration`.
        #[serde(default)]
        pub build_flags: Option<String>,
        /// Whether the program runs at once; else it waits for a client.
        #[serde(default)]
        pub running: bool,
    }

    /// How a program under `dlv --headless` comes about.
    #[derive(Copy)]
    pub enum HeadlessMode {
        /// Built from a package.
        Debug,
        /// A package's tests.
        Test,
        /// A binary that is there.
        Exec,
        /// A process that runs; it goes on when the lease ends.
        Attach,
        /// A binary with the core that it left.
        Core,
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
    #[derive(Default)]
    pub struct LeaseParams {
        /// The workspace's path, or one in it: the innermost of the session's workspaces around it is meant. Links are followed.
        pub workspace: String,
        /// What it serves.
        pub kind: LeaseKind,
        /// The port wanted; else the first free one.
        pub port: Option<u16>,
        /// Take another port where `port` is taken.
        #[serde(default)]
        pub any_port: bool,
        /// Where no port is free, wait in turn until one is. Closing the connection gives the place up.
        #[serde(default)]
        pub wait: bool,
        /// The program, for the listing.
        pub program: Option<String>,
        /// What it is for, for the listing.
        #[serde(default)]
        pub purpose: Option<String>,
        /// The debug adapter's folder; else the workspace's.
        pub cwd: Option<String>,
        /// Environment on top of the session's.
        #[serde(default)]
        pub env: BTreeMap<String, String>,
        /// What to debug, for `headless`.
        #[serde(default)]
        pub headless: Option<HeadlessTarget>,
        /// Where the debug adapter listens, for `adopt`: `unix:PATH` or `HOST:PORT`.
        #[serde(default)]
        pub to: Option<String>,
        /// For `dap`: where the client attaches by name (`waitFor`), attach again each time a program of that name starts.
        #[serde(default)]
        pub follow: bool,
        /// For `dap`: whether a launched program is built and restarted when its files change, where its launch has no
        /// `reload` attribute; else as the settings say. That attribute of DAP's `launch`, `true`, `false` or
        /// `{ "whenStopped": "wait" | "ask" | "restart" }`, comes before both. With `ask`, a program that was built while
        /// the old one stands at a breakpoint is told by the DAP event `burrow/reload/built`; the client answers with
        /// `restart` to run it, or with `continue` to go on in the old one.
        #[serde(default)]
        pub reload: Option<bool>,
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
        /// Which start of the debug adapter within the lease, from 1 (so is 0); `offset` counts within it. There is more
        /// than one where a program without a debugger is reloaded.
        #[serde(default)]
        pub attempt: u32,
        /// How long to wait for output where there is none yet, in milliseconds; a minute at most.
        #[serde(default)]
        pub wait_ms: u32,
    }

    /// What `burrow debug try --json` prints.
    pub struct TrialReport {
        /// The program's folder, from the workspace.
        pub program: String,
        /// Where it was to stop.
        pub target: String,
        /// The lease that it ran through.
        pub lease: LeaseStatus,
        /// Where it stopped, in order.
        pub stops: Vec<Stop>,
        /// What the program answered, where it was asked.
        pub response: Option<HttpResponse>,
        /// What was done, and how long it took.
        pub steps: Vec<TrialStep>,
    }

    /// Where a program stopped.
    pub struct Stop {
        /// The function.
        pub function: String,
        /// The file.
        pub file: String,
        /// The line, from 1.
        pub line: u32,
        /// What stands there.
        pub source: Option<String>,
        /// The local variables, arguments among them.
        pub variables: Vec<Variable>,
    }

    /// One variable.
    pub struct Variable {
        /// Its name.
        pub name: String,
        /// Its type.
        #[serde(rename = "type", default)]
        pub kind: String,
        /// Its value, as dlv prints it.
        pub value: String,
    }

    /// What a program answered to an HTTP request.
    pub struct HttpResponse {
        /// The status line.
        pub status: String,
        /// The body.
        pub body: String,
    }

    /// A step of the self-test.
    pub struct TrialStep {
        /// What was done.
        pub name: String,
        /// How long it took.
        pub duration_ms: u32,
    }
}

impl PortStatus {
    /// A port of which nothing else is known.
    #[must_use]
    pub const fn bare(port: u16, state: PortState) -> Self {
        Self { port, state, lease_id: None, holder: None, kind: None, purpose: None, pid: None, since: None }
    }
}
