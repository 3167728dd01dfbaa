//! When `onStartup` starts by itself: once a window that trusts the folder connects after none was connected for a while.
//! Pure; the time is an argument.
//!
//! State: whether such a window is open, since when none is, and whether `onStartup` is wanted. All of it is kept in the
//! ledger, so a daemon that comes between neither runs it again nor forgets it.
//! Invariants: what wants it is written down before it starts, and the end of that wish with the run that fulfils it. In
//! another start of the container nothing of the last one counts.

use serde::{Deserialize, Serialize};

use super::ledger::Line;

/// A window that comes back within this many seconds was only reloaded.
const AWAY_SECONDS: i64 = 60;

/// How it stands, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Windows {
    /// The start of the container that it speaks of.
    pub(crate) start: String,
    /// Whether a window that trusts the folder is open.
    open: bool,
    /// When the last change was, in seconds since the machine's start, which every daemon counts alike.
    at: i64,
    /// Whether `onStartup` is to start as soon as it may.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    wanted: bool,
}

/// What is known of the windows of one workspace.
#[derive(Debug)]
pub(crate) struct Startup {
    container_start: String,
    /// None: no window was ever open in this start of the container.
    windows: Option<Windows>,
    /// Whether the last run of `onStartup` fulfilled a wish.
    fulfilled: bool,
}

impl Startup {
    /// Goes on from what an earlier daemon wrote. A window that it had open when it was killed counts as open until `now`.
    pub(crate) fn new(container_start: String, written: Option<&Windows>, now: i64) -> Self {
        let mut windows = written.filter(|windows| windows.start == container_start).cloned();
        if let Some(windows) = windows.as_mut().filter(|windows| windows.open) {
            windows.open = false;
            windows.at = now;
        }
        Self { container_start, windows, fulfilled: false }
    }

    /// Takes note of whether a trusted window is open; `runs_already`: there is nothing to start. What is to be written
    /// down is returned, if anything changed.
    pub(crate) fn saw(&mut self, open: bool, now: i64, runs_already: bool) -> Option<Line> {
        if self.is_open() == open {
            return None;
        }
        let before = self.windows.as_ref();
        let was_away = before.is_none_or(|windows| now - windows.at >= AWAY_SECONDS);
        let wanted = self.is_wanted() || open && was_away && !runs_already;
        self.windows = Some(Windows { start: self.container_start.clone(), open, at: now, wanted });
        self.line()
    }

    /// Whether a window that trusts the folder was open when it was last looked at.
    pub(crate) fn is_open(&self) -> bool {
        self.windows.as_ref().is_some_and(|windows| windows.open)
    }

    /// Whether `onStartup` is to start as soon as it may.
    pub(crate) fn is_wanted(&self) -> bool {
        self.windows.as_ref().is_some_and(|windows| windows.wanted)
    }

    /// A run of it begins, whoever asked. What is to be written down together with that run is returned.
    pub(crate) fn begins(&mut self) -> Option<Line> {
        self.fulfilled = self.is_wanted();
        self.forget()
    }

    /// The run that began last could not be written down, so it did not begin.
    pub(crate) fn did_not_begin(&mut self) {
        if self.fulfilled {
            // Whoever could not write the run down has written nothing of this either.
            drop(self.want());
        }
    }

    /// A run that an earlier daemon wrote down never started.
    pub(crate) fn want(&mut self) -> Option<Line> {
        self.change(true)
    }

    /// It is wanted no more.
    pub(crate) fn forget(&mut self) -> Option<Line> {
        self.change(false)
    }

    fn change(&mut self, wanted: bool) -> Option<Line> {
        let windows = self.windows.as_mut().filter(|windows| windows.wanted != wanted)?;
        windows.wanted = wanted;
        self.line()
    }

    fn line(&self) -> Option<Line> {
        self.windows.clone().map(|windows| Line::Windows { windows })
    }
}

impl Windows {
    /// The same, where the run that was to fulfil the wish did not begin.
    pub(crate) fn still_wanted(&self) -> Self {
        Self { wanted: true, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::{Startup, Windows};
    use crate::hooks::ledger::Line;

    fn fresh() -> Startup {
        Startup::new("s".to_owned(), None, 0)
    }

    fn written(line: Option<Line>) -> Windows {
        match line {
            Some(Line::Windows { windows }) => windows,
            other => panic!("something was written: {other:?}"),
        }
    }

    /// A window is open at these times; how often `onStartup` is started.
    #[test]
    fn it_starts_when_a_window_comes_after_none_was_there_for_long() {
        for (times, expected, why) in [
            (&[(true, 5)][..], 1, "the first window"),
            (&[(true, 5), (true, 6)], 1, "a second one beside it"),
            (&[(true, 5), (false, 7), (true, 66)], 1, "it was reloaded"),
            (&[(true, 5), (false, 7), (true, 67)], 2, "it was away for 60 s"),
            (&[(true, 5), (true, 500), (false, 501), (true, 502)], 1, "it counts from when the last one went"),
            (&[(false, 5), (false, 500)], 0, "there was none"),
        ] {
            let mut startup = fresh();
            let mut started = 0;
            for (open, now) in times {
                drop(startup.saw(*open, *now, false));
                started += u32::from(startup.begins().is_some());
            }
            assert_eq!(started, expected, "{why}");
        }
    }

    #[test]
    fn another_daemon_goes_on_from_what_is_written() {
        let mut startup = fresh();
        let connected = written(startup.saw(true, 5, false));
        let began = written(startup.begins());
        let gone = written(startup.saw(false, 10, false));
        for (windows, start, daemon, back, expected, why) in [
            (&connected, "s", 6, 7, true, "the daemon was killed before it began"),
            (&began, "s", 500, 559, false, "a window that was open when it was killed was so until now"),
            (&began, "s", 500, 560, true, "nobody came for 60 s"),
            (&gone, "s", 20, 69, false, "the daemon's time counts with the last one's"),
            (&gone, "s", 20, 70, true, "all of 60 s without a window"),
            (&gone, "t", 20, 21, true, "another start of the container"),
        ] {
            let mut next = Startup::new(start.to_owned(), Some(windows), daemon);
            drop(next.saw(true, back, false));
            assert_eq!(next.is_wanted(), expected, "{why}");
        }
    }

    #[test]
    fn a_wish_lasts_until_a_run_begins() {
        let mut startup = fresh();
        drop(startup.saw(true, 5, false));
        drop(startup.saw(false, 6, false));
        drop(startup.saw(true, 7, false));
        assert!(startup.is_wanted(), "a reload takes nothing back");
        let line = written(startup.begins());
        assert!(!startup.is_wanted());
        startup.did_not_begin();
        assert!(startup.is_wanted(), "it could not be written down");
        assert_eq!(line.still_wanted(), startup.windows.clone().unwrap());
        assert!(startup.begins().is_some() && startup.begins().is_none(), "a second run fulfils nothing");
        startup.did_not_begin();
        assert!(!startup.is_wanted(), "nobody wanted the run that did not begin");
    }

    #[test]
    fn what_runs_already_is_not_wanted() {
        let mut startup = fresh();
        assert!(startup.saw(true, 5, true).is_some(), "the window is noted all the same");
        assert!(!startup.is_wanted());
    }
}
