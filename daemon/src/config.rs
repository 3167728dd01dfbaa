//! Process settings: from flags and the environment, parsed once, immutable after.
//!
//! Every `BURROW_*` name stands here and nowhere else. All mistakes are told at once, each with name and value.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use burrow_protocol::error::ErrorCode;
use camino::Utf8PathBuf;

use crate::coded::Coded;
use crate::container;
use crate::durable::StateLayout;
use crate::process::user::User;

/// The state directory: ledger, runs, generations, the rendezvous. Default: `/var/lib/burrow/UID` where that is or where
/// the Feature is for this user, else `/var/tmp/burrow-UID`.
pub const STATE_DIR: &str = "BURROW_STATE_DIR";
/// The store of Go tools, which containers may share. Default: `store` in the state directory.
pub const STORE_DIR: &str = "BURROW_STORE_DIR";
/// The daemon's socket. Default: `socket` in the state directory.
pub const SOCKET: &str = "BURROW_SOCKET";
/// The debug ports, such as `40000-40010`.
pub const PORTS: &str = "BURROW_PORTS";
/// What the daemon logs, in the syntax of `tracing`: `info`, or `burrow=debug`.
pub const LOG: &str = "BURROW_LOG";

const DEFAULT_PORTS: RangeInclusive<u16> = 40000..=40010;

/// The longest path that fits a Unix socket's address, without its closing zero.
pub const MAX_SOCKET_PATH: usize = 107;

/// The settings of this process.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where things lie.
    pub state: StateLayout,
    /// The store of Go tools.
    pub store_dir: Utf8PathBuf,
    /// The daemon's socket.
    pub socket: Utf8PathBuf,
    /// The debug ports.
    pub ports: RangeInclusive<u16>,
    /// What is logged.
    pub log: String,
}

/// One or more settings that make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Values that cannot be used.
    #[error("read the settings: {}", .problems.join("; "))]
    Values {
        /// One sentence each.
        problems: Vec<String>,
    },
    /// The socket's path does not fit.
    #[error("use the socket {path}: its path has {length} bytes, and {MAX_SOCKET_PATH} is the limit")]
    SocketPath {
        /// The path.
        path: Utf8PathBuf,
        /// Its length in bytes.
        length: usize,
    },
}

impl Coded for ConfigError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Values { .. } => ErrorCode::BadSetting,
            Self::SocketPath { .. } => ErrorCode::SocketPath,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Values { .. } => "correct these environment variables, or unset them".to_owned(),
            Self::SocketPath { .. } => format!("set {SOCKET} to a shorter path, in a folder of your own"),
        })
    }
}

impl Config {
    /// Reads the settings from `env` for the user `uid`.
    ///
    /// # Errors
    /// [`ConfigError`] with every mistake.
    pub fn from_env(env: &BTreeMap<String, String>, uid: u32) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut path = |name: &str| {
            let value = env.get(name).filter(|value| !value.is_empty())?;
            if !value.starts_with('/') {
                problems.push(format!("{name}={value} is no absolute path"));
            }
            Some(Utf8PathBuf::from(value))
        };
        let state_dir = path(STATE_DIR).unwrap_or_else(|| default_state_dir(uid));
        let store_dir = path(STORE_DIR).unwrap_or_else(|| state_dir.join("store"));
        let socket = path(SOCKET).unwrap_or_else(|| state_dir.join("socket"));
        let ports = match env.get(PORTS).map(|value| parse_ports(value)) {
            None => DEFAULT_PORTS,
            Some(Ok(ports)) => ports,
            Some(Err(problem)) => {
                problems.push(problem);
                DEFAULT_PORTS
            }
        };
        if !problems.is_empty() {
            return Err(ConfigError::Values { problems });
        }
        if socket.as_str().len() > MAX_SOCKET_PATH {
            return Err(ConfigError::SocketPath { length: socket.as_str().len(), path: socket });
        }
        let log = env.get(LOG).cloned().unwrap_or_else(|| "info".to_owned());
        Ok(Self { state: StateLayout::new(state_dir), store_dir, socket, ports, log })
    }

    /// The settings as environment variables, for a process that must have the same.
    #[must_use]
    pub fn to_env(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (STATE_DIR.to_owned(), self.state.dir().to_string()),
            (STORE_DIR.to_owned(), self.store_dir.to_string()),
            (SOCKET.to_owned(), self.socket.to_string()),
            (PORTS.to_owned(), format!("{}-{}", self.ports.start(), self.ports.end())),
            (LOG.to_owned(), self.log.clone()),
        ])
    }
}

/// This process's environment, as far as it is UTF-8: nothing else can cross the socket.
#[must_use]
pub fn process_env() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// What a process needs to be itself, of the environment `env`: the environment of work whose caller sent none. As `user`,
/// where this process has become somebody else than its environment says.
#[must_use]
pub fn base_env(env: &BTreeMap<String, String>, user: Option<&User>) -> BTreeMap<String, String> {
    const KEPT: [&str; 19] = [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LC_ALL",
        "TZ",
        "GOROOT",
        "GOPATH",
        "GOTOOLCHAIN",
        "GOPRIVATE",
        "GONOPROXY",
        "GONOSUMDB",
        "GOSUMDB",
        "GOFLAGS",
        "GOMODCACHE",
        "GOCACHE",
        // Which kind of container this is.
        "KUBERNETES_SERVICE_HOST",
    ];
    let kept = |name: &str| KEPT.contains(&name);
    let mut base: BTreeMap<_, _> =
        env.iter().filter(|(name, _)| kept(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    if let Some(user) = user {
        for (name, value) in
            [("HOME", &user.home), ("USER", &user.name), ("LOGNAME", &user.name), ("SHELL", &user.shell)]
        {
            base.insert(name.to_owned(), value.clone());
        }
    }
    base
}

fn default_state_dir(uid: u32) -> Utf8PathBuf {
    let prepared = container::state_of(uid);
    // A container that is just starting has it a moment later: two daemons would not know of each other.
    if prepared.is_dir() || container::has_state(uid) { prepared } else { format!("/var/tmp/burrow-{uid}").into() }
}

fn parse_ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first @ 1..), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err(format!("{PORTS}={text} is no range of ports such as 40000-40010")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Config, ConfigError, User, base_env, parse_ports};

    #[test]
    fn ranges_of_ports() {
        for (text, expected, why) in [
            ("40000-40010", Some(40000..=40010), "the usual form"),
            ("40000", Some(40000..=40000), "one port"),
            ("40010-40000", None, "the wrong way round"),
            ("0-10", None, "port 0 is any port"),
            ("a-b", None, "no numbers"),
        ] {
            assert_eq!(parse_ports(text).ok(), expected, "{why}");
        }
    }

    #[test]
    fn work_without_an_environment_has_what_it_needs_and_no_secret() {
        let env = [("PATH", "/bin"), ("GOROOT", "/go"), ("GOOGLE_TOKEN", "secret"), ("HOME", "/root")];
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let user = User {
            name: "me".into(),
            uid: 1000,
            gid: 1000,
            groups: vec![1000],
            home: "/home/me".into(),
            shell: "/bin/sh".into(),
        };
        let base = base_env(&env, Some(&user));
        assert_eq!(base.get("HOME").map(String::as_str), Some("/home/me"), "root's home is not this user's");
        assert_eq!(base.keys().collect::<Vec<_>>(), ["GOROOT", "HOME", "LOGNAME", "PATH", "SHELL", "USER"]);
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let env = [("BURROW_STATE_DIR", "here"), ("BURROW_PORTS", "x")];
        let env: BTreeMap<_, _> = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let Err(ConfigError::Values { problems }) = Config::from_env(&env, 1000) else { panic!("two mistakes") };
        assert_eq!(problems.len(), 2, "{problems:?}");
    }

    #[test]
    fn what_is_handed_on_reads_back_the_same() {
        let env = BTreeMap::from([("BURROW_STATE_DIR".to_owned(), "/s".to_owned())]);
        let config = Config::from_env(&env, 1000).unwrap();
        let again = Config::from_env(&config.to_env(), 0).unwrap();
        assert_eq!(again.to_env(), config.to_env());
        assert_eq!(again.socket, "/s/socket");
    }
}
