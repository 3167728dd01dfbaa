//! Where a debug session that reloads stands, and what follows: a pure machine.
//!
//! ```text
//! Building -> Launching -> Configuring -> Running <-> Stopped
//!                              ^             |            |
//!                              +-- Restarting <-- Ended <-+
//! ```

use burrow_protocol::settings::WhenStopped;

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first program is being built; the client waits for its launch.
    Building,
    /// dlv launches it.
    Launching,
    /// The client sets its breakpoints.
    Configuring,
    /// The program runs.
    Running,
    /// It stands at a breakpoint, or was paused.
    Stopped,
    /// It has ended; the session has not.
    Ended,
    /// dlv restarts it.
    Restarting,
    /// Nothing was launched, or the client leaves.
    Over,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    phase: Phase,
    /// A newer program than the one that runs is there.
    fresh: bool,
    when_stopped: WhenStopped,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A program was built.
    Built,
    /// The first one was not; or dlv did not launch it.
    NotLaunched,
    /// dlv launched it.
    Launched,
    /// dlv takes breakpoints: after a launch, after a restart.
    Initialized,
    /// The client is done setting them.
    Configured,
    /// The program goes on.
    GoesOn,
    /// The program stopped.
    Stops,
    /// The program ended.
    Ends,
    /// The client wants it to go on.
    Continue,
    /// The client wants it restarted.
    Restart,
    /// dlv cannot restart.
    Refused,
    /// The client says goodbye.
    Leaves,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Have dlv launch what was built.
    Launch,
    /// Put the new program in the place of the old one, and have dlv restart.
    Restart,
    /// Put the new program in the place of the old one; the client's own restart follows.
    Swap,
    /// Tell that the new program waits until the client lets the old one go on.
    TellWaits,
    /// Tell that the client may restart.
    TellAsk,
    /// Tell that the program ended and the session goes on.
    TellEnded,
    /// Answer the client's wish in dlv's place.
    Answer,
    /// Ask the client to start the session anew.
    AskForNewSession,
}

impl Session {
    pub(super) const fn new(when_stopped: WhenStopped) -> Self {
        Self { phase: Phase::Building, fresh: false, when_stopped }
    }

    pub(super) const fn phase(&self) -> Phase {
        self.phase
    }

    /// Takes `input` and returns what is to be done about it, in order.
    pub(super) fn step(&mut self, input: Input) -> Vec<Action> {
        use Phase::{Building, Configuring, Ended, Launching, Over, Restarting, Running, Stopped};
        match (input, self.phase) {
            (_, Over) => Vec::new(),
            (Input::Leaves | Input::NotLaunched, _) => self.to(Over, &[]),
            (Input::Built, Building) => self.to(Launching, &[Action::Launch]),
            (Input::Built, Running | Ended) => self.restart(&[Action::Restart]),
            (Input::Built, Stopped) => match self.when_stopped {
                WhenStopped::Restart => self.restart(&[Action::Restart]),
                WhenStopped::Wait => self.keep(&[Action::TellWaits]),
                WhenStopped::Ask => self.keep(&[Action::TellAsk]),
            },
            (Input::Built, Launching | Configuring | Restarting) => self.keep(&[]),
            (Input::Launched, Launching) | (Input::Initialized, Restarting | Launching) => self.to(Configuring, &[]),
            (Input::Configured, Configuring) if self.fresh => self.restart(&[Action::Restart]),
            (Input::Configured, Configuring) | (Input::GoesOn, Stopped) => self.to(Running, &[]),
            (Input::Stops, Running | Configuring) => self.to(Stopped, &[]),
            (Input::Ends, Running | Stopped) if self.fresh => self.restart(&[Action::Restart]),
            (Input::Ends, Running | Stopped | Configuring | Restarting) => self.to(Ended, &[Action::TellEnded]),
            (Input::Continue, Stopped) if self.fresh && self.when_stopped == WhenStopped::Wait => {
                self.restart(&[Action::Answer, Action::Restart])
            }
            (Input::Restart, Running | Stopped | Ended | Configuring) if self.fresh => self.restart(&[Action::Swap]),
            (Input::Restart, Running | Stopped | Ended | Configuring) => self.to(Restarting, &[]),
            (Input::Refused, Restarting) => self.to(Over, &[Action::AskForNewSession]),
            (
                Input::Launched
                | Input::Initialized
                | Input::Configured
                | Input::GoesOn
                | Input::Stops
                | Input::Ends
                | Input::Continue
                | Input::Restart
                | Input::Refused,
                _,
            ) => Vec::new(),
        }
    }

    fn to(&mut self, phase: Phase, actions: &[Action]) -> Vec<Action> {
        self.phase = phase;
        actions.to_vec()
    }

    fn keep(&mut self, actions: &[Action]) -> Vec<Action> {
        self.fresh = true;
        actions.to_vec()
    }

    fn restart(&mut self, actions: &[Action]) -> Vec<Action> {
        self.fresh = false;
        self.to(Phase::Restarting, actions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair that leads somewhere; the last column is the reason.
    #[test]
    fn what_follows_what() {
        use Action::{Answer, Launch, Restart, Swap, TellAsk, TellEnded, TellWaits};
        use Phase::{Building, Configuring, Ended, Launching, Over, Restarting, Running, Stopped};
        let (wait, ask, at_once) = (WhenStopped::Wait, WhenStopped::Ask, WhenStopped::Restart);
        for (phase, fresh, when, input, to, still_fresh, actions, why) in [
            (Building, false, wait, Input::Built, Launching, false, &[Launch][..], "the first program"),
            (Building, false, wait, Input::NotLaunched, Over, false, &[], "there is none"),
            (Launching, false, wait, Input::Launched, Configuring, false, &[], "breakpoints come next"),
            (Launching, false, wait, Input::Initialized, Configuring, false, &[], "whichever is told first"),
            (Launching, false, wait, Input::Built, Launching, true, &[], "not before it runs"),
            (Configuring, false, wait, Input::Built, Configuring, true, &[], "not before it runs"),
            (Configuring, true, wait, Input::Configured, Restarting, false, &[Restart], "it would run old code"),
            (Configuring, false, wait, Input::Configured, Running, false, &[], "it runs"),
            (Running, false, wait, Input::Built, Restarting, false, &[Restart], "at once"),
            (Ended, false, wait, Input::Built, Restarting, false, &[Restart], "at once"),
            (Stopped, false, wait, Input::Built, Stopped, true, &[TellWaits], "somebody looks at it"),
            (Stopped, false, ask, Input::Built, Stopped, true, &[TellAsk], "somebody looks at it"),
            (Stopped, false, at_once, Input::Built, Restarting, false, &[Restart], "as it was wished"),
            (Stopped, true, wait, Input::Continue, Restarting, false, &[Answer, Restart], "instead of old code"),
            (Stopped, true, ask, Input::Continue, Stopped, true, &[], "the client decides when"),
            (Stopped, false, wait, Input::Continue, Stopped, false, &[], "dlv answers"),
            (Stopped, true, wait, Input::GoesOn, Running, true, &[], "a step: it will stop again"),
            (Running, true, wait, Input::Stops, Stopped, true, &[], "it has"),
            (Running, true, wait, Input::Ends, Restarting, false, &[Restart], "the old one is over"),
            (Running, false, wait, Input::Ends, Ended, false, &[TellEnded], "the session is not"),
            (Running, false, wait, Input::Restart, Restarting, false, &[], "dlv does it"),
            (Stopped, true, ask, Input::Restart, Restarting, false, &[Swap], "with the new program"),
            (Restarting, false, wait, Input::Stops, Restarting, false, &[], "dlv's own pause"),
            (Restarting, false, wait, Input::Built, Restarting, true, &[], "one after the other"),
            (Restarting, false, wait, Input::Initialized, Configuring, false, &[], "breakpoints come again"),
            (
                Restarting,
                false,
                wait,
                Input::Refused,
                Over,
                false,
                &[Action::AskForNewSession],
                "a dlv that is too old",
            ),
            (Restarting, false, wait, Input::Ends, Ended, false, &[TellEnded], "it did not come up again"),
            (Running, true, wait, Input::Leaves, Over, true, &[], "the client has enough"),
            (Over, false, wait, Input::Built, Over, false, &[], "nobody is there"),
        ] {
            let mut session = Session { phase, fresh, when_stopped: when };
            assert_eq!(session.step(input), actions, "{why}");
            assert_eq!(session, Session { phase: to, fresh: still_fresh, when_stopped: when }, "{why}");
        }
    }
}
