//! What one program of a reload goes through: a pure machine. Building and running go on side by side.
//!
//! ```text
//! build:  Rest -> Settling (waits for quiet) -> Building -> Rest
//!                     ^--------- Cancelling <------+  (a change: what is being built is old already)
//! run:    Nothing -> Running -> Ending (TERM, grace, KILL) -> Running | Nothing
//! ```

/// What one program goes through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    build: Build,
    run: Run,
    stopping: bool,
    /// Whether a build that fails ends the old program.
    stop_on_error: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Build {
    Rest,
    Settling,
    Building,
    Cancelling { then: Then },
}

/// What follows a build that is being cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Settle,
    Build,
    Rest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Nothing,
    Running,
    Ending { next: bool },
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The reload begins.
    Begin,
    /// Files changed.
    Changed,
    /// Nothing has changed for a while.
    Settled,
    /// The build ended.
    Built(Verdict),
    /// The program ended, or could not be started.
    Ended,
    /// Everything is to end.
    Stop,
}

/// How a build ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is a new program.
    Good,
    /// The program is the one that was built before.
    Same,
    /// It failed.
    Bad,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Wait for quiet, from now on.
    Settle,
    /// Start to build.
    Build,
    /// End the build.
    CancelBuild,
    /// Start the program that was built last without an error.
    Start,
    /// End the program.
    End,
    /// Tell how the build ended.
    TellBuilt,
    /// Tell that the program ended.
    TellEnded,
}

impl Machine {
    pub(super) const fn new(stop_on_error: bool) -> Self {
        Self { build: Build::Rest, run: Run::Nothing, stopping: false, stop_on_error }
    }

    /// Whether a build is under way that counts.
    pub(super) fn is_building(&self) -> bool {
        self.build == Build::Building
    }

    /// Whether a build is under way, or is being cancelled.
    pub(super) fn has_build(&self) -> bool {
        matches!(self.build, Build::Building | Build::Cancelling { .. })
    }

    /// Whether everything has ended.
    pub(super) fn is_over(&self) -> bool {
        self.stopping && self.build == Build::Rest && self.run == Run::Nothing
    }

    /// Takes `input` and returns what is to be done about it, in order.
    pub(super) fn step(&mut self, input: Input) -> Vec<Action> {
        if self.stopping && matches!(input, Input::Begin | Input::Changed | Input::Settled | Input::Stop) {
            return Vec::new();
        }
        match (input, self.build) {
            (Input::Begin, _) => self.builds(Build::Building, &[Action::Build]),
            (Input::Changed, Build::Rest | Build::Settling) => self.builds(Build::Settling, &[Action::Settle]),
            (Input::Changed, Build::Building) => {
                self.builds(Build::Cancelling { then: Then::Settle }, &[Action::CancelBuild, Action::Settle])
            }
            (Input::Changed, Build::Cancelling { .. }) => {
                self.builds(Build::Cancelling { then: Then::Settle }, &[Action::Settle])
            }
            (Input::Settled, Build::Settling) => self.builds(Build::Building, &[Action::Build]),
            (Input::Settled, Build::Cancelling { then: Then::Settle }) => {
                self.builds(Build::Cancelling { then: Then::Build }, &[])
            }
            (Input::Settled, _) => Vec::new(),
            (Input::Built(verdict), Build::Building) => {
                self.build = Build::Rest;
                let mut actions = vec![Action::TellBuilt];
                actions.extend(self.built(verdict));
                actions
            }
            (Input::Built(_), Build::Cancelling { then }) => match then {
                Then::Settle => self.builds(Build::Settling, &[]),
                Then::Build => self.builds(Build::Building, &[Action::Build]),
                Then::Rest => self.builds(Build::Rest, &[]),
            },
            (Input::Built(_), Build::Rest | Build::Settling) => Vec::new(),
            (Input::Ended, _) => self.ended(),
            (Input::Stop, _) => self.stop(),
        }
    }

    fn builds(&mut self, build: Build, actions: &[Action]) -> Vec<Action> {
        self.build = build;
        actions.to_vec()
    }

    fn built(&mut self, verdict: Verdict) -> Option<Action> {
        match (verdict, self.run) {
            (Verdict::Good | Verdict::Same, Run::Nothing) => {
                self.run = Run::Running;
                Some(Action::Start)
            }
            (Verdict::Good, Run::Running) => {
                self.run = Run::Ending { next: true };
                Some(Action::End)
            }
            // It ends already; what is started then is what was built last.
            (Verdict::Good | Verdict::Same, Run::Ending { .. }) => {
                self.run = Run::Ending { next: true };
                None
            }
            (Verdict::Bad, Run::Running) if self.stop_on_error => {
                self.run = Run::Ending { next: false };
                Some(Action::End)
            }
            (Verdict::Same, Run::Running) | (Verdict::Bad, _) => None,
        }
    }

    fn ended(&mut self) -> Vec<Action> {
        match self.run {
            Run::Running => {
                self.run = Run::Nothing;
                vec![Action::TellEnded]
            }
            Run::Ending { next: true } => {
                self.run = Run::Running;
                vec![Action::Start]
            }
            Run::Ending { next: false } | Run::Nothing => {
                self.run = Run::Nothing;
                Vec::new()
            }
        }
    }

    fn stop(&mut self) -> Vec<Action> {
        self.stopping = true;
        let mut actions = Vec::new();
        match self.build {
            Build::Building => {
                self.build = Build::Cancelling { then: Then::Rest };
                actions.push(Action::CancelBuild);
            }
            Build::Cancelling { .. } => self.build = Build::Cancelling { then: Then::Rest },
            Build::Rest | Build::Settling => self.build = Build::Rest,
        }
        match self.run {
            Run::Running => {
                self.run = Run::Ending { next: false };
                actions.push(Action::End);
            }
            Run::Ending { .. } => self.run = Run::Ending { next: false },
            Run::Nothing => {}
        }
        actions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANCELLING: Build = Build::Cancelling { then: Then::Settle };
    const ENDING: Run = Run::Ending { next: true };
    const LAST: Run = Run::Ending { next: false };

    /// Every pair that leads somewhere; the last column is the reason.
    #[test]
    fn what_follows_what() {
        use Action::{CancelBuild, End, Settle, Start, TellBuilt, TellEnded};
        use Build::{Building, Rest, Settling};
        use Run::{Nothing, Running};
        let good = Input::Built(Verdict::Good);
        let bad = Input::Built(Verdict::Bad);
        let same = Input::Built(Verdict::Same);
        let again = Build::Cancelling { then: Then::Build };
        for (build, run, input, to_build, to_run, actions, why) in [
            (Rest, Nothing, Input::Begin, Building, Nothing, &[Action::Build][..], "at once"),
            (Rest, Running, Input::Changed, Settling, Running, &[Settle], "a burst is one change"),
            (Settling, Running, Input::Changed, Settling, Running, &[Settle], "it is waited for anew"),
            (Building, Running, Input::Changed, CANCELLING, Running, &[CancelBuild, Settle], "that build is old"),
            (CANCELLING, Running, Input::Changed, CANCELLING, Running, &[Settle], "one cancel is enough"),
            (again, Running, Input::Changed, CANCELLING, Running, &[Settle], "not quiet after all"),
            (Settling, Running, Input::Settled, Building, Running, &[Action::Build], "quiet"),
            (CANCELLING, Running, Input::Settled, again, Running, &[], "the old build has not ended"),
            (Rest, Running, Input::Settled, Rest, Running, &[], "late"),
            (CANCELLING, Running, bad, Settling, Running, &[], "its end says nothing"),
            (CANCELLING, Running, good, Settling, Running, &[], "even a good one is old"),
            (again, Running, bad, Building, Running, &[Action::Build], "quiet already"),
            (Building, Nothing, good, Rest, Running, &[TellBuilt, Start], "the first, or it had ended"),
            (Building, Running, good, Rest, ENDING, &[TellBuilt, End], "only now the old one ends"),
            (Building, ENDING, good, Rest, ENDING, &[TellBuilt], "the newest is started"),
            (Building, LAST, good, Rest, ENDING, &[TellBuilt], "after an error all is well again"),
            (Building, Running, bad, Rest, Running, &[TellBuilt], "the old one goes on"),
            (Building, Nothing, bad, Rest, Nothing, &[TellBuilt], "there is nothing to run"),
            (Building, Running, same, Rest, Running, &[TellBuilt], "it runs already"),
            (Building, Nothing, same, Rest, Running, &[TellBuilt, Start], "it had ended"),
            (Rest, Running, Input::Ended, Rest, Nothing, &[TellEnded], "by itself"),
            (Rest, ENDING, Input::Ended, Rest, Running, &[Start], "the old one has gone"),
            (Building, ENDING, Input::Ended, Building, Running, &[Start], "what was built last may run meanwhile"),
            (Rest, LAST, Input::Ended, Rest, Nothing, &[], "ended by us"),
        ] {
            let mut machine = Machine { build, run, ..Machine::new(false) };
            assert_eq!(machine.step(input), actions, "{why}");
            assert_eq!((machine.build, machine.run), (to_build, to_run), "{why}");
        }
    }

    #[test]
    fn a_failed_build_may_end_the_old_program() {
        let mut machine = Machine { build: Build::Building, run: Run::Running, ..Machine::new(true) };
        assert_eq!(machine.step(Input::Built(Verdict::Bad)), [Action::TellBuilt, Action::End]);
        assert_eq!(machine.run, LAST);
    }

    #[test]
    fn a_stop_ends_everything_and_nothing_begins_after_it() {
        for (build, run, actions) in [
            (Build::Building, Run::Running, &[Action::CancelBuild, Action::End][..]),
            (CANCELLING, ENDING, &[]),
            (Build::Settling, Run::Nothing, &[]),
        ] {
            let mut machine = Machine { build, run, ..Machine::new(false) };
            assert_eq!(machine.step(Input::Stop), actions, "{build:?} {run:?}");
            for input in [Input::Changed, Input::Settled, Input::Built(Verdict::Good), Input::Ended] {
                assert_eq!(machine.step(input), [], "{build:?} {run:?} {input:?}");
            }
            assert!(machine.is_over(), "{build:?} {run:?}");
        }
    }
}
