//! Reads a command's output, waiting for more where there is none yet.
//!
//! The actor tells where the command stands; the reading is done here, so that no log, however large or slow its disk,
//! holds up a hook.

use std::time::Duration;

use burrow_protocol::SafeInt;
use burrow_protocol::hooks::{LogPiece, LogRead, LogStream};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Hooks;
use super::error::HookError;
use super::messages::Whereabouts;
use super::record::RunId;
use crate::process::{LogChunk, LogReader, Stream};

/// The most that one piece holds: small against a frame, also when every byte is escaped.
const PIECE_BYTES: usize = 256 * 1024;

/// Where in the output of a command to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPlace {
    /// Which start of the command within its run, from 1; 0: the first that is kept.
    pub attempt: u32,
    /// The first byte wanted of that start's output.
    pub offset: u64,
    /// A service that is ready counts as ended.
    pub until_ready: bool,
}

impl Hooks {
    /// A piece of the output of `command` in `run`. Where there is none yet: waits for it, up to `wait`. Dropping the
    /// future only ends the wait.
    ///
    /// # Errors
    /// [`HookError::RunUnknown`] where there is no such run, also one that was queued and then held back;
    /// [`HookError::Log`].
    pub async fn read_log(
        &self,
        run: &str,
        command: &str,
        place: LogPlace,
        wait: Duration,
    ) -> Result<LogPiece, HookError> {
        let LogPlace { attempt, offset, until_ready } = place;
        let run: RunId = run.parse().map_err(|_| HookError::RunUnknown { run: run.to_owned() })?;
        let deadline = Instant::now() + wait;
        let mut turns = self.turns.clone();
        let mut before = None;
        loop {
            turns.mark_unchanged();
            let place = self.locate(run, command).await?;
            let over = matches!(place, Whereabouts::Over);
            let (mut output, ready) = match place {
                Whereabouts::Running { output, ready } => (output, ready),
                Whereabouts::Queued | Whereabouts::Over => (None, false),
            };
            // The engine's turns are about all commands: most leave nothing new to read of this one.
            let seen = Seen { over, ready, length: output.as_mut().map(|output| *output.borrow_and_update()) };
            if before.as_ref().is_some_and(|(last, channel)| *last == seen && is_same(channel, output.as_ref()))
                && tokio::time::timeout_at(deadline, grown(output.clone(), &mut turns)).await.is_ok()
            {
                continue;
            }
            before = Some((seen, output.clone()));
            let found = self.read(run, command, attempt, offset).await?;
            if found.is_none() && over {
                return Err(HookError::RunUnknown { run: run.to_string() });
            }
            let found = found.unwrap_or_default();
            if found.is_followed && found.chunk.reads.is_empty() {
                let next = LogChunk::default();
                return Ok(LogPiece { attempt: found.attempt + 1, ..piece(next, 0, false) });
            }
            let over = over || found.is_followed;
            let ended = over || (until_ready && ready);
            let mut piece = LogPiece { attempt: found.attempt, ..piece(found.chunk, offset, over) };
            piece.ended = ended && piece.reads.is_empty() && !found.is_followed;
            if piece.ended || !piece.reads.is_empty() || piece.cut.get() > 0 || Instant::now() >= deadline {
                return Ok(piece);
            }
            // Whatever ends the wait, the next turn of the loop finds out what it was.
            let _ = tokio::time::timeout_at(deadline, grown(output, &mut turns)).await;
        }
    }

    /// None where the command has no folder.
    async fn read(&self, run: RunId, command: &str, attempt: u32, offset: u64) -> Result<Option<Found>, HookError> {
        let (runs, command) = (self.runs.clone(), command.to_owned());
        let read = move || {
            let attempt = if attempt == 0 { runs.first_start(run, &command) } else { attempt };
            let folder = runs.command(run, &command, attempt);
            // Looked for before: what the start wrote is whole once the next one has a folder.
            let is_followed = runs.command(run, &command, attempt + 1).is_dir();
            if !folder.is_dir() {
                return Ok(None);
            }
            let chunk = LogReader::open(&folder)?.read(offset, PIECE_BYTES)?;
            Ok(Some(Found { attempt, is_followed, chunk }))
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(result) => result.map_err(|source| HookError::Log { run: run.to_string(), source }),
            Err(_) => Err(HookError::Stopping),
        }
    }
}

/// How a command stood when its output was read.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    over: bool,
    ready: bool,
    /// The bytes that it had written, where it runs.
    length: Option<u64>,
}

/// Whether both are of one start of a command.
fn is_same(one: &Option<watch::Receiver<u64>>, other: Option<&watch::Receiver<u64>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.same_channel(other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// What there is to read of one start of a command.
#[derive(Debug, Default)]
struct Found {
    attempt: u32,
    /// Whether the command was started anew after it.
    is_followed: bool,
    chunk: LogChunk,
}

/// Resolves when the command wrote something, or the engine did.
async fn grown(output: Option<watch::Receiver<u64>>, turns: &mut watch::Receiver<()>) {
    let output = async {
        if let Some(mut output) = output
            && output.changed().await.is_ok()
        {
            return;
        }
        // At the command's end its sender goes; the engine's turn tells the rest.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = output => (),
        // A sender that is gone means that the engine is: asking it again tells so.
        _ = turns.changed() => (),
    }
}

fn piece(mut chunk: LogChunk, offset: u64, over: bool) -> LogPiece {
    let ended = over && chunk.reads.is_empty();
    carry(&mut chunk, over);
    let reads = chunk.reads.iter().filter(|read| !read.bytes.is_empty()).map(|read| LogRead {
        time: time(read.time_us),
        stream: match read.stream {
            Stream::Stdout => LogStream::Stdout,
            Stream::Stderr => LogStream::Stderr,
        },
        offset: SafeInt::saturating(read.offset),
        text: String::from_utf8_lossy(&read.bytes).into_owned(),
    });
    LogPiece {
        reads: reads.collect(),
        next: SafeInt::saturating(chunk.next.max(offset)),
        cut: SafeInt::saturating(chunk.cut),
        ended,
        attempt: 1,
    }
}

/// Hands a character that was torn between two reads to the second one. What the last read lacks is asked for again,
/// while more may come.
fn carry(chunk: &mut LogChunk, over: bool) {
    for index in 0..chunk.reads.len() {
        let (head, rest) = chunk.reads.split_at_mut(index + 1);
        let read = &mut head[index];
        let torn = torn_tail(&read.bytes);
        if torn == 0 {
            continue;
        }
        let keep = read.bytes.len() - torn;
        if let Some(next) = rest.iter_mut().find(|next| next.stream == read.stream) {
            let mut bytes = read.bytes.split_off(keep);
            bytes.append(&mut next.bytes);
            next.bytes = bytes;
            if rest.first().is_some_and(|first| first.stream == read.stream) {
                // Adjacent: the offset moves with the bytes.
                rest[0].offset -= torn as u64;
            }
        } else if rest.is_empty() && !over && keep > 0 {
            read.bytes.truncate(keep);
            chunk.next -= torn as u64;
        }
    }
}

/// How many bytes at the end of `bytes` begin a character that is not complete.
fn torn_tail(bytes: &[u8]) -> usize {
    let is_inside = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
    let inside = bytes.iter().rev().take(3).take_while(is_inside).count();
    let tail = &bytes[bytes.len().saturating_sub(inside + 1)..];
    match std::str::from_utf8(tail) {
        Err(error) if error.error_len().is_none() => tail.len() - error.valid_up_to(),
        _ => 0,
    }
}

fn time(micros: u64) -> String {
    let time = i64::try_from(micros).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
    time.unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::{piece, torn_tail};
    use crate::process::{LogChunk, Read, Stream};

    fn read(offset: u64, stream: Stream, bytes: &[u8]) -> Read {
        Read { time_us: 1_000_000, stream, offset, bytes: bytes.to_vec() }
    }

    fn texts(reads: Vec<Read>, over: bool) -> (Vec<String>, u64) {
        let next = reads.iter().map(|read| read.offset + read.bytes.len() as u64).max().unwrap_or_default();
        let piece = piece(LogChunk { reads, next, cut: 0 }, 0, over);
        (piece.reads.into_iter().map(|read| read.text).collect(), piece.next.get())
    }

    #[test]
    fn a_character_between_two_reads_is_whole() {
        use Stream::{Stderr, Stdout};
        let (first, second) = ("ä".as_bytes()[..1].to_vec(), "ä".as_bytes()[1..].to_vec());
        let a = [b"x", &first[..]].concat();
        for (reads, over, expected, next, why) in [
            (vec![read(0, Stdout, &a), read(2, Stdout, &second)], false, vec!["x", "ä"], 3, "two reads of one stream"),
            (
                vec![read(0, Stdout, &a), read(2, Stderr, b"e"), read(3, Stdout, &second)],
                false,
                vec!["x", "e", "ä"],
                4,
                "the other stream came in between",
            ),
            (vec![read(0, Stdout, &a)], false, vec!["x"], 1, "the rest may come: it is asked for again"),
            (vec![read(0, Stdout, &a)], true, vec!["x\u{fffd}"], 2, "nothing follows"),
            (vec![read(0, Stdout, &first)], false, vec!["\u{fffd}"], 1, "nothing but a torn byte must not stall"),
        ] {
            assert_eq!(texts(reads, over), (expected.into_iter().map(str::to_owned).collect(), next), "{why}");
        }
    }

    #[test]
    fn torn_characters() {
        for (bytes, expected, why) in [
            (&b""[..], 0, "nothing"),
            (b"abc", 0, "plain text"),
            ("a€".as_bytes(), 0, "a whole character"),
            (&"a€".as_bytes()[..3], 2, "two of three bytes"),
            (&"€€".as_bytes()[..5], 2, "after a whole one"),
            (b"\xff", 0, "never a character: it is replaced, not waited for"),
        ] {
            assert_eq!(torn_tail(bytes), expected, "{why}");
        }
    }
}
