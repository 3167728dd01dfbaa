//! Connecting, and starting the daemon where none runs.

use std::time::Duration;

use burrow_protocol::error::ErrorData;
use burrow_protocol::methods::StopParams;
use burrow_protocol::session::{ClientOptions, Rendezvous};
use camino::Utf8Path;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::{Client, ClientError, Finder, Standing};
use crate::config;
use crate::durable;
use crate::process;

/// How long a daemon may take until it answers; a slow disk and a busy machine included.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// How long between two looks for a daemon that somebody else is starting.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl Finder {
    /// Connects to the running daemon.
    ///
    /// # Errors
    /// [`ClientError::NotRunning`], [`ClientError::Untrusted`], or what `initialize` says.
    pub async fn connect(&self, options: ClientOptions, root: Option<&Utf8Path>) -> Result<Client, ClientError> {
        let stream = self.dial().await?;
        let opened = Client::open(stream, self.with_safe_environment(options), root);
        // One that hangs is told as one that cannot be reached.
        timeout(START_DEADLINE, opened)
            .await
            .unwrap_or_else(|late| Err(ClientError::Connection { source: late.into() }))
    }

    /// Connects to the daemon, starting it where none runs. With `replace`, one of another build is restarted first,
    /// unless it is of a higher version, a debug session runs or a hook is in flight.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn connect_or_start(
        &self,
        options: ClientOptions,
        root: Option<&Utf8Path>,
        replace: bool,
    ) -> Result<Client, ClientError> {
        let deadline = Instant::now() + START_DEADLINE;
        let mut last = None;
        while Instant::now() < deadline {
            match self.connect(options.clone(), root).await {
                Ok(client) if replace && self.gives_way(&[Standing::Newer, Standing::Rebuilt])? => {
                    if !client.may_be_replaced().await? {
                        return Ok(client);
                    }
                    client.stop(StopParams { hooks: false, restart: true }).await?;
                }
                Err(ClientError::NotRunning { .. } | ClientError::Connection { .. }) => match self.spawn().await? {
                    Spawned::Ready => {}
                    Spawned::Busy(why) => {
                        last = Some(why);
                        sleep(LOOK_AGAIN).await;
                    }
                },
                other => return other,
            }
        }
        let why = last.map_or_else(|| "it does not answer".to_owned(), |data| data.message);
        Err(ClientError::Start { why })
    }

    /// Whether this binary stands to the daemon that runs in one of these ways.
    ///
    /// # Errors
    /// [`ClientError::Untrusted`].
    pub fn gives_way(&self, to: &[Standing]) -> Result<bool, ClientError> {
        Ok(self.rendezvous()?.is_some_and(|running| to.contains(&Standing::to(&running))))
    }

    async fn dial(&self) -> Result<UnixStream, ClientError> {
        let not_running = || ClientError::NotRunning { state_dir: self.config.state.dir().to_owned() };
        let rendezvous: Rendezvous = self.rendezvous()?.ok_or_else(not_running)?;
        let stream = UnixStream::connect(&rendezvous.socket).await.map_err(|_| not_running())?;
        let peer = stream.peer_cred().map_err(|source| ClientError::Connection { source })?;
        if peer.uid() != self.identity.uid {
            let why = format!("its server runs as uid {}, not {}", peer.uid(), self.identity.uid);
            return Err(ClientError::Untrusted { path: rendezvous.socket.into(), why });
        }
        Ok(stream)
    }

    /// Root's environment goes to a daemon of root's only: another user's would keep it in memory.
    fn with_safe_environment(&self, mut options: ClientOptions) -> ClientOptions {
        if self.identity.uid != rustix::process::getuid().as_raw() {
            options.environment.clear();
        }
        options
    }

    /// Starts a daemon and waits for its first word.
    async fn spawn(&self) -> Result<Spawned, ClientError> {
        // Where the directory cannot be made, the daemon says why.
        if self.identity.become_user.is_none() {
            let _ = durable::create_dir(self.config.state.dir());
        }
        // The daemon needs nobody's secrets: work comes with its caller's environment.
        let mut env = config::base_env(&config::process_env(), None);
        env.extend(self.config.to_env());
        let start = |error: process::ProcessError| ClientError::Start { why: crate::coded::with_causes(&error) };
        let stdout = process::spawn_detached(&["daemon", "--report"], &env).map_err(start)?;
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        match timeout(START_DEADLINE, stdout.read_line(&mut line)).await {
            Ok(Ok(_)) => {}
            Ok(Err(source)) => return Err(ClientError::Connection { source }),
            Err(_) => return Err(ClientError::Start { why: "it said nothing in time".to_owned() }),
        }
        if serde_json::from_str::<Rendezvous>(&line).is_ok() {
            return Ok(Spawned::Ready);
        }
        match serde_json::from_str::<ErrorData>(&line) {
            Ok(data) if data.code == burrow_protocol::error::ErrorCode::DaemonRunning.code() => Ok(Spawned::Busy(data)),
            Ok(data) => Err(ClientError::Refused(data)),
            Err(_) => Err(ClientError::Start { why: "it ended without a word".to_owned() }),
        }
    }
}

enum Spawned {
    /// It listens.
    Ready,
    /// Another one has the state directory: it is starting or ending.
    Busy(ErrorData),
}
