//! How a command comes to its end: a pure machine. Time is an argument (since the start), effects are returned.
//!
//! ```text
//! Running --program failed, timeout, cancel--> Ending (TERM, grace, KILL) --no process left--> Flushing --> Done
//!    \------program succeeded, others may stay---------------------------------------------------^
//! ```

use std::time::Duration;

/// Processes that KILL has not ended after this long are not to be ended: they hang in the kernel, or are not ours.
const KILL_WAIT: Duration = Duration::from_secs(2);
/// KILL is sent again this often, to what was forked meanwhile.
const KILL_AGAIN: Duration = Duration::from_millis(50);

/// What the machine goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// When a running program is ended.
    pub(super) timeout: Option<Duration>,
    /// Between TERM and KILL.
    pub(super) grace: Duration,
    /// How long output is read on when no process of the command is left, or all that are may stay.
    pub(super) leak: Duration,
    /// Whether processes may stay after a success.
    pub(super) keep_on_success: bool,
}

/// How a program ended, as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// With this exit code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
}

/// Why a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Its program ended.
    Program(Status),
    /// Its timeout passed.
    TimedOut,
    /// On request, or its lifeline was lost.
    Cancelled,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The program ended.
    Program(Status),
    /// No process of the command is left.
    NoProcess,
    /// Both output streams are at their end.
    NoOutput,
    /// Somebody wants the command ended.
    Cancel,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send TERM to every process of the command.
    Terminate,
    /// Send KILL to every process of the command.
    Kill,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    rules: Rules,
    phase: Phase,
    output_open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The program runs.
    Running,
    /// TERM was sent.
    Terminating { cause: Cause, kill_at: Duration },
    /// KILL was sent.
    Killing { cause: Cause, again_at: Duration, give_up_at: Duration },
    /// The processes are gone, or stay; the rest of the output is read.
    Flushing { cause: Cause, until: Duration },
    /// Over.
    Done { cause: Cause },
}

impl Ending {
    /// A command whose program has just been started.
    pub(super) const fn new(rules: Rules) -> Self {
        Self { rules, phase: Phase::Running, output_open: true }
    }

    /// Why the command ended, once it is over.
    pub(super) const fn done(&self) -> Option<Cause> {
        match self.phase {
            Phase::Done { cause } => Some(cause),
            Phase::Running | Phase::Terminating { .. } | Phase::Killing { .. } | Phase::Flushing { .. } => None,
        }
    }

    /// Whether the output's end has not been seen.
    pub(super) const fn output_open(&self) -> bool {
        self.output_open
    }

    /// When a tick is due.
    pub(super) const fn deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::Running => self.rules.timeout,
            Phase::Terminating { kill_at, .. } => Some(kill_at),
            Phase::Killing { again_at, .. } => Some(again_at),
            Phase::Flushing { until, .. } => Some(until),
            Phase::Done { .. } => None,
        }
    }

    /// Takes `input` at `now` and returns what is to be done about it.
    pub(super) fn step(&mut self, now: Duration, input: Input) -> Option<Action> {
        if input == Input::NoOutput {
            self.output_open = false;
        }
        match (self.phase, input) {
            (Phase::Running, Input::Program(Status::Exited(0))) if self.rules.keep_on_success => {
                self.flush(now, Cause::Program(Status::Exited(0)))
            }
            (Phase::Running, Input::Program(status)) => self.terminate(now, Cause::Program(status)),
            (Phase::Running, Input::Cancel) => self.terminate(now, Cause::Cancelled),
            (Phase::Running, Input::Tick) if self.rules.timeout.is_some_and(|timeout| now >= timeout) => {
                self.terminate(now, Cause::TimedOut)
            }
            (Phase::Terminating { cause, .. } | Phase::Killing { cause, .. }, Input::NoProcess) => {
                self.flush(now, cause)
            }
            (Phase::Terminating { cause, .. }, Input::Cancel) => self.kill(now, cause, now + KILL_WAIT),
            (Phase::Terminating { cause, kill_at }, Input::Tick) if now >= kill_at => {
                self.kill(now, cause, now + KILL_WAIT)
            }
            (Phase::Killing { cause, give_up_at, .. }, Input::Tick) if now >= give_up_at => self.flush(now, cause),
            (Phase::Killing { cause, again_at, give_up_at }, Input::Tick) if now >= again_at => {
                self.kill(now, cause, give_up_at)
            }
            (Phase::Flushing { cause, .. }, Input::NoOutput) => self.finish(cause),
            (Phase::Flushing { cause, until }, Input::Tick) if now >= until => self.finish(cause),
            // What was to stay is not wanted any more.
            (Phase::Flushing { cause: Cause::Program(Status::Exited(0)), .. }, Input::Cancel) => {
                self.terminate(now, Cause::Cancelled)
            }
            (Phase::Flushing { cause, .. }, Input::Cancel) => self.finish(cause),
            (Phase::Running, Input::NoProcess | Input::NoOutput | Input::Tick)
            | (Phase::Terminating { .. }, Input::Program(_) | Input::NoOutput | Input::Tick)
            | (Phase::Killing { .. }, Input::Program(_) | Input::NoOutput | Input::Cancel | Input::Tick)
            | (Phase::Flushing { .. }, Input::Program(_) | Input::NoProcess | Input::Tick)
            | (Phase::Done { .. }, _) => None,
        }
    }

    fn terminate(&mut self, now: Duration, cause: Cause) -> Option<Action> {
        self.phase = Phase::Terminating { cause, kill_at: now + self.rules.grace };
        Some(Action::Terminate)
    }

    fn kill(&mut self, now: Duration, cause: Cause, give_up_at: Duration) -> Option<Action> {
        self.phase = Phase::Killing { cause, again_at: now + KILL_AGAIN, give_up_at };
        Some(Action::Kill)
    }

    fn flush(&mut self, now: Duration, cause: Cause) -> Option<Action> {
        if !self.output_open {
            return self.finish(cause);
        }
        self.phase = Phase::Flushing { cause, until: now + self.rules.leak };
        None
    }

    fn finish(&mut self, cause: Cause) -> Option<Action> {
        self.phase = Phase::Done { cause };
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Status = Status::Exited(0);
    const FAILED: Status = Status::Exited(1);
    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }
    const RULES: Rules = Rules { timeout: Some(s(100)), grace: s(10), leak: s(5), keep_on_success: true };

    /// All pairs of phase and input, at second 50; the last column is the reason.
    #[test]
    fn every_pair_of_phase_and_input() {
        let of = |status| Cause::Program(status);
        let running = Phase::Running;
        let ended = |cause| Phase::Terminating { cause, kill_at: s(60) };
        let dying = |cause| Phase::Killing { cause, again_at: s(50) + KILL_AGAIN, give_up_at: s(52) };
        let flushing = |cause| Phase::Flushing { cause, until: s(55) };
        let done = |cause| Phase::Done { cause };
        let (term, kill) = (Some(Action::Terminate), Some(Action::Kill));
        let failed = of(FAILED);
        for (phase, input, expected, action, why) in [
            (running, Input::Program(OK), flushing(of(OK)), None, "what a success leaves may stay"),
            (running, Input::Program(FAILED), ended(failed), term, "a failure leaves nothing"),
            (running, Input::NoProcess, running, None, "the program itself has not been seen to end"),
            (running, Input::NoOutput, running, None, "a program may close its output and go on"),
            (running, Input::Cancel, ended(Cause::Cancelled), term, "on request"),
            (running, Input::Tick, running, None, "the timeout has not passed"),
            (ended(failed), Input::Program(OK), ended(failed), None, "why it ends stays the first cause"),
            (ended(failed), Input::NoProcess, flushing(failed), None, "all gone within the grace"),
            (ended(failed), Input::NoOutput, ended(failed), None, "a process may live without output"),
            (ended(failed), Input::Cancel, dying(failed), kill, "who asks again does not want to wait"),
            (ended(failed), Input::Tick, ended(failed), None, "the grace has not passed"),
            (dying(failed), Input::Program(OK), dying(failed), None, "others may live"),
            (dying(failed), Input::NoProcess, flushing(failed), None, "all gone"),
            (dying(failed), Input::NoOutput, dying(failed), None, "a process may live without output"),
            (dying(failed), Input::Cancel, dying(failed), None, "there is nothing harder than KILL"),
            (dying(failed), Input::Tick, dying(failed), None, "not yet again"),
            (flushing(failed), Input::Program(OK), flushing(failed), None, "the end is known"),
            (flushing(failed), Input::NoProcess, flushing(failed), None, "there may still be bytes in the pipe"),
            (flushing(failed), Input::NoOutput, done(failed), None, "the output is complete"),
            (flushing(failed), Input::Cancel, done(failed), None, "nobody waits for more output"),
            (flushing(of(OK)), Input::Cancel, ended(Cause::Cancelled), term, "what was to stay is ended after all"),
            (flushing(failed), Input::Tick, flushing(failed), None, "the output may still end"),
            (done(failed), Input::Program(OK), done(failed), None, "over"),
            (done(failed), Input::NoProcess, done(failed), None, "over"),
            (done(failed), Input::NoOutput, done(failed), None, "over"),
            (done(failed), Input::Cancel, done(failed), None, "over"),
            (done(failed), Input::Tick, done(failed), None, "over"),
        ] {
            let mut ending = Ending { rules: RULES, phase, output_open: true };
            assert_eq!(ending.step(s(50), input), action, "{why}");
            assert_eq!(ending.phase, expected, "{why}");
        }
    }

    #[test]
    fn deadlines_are_kept() {
        let mut ending = Ending::new(RULES);
        assert_eq!(ending.deadline(), Some(s(100)));
        assert_eq!(ending.step(s(100), Input::Tick), Some(Action::Terminate), "the timeout has passed");
        assert_eq!(ending.deadline(), Some(s(110)));
        assert_eq!(ending.step(s(110), Input::Tick), Some(Action::Kill), "the grace has passed");
        assert_eq!(ending.deadline(), Some(s(110) + KILL_AGAIN));
        assert_eq!(ending.step(s(111), Input::Tick), Some(Action::Kill), "what was forked meanwhile");
        assert_eq!(ending.step(s(112), Input::Tick), None, "not to be ended");
        assert_eq!(ending.deadline(), Some(s(117)));
        assert_eq!(ending.step(s(117), Input::Tick), None);
        assert_eq!((ending.done(), ending.output_open()), (Some(Cause::TimedOut), true));
        assert_eq!(ending.deadline(), None);
    }

    #[test]
    fn success_that_must_leave_nothing_ends_the_rest() {
        let mut ending = Ending::new(Rules { keep_on_success: false, ..RULES });
        assert_eq!(ending.step(s(1), Input::NoOutput), None);
        assert_eq!(ending.step(s(1), Input::Program(OK)), Some(Action::Terminate));
        assert_eq!(ending.step(s(1), Input::NoProcess), None);
        assert_eq!(ending.done(), Some(Cause::Program(OK)), "and it stays a success");
    }
}
