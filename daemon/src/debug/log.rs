//! Reading what dlv and its program printed. Blocks.

use burrow_protocol::SafeInt;
use burrow_protocol::hooks::{LogPiece, LogRead, LogStream};
use camino::Utf8Path;
use jiff::Timestamp;

use super::error::DebugError;
use super::folder::{self, LeaseFolder, LeaseId};
use super::slots;
use crate::process::{Folder, LogReader, Stream};

/// Bytes of one answer.
const PIECE: usize = 256 * 1024;

/// A piece of the log of the lease `id`, from `offset` on; of dlv's start `attempt`, from 1. Whether more will come is not
/// known here.
pub(super) fn read(debug_dir: &Utf8Path, id: String, attempt: u32, offset: SafeInt) -> Result<LogPiece, DebugError> {
    let known = folder::list(debug_dir);
    let Some(lease) = id.parse::<LeaseId>().ok().filter(|lease| known.contains(lease)) else {
        return Err(DebugError::LeaseUnknown { id, known: known.iter().map(LeaseId::to_string).collect() });
    };
    let (folder, attempt) = (LeaseFolder::new(debug_dir, lease), attempt.max(1));
    let command = folder.command(attempt);
    // Asked before reading: what is written in between comes with the next piece.
    let over = Folder::new(&command).outcome()?.is_some();
    let chunk = LogReader::open(&command)?.read(offset.get(), PIECE)?;
    if over && chunk.reads.is_empty() && folder.command(attempt + 1).exists() {
        let (attempt, next) = (attempt + 1, SafeInt::saturating(0));
        return Ok(LogPiece { reads: Vec::new(), next, cut: next, ended: false, attempt });
    }
    let reads = chunk.reads.into_iter().map(|read| LogRead {
        time: shown(read.time_us),
        stream: match read.stream {
            Stream::Stdout => LogStream::Stdout,
            Stream::Stderr => LogStream::Stderr,
        },
        offset: SafeInt::saturating(read.offset),
        text: String::from_utf8_lossy(&read.bytes).into_owned(),
    });
    Ok(LogPiece {
        reads: reads.collect(),
        next: SafeInt::saturating(chunk.next),
        cut: SafeInt::saturating(chunk.cut),
        ended: false,
        attempt,
    })
}

fn shown(time_us: u64) -> String {
    let time = i64::try_from(time_us).ok().and_then(|time| Timestamp::from_microsecond(time).ok());
    slots::shown(time.unwrap_or_default())
}
