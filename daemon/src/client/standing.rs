//! How this binary stands to the daemon that runs: which of the two gives way. Pure.

use burrow_protocol::session::Rendezvous;

use crate::toolchain::ModuleVersion;

/// How this binary stands to a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The daemon is of this very build.
    Same,
    /// This binary's version is the higher one: the daemon gives way while no debug session runs and no hook.
    Newer,
    /// The daemon's version is the higher one: it stays. An old binary on `PATH` and a new one in an editor's extension
    /// would else replace each other's daemons without end.
    Older,
    /// Of one version, or of versions that cannot be told apart, and of different sources: only a user's own word
    /// (`up`, `start`) replaces it.
    Rebuilt,
}

impl Standing {
    /// To the daemon that `running` tells of.
    #[must_use]
    pub fn to(running: &Rendezvous) -> Self {
        compare((env!("CARGO_PKG_VERSION"), crate::daemon::BUILD), (&running.version, &running.build))
    }
}

/// The first is ours; each is a version and a build.
fn compare(own: (&str, &str), running: (&str, &str)) -> Standing {
    if own.1 == running.1 && own.0 == running.0 {
        return Standing::Same;
    }
    let versions = own.0.parse::<ModuleVersion>().ok().zip(running.0.parse::<ModuleVersion>().ok());
    match versions.map(|(own, running)| own.cmp(&running)) {
        Some(std::cmp::Ordering::Greater) => Standing::Newer,
        Some(std::cmp::Ordering::Less) => Standing::Older,
        Some(std::cmp::Ordering::Equal) | None => Standing::Rebuilt,
    }
}

#[cfg(test)]
mod tests {
    use super::{Standing, compare};

    #[test]
    fn the_higher_version_is_the_newer_one() {
        for (own, running, expected, why) in [
            (("1.2.0", "a"), ("1.2.0", "a"), Standing::Same, "one build"),
            (("1.2.0", "a"), ("1.2.0", "b"), Standing::Rebuilt, "one version of two sources: a hash has no order"),
            (("1.10.0", "a"), ("1.9.0", "b"), Standing::Newer, "numbers, not letters"),
            (("1.9.0", "a"), ("1.10.0", "b"), Standing::Older, "the other way round"),
            (("1.2.0", "a"), ("1.2.0-rc.1", "b"), Standing::Newer, "a release comes after its candidates"),
            (("1.2.0", "a"), ("1.1.0", "a"), Standing::Newer, "the version alone may differ"),
            (("1.2.0", "a"), ("", "b"), Standing::Rebuilt, "a version that cannot be read has no order"),
        ] {
            assert_eq!(compare(own, running), expected, "{why}");
        }
    }
}
