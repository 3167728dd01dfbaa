//! What happened in a reload, until its one follower has been told.
//!
//! State: events in their order; of output only where it stands in the log, so that a slow follower costs no memory.
//! Invariants: each event is told once; of several failed builds of a program that nobody was told yet, only the newest
//! is.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use burrow_protocol::SafeInt;
use burrow_protocol::hooks::LogStream;
use burrow_protocol::reload::{ReloadEvent, ReloadPiece};
use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::process::{LogChunk, LogReader, Stream};

/// Events that wait; from there on the oldest are dropped. A follower that lives is never that far behind.
const MAX_ITEMS: usize = 4096;
/// Bytes of output in one answer.
const PIECE: usize = 64 * 1024;

/// The queue of one reload.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Notify,
    drained: Notify,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    /// How far each command's output was put into the queue.
    put: HashMap<Utf8PathBuf, u64>,
    ended: bool,
}

#[derive(Debug)]
enum Item {
    Event(ReloadEvent),
    Output(Slice),
}

/// A part of a command's log.
#[derive(Clone, Debug)]
struct Slice {
    program: String,
    command: Utf8PathBuf,
    from: u64,
    to: u64,
}

impl Queue {
    /// Something happened.
    pub(super) fn push(&self, event: ReloadEvent) {
        let mut state = self.lock();
        if let ReloadEvent::BuildFailed { program, .. } = &event {
            state.items.retain(
                |item| !matches!(item, Item::Event(ReloadEvent::BuildFailed { program: old, .. }) if old == program),
            );
        }
        state.add(Item::Event(event));
        drop(state);
        self.arrived.notify_one();
    }

    /// The program whose log is in the folder `command` has printed `to` bytes in all.
    pub(super) fn output(&self, program: &str, command: &Utf8Path, to: u64) {
        let mut state = self.lock();
        let from = state.put.insert(command.to_owned(), to).unwrap_or_default();
        if from >= to {
            return;
        }
        match state.items.back_mut() {
            Some(Item::Output(slice)) if slice.command == command => slice.to = to,
            _ => {
                let (program, command) = (program.to_owned(), command.to_owned());
                state.add(Item::Output(Slice { program, command, from, to }));
            }
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// Nothing more will come.
    pub(super) fn finish(&self) {
        self.lock().ended = true;
        self.arrived.notify_one();
    }

    /// Resolves when the follower has been told everything.
    pub(super) async fn drained(&self) {
        while !self.lock().items.is_empty() {
            self.drained.notified().await;
        }
    }

    /// What there is; where there is nothing yet, what comes within `wait`.
    pub(super) async fn take(&self, wait: Duration) -> ReloadPiece {
        if self.lock().items.is_empty() && !self.lock().ended {
            // In time or not: what there is, is told.
            let _ = timeout(wait, self.arrived.notified()).await;
        }
        let (mut events, mut room) = (Vec::new(), PIECE);
        while room > 0 {
            let Some(item) = self.lock().items.pop_front() else { break };
            match item {
                Item::Event(event) => events.push(event),
                Item::Output(slice) => {
                    let (read, rest) = read(slice, room).await;
                    let length: usize = read.iter().map(text_length).sum();
                    room = room.saturating_sub(length.max(1));
                    events.extend(read);
                    if let Some(rest) = rest {
                        self.lock().items.push_front(Item::Output(rest));
                    }
                }
            }
        }
        let state = self.lock();
        let ended = state.ended && state.items.is_empty();
        if !state.items.is_empty() {
            self.arrived.notify_one();
        }
        drop(state);
        self.drained.notify_one();
        ReloadPiece { events, ended }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is whole even where a thread has panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, item: Item) {
        if self.items.len() >= MAX_ITEMS {
            self.items.pop_front();
        }
        self.items.push_back(item);
    }
}

fn text_length(event: &ReloadEvent) -> usize {
    if let ReloadEvent::Output { text, .. } = event { text.len() } else { 0 }
}

/// The beginning of `slice`, and what is left of it.
async fn read(slice: Slice, room: usize) -> (Vec<ReloadEvent>, Option<Slice>) {
    let (command, from) = (slice.command.clone(), slice.from);
    let max = room.min(usize::try_from(slice.to - slice.from).unwrap_or(room));
    let read = spawn_blocking(move || LogReader::open(&command)?.read(from, max)).await;
    // A log that is gone has nothing to tell.
    let Ok(Ok(LogChunk { reads, next, cut })) = read else { return (Vec::new(), None) };
    let mut cut = SafeInt::saturating(cut);
    let events = reads.into_iter().map(|read| ReloadEvent::Output {
        program: slice.program.clone(),
        stream: match read.stream {
            Stream::Stdout => LogStream::Stdout,
            Stream::Stderr => LogStream::Stderr,
        },
        text: String::from_utf8_lossy(&read.bytes).into_owned(),
        cut: std::mem::take(&mut cut),
    });
    let events = events.collect();
    let rest = (next > from && next < slice.to).then_some(Slice { from: next, ..slice });
    (events, rest)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use burrow_protocol::reload::ReloadEvent;

    use super::{MAX_ITEMS, Queue};

    fn failed(program: &str, how: &str) -> ReloadEvent {
        ReloadEvent::BuildFailed { program: program.to_owned(), how: how.to_owned(), output: String::new() }
    }

    fn told(message: &str) -> ReloadEvent {
        ReloadEvent::Told { message: message.to_owned() }
    }

    #[tokio::test]
    async fn of_failed_builds_the_newest_is_told() {
        let queue = Queue::default();
        for event in [failed("a", "1"), failed("b", "1"), told("x"), failed("a", "2")] {
            queue.push(event);
        }
        let piece = queue.take(Duration::ZERO).await;
        assert_eq!(piece.events, [failed("b", "1"), told("x"), failed("a", "2")]);
        assert!(!piece.ended);
        assert_eq!(queue.take(Duration::ZERO).await.events, [], "each event is told once");
    }

    #[tokio::test]
    async fn the_end_comes_after_everything() {
        let queue = Queue::default();
        queue.push(told("x"));
        queue.finish();
        let piece = queue.take(Duration::from_secs(60)).await;
        assert_eq!((piece.events, piece.ended), (vec![told("x")], true));
        queue.drained().await;
        assert!(queue.take(Duration::from_secs(60)).await.ended, "it stays so, without a wait");
    }

    #[tokio::test]
    async fn a_follower_that_is_gone_costs_no_memory() {
        let queue = Queue::default();
        for number in 0..MAX_ITEMS + 10 {
            queue.push(told(&number.to_string()));
        }
        let piece = queue.take(Duration::ZERO).await;
        assert_eq!(piece.events.len(), MAX_ITEMS);
        assert_eq!(piece.events.first(), Some(&told("10")), "the oldest are dropped");
    }
}
