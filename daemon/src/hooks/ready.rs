//! Whether a background service is ready: its output says so, its port is open, or a command of the user's succeeds.
//!
//! Invariants: what is looked at is the masked log, from its first byte on, so a daemon that takes a service over finds
//! what was printed before; no debug port is ever dialled; a port counts where the service listens, and not another process.
//! Not here: how long a service may take, and what follows when it ends before it is ready (`engine`): whoever waits drops
//! the future.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use burrow_protocol::settings::{ReadyCheck, SingleCommand};
use camino::{Utf8Path, Utf8PathBuf};
use regex_lite::Regex;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::process::run::{self, CommandLine};
use crate::process::{LogChunk, LogReader, ProcessError, Stream, sweep};

/// What is read of a log at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// A longer line is looked at in pieces of this length.
const LONGEST_LINE: usize = 64 * 1024;
/// The first pause between two tries, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// One try of a connection, which stays within the container.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// One try of a command.
const COMMAND_WITHIN: Duration = Duration::from_secs(30);

/// The service that is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// The folder of its command: its log is there.
    pub(crate) folder: Utf8PathBuf,
    /// Grows with its log; its sender goes when the service ends.
    pub(crate) output: watch::Receiver<u64>,
    /// The environment and folder of a command that checks.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) cwd: Utf8PathBuf,
    pub(crate) ports: Ports,
}

/// What is to be known of ports.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Those that no ready check may dial.
    pub debug: RangeInclusive<u16>,
    /// Who listens at a port that is none of these processes, nor below one; none where that cannot be known. Blocks.
    pub foreign_listener: fn(u16, &[u32]) -> Option<Server>,
}

/// A process that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its id.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

/// Why a service will never be found ready. To be read after "failed to".
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReady {
    /// It ended, and its output never matched.
    #[error("find a line like `{pattern}` in its output before it ended")]
    Ended { pattern: String },
    #[error("read the pattern `{pattern}`")]
    Pattern { pattern: String, source: regex_lite::Error },
    /// A connection that only looks would end the debug adapter behind it.
    #[error("look at port {port}: it is one of the debug ports")]
    DebugPort { port: u16 },
    /// It is open, and somebody else's.
    #[error("find its own server at port {port}: {holder} (process {pid}) listens there")]
    ForeignPort { port: u16, holder: String, pid: u32 },
    #[error(transparent)]
    Log(#[from] ProcessError),
}

/// Returns once `check` says that the service is ready. Its command is already substituted.
pub(crate) async fn wait(check: &ReadyCheck, service: Service) -> Result<(), NotReady> {
    match check {
        ReadyCheck::Log { log } => line_matches(log, service).await,
        ReadyCheck::Port { port } if service.ports.debug.contains(port) => Err(NotReady::DebugPort { port: *port }),
        ReadyCheck::Port { port } => {
            let is_foreign = async || foreign_listener(*port, &service.ports, &service.folder).await.is_some();
            until(|| async { is_open(*port).await && !is_foreign().await }).await;
            Ok(())
        }
        ReadyCheck::Command { command } => {
            let command = command_line(command, service);
            until(|| succeeds(command.clone())).await;
            Ok(())
        }
    }
}

/// What keeps the service in `folder` from being found ready, where something else does than itself.
pub(crate) async fn obstacle(check: &ReadyCheck, ports: &Ports, folder: &Utf8Path) -> Option<NotReady> {
    let ReadyCheck::Port { port } = check else { return None };
    let Server { pid, name } = foreign_listener(*port, ports, folder).await?;
    Some(NotReady::ForeignPort { port: *port, holder: name, pid })
}

/// Tries again and again, ever more seldom.
async fn until<F: Future<Output = bool>>(mut is_ready: impl FnMut() -> F) {
    let mut pause = FIRST_PAUSE;
    while !is_ready().await {
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[expect(clippy::disallowed_methods, reason = "the port that the user named; the debug ports are refused before")]
async fn is_open(port: u16) -> bool {
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        let connecting = TcpStream::connect(SocketAddr::new(address, port));
        if let Ok(Ok(stream)) = timeout(CONNECT_WITHIN, connecting).await {
            // The kernel may give a connection to a free port of the ephemeral range its own number as a source: then it
            // has reached itself, and nobody listens.
            return stream.local_addr().ok() != stream.peer_addr().ok();
        }
    }
    false
}

/// Who listens at `port` that is no process of the service; none where the service does, or where that cannot be known.
async fn foreign_listener(port: u16, ports: &Ports, folder: &Utf8Path) -> Option<Server> {
    let (folder, look) = (folder.to_owned(), ports.foreign_listener);
    let work = move || {
        // A service that has just ended has none: what listens is somebody else's.
        let own: Vec<u32> = sweep::find(|run| run == folder).into_iter().map(|process| process.pid).collect();
        look(port, &own)
    };
    tokio::task::spawn_blocking(work).await.ok().flatten()
}

/// A check that cannot even be started is one that has not succeeded: the service may be about to install it.
async fn succeeds(command: CommandLine) -> bool {
    run::output(command, COMMAND_WITHIN).await.is_ok_and(|output| output.status.success())
}

fn command_line(command: &SingleCommand, service: Service) -> CommandLine {
    let argv = match command {
        SingleCommand::Shell(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
        SingleCommand::Exec(argv) => argv.clone(),
    };
    let mut argv = argv.into_iter();
    let program = argv.next().unwrap_or_default();
    CommandLine { program, args: argv.collect(), env: service.env, cwd: service.cwd }
}

/// Reads the log from its beginning, waiting for more, until a line matches.
async fn line_matches(pattern: &str, mut service: Service) -> Result<(), NotReady> {
    let pattern = Regex::new(pattern).map_err(|source| NotReady::Pattern { pattern: pattern.to_owned(), source })?;
    let mut lines = Lines::default();
    let mut offset = 0;
    let mut over = false;
    loop {
        service.output.mark_unchanged();
        let folder = service.folder.clone();
        let read = move || LogReader::open(&folder)?.read(offset, PIECE_BYTES);
        // It panics only where the runtime goes down with it: then nobody waits any more.
        let Ok(chunk) = tokio::task::spawn_blocking(read).await else { return std::future::pending().await };
        let chunk = chunk?;
        let moved = chunk.next > offset;
        offset = chunk.next;
        if lines.any(&chunk, |line| pattern.is_match(line)) {
            return Ok(());
        }
        match moved {
            true => {}
            false if over => return Err(NotReady::Ended { pattern: pattern.to_string() }),
            // The sender is gone when all is written: what came last is read before that counts.
            false => over = service.output.changed().await.is_err(),
        }
    }
}

/// The line that each stream is in.
#[derive(Debug, Default)]
struct Lines {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Lines {
    /// Whether a line fits, also one that has no end yet: a prompt has none.
    fn any(&mut self, chunk: &LogChunk, mut fits: impl FnMut(&str) -> bool) -> bool {
        if chunk.cut > 0 {
            *self = Self::default();
        }
        for read in &chunk.reads {
            let line = match read.stream {
                Stream::Stdout => &mut self.stdout,
                Stream::Stderr => &mut self.stderr,
            };
            for piece in read.bytes.split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(piece);
                let ended = piece.ends_with(b"\n") || line.len() >= LONGEST_LINE;
                if ended && fits(text(line).as_ref()) {
                    return true;
                }
                if ended {
                    line.clear();
                }
            }
        }
        [&self.stdout, &self.stderr].into_iter().any(|line| !line.is_empty() && fits(text(line).as_ref()))
    }
}

/// A line without its end.
fn text(line: &[u8]) -> std::borrow::Cow<'_, str> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::process::Read;

    fn service(folder: &std::path::Path) -> (watch::Sender<u64>, Service) {
        let (sender, output) = watch::channel(0);
        let folder = Utf8PathBuf::from_path_buf(folder.to_owned()).unwrap();
        let env = [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into();
        let ports = Ports { debug: 40000..=40010, foreign_listener: |_, _| None };
        (sender, Service { cwd: folder.clone(), folder, output, env, ports })
    }

    fn chunk(reads: &[(Stream, &str)]) -> LogChunk {
        let reads = reads.iter().map(|(stream, text)| Read {
            time_us: 0,
            stream: *stream,
            offset: 0,
            bytes: text.as_bytes().to_vec(),
        });
        LogChunk { reads: reads.collect(), ..LogChunk::default() }
    }

    #[test]
    fn lines_are_put_together_for_each_stream() {
        use Stream::{Stderr, Stdout};
        for (chunks, expected, why) in [
            (vec![chunk(&[(Stdout, "listening on :80\n")])], true, "a whole line"),
            (vec![chunk(&[(Stdout, "listening ")]), chunk(&[(Stdout, "on :80\n")])], true, "in two reads"),
            (vec![chunk(&[(Stdout, "listening "), (Stderr, "oh\n"), (Stdout, "on :80\n")])], true, "beside the other"),
            (vec![chunk(&[(Stdout, "listening on :80")])], true, "a line without an end"),
            (vec![chunk(&[(Stdout, "listening \n"), (Stdout, "on :80\n")])], false, "two lines"),
            (vec![chunk(&[(Stdout, "listening "), (Stderr, "on :80\n")])], false, "two streams"),
            (
                vec![chunk(&[(Stdout, "listening ")]), LogChunk { cut: 9, ..chunk(&[(Stdout, "on :80\n")]) }],
                false,
                "something between them was cut",
            ),
        ] {
            let mut lines = Lines::default();
            let found = chunks.iter().any(|chunk| lines.any(chunk, |line| line == "listening on :80"));
            assert_eq!(found, expected, "{why}");
        }
        let mut lines = Lines::default();
        assert!(lines.any(&chunk(&[(Stdout, "up\r\n")]), |line| line == "up"), "the end of a line is no part of it");
        let long = "x".repeat(3 * LONGEST_LINE);
        assert!(!lines.any(&chunk(&[(Stdout, &long)]), |line| line == "up"));
        assert!(lines.stdout.len() < LONGEST_LINE, "a line without an end takes no memory without an end");
    }

    #[tokio::test]
    async fn service_that_ended_without_a_word_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (sender, service) = service(folder.path());
        let check = |pattern: &str| ReadyCheck::Log { log: pattern.to_owned() };
        let wrong = wait(&check("listening on ("), service.clone()).await;
        assert!(matches!(wrong, Err(NotReady::Pattern { .. })), "{wrong:?}");
        drop(sender);
        let ended = wait(&check("listening"), service).await;
        assert!(matches!(ended, Err(NotReady::Ended { .. })), "{ended:?}");
    }

    #[tokio::test]
    async fn port_counts_once_somebody_listens() {
        let port = portpicker::pick_unused_port().unwrap();
        assert!(!is_open(port).await, "nobody listens");
        let folder = tempfile::tempdir().unwrap();
        let (_sender, service) = service(folder.path());
        let check = ReadyCheck::Port { port };
        let waiting = wait(&check, service.clone());
        let listening = async { TcpListener::bind(("::1", port)).unwrap() };
        let (ready, _listener) = tokio::join!(waiting, listening);
        ready.unwrap();
        let debug = wait(&ReadyCheck::Port { port: 40003 }, service).await;
        assert!(matches!(debug, Err(NotReady::DebugPort { port: 40003 })), "{debug:?}");
    }

    #[tokio::test]
    async fn command_is_tried_until_it_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        let (_sender, service) = service(folder.path());
        // The third try finds what the first two left.
        let command = SingleCommand::Shell("echo x >> tries; test $(grep -c x tries) -ge 3".to_owned());
        wait(&ReadyCheck::Command { command }, service).await.unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("tries")).unwrap(), "x\nx\nx\n");
    }
}
