//! What dlv and its program print, as a client's output events: from the session's log, into which the shim writes it.
//!
//! dlv's own way (`outputMode: "remote"`) reads the program's output from pipes that its restart does not make again, and
//! keeps it out of the log (`service/dap/server.go`, `pkg/proc/redirector_other.go` of Delve 1.27.1: after a restart
//! the program writes into a file in the temporary folder). So no dlv is asked for it, and what is written to dlv's own
//! output comes to both, whatever the client asked for.
//!
//! State: how much was told, and the bytes of a character that is not whole yet.
//! Invariants: in the order in which it was written, each stream for itself; a slow client is waited for, and the log
//! grows meanwhile, not the memory.

use std::future::pending;
use std::io;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::dap::codec;
use crate::process::{LogChunk, LogReader, Printing, Stream};

/// Bytes of one look into the log.
const PIECE: usize = 64 * 1024;
/// How long an event of dlv waits for the output before it.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// The output of one dlv, and what was told of it.
#[derive(Debug)]
pub(super) struct Printed {
    /// `None` where nothing is known of what is printed.
    printing: Option<Printing>,
    /// Bytes of the log that were told.
    offset: u64,
    /// Bytes that the log was said to have when nothing was found there.
    looked_at: u64,
    /// The beginning of a character, of standard output and of standard error.
    begun: [Vec<u8>; 2],
}

impl Printed {
    /// What comes after the first bytes, as many as are given.
    pub(super) fn of(printing: Option<(Printing, u64)>) -> Self {
        let (printing, offset) = printing.unzip();
        Self { printing, offset: offset.unwrap_or_default(), looked_at: 0, begun: [Vec::new(), Vec::new()] }
    }

    /// Waits until there is more. May be dropped and called again.
    pub(super) async fn grown(&mut self) {
        let Some(printing) = &mut self.printing else { return pending().await };
        loop {
            let length = *printing.output_mut().borrow_and_update();
            if length > self.offset && length > self.looked_at {
                return;
            }
            if printing.output_mut().changed().await.is_err() {
                pending::<()>().await;
            }
        }
    }

    /// Writes the next piece of it, as events; whether there was one.
    pub(super) async fn pass(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<bool> {
        let Some(printing) = &self.printing else { return Ok(false) };
        let length = *printing.output().borrow();
        let (folder, offset) = (printing.folder().dir().to_owned(), self.offset);
        let read = spawn_blocking(move || LogReader::open(&folder)?.read(offset, PIECE));
        let chunk = match read.await.map_err(io::Error::other)? {
            Ok(chunk) => chunk,
            Err(error) => {
                tracing::warn!(%error, "what a program prints cannot be read");
                LogChunk { next: offset, ..LogChunk::default() }
            }
        };
        if chunk.next == offset {
            self.looked_at = length;
            return Ok(false);
        }
        self.offset = chunk.next;
        let mut frames = Vec::new();
        for (category, text) in self.texts(chunk) {
            let body = json!({ "category": category, "output": text });
            let event = json!({ "seq": 0, "type": "event", "event": "output", "body": body });
            frames.extend(codec::encode(&event).map_err(io::Error::other)?);
        }
        to.write_all(&frames).await?;
        Ok(true)
    }

    /// Writes all that was printed before the call.
    pub(super) async fn catch_up(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let Some(printing) = &self.printing else { return Ok(()) };
        // A shim that does not answer is about to end, or stopped: what the log has by then is told.
        let _ = timeout(FLUSH_WITHIN, printing.flush()).await;
        let until = *printing.output().borrow();
        while self.offset < until && self.pass(to).await? {}
        Ok(())
    }

    /// The texts of `chunk`, each with its category.
    fn texts(&mut self, chunk: LogChunk) -> Vec<(&'static str, String)> {
        let mut texts: Vec<(&'static str, String)> = Vec::new();
        if chunk.cut > 0 {
            texts.push(("console", format!("({} bytes of output are left out here)\n", chunk.cut)));
        }
        for read in chunk.reads {
            let (category, begun) = match read.stream {
                Stream::Stdout => ("stdout", &mut self.begun[0]),
                Stream::Stderr => ("stderr", &mut self.begun[1]),
            };
            begun.extend_from_slice(&read.bytes);
            let whole = begun.len() - unfinished(begun);
            let text = String::from_utf8_lossy(&begun[..whole]).into_owned();
            begun.drain(..whole);
            match texts.last_mut() {
                Some((last, said)) if *last == category => said.push_str(&text),
                _ => texts.push((category, text)),
            }
        }
        texts.retain(|(_, text)| !text.is_empty());
        texts
    }
}

/// How many bytes at the end of `bytes` begin a character that is not whole.
fn unfinished(bytes: &[u8]) -> usize {
    let last = bytes.iter().rev().take(3).enumerate();
    let lead = last.map(|(place, byte)| (place + 1, *byte)).find(|(_, byte)| *byte & 0b1100_0000 != 0b1000_0000);
    match lead {
        Some((length, byte)) if length < width(byte) => length,
        _ => 0,
    }
}

/// How many bytes a character has that begins with `byte`.
const fn width(byte: u8) -> usize {
    match byte {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::unfinished;

    #[test]
    fn characters_stay_whole() {
        for (bytes, expected, why) in [
            (&b"abc"[..], 0, "plain"),
            ("aä".as_bytes(), 0, "whole"),
            (&"aä".as_bytes()[..2], 1, "the first of two"),
            (&"a€".as_bytes()[..3], 2, "two of three"),
            (&"a😀".as_bytes()[..4], 3, "three of four"),
            (b"a\xff", 0, "no character begins so"),
            (b"\x80\x80\x80\x80", 0, "none is begun"),
            (b"", 0, "nothing"),
        ] {
            assert_eq!(unfinished(bytes), expected, "{why}");
        }
    }
}
