//! Which files the builds themselves write, so that they do not go on for ever: pure.
//!
//! A file that changes while something is built is somebody's save, or the build's own work. At first it makes the build
//! worthless, as any change does. One that changed in several builds one after another no longer does, and is waited for:
//! each build comes to its end, and another follows. Only what changed in some of those, too, does not count any more.
//!
//! Invariants: builds that did not come to their end are no evidence of who writes a file; one that changes while nothing
//! is built, or does not change in a build that came to its end, counts as any other again.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

/// In so many builds, one after another, a file that changes makes the build worthless.
const DISTURBS: u32 = 3;
/// A file that then changed in so many builds that came to their end is written by them.
const WRITTEN_BY: u32 = 3;

/// What is known of files that changed in builds.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The number of the build that began last.
    build: u32,
    files: BTreeMap<Utf8PathBuf, Seen>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// The build in which it changed last.
    last: u32,
    /// In how many builds it changed.
    builds: u32,
    /// How many of those came to their end although it changed.
    whole: u32,
}

/// What a change of a file means for the build under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// What is being built is old.
    Disturbs,
    /// It is built to its end, and then once more.
    Waits,
    /// Nothing.
    Nothing,
}

impl Written {
    /// A build begins; its number.
    pub(super) fn begin(&mut self) -> u32 {
        self.build += 1;
        self.build
    }

    /// `file` changed; `building`: while a command of the user's own built something.
    pub(super) fn changed(&mut self, file: &Utf8Path, building: bool) -> Weight {
        if !building {
            self.files.remove(file);
            return Weight::Disturbs;
        }
        let seen = self.files.entry(file.to_owned()).or_default();
        if seen.last != self.build {
            seen.last = self.build;
            seen.builds += 1;
        }
        match seen {
            Seen { whole: WRITTEN_BY.., .. } => Weight::Nothing,
            Seen { builds: ..=DISTURBS, .. } => Weight::Disturbs,
            Seen { .. } => Weight::Waits,
        }
    }

    /// The build of that number came to its end: the files that count no longer from now on, and whether any changed in it
    /// that does.
    pub(super) fn whole(&mut self, number: u32) -> (Vec<Utf8PathBuf>, bool) {
        self.files.retain(|_, seen| seen.last >= number);
        let (mut found, mut waits) = (Vec::new(), false);
        for (file, seen) in self.files.iter_mut().filter(|(_, seen)| seen.builds > DISTURBS) {
            seen.whole += 1;
            match seen.whole {
                WRITTEN_BY => found.push(file.clone()),
                whole => waits |= whole < WRITTEN_BY,
            }
        }
        (found, waits)
    }
}

#[cfg(test)]
mod tests {
    use super::{DISTURBS, WRITTEN_BY, Weight, Written};

    const FILE: &str = "/w/gen.go";

    /// A build in which the file changes, twice; what its change meant, and what its end says, where it comes to one.
    fn build(written: &mut Written) -> (Weight, Option<(usize, bool)>) {
        let number = written.begin();
        let weight = written.changed(FILE.into(), true);
        assert_eq!(written.changed(FILE.into(), true), weight, "a build counts once");
        let end = (weight != Weight::Disturbs).then(|| written.whole(number));
        (weight, end.map(|(found, waits)| (found.len(), waits)))
    }

    #[test]
    fn what_each_build_writes_counts_no_longer() {
        let mut written = Written::default();
        for _ in 0..DISTURBS {
            assert_eq!(build(&mut written), (Weight::Disturbs, None));
        }
        for _ in 1..WRITTEN_BY {
            assert_eq!(
                build(&mut written),
                (Weight::Waits, Some((0, true))),
                "it may be a save: it is built once more"
            );
        }
        assert_eq!(build(&mut written), (Weight::Waits, Some((1, false))), "told once");
        assert_eq!(build(&mut written), (Weight::Nothing, Some((0, false))), "and it stays so");
        assert_eq!(written.changed(FILE.into(), false), Weight::Disturbs, "a save counts");
        assert_eq!(build(&mut written), (Weight::Disturbs, None), "as of any file");
    }

    #[test]
    fn saves_are_never_lost() {
        let mut written = Written::default();
        for _ in 0..20 {
            // Somebody saves again and again, and each time that ends the build, for this file or another.
            let number = written.begin();
            assert_ne!(written.changed(FILE.into(), true), Weight::Nothing);
            assert!(number > 0, "a cancelled build is no evidence");
        }
        assert_eq!(build(&mut written), (Weight::Waits, Some((0, true))), "the last save is built");
        let number = written.begin();
        assert_eq!(written.whole(number), (vec![], false), "in which nothing changes");
        assert_eq!(build(&mut written), (Weight::Disturbs, None), "so it was somebody's work");
    }
}
