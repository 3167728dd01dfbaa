//! When a burst of changes is over: pure, but for the clock that its caller reads.
//!
//! Invariant: whatever changes, and however often, a burst is over [`LONGEST`] after its delay; and the build that follows such a
//! burst is not held worthless because the changes go on, or it would never end.

use std::time::Duration;

use tokio::time::Instant;

/// While files are being changed (events that nobody has looked at, git's lock), it is looked again after this time.
const AGAIN: Duration = Duration::from_millis(5);
/// A lock that git left behind when it was killed, or changes without end, hold nobody up for longer.
const LONGEST: Duration = Duration::from_secs(10);

/// The burst of one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settling {
    delay: Duration,
    /// When it will have been quiet, and since when that is waited for.
    waiting: Option<(Instant, Instant)>,
    /// Whether the last burst was ended by its length.
    endless: bool,
}

impl Settling {
    /// `delay`: how long nothing changes when a burst is over.
    pub(super) const fn new(delay: Duration) -> Self {
        Self { delay, waiting: None, endless: false }
    }

    /// Something changed.
    pub(super) fn changed(&mut self, now: Instant) {
        let since = self.waiting.map_or(now, |(_, since)| since);
        self.waiting = Some(((now + self.delay).min(self.last(since)), since));
    }

    /// When to ask [`Self::is_over`].
    pub(super) fn at(&self) -> Option<Instant> {
        self.waiting.map(|(at, _)| at)
    }

    /// Whether the burst is over; `busy`: files are being changed just now.
    pub(super) fn is_over(&mut self, now: Instant, busy: bool) -> bool {
        let Some((at, since)) = self.waiting.filter(|(at, _)| *at <= now) else { return false };
        let last = self.last(since);
        if busy && now < last {
            self.waiting = Some(((now + AGAIN).min(last), since));
            return false;
        }
        self.endless = at >= last;
        self.waiting = None;
        true
    }

    /// Whether a change during the build that follows makes it worthless: not where the changes do not end.
    pub(super) const fn disturbs(&self) -> bool {
        !self.endless
    }

    fn last(&self, since: Instant) -> Instant {
        since + self.delay + LONGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(100);

    #[test]
    fn a_burst_is_over_when_it_is_quiet() {
        let (start, mut settling) = (Instant::now(), Settling::new(DELAY));
        assert_eq!((settling.at(), settling.is_over(start, false)), (None, false), "nothing changed");
        settling.changed(start);
        settling.changed(start + DELAY / 2);
        let at = start + DELAY / 2 + DELAY;
        assert_eq!(settling.at(), Some(at), "quiet counts from the last change");
        assert!(!settling.is_over(at - Duration::from_millis(1), false), "not before");
        assert!(!settling.is_over(at, true), "git changes files");
        assert!(settling.is_over(at + AGAIN, false));
        assert!(settling.disturbs(), "a further change makes its build worthless");
        assert_eq!(settling.at(), None);
    }

    #[test]
    fn changes_without_end_are_built_all_the_same() {
        let start = Instant::now();
        for (delay, busy, why) in [
            (DELAY, false, "a file that is written without end"),
            (DELAY, true, "git's lock was left behind"),
            (LONGEST * 3, false, "a longer delay was asked for"),
        ] {
            let mut settling = Settling::new(delay);
            let mut now = start;
            loop {
                settling.changed(now);
                now += Duration::from_millis(50);
                if settling.is_over(now, busy) {
                    break;
                }
                assert!(now <= start + delay + LONGEST, "{why}");
            }
            assert!(!settling.disturbs(), "{why}: or no build would come to its end");
            // The next burst is like any other.
            settling.changed(now);
            assert!(settling.is_over(now + delay, false) && settling.disturbs(), "{why}");
        }
    }
}
