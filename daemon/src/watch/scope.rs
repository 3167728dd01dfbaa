//! Which folders of a tree are entered, and which of its files matter. Pure.
//!
//! Invariants: what is excluded is known before anything is watched; `.git`, other hidden folders, `vendor`,
//! `node_modules` and `testdata` are never entered, unless a root is such a folder itself.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use regex_lite::Regex;

/// Folders that hold no source that a person edits, or more than can be watched.
const NEVER_ENTERED: [&str; 3] = ["vendor", "node_modules", "testdata"];

/// What of a tree is watched. All paths are absolute.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Patterns of [`Rule::Relative`] count from here.
    pub base: Utf8PathBuf,
    /// The folders that are walked.
    pub roots: Vec<Utf8PathBuf>,
    /// Folders that are not entered.
    pub skipped: BTreeSet<Utf8PathBuf>,
    /// Files with these extensions matter; `*`: all of them.
    pub extensions: Vec<String>,
    /// Files that matter whatever else is said, also outside of the roots.
    pub files: BTreeSet<Utf8PathBuf>,
    /// Files that match matter, whatever their extension.
    pub include: Vec<Rule>,
    /// Files that match do not matter.
    pub exclude: Vec<Rule>,
}

/// A pattern for the path of a file.
#[derive(Clone, Debug)]
pub enum Rule {
    /// It is matched with the path as seen from the base.
    Relative(Regex),
    /// It is matched with the absolute path.
    Absolute(Regex),
}

impl Scope {
    /// Whether the folder is walked into.
    #[must_use]
    pub fn enters(&self, folder: &Utf8Path) -> bool {
        if self.skipped.contains(folder) {
            return false;
        }
        let name = folder.file_name().unwrap_or_default();
        let common = !name.starts_with('.') && !NEVER_ENTERED.contains(&name);
        common || self.roots.iter().any(|root| root == folder)
    }

    /// Whether a change of the file is one.
    #[must_use]
    pub fn matters(&self, file: &Utf8Path) -> bool {
        if self.files.contains(file) {
            return true;
        }
        let name = file.file_name().unwrap_or_default();
        // Editors keep their locks and swap files under such names.
        if name.starts_with('.') || self.exclude.iter().any(|rule| rule.matches(&self.base, file)) {
            return false;
        }
        let extension = file.extension();
        let named = |wanted: &String| wanted == "*" || extension == Some(wanted.as_str());
        self.extensions.iter().any(named) || self.include.iter().any(|rule| rule.matches(&self.base, file))
    }

    /// Whether the folder lies in a root, or holds one of the files that always matter.
    #[must_use]
    pub(super) fn covers(&self, path: &Utf8Path) -> bool {
        self.roots.iter().any(|root| path.starts_with(root)) || self.files.contains(path)
    }
}

impl Rule {
    fn matches(&self, base: &Utf8Path, file: &Utf8Path) -> bool {
        match self {
            Self::Relative(regex) => regex.is_match(file.strip_prefix(base).unwrap_or(file).as_str()),
            Self::Absolute(regex) => regex.is_match(file.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use regex_lite::Regex;

    use super::{Rule, Scope};

    fn scope() -> Scope {
        Scope {
            base: "/w".into(),
            roots: vec!["/w".into(), "/w/web/node_modules".into()],
            skipped: ["/w/tmp".into()].into(),
            extensions: vec!["go".to_owned()],
            files: ["/w/.env".into(), "/etc/app.conf".into()].into(),
            include: vec![Rule::Relative(Regex::new("^sql/").unwrap())],
            exclude: vec![Rule::Absolute(Regex::new("_test.go").unwrap())],
        }
    }

    #[test]
    fn folders() {
        for (folder, expected, why) in [
            ("/w", true, "a root"),
            ("/w/cmd", true, "a folder of sources"),
            ("/w/tmp", false, "it is excluded by name"),
            ("/w/cmd/tmp", true, "only the one that was named is"),
            ("/w/.git", false, "hidden"),
            ("/w/a/vendor", false, "other people's sources, at any depth"),
            ("/w/a/node_modules", false, "too many to watch"),
            ("/w/a/testdata", false, "no source"),
            ("/w/web/node_modules", true, "a root is what somebody asked for"),
        ] {
            assert_eq!(scope().enters(folder.into()), expected, "{folder}: {why}");
        }
    }

    #[test]
    fn files() {
        for (file, expected, why) in [
            ("/w/main.go", true, "by extension"),
            ("/w/main.go~", false, "an editor's backup"),
            ("/w/.#main.go", false, "an editor's lock"),
            ("/w/a_test.go", false, "excluded"),
            ("/w/sql/q.sql", true, "included by a pattern"),
            ("/w/a/sql/q.sql", false, "the pattern counts from the base"),
            ("/w/.env", true, "named"),
            ("/etc/app.conf", true, "named, outside of the roots"),
            ("/w/go", false, "no extension"),
        ] {
            assert_eq!(scope().matters(file.into()), expected, "{file}: {why}");
        }
        let all = Scope { extensions: vec!["*".to_owned()], ..scope() };
        assert!(all.matters("/w/x".into()) && !all.matters("/w/a_test.go".into()), "`*` is all but the excluded");
    }
}
