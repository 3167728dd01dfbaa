//! The shim's first word on its standard output: the command runs, or why not. The mere end of the stream is a failure.

use serde::{Deserialize, Serialize};

/// The ready word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The command runs as this process.
    Ready(u32),
    /// The command does not run.
    Failed(Failure),
}

/// Why a command does not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub(super) enum Failure {
    /// Somebody claimed it before.
    Claimed,
    /// It could not be started.
    NotStarted {
        /// Why.
        message: String,
    },
}

impl Word {
    /// The word as a line.
    pub(super) fn to_line(&self) -> String {
        match self {
            Self::Ready(pid) => format!("ready {pid}\n"),
            // An enum of text always serializes.
            Self::Failed(failure) => format!("failed {}\n", serde_json::to_string(failure).unwrap_or_default()),
        }
    }

    /// The word on a line; `None` where there is none, as when the shim died while it spoke.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.strip_suffix('\n')?.split_once(' ')?;
        match word {
            "ready" => rest.parse().ok().map(Self::Ready),
            "failed" => serde_json::from_str(rest).ok().map(Self::Failed),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_word_counts() {
        for word in [
            Word::Ready(42),
            Word::Failed(Failure::Claimed),
            Word::Failed(Failure::NotStarted { message: "no such file".to_owned() }),
        ] {
            let line = word.to_line();
            assert_eq!(Word::parse(&line), Some(word));
            assert_eq!(Word::parse(&line[..line.len() - 1]), None, "the shim died before the end of the line");
        }
        assert_eq!(Word::parse(""), None, "the end of the stream is no readiness");
        assert_eq!(Word::parse("ready soon\n"), None);
    }
}
