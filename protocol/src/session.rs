//! The start of a conversation: what a client says of itself in `initialize`, and what the daemon answers.

use std::collections::BTreeMap;

wire! {
    /// `daemon.json` in the state directory: how a client finds the running daemon.
    pub struct Rendezvous {
        /// The format's version: 1.
        pub schema: u32,
        /// The daemon's process.
        pub pid: u32,
        /// When it started, RFC 3339.
        pub started_at: String,
        /// Its version.
        pub version: String,
        /// Its build: two builds of one version differ here.
        pub build: String,
        /// The newest protocol that it speaks.
        pub protocol: u32,
        /// The absolute path of its socket.
        pub socket: String,
    }

    /// `initializationOptions` of `initialize`.
    #[serde(default)]
    pub struct ClientOptions {
        /// The newest protocol that the client speaks.
        pub protocol: u32,
        /// What kind of client this is.
        pub kind: ClientKind,
        /// Whether the user trusts the workspace folders of this session.
        pub trusted: bool,
        /// Whether somebody sits in front of it: the command line has a terminal on its standard input.
        pub terminal: bool,
        /// The environment in which work of this session runs. Kept in memory only.
        pub environment: BTreeMap<String, String>,
        /// The folder from which relative paths of this session count.
        pub cwd: String,
    }

    /// What kind of client a session has.
    #[derive(Copy)]
    pub enum ClientKind {
        /// The command line.
        Cli,
        /// An editor's window.
        Window,
    }

    /// `result.capabilities.experimental` of `initialize`.
    pub struct ServerDetails {
        /// The protocol that both sides use from here on.
        pub protocol: u32,
        /// The build of the daemon: two builds of one version differ here.
        pub build: String,
        /// The daemon's process.
        pub pid: u32,
        /// The workspaces that this session is bound to: the absolute paths of its roots.
        pub workspaces: Vec<String>,
    }
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            protocol: crate::PROTOCOL_VERSION,
            kind: ClientKind::Window,
            trusted: false,
            terminal: false,
            environment: BTreeMap::new(),
            cwd: "/".to_owned(),
        }
    }
}
