//! How a command stands or ended, as the ledger and the records keep it.
//!
//! On disk: a variant is only ever added. Not here: what follows from it (`plan`).

use burrow_protocol::hooks::HookState;
use serde::{Deserialize, Serialize};

use crate::process::{End, Outcome};

/// What a shell gives a command that Ctrl-C ended: it counts as cancelled, as if the user had asked Burrow.
const EXIT_INTERRUPTED: i32 = 130;

/// How one run of a command stands or ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Fate {
    /// Recorded, and its shim started or about to be.
    Running,
    /// Exit code 0.
    Succeeded {
        /// How long it took.
        duration_ms: u32,
    },
    /// It ended otherwise, by itself.
    Failed {
        /// In what way.
        failure: Failure,
        /// How long it took.
        duration_ms: u32,
    },
    /// Its time was over.
    TimedOut {
        /// How long it took.
        duration_ms: u32,
    },
    /// Ended on request.
    Cancelled {
        /// How long it took.
        duration_ms: u32,
    },
    /// Its shim died: what it did and how it ended is not known.
    Interrupted,
    /// The daemon died before the shim began, and now it never will: as if it had not been asked for.
    NeverStarted,
    /// Passed over by hand.
    Skipped {
        /// Why, if that was said.
        why: Option<String>,
    },
    /// It did not begin, as something before it did not succeed. In records only: in the ledger it never started.
    Blocked {
        /// `HOOK/COMMAND`.
        by: String,
    },
    /// A service that ended with what it served: it is due again.
    Stopped {
        /// How that came about.
        why: String,
    },
}

/// The ways to fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Failure {
    /// By an exit code.
    Exited {
        /// The code, not 0.
        code: i32,
    },
    /// By a signal.
    Signaled {
        /// Its number.
        signal: i32,
        /// Whether the kernel sent it for want of memory.
        out_of_memory: bool,
    },
    /// It could not be started.
    NotStarted {
        /// Why.
        message: String,
    },
    /// A service ended before it was ready for the first time.
    NeverReady {
        /// How it ended, in a few words.
        how: String,
    },
}

impl Fate {
    /// A command that could not even be started.
    pub(crate) fn not_started(message: impl Into<String>) -> Self {
        Self::Failed { failure: Failure::NotStarted { message: message.into() }, duration_ms: 0 }
    }

    /// The state as shown; none where it is as if the command had not been asked for.
    pub(crate) const fn state(&self) -> Option<HookState> {
        match self {
            Self::Running => Some(HookState::Running),
            Self::Succeeded { .. } => Some(HookState::Succeeded),
            Self::Failed { .. } => Some(HookState::Failed),
            Self::TimedOut { .. } => Some(HookState::TimedOut),
            Self::Cancelled { .. } => Some(HookState::Cancelled),
            Self::Interrupted => Some(HookState::Interrupted),
            Self::NeverStarted | Self::Stopped { .. } => None,
            Self::Skipped { .. } => Some(HookState::Skipped),
            Self::Blocked { .. } => Some(HookState::Blocked),
        }
    }

    /// Whether it ended without having done what it should: later hooks wait until it is retried or skipped.
    pub(crate) const fn is_bad(&self) -> bool {
        match self {
            Self::Failed { .. } | Self::TimedOut { .. } | Self::Cancelled { .. } | Self::Interrupted => true,
            Self::Running
            | Self::Succeeded { .. }
            | Self::NeverStarted
            | Self::Skipped { .. }
            | Self::Blocked { .. }
            | Self::Stopped { .. } => false,
        }
    }

    /// Whether another try may bring another end. What somebody ended, and what nobody knows the end of, is left to them.
    pub(crate) const fn is_worth_a_retry(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::TimedOut { .. })
    }

    /// How it ended, in a few words, where that is known.
    pub(crate) fn how(&self) -> String {
        match self {
            Self::Succeeded { .. } => "exit code 0".to_owned(),
            _ => self.reason().unwrap_or_default(),
        }
    }

    /// How long it took, where that is known.
    pub(crate) const fn duration_ms(&self) -> Option<u32> {
        match self {
            Self::Succeeded { duration_ms }
            | Self::Failed { duration_ms, .. }
            | Self::TimedOut { duration_ms }
            | Self::Cancelled { duration_ms } => Some(*duration_ms),
            Self::Running
            | Self::Interrupted
            | Self::NeverStarted
            | Self::Skipped { .. }
            | Self::Blocked { .. }
            | Self::Stopped { .. } => None,
        }
    }

    /// The exit code, where it exited by itself.
    pub(crate) const fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Succeeded { .. } => Some(0),
            Self::Failed { failure: Failure::Exited { code }, .. } => Some(*code),
            _ => None,
        }
    }

    /// The signal that ended it by itself.
    pub(crate) const fn signal(&self) -> Option<i32> {
        match self {
            Self::Failed { failure: Failure::Signaled { signal, .. }, .. } => Some(*signal),
            _ => None,
        }
    }

    /// Why it is in its state, in a few words.
    pub(crate) fn reason(&self) -> Option<String> {
        match self {
            Self::Failed { failure, .. } => Some(failure.to_string()),
            Self::TimedOut { .. } => Some("its time was over".to_owned()),
            Self::Cancelled { .. } => Some("cancelled".to_owned()),
            Self::Interrupted => Some("its shim died, how it ended is not known".to_owned()),
            Self::Skipped { why } => why.clone(),
            Self::Blocked { by } => Some(format!("blocked by {by}")),
            Self::Stopped { why } => Some(why.clone()),
            Self::Running | Self::Succeeded { .. } | Self::NeverStarted => None,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited { code } => write!(formatter, "exit code {code}"),
            Self::Signaled { signal, out_of_memory: false } => write!(formatter, "signal {signal}"),
            Self::Signaled { signal, out_of_memory: true } => write!(formatter, "signal {signal}, out of memory"),
            Self::NotStarted { message } => formatter.write_str(message),
            Self::NeverReady { how } => write!(formatter, "{how} before it was ready"),
        }
    }
}

impl From<&Outcome> for Fate {
    fn from(outcome: &Outcome) -> Self {
        let duration_ms = outcome.duration_ms;
        let failed = |failure| Self::Failed { failure, duration_ms };
        match &outcome.end {
            End::Exited { code: 0 } => Self::Succeeded { duration_ms },
            End::Cancelled | End::Exited { code: EXIT_INTERRUPTED } => Self::Cancelled { duration_ms },
            End::Exited { code } => failed(Failure::Exited { code: *code }),
            End::Signaled { signal, out_of_memory } => {
                failed(Failure::Signaled { signal: *signal, out_of_memory: *out_of_memory })
            }
            End::TimedOut => Self::TimedOut { duration_ms },
            End::SpawnFailed { message } => failed(Failure::NotStarted { message: message.clone() }),
        }
    }
}

/// What a command that ended left behind, in a few words.
pub(crate) fn leftovers(outcome: &Outcome) -> Option<String> {
    let survivors = match outcome.survivors.len() {
        0 => None,
        1 => Some("left a process in the background".to_owned()),
        count => Some(format!("left {count} processes in the background")),
    };
    let output = outcome.stdout_left_open.then(|| "its output was left open".to_owned());
    let lost = (outcome.output_lost.get() > 0).then(|| "a part of its output could not be written".to_owned());
    // Of the program itself its end says so.
    let own = matches!(outcome.end, End::Signaled { out_of_memory: true, .. });
    let killed = match outcome.memory_kills.saturating_sub(own.into()) {
        0 => None,
        1 => Some("the kernel killed a process for want of memory meanwhile".to_owned()),
        count => Some(format!("the kernel killed {count} processes for want of memory meanwhile")),
    };
    let all: Vec<_> = survivors.into_iter().chain(output).chain(lost).chain(killed).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

#[cfg(test)]
mod tests {
    use burrow_protocol::SafeInt;
    use burrow_protocol::hooks::HookState;

    use super::{Fate, leftovers};
    use crate::process::{End, Outcome};

    fn outcome(end: End) -> Outcome {
        Outcome {
            schema: 1,
            end,
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            ended_at: "2026-01-01T00:00:01Z".to_owned(),
            duration_ms: 1000,
            output_bytes: SafeInt::default(),
            output_lost: SafeInt::default(),
            survivors: Vec::new(),
            stdout_left_open: false,
            memory_kills: 0,
        }
    }

    #[test]
    fn every_end_has_its_fate() {
        for (end, state, bad, reason, why) in [
            (End::Exited { code: 0 }, HookState::Succeeded, false, None, "success says nothing"),
            (End::Exited { code: 3 }, HookState::Failed, true, Some("exit code 3"), "any other code is a failure"),
            (End::Exited { code: 130 }, HookState::Cancelled, true, Some("cancelled"), "Ctrl-C is no success"),
            (
                End::Signaled { signal: 15, out_of_memory: false },
                HookState::Failed,
                true,
                Some("signal 15"),
                "a signal",
            ),
            (
                End::Signaled { signal: 9, out_of_memory: true },
                HookState::Failed,
                true,
                Some("signal 9, out of memory"),
                "want of memory is told",
            ),
            (End::TimedOut, HookState::TimedOut, true, Some("its time was over"), "a timeout"),
            (End::Cancelled, HookState::Cancelled, true, Some("cancelled"), "on request"),
            (
                End::SpawnFailed { message: "no such file".to_owned() },
                HookState::Failed,
                true,
                Some("no such file"),
                "what could not start failed",
            ),
        ] {
            let fate = Fate::from(&outcome(end));
            assert_eq!(fate.state(), Some(state), "{why}");
            assert_eq!(fate.is_bad(), bad, "{why}");
            assert_eq!(fate.reason().as_deref(), reason, "{why}");
        }
    }

    #[test]
    fn what_is_left_is_told() {
        assert_eq!(leftovers(&outcome(End::TimedOut)), None);
        let open = Outcome { stdout_left_open: true, ..outcome(End::Exited { code: 0 }) };
        assert_eq!(leftovers(&open).as_deref(), Some("its output was left open"));
        let own = End::Signaled { signal: 9, out_of_memory: true };
        assert_eq!(leftovers(&Outcome { memory_kills: 1, ..outcome(own) }), None, "its own end tells it");
        let killed = Outcome { memory_kills: 1, ..outcome(End::Exited { code: 1 }) };
        let expected = "the kernel killed a process for want of memory meanwhile";
        assert_eq!(leftovers(&killed).as_deref(), Some(expected), "a child was killed, and its parent failed");
    }

    #[test]
    fn a_fate_on_disk_reads_back() {
        let fate = Fate::from(&outcome(End::Signaled { signal: 9, out_of_memory: true }));
        let text = serde_json::to_string(&fate).unwrap();
        let expected =
            r#"{"state":"failed","failure":{"kind":"signaled","signal":9,"outOfMemory":true},"durationMs":1000}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Fate>(&text).unwrap(), fate);
    }
}
