//! What a retry lacks that the failed run had in its environment: names alone, never a value. Pure.

use std::collections::BTreeSet;

use crate::process::Caller;

/// How many names are told.
const TOLD: usize = 4;
/// What every shell sets anew: it says nothing of the caller.
const OF_THE_SHELL: [&str; 8] = ["_", "SHLVL", "PWD", "OLDPWD", "COLUMNS", "LINES", "TERM", "BURROW_RUN"];
/// Parts of the names of variables by which programs log in somewhere.
const OF_A_LOGIN: [&str; 9] = ["ASKPASS", "AUTH", "CREDENTIAL", "GIT_", "KEY", "PASS", "PROXY", "SECRET", "TOKEN"];

/// What `caller` has not and a run before had, what logs in somewhere first.
pub(super) fn missing(had: &BTreeSet<String>, caller: &Caller) -> Vec<String> {
    let lacks = |name: &&String| !caller.env.contains_key(*name) && !OF_THE_SHELL.contains(&name.as_str());
    let mut names: Vec<_> = had.iter().filter(lacks).cloned().collect();
    names.sort_by_key(|name| !OF_A_LOGIN.iter().any(|part| name.contains(part)));
    names
}

/// `A, B and 3 more`; none where nothing is missing.
pub(super) fn words(names: &[String]) -> Option<String> {
    let (told, rest) = names.split_at(names.len().min(TOLD));
    match (told, rest) {
        ([], _) => None,
        ([all @ .., last], []) if !all.is_empty() => Some(format!("{} and {last}", all.join(", "))),
        (told, []) => Some(told.concat()),
        (told, rest) => Some(format!("{} and {} more", told.join(", "), rest.len())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::{missing, words};
    use crate::process::Caller;

    #[test]
    fn what_is_missing_is_told_by_name() {
        let caller = |names: &[&str]| {
            let env = names.iter().map(|name| ((*name).to_owned(), "value".to_owned())).collect();
            Caller { env: Arc::new(env), ..Caller::default() }
        };
        let had = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        for (before, now, expected, why) in [
            (&["HOME", "PATH"][..], &["PATH", "HOME"][..], None, "all of it is there"),
            (&["HOME", "SHLVL", "_"], &["HOME"], None, "what each shell has of its own"),
            (&["A", "GIT_ASKPASS"], &[], Some("GIT_ASKPASS and A"), "what logs in comes first"),
            (&["A"], &["B"], Some("A"), "more is no matter"),
            (&["A", "B", "C", "D", "E", "F"], &[], Some("A, B, C, D and 2 more"), "a long list is cut"),
        ] {
            assert_eq!(words(&missing(&had(before), &caller(now))).as_deref(), expected, "{why}");
        }
    }
}
