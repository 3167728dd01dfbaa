//! Short-lived commands of the daemon's own, such as `go list`: no shim, no files, nothing on standard input.
//!
//! Invariants: a command has its own process group; dropping the future ends the group (TERM, a moment, KILL), and so
//! does a deadline; when the program has ended, what is left of its group is killed before it is reaped, as until then
//! nobody else can have its number.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use camino::Utf8PathBuf;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use super::{ProcessError, Stream, procfs};

/// A command to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The program: a path, or a name to look up in `env`'s PATH.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, complete.
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    pub cwd: Utf8PathBuf,
}

/// How a command ended and what it printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output, at most [`MAX_OUTPUT_BYTES`].
    pub stdout: Vec<u8>,
    /// Its standard error, at most [`MAX_OUTPUT_BYTES`].
    pub stderr: Vec<u8>,
    /// Whether there was more than that.
    pub cut: bool,
}

/// What is kept of each stream of [`output`].
pub const MAX_OUTPUT_BYTES: usize = 8 * 1024 * 1024;
/// A longer line is handed on in pieces of this length.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// Between TERM and KILL where a command is dropped: long enough for `go` to remove its temporary folder.
const DROP_GRACE: Duration = Duration::from_secs(2);

/// Runs a command to its end and returns what it printed. Dropping the future ends it.
///
/// # Errors
/// [`ProcessError::Spawn`], [`ProcessError::Follow`], or [`ProcessError::Deadline`] after it was ended.
/// An exit code other than 0 is no error.
pub async fn output(command: CommandLine, deadline: Duration) -> Result<Output, ProcessError> {
    let (mut group, stdout, stderr) = Group::start(&command)?;
    let work = async {
        let read = async { tokio::try_join!(read_head(stdout), read_head(stderr)) };
        let (status, ((stdout, more_stdout), (stderr, more_stderr))) = tokio::try_join!(group.ended(), read)?;
        Ok::<_, io::Error>(Output { status, stdout, stderr, cut: more_stdout || more_stderr })
    };
    match timeout(deadline, work).await {
        Ok(done) => done.map_err(|source| ProcessError::Follow { program: command.program, source }),
        Err(_) => Err(ProcessError::Deadline { program: command.program, deadline }),
    }
}

/// Runs a command to its end and hands each line of its output to `on_line` as it comes, without its end of line; what is
/// no UTF-8 is replaced. Dropping the future ends it.
///
/// # Errors
/// [`ProcessError::Spawn`] or [`ProcessError::Follow`]. An exit code other than 0 is no error.
pub async fn lines(command: CommandLine, mut on_line: impl FnMut(Stream, &str)) -> Result<ExitStatus, ProcessError> {
    let (mut group, mut stdout, mut stderr) = Group::start(&command)?;
    let read = async {
        let (mut out, mut err) = (LineBuffer::default(), LineBuffer::default());
        let (mut out_open, mut err_open) = (true, true);
        while out_open || err_open {
            // Both are polled in turn, and the borrow of `on_line` stays in one place.
            tokio::select! {
                length = stdout.read_buf(&mut out.bytes), if out_open => {
                    out_open = length? > 0;
                    out.hand_on(!out_open, |line| on_line(Stream::Stdout, line));
                }
                length = stderr.read_buf(&mut err.bytes), if err_open => {
                    err_open = length? > 0;
                    err.hand_on(!err_open, |line| on_line(Stream::Stderr, line));
                }
            }
        }
        Ok(())
    };
    let done: io::Result<_> = async { tokio::try_join!(group.ended(), read) }.await;
    done.map(|(status, ())| status).map_err(|source| ProcessError::Follow { program: command.program, source })
}

/// A child that leads a process group, and the duty to end it.
#[derive(Debug)]
struct Group {
    /// `None` once it is reaped or handed to the task that ends it.
    child: Option<Child>,
    pid: Pid,
    /// Readable once the child has ended.
    end: Option<AsyncFd<OwnedFd>>,
}

impl Group {
    fn start(command: &CommandLine) -> Result<(Self, ChildStdout, ChildStderr), ProcessError> {
        let failed = |source| ProcessError::Spawn { program: command.program.clone(), source };
        let mut child = spawn(command).map_err(failed)?;
        let streams = child.stdout.take().zip(child.stderr.take());
        let pid = child.id().and_then(procfs::to_pid);
        let (Some(pid), Some((stdout, stderr))) = (pid, streams) else {
            return Err(failed(io::ErrorKind::InvalidData.into()));
        };
        // From here on it is ended by being dropped.
        let mut group = Self { child: Some(child), pid, end: None };
        let end = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from).and_then(watch);
        group.end = Some(end.map_err(failed)?);
        Ok((group, stdout, stderr))
    }

    /// Waits for the program to end, kills what it left in its group, and reaps it.
    async fn ended(&mut self) -> io::Result<ExitStatus> {
        if let Some(end) = &self.end {
            // Dropped with the guard: the descriptor stays readable for good.
            drop(end.readable().await?);
        }
        self.signal(Signal::KILL);
        let Some(child) = &mut self.child else { return Err(io::ErrorKind::NotFound.into()) };
        let status = child.wait().await?;
        self.child = None;
        Ok(status)
    }

    fn signal(&self, signal: Signal) {
        if self.child.is_some() {
            // The group may be gone but for the child itself, which is a zombie then.
            let _ = kill_process_group(self.pid, signal);
        }
    }
}

impl Drop for Group {
    /// Asks the group to end, and makes sure of it in a task; where there is no runtime any more, at once.
    fn drop(&mut self) {
        if self.child.is_none() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current().map_err(|_| self.signal(Signal::KILL)) else { return };
        let Some(end) = self.end.take() else {
            // It was never whole, or is being dropped by the task below.
            return self.signal(Signal::KILL);
        };
        self.signal(Signal::TERM);
        let mut group = Self { child: self.child.take(), pid: self.pid, end: None };
        runtime.spawn(async move {
            let _ = timeout(DROP_GRACE, end.readable()).await;
            let _ = group.ended().await;
        });
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place where short-lived commands are started")]
fn spawn(command: &CommandLine) -> io::Result<Child> {
    Command::new(&command.program)
        .args(&command.args)
        .env_clear()
        .envs(&command.env)
        .current_dir(&command.cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

#[expect(deprecated, reason = "sound for an OwnedFd, whose number never changes; the successor is unsafe")]
pub(super) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}

/// Reads to the end, keeps the beginning, and tells whether there was more.
async fn read_head(mut from: impl AsyncRead + Unpin) -> io::Result<(Vec<u8>, bool)> {
    let mut head = Vec::new();
    (&mut from).take(MAX_OUTPUT_BYTES as u64).read_to_end(&mut head).await?;
    let rest = tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok((head, rest > 0))
}

/// Bytes that wait for the end of their line.
#[derive(Debug, Default)]
struct LineBuffer {
    bytes: Vec<u8>,
}

impl LineBuffer {
    /// Hands on the whole lines, a line that has grown too long, and with `all` what is left.
    fn hand_on(&mut self, all: bool, mut on_line: impl FnMut(&str)) {
        let mut done = 0;
        while let Some(length) = self.bytes[done..].iter().position(|byte| *byte == b'\n') {
            let line = &self.bytes[done..done + length];
            on_line(&String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)));
            done += length + 1;
        }
        self.bytes.drain(..done);
        if self.bytes.len() >= MAX_LINE_BYTES || (all && !self.bytes.is_empty()) {
            on_line(&String::from_utf8_lossy(&self.bytes));
            self.bytes.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::time::Instant;

    use super::*;

    fn shell(script: &str) -> CommandLine {
        CommandLine {
            program: "sh".to_owned(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
            cwd: "/".into(),
        }
    }

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn output_and_exit_code_are_returned() {
        let output = block_on(output(shell("echo out; echo err >&2; exit 3"), LONG)).unwrap();
        assert_eq!((output.status.code(), output.stdout, output.stderr), (Some(3), b"out\n".into(), b"err\n".into()));
        assert!(!output.cut);
    }

    #[test]
    fn output_has_a_cap() {
        let output = block_on(output(shell("head -c 9000000 /dev/zero"), LONG)).unwrap();
        assert_eq!((output.stdout.len(), output.cut, output.status.code()), (MAX_OUTPUT_BYTES, true, Some(0)));
    }

    #[test]
    fn missing_program_is_told() {
        let command = CommandLine { program: "no-such-program".to_owned(), ..shell("") };
        let error = block_on(output(command, LONG)).unwrap_err();
        assert!(matches!(error, ProcessError::Spawn { .. }), "{error:?}");
    }

    #[test]
    fn deadline_ends_the_whole_group() {
        block_on(async {
            let begin = Instant::now();
            // The background child would hold the output for a minute.
            let error = output(shell("sleep 60 & sleep 60"), Duration::from_millis(50)).await.unwrap_err();
            assert!(matches!(error, ProcessError::Deadline { .. }), "{error:?}");
            assert!(begin.elapsed() < DROP_GRACE);
        });
    }

    #[test]
    fn what_the_program_leaves_in_its_group_is_killed() {
        let begin = Instant::now();
        let output = block_on(output(shell("sleep 60 & echo done"), LONG)).unwrap();
        assert_eq!(output.stdout, b"done\n");
        assert!(begin.elapsed() < LONG / 2, "the background child held the output");
    }

    #[test]
    fn lines_come_from_both_streams() {
        let mut seen = Vec::new();
        let script = "printf 'one\\r\\ntwo\\nrest'; echo err >&2";
        let status = block_on(lines(shell(script), |stream, line| seen.push((stream, line.to_owned())))).unwrap();
        assert!(status.success());
        seen.sort_by_key(|(stream, _)| *stream == Stream::Stderr);
        let expected =
            [(Stream::Stdout, "one"), (Stream::Stdout, "two"), (Stream::Stdout, "rest"), (Stream::Stderr, "err")];
        assert_eq!(seen, expected.map(|(stream, line)| (stream, line.to_owned())));
    }
}
