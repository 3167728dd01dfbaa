//! Versions of Go and of modules, in their own orders. Pure.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Text that is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no version")]
pub struct VersionError {
    /// The text.
    pub text: String,
}

/// How far a Go version goes beyond `MAJOR.MINOR`, in Go's order: language < beta < rc < patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum GoTail {
    /// `1.26` alone: the language version.
    Language,
    Beta(u32),
    Candidate(u32),
    Patch(u32),
}

/// A version of Go, such as `go1.26.8`; ordered as Go orders them (<https://go.dev/doc/toolchain#version>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoVersion {
    major: u32,
    minor: u32,
    tail: GoTail,
}

impl GoVersion {
    /// `MAJOR.MINOR` alone: what a range's upper end is compared with.
    #[must_use]
    pub fn language(self) -> Self {
        Self { tail: GoTail::Language, ..self }
    }

    /// As Go writes it: `go1.26.8`.
    #[must_use]
    pub fn name(self) -> String {
        format!("go{self}")
    }

    /// The release that stands for a bare language version: since Go 1.21 the first of a line is `.0`.
    #[must_use]
    pub fn released(self) -> Self {
        match self.tail {
            GoTail::Language if (self.major, self.minor) >= (1, 21) => Self { tail: GoTail::Patch(0), ..self },
            GoTail::Language | GoTail::Beta(_) | GoTail::Candidate(_) | GoTail::Patch(_) => self,
        }
    }
}

impl FromStr for GoVersion {
    type Err = VersionError;

    /// Reads `go1.26.8`, `1.26`, `1.27rc1`; a distribution's or a builder's suffix (`go1.26.8-r1`, `go1.26.8 X:...`) is dropped.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || VersionError { text: text.to_owned() };
        let bare = text.trim().strip_prefix("go").unwrap_or(text.trim());
        let bare = bare.split([' ', '-', '+', '\t']).next().unwrap_or_default();
        let (major, rest) = number(bare).ok_or_else(error)?;
        let Some(rest) = rest.strip_prefix('.') else {
            return if rest.is_empty() { Ok(Self { major, minor: 0, tail: GoTail::Language }) } else { Err(error()) };
        };
        let (minor, rest) = number(rest).ok_or_else(error)?;
        let tail = if rest.is_empty() {
            // Before Go 1.21 the first release of a line had no patch number, but nobody lists ranges that old.
            Some((GoTail::Language, ""))
        } else if let Some(rest) = rest.strip_prefix("beta") {
            number(rest).map(|(n, rest)| (GoTail::Beta(n), rest))
        } else if let Some(rest) = rest.strip_prefix("rc") {
            number(rest).map(|(n, rest)| (GoTail::Candidate(n), rest))
        } else {
            rest.strip_prefix('.').and_then(number).map(|(n, rest)| (GoTail::Patch(n), rest))
        };
        match tail {
            Some((tail, "")) => Ok(Self { major, minor, tail }),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for GoVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        match self.tail {
            GoTail::Language => Ok(()),
            GoTail::Beta(n) => write!(f, "beta{n}"),
            GoTail::Candidate(n) => write!(f, "rc{n}"),
            GoTail::Patch(n) => write!(f, ".{n}"),
        }
    }
}

/// The version of a module, such as `v0.23.0`; build metadata is kept out of the order, as semantic versioning says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleVersion {
    numbers: [u32; 3],
    /// What follows the first `-`: a pre-release, or the date and commit of a pseudo-version.
    pre: Option<String>,
}

impl ModuleVersion {
    /// Whether it is a release, and neither a pre-release nor a commit.
    #[must_use]
    pub fn is_release(&self) -> bool {
        self.pre.is_none()
    }
}

impl FromStr for ModuleVersion {
    type Err = VersionError;

    /// Reads `v1.2.3`, `v1.2.3-rc.1`, `v1.2.3+incompatible`; the `v` may be left out, the three numbers may not.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || VersionError { text: text.to_owned() };
        let bare = text.strip_prefix('v').unwrap_or(text);
        let bare = bare.split('+').next().unwrap_or_default();
        let (release, pre) = match bare.split_once('-') {
            Some((release, pre)) if !pre.is_empty() => (release, Some(pre.to_owned())),
            Some(_) => return Err(error()),
            None => (bare, None),
        };
        let mut parts = release.split('.').map(|part| number(part).filter(|(_, rest)| rest.is_empty()).map(|(n, _)| n));
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Some(major)), Some(Some(minor)), Some(Some(patch)), None) => {
                Ok(Self { numbers: [major, minor, patch], pre })
            }
            _ => Err(error()),
        }
    }
}

impl PartialOrd for ModuleVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ModuleVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (&self.pre, &other.pre) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => a.cmp(b),
        })
    }
}

/// The decimal number that `text` begins with, and what follows it.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok().map(|n| (n, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(text: &str) -> GoVersion {
        text.parse().unwrap()
    }

    #[test]
    fn go_versions_have_gos_own_order() {
        let rising = ["1.18", "1.21", "1.21beta1", "1.21rc2", "1.21.0", "1.21.13", "1.22", "1.22.1", "1.100", "2.0"];
        for pair in rising.windows(2) {
            assert!(go(pair[0]) < go(pair[1]), "{} is before {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn what_a_version_file_may_hold_is_read() {
        for (text, expected, why) in [
            ("go1.26.8", "1.26.8", "the official form"),
            ("go1.26.8 X:nodwarf5", "1.26.8", "an experiment's suffix"),
            ("go1.19.8-r3", "1.19.8", "a distribution's suffix"),
            ("1.27rc1", "1.27rc1", "a candidate"),
            ("go1.18", "1.18", "a first release before 1.21"),
        ] {
            assert_eq!(go(text).to_string(), expected, "{why}");
        }
        for text in ["", "go", "devel go1.27-abc", "1.x", "1.26.", "1.26rc", "go1.26.8.9", "99999999999.1"] {
            assert!(text.parse::<GoVersion>().is_err(), "{text:?} is no version of Go");
        }
    }

    #[test]
    fn module_versions_are_ordered_and_partial_ones_refused() {
        let module = |text: &str| text.parse::<ModuleVersion>().unwrap();
        let rising = ["v0.9.9", "v0.10.0", "v1.0.0-rc.1", "v1.0.0", "1.0.1", "v1.2.0"];
        for pair in rising.windows(2) {
            assert!(module(pair[0]) < module(pair[1]), "{} is before {}", pair[0], pair[1]);
        }
        for text in ["", "v1", "v1.2", "v1.2.3.4", "v1.2.x", "v1.2.3-", "latest"] {
            assert!(text.parse::<ModuleVersion>().is_err(), "{text:?} is no version of a module");
        }
    }
}
