//! The command's output, on its way through the mask into the log: two streams, or the one of its terminal.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use super::terminal::Terminal;
use crate::process::Stream;
use crate::process::log::{LogWriter, Mask, StreamMask};

/// A pipe as large as an ordinary user may have: a command that writes much is not stopped for each 64 KiB.
const PIPE_BYTES: usize = 1024 * 1024;
/// What is read at a time.
const READ_BYTES: usize = 256 * 1024;

/// Both streams and the log they go to.
#[derive(Debug)]
pub(super) struct Output {
    stdout: Source,
    stderr: Source,
    mask: Mask,
    log: LogWriter,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Source {
    /// `None` once it is at its end.
    pipe: Option<OwnedFd>,
    mask: StreamMask,
}

/// The ends that the program gets.
#[derive(Debug)]
pub(super) enum ProgramEnds {
    /// Standard output and standard error.
    Pipes(OwnedFd, OwnedFd),
    /// A terminal, which is its standard input as well.
    Terminal(OwnedFd),
}

impl Output {
    /// Two pipes into `log`.
    ///
    /// # Errors
    /// Where there are no descriptors left.
    pub(super) fn pipes(mask: Mask, log: LogWriter) -> io::Result<(Self, ProgramEnds)> {
        let (stdout, stdout_end) = new_pipe()?;
        let (stderr, stderr_end) = new_pipe()?;
        Ok((Self::of(Some(stdout), Some(stderr), mask, log), ProgramEnds::Pipes(stdout_end, stderr_end)))
    }

    /// What a terminal shows into `log`, as standard output: whoever writes to a terminal has no other.
    ///
    /// # Errors
    /// Where there are no descriptors left.
    pub(super) fn terminal(
        terminal: &Terminal,
        end: OwnedFd,
        mask: Mask,
        log: LogWriter,
    ) -> io::Result<(Self, ProgramEnds)> {
        Ok((Self::of(Some(terminal.reader()?), None, mask, log), ProgramEnds::Terminal(end)))
    }

    fn of(stdout: Option<OwnedFd>, stderr: Option<OwnedFd>, mask: Mask, log: LogWriter) -> Self {
        let [stdout, stderr] = [stdout, stderr].map(|pipe| Source { pipe, mask: StreamMask::default() });
        Self { stdout, stderr, mask, log, buffer: vec![0; READ_BYTES] }
    }

    /// The streams that are not at their end.
    pub(super) fn open(&self) -> impl Iterator<Item = (Stream, BorrowedFd<'_>)> {
        [(Stream::Stdout, &self.stdout), (Stream::Stderr, &self.stderr)]
            .into_iter()
            .filter_map(|(stream, source)| source.pipe.as_ref().map(|pipe| (stream, pipe.as_fd())))
    }

    /// Whether both streams are at their end.
    pub(super) fn is_closed(&self) -> bool {
        self.stdout.pipe.is_none() && self.stderr.pipe.is_none()
    }

    /// Reads once from `stream` into the log; how much.
    pub(super) fn read(&mut self, stream: Stream) -> usize {
        let Self { stdout, stderr, mask, log, buffer } = self;
        let source = match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        };
        let length = source.read(buffer);
        if length > 0 {
            log.write(now_us(), stream, source.mask.feed(mask, &buffer[..length]));
        }
        length
    }

    /// Reads what both streams hold into the log: a pipe holds no more than [`PIPE_BYTES`], however fast it is filled.
    pub(super) fn flush(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let mut length = 0;
            while length < PIPE_BYTES {
                match self.read(stream) {
                    0 => break,
                    more => length += more,
                }
            }
        }
    }

    /// Reads once from `stream` into nothing.
    pub(super) fn discard(&mut self, stream: Stream) {
        let source = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        source.read(&mut self.buffer);
    }

    /// Writes what the mask has held back, now that the log ends.
    pub(super) fn finish(&mut self) {
        let Self { stdout, stderr, mask, log, .. } = self;
        for (stream, source) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
            source.mask.finish(mask, |rest| log.write(now_us(), stream, rest));
        }
    }

    /// The log as it stands.
    pub(super) const fn log(&self) -> &LogWriter {
        &self.log
    }
}

impl Source {
    /// How many bytes came; at the end of the stream it is closed.
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let Some(pipe) = &self.pipe else { return 0 };
        match rustix::io::read(pipe, buffer) {
            Ok(length @ 1..) => length,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            // A terminal that no process has open any more gives EIO.
            Ok(0) | Err(_) => {
                self.pipe = None;
                0
            }
        }
    }
}

/// The end to read, which does not block, and the end to write, which does.
fn new_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&read, rustix::fs::OFlags::NONBLOCK)?;
    // A user with many pipes gets the usual size.
    let _ = fcntl_setpipe_size(&read, PIPE_BYTES);
    Ok((read, write))
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
