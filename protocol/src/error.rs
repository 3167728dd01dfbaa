//! The one registry of error codes: the same in stderr, `--json` and JSON-RPC's `error.data`.

macro_rules! registry {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal $slug:literal;)*) => {
        /// What can go wrong, by a code that never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl ErrorCode {
            /// All codes, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code as shown: `BUR101`.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => concat!("BUR", stringify!($code)),)* }
            }

            /// The code that is shown as `text`: the way back from [`Self::code`].
            #[must_use]
            pub fn from_code(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.code() == text)
            }

            /// The number alone.
            #[must_use]
            pub const fn number(self) -> i64 {
                match self { $(Self::$variant => $code,)* }
            }

            /// The code in words: `daemon-unreachable`.
            #[must_use]
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$variant => $slug,)* }
            }

            /// What it means.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)* }
            }
        }
    };
}

registry! {
    /// No daemon answers.
    DaemonUnreachable = 101 "daemon-unreachable";
    /// The daemon could not be started.
    DaemonStart = 102 "daemon-start";
    /// Another daemon has this state directory.
    DaemonRunning = 103 "daemon-running";
    /// The state directory cannot be written.
    StateUnwritable = 104 "state-unwritable";
    /// The state directory is not safe to use: a link, another owner, or open to others.
    StateUnsafe = 105 "state-unsafe";
    /// A process setting has a value that makes no sense.
    BadSetting = 106 "bad-setting";
    /// The socket's path is too long.
    SocketPath = 107 "socket-path";
    /// Client and daemon have no protocol version in common.
    ProtocolVersion = 108 "protocol-version";
    /// The peer is not allowed to speak to this daemon.
    PeerRefused = 109 "peer-refused";
    /// The user stopped the daemon, and it stays stopped.
    StoppedByUser = 110 "stopped-by-user";
    /// The request makes no sense.
    BadRequest = 111 "bad-request";
    /// An unexpected failure inside Burrow.
    Internal = 199 "internal";

    /// The folder does not exist or is no folder.
    NoFolder = 201 "no-folder";
    /// devcontainer.json is no valid JSON with comments.
    ConfigSyntax = 202 "config-syntax";
    /// devcontainer.json has a value that makes no sense.
    ConfigValue = 203 "config-value";
    /// The session has not opened this workspace.
    WorkspaceUnknown = 204 "workspace-unknown";
    /// A file that Burrow writes is a link out of the workspace.
    LinkOutside = 205 "link-outside";
    /// There is no Go module in the workspace.
    NoModule = 206 "no-module";
    /// go.mod or go.work cannot be read.
    GoModSyntax = 207 "go-mod-syntax";
    /// Hooks run as another user than devcontainer.json says.
    OtherUser = 208 "other-user";
    /// The user's shell does not say what it sets.
    EnvironmentProbe = 209 "environment-probe";
    /// vendor/ does not agree with go.mod.
    VendorDisagrees = 210 "vendor-disagrees";

    /// The hook failed.
    HookFailed = 301 "hook-failed";
    /// The hook is not configured.
    HookUnknown = 302 "hook-unknown";
    /// The hook is running already.
    HookRunning = 303 "hook-running";
    /// There is no such run, or its log is gone.
    RunUnknown = 304 "run-unknown";
    /// The run could not be recorded, so it was not started.
    RunNotRecorded = 305 "run-not-recorded";
    /// The process could not be started.
    SpawnFailed = 306 "spawn-failed";
    /// How the run ended is not known: its shim died.
    RunInterrupted = 307 "run-interrupted";
    /// A command of a hook would wait for its own end.
    WaitsForItself = 308 "waits-for-itself";
    /// The command has no terminal to type into, or has ended.
    NoTerminal = 320 "no-terminal";

    /// There is no Go on PATH.
    NoGo = 401 "no-go";
    /// The Go at hand is older than the workspace asks for.
    GoTooOld = 402 "go-too-old";
    /// No version of the tool fits this Go.
    NoVersionFits = 403 "no-version-fits";
    /// The pinned version cannot work with this Go.
    PinCannotWork = 404 "pin-cannot-work";
    /// The module could not be downloaded.
    Download = 405 "download-failed";
    /// A checksum is not the expected one.
    ChecksumMismatch = 406 "checksum-mismatch";
    /// The tool could not be built.
    BuildFailed = 407 "build-failed";
    /// The tools are not what the lock file says.
    Drifted = 408 "drifted";
    /// The lock file is not valid.
    LockInvalid = 409 "lock-invalid";
    /// The store cannot be written.
    StoreUnwritable = 410 "store-unwritable";
    /// There is no generation to go back to.
    NoGeneration = 411 "no-generation";
    /// The disk is full.
    DiskFull = 412 "disk-full";
    /// The tool is not known by that name.
    ToolUnknown = 413 "tool-unknown";
    /// Pins of one tool exclude each other.
    PinsConflict = 414 "pins-conflict";
    /// The operation on the tools was cancelled.
    ToolsCancelled = 415 "tools-cancelled";
    /// A file that pins tools cannot be read.
    PinFile = 416 "pin-file";
    /// A build of the same sources gave another binary.
    NotReproduced = 417 "not-reproduced";
    /// Nobody agreed to write into this repository.
    ConsentNeeded = 418 "consent-needed";

    /// All debug ports are taken.
    PortsTaken = 501 "ports-taken";
    /// The port is held by another process.
    PortForeign = 502 "port-foreign";
    /// The port is leased already.
    PortLeased = 503 "port-leased";
    /// There is no such lease.
    LeaseUnknown = 504 "lease-unknown";
    /// dlv is not installed for this workspace.
    NoDlv = 505 "no-dlv";
    /// dlv did not start.
    DlvStart = 506 "dlv-start";
    /// The program could not be debugged.
    DebugFailed = 507 "debug-failed";
    /// The program could not be built.
    ProgramBuild = 508 "program-build-failed";
    /// The port is not one of the debug ports.
    PortOutside = 509 "port-outside";
    /// Nobody listens where the debug adapter should be.
    NoAdapter = 510 "no-adapter";

    /// The settings of a reload make no sense.
    ReloadSettings = 601 "reload-settings";
    /// There is no such reload.
    ReloadUnknown = 602 "reload-unknown";

    /// One of Burrow's own folders does not belong to the user as whom it runs.
    OwnerWrong = 701 "owner-wrong";
    /// The container's engine has a socket here, and cannot be asked.
    EngineUnreachable = 702 "engine-unreachable";
    /// The Feature does not tell whose daemon the container has.
    RemoteUserUnknown = 703 "remote-user-unknown";
    /// The container's entrypoint has not made the user's state directory.
    StateNotMade = 704 "state-not-made";
}

wire! {
    /// `error.data` of a JSON-RPC error, and what `--json` prints for a failure.
    pub struct ErrorData {
        /// The registry's code: `BUR101`.
        pub code: String,
        /// The code in words.
        pub slug: String,
        /// What failed and why.
        pub message: String,
        /// What to do next.
        pub hint: Option<String>,
    }
}

impl ErrorData {
    /// An error of the registry, in the form that crosses the socket.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>, hint: Option<String>) -> Self {
        Self { code: code.code().to_owned(), slug: code.slug().to_owned(), message: message.into(), hint }
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn codes_are_in_order_and_unique() {
        let numbers: Vec<_> = ErrorCode::ALL.iter().map(|code| code.number()).collect();
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(numbers, sorted, "each number once, in order");
        let mut slugs: Vec<_> = ErrorCode::ALL.iter().map(|code| code.slug()).collect();
        slugs.sort_unstable();
        slugs.dedup();
        assert_eq!(slugs.len(), ErrorCode::ALL.len(), "each slug once");
    }
}
