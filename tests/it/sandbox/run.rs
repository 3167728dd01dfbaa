//! A program of a sandbox that runs, and the answer of one that has ended.

use std::fmt;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{eventually, wait_for};

/// After a program's end its output must end too: a daemon that it started must not hold it.
const OUTPUT_LIMIT: Duration = Duration::from_secs(5);

/// A program that runs. Dropping it kills it.
pub(crate) struct Background {
    child: Child,
    line: String,
    root: Utf8PathBuf,
    started: Instant,
    deadline: Instant,
    stdout: Arc<Mutex<Stream>>,
    stderr: Arc<Mutex<Stream>>,
}

#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    ended: bool,
}

impl Background {
    pub(super) fn start(mut command: Command, root: &Utf8Path, deadline: Instant) -> Self {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let started = Instant::now();
        // A process group of its own, so that `interrupt` means what Ctrl-C means in a terminal.
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("start {line}: {error}"));
        let (stdout, stderr) = (follow(child.stdout.take()), follow(child.stderr.take()));
        Self { child, line, root: root.to_owned(), started, deadline, stdout, stderr }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until its standard output contains `text`.
    pub(crate) fn wait_for_stdout(&self, text: &str) {
        self.wait_for_text(&self.stdout, text);
    }

    /// The first line of its standard output, once it is whole.
    pub(crate) fn wait_for_line(&self) -> String {
        self.wait_for_stdout("\n");
        text(&self.stdout).lines().next().unwrap_or_default().to_owned()
    }

    /// Waits until its standard error contains `text`.
    pub(crate) fn wait_for_stderr(&self, text: &str) {
        self.wait_for_text(&self.stderr, text);
    }

    /// Sends SIGINT to its process group, as Ctrl-C in a terminal does.
    pub(crate) fn interrupt(&self) {
        kill_process_group(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// Sends SIGTERM to it alone.
    pub(crate) fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Run {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let status = wait_for(left, || self.child.try_wait().unwrap().ok_or(()));
        let took = self.started.elapsed();
        let Ok(status) = status else {
            panic!("{} does not end\n{}{}", self.line, text(&self.stdout), text(&self.stderr))
        };
        for stream in [&self.stdout, &self.stderr] {
            let why = format!("{} has ended, and so has its output", self.line);
            eventually(&why, OUTPUT_LIMIT, || if stream.lock().unwrap().ended { Ok(()) } else { Err("it is open") });
        }
        Run {
            line: std::mem::take(&mut self.line),
            root: self.root.clone(),
            status,
            took,
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
        }
    }

    fn wait_for_text(&self, stream: &Arc<Mutex<Stream>>, wanted: &str) {
        let left = self.deadline.saturating_duration_since(Instant::now());
        eventually(&format!("{} writes {wanted:?}", self.line), left, || {
            let seen = text(stream);
            if seen.contains(wanted) { Ok(()) } else { Err(format!("{seen:?}")) }
        });
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The answer of a program that has ended.
pub(crate) struct Run {
    line: String,
    root: Utf8PathBuf,
    status: ExitStatus,
    took: Duration,
    stdout: String,
    stderr: String,
}

impl Run {
    /// Fails unless it ended with this exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "the exit code of {}", self.whole());
        self
    }

    /// The exit code; a signal counts as 128 and its number, as in a shell.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().or(self.status.signal().map(|signal| 128 + signal)).unwrap()
    }

    /// What it wrote to standard output.
    pub(crate) fn stdout(&self) -> &str {
        &self.stdout
    }

    /// What it wrote to standard error.
    pub(crate) fn stderr(&self) -> &str {
        &self.stderr
    }

    /// How long it took.
    pub(crate) fn took(&self) -> Duration {
        self.took
    }

    /// Fails unless standard output contains `text`.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "standard output has {text:?}: {}", self.whole());
        self
    }

    /// Fails unless standard error contains `text`.
    #[track_caller]
    pub(crate) fn tells(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "standard error has {text:?}: {}", self.whole());
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        self.parse()
    }

    /// Standard output as JSON of a type of the protocol.
    #[track_caller]
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.whole()))
    }

    /// Command line, exit status and both streams: what a failed test shows.
    pub(crate) fn whole(&self) -> String {
        let Self { line, status, stdout, stderr, .. } = self;
        format!("{line}\n{status}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---")
    }
}

/// Standard output, the sandbox's own path as `[SANDBOX]`: for inline snapshots.
impl fmt::Display for Run {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.stdout.replace(self.root.as_str(), "[SANDBOX]").trim_end())
    }
}

fn follow(source: Option<impl Read + Send + 'static>) -> Arc<Mutex<Stream>> {
    let stream = Arc::new(Mutex::new(Stream::default()));
    let (target, mut source) = (Arc::clone(&stream), source.unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = source.read(&mut buffer) {
            target.lock().unwrap().bytes.extend_from_slice(&buffer[..count]);
        }
        target.lock().unwrap().ended = true;
    });
    stream
}

fn text(stream: &Mutex<Stream>) -> String {
    String::from_utf8_lossy(&stream.lock().unwrap().bytes).into_owned()
}
