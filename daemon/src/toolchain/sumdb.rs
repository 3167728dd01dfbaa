//! Who vouches for a module: whether Go asks the checksum database about it, and what a tool's own go.sum says. Pure.
//!
//! Rules: <https://go.dev/ref/mod#private-modules>. Where they are unclear, the answer is no: then a tool is shown as
//! `unverified` rather than wrongly as verified.

use std::collections::{BTreeMap, HashMap};

use super::buildinfo::Module;

/// Whether a `go` with the environment `env` checks `module` against the database.
pub(crate) fn vouches_for(module: &str, env: &BTreeMap<String, String>) -> bool {
    let value = |name: &str| env.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let excepted = value("GONOSUMDB").or_else(|| value("GOPRIVATE")).unwrap_or_default();
    value("GOSUMDB") != Some("off") && !excepted.split(',').any(|pattern| matches_prefix(pattern.trim(), module))
}

/// Whether somebody vouches for all `dependencies` of a tool: the database, or the `go_sum` of the tool's module. The latter is
/// as good as the sum of that module's zip, in which it lies; `go install PACKAGE@VERSION` itself does not read it.
///
/// # Errors
/// The dependency whose content is not the one of `go_sum`, with the sum that is there.
pub(crate) fn vouches_for_all<'a>(
    dependencies: &'a [Module],
    go_sum: &str,
    env: &BTreeMap<String, String>,
) -> Result<bool, (&'a Module, String)> {
    let lines = go_sum.lines().filter_map(|line| line.rsplit_once(' '));
    let sums: HashMap<&str, &str> = lines.collect();
    let mut all = true;
    for module in dependencies.iter().filter(|module| !vouches_for(&module.path, env)) {
        match sums.get(format!("{} {}", module.path, module.version).as_str()) {
            Some(sum) if *sum == module.sum => {}
            Some(sum) => return Err((module, (*sum).to_owned())),
            None => all = false,
        }
    }
    Ok(all)
}

/// Whether `pattern` matches the first elements of `path`, as Go's GOPRIVATE does.
fn matches_prefix(pattern: &str, path: &str) -> bool {
    let pattern: Vec<_> = pattern.trim_end_matches('/').split('/').collect();
    let path: Vec<_> = path.split('/').collect();
    let is_empty = pattern == [""];
    !is_empty && pattern.len() <= path.len() && pattern.iter().zip(path).all(|(glob, part)| matches(glob, part))
}

fn matches(glob: &str, text: &str) -> bool {
    let Some(first) = glob.chars().next() else { return text.is_empty() };
    let rest = &glob[first.len_utf8()..];
    match first {
        '*' => text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| matches(rest, &text[at..])),
        // A class or an escape: taken as a match.
        '[' | '\\' => true,
        _ => text.chars().next().is_some_and(|c| (first == '?' || first == c) && matches(rest, &text[c.len_utf8()..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_held_against_the_tools_own_go_sum() {
        let go_sum = "b.example/x v1.0.0 h1:good=\nb.example/x v1.0.0/go.mod h1:mod=\n";
        let off: BTreeMap<_, _> = [("GOSUMDB".to_owned(), "off".to_owned())].into();
        let module = |version: &str, sum: &str| {
            [Module { path: "b.example/x".into(), version: version.into(), sum: sum.into() }]
        };
        for (dependencies, env, expected, why) in [
            (module("v1.0.0", "h1:good="), &off, Ok(true), "as its authors saw it"),
            (module("v1.0.0", "h1:bad="), &off, Err("h1:good=".to_owned()), "another content"),
            (module("v1.1.0", "h1:good="), &off, Ok(false), "a version that nobody vouches for"),
            (module("v1.0.0", "h1:bad="), &BTreeMap::new(), Ok(true), "the database was asked already"),
        ] {
            let found = vouches_for_all(&dependencies, go_sum, env).map_err(|(_, expected)| expected);
            assert_eq!(found, expected, "{why}");
        }
    }

    #[test]
    fn who_asks_the_database() {
        for (pairs, module, expected, why) in [
            (&[][..], "a.example/t", true, "by default Go asks"),
            (&[("GOSUMDB", "off")], "a.example/t", false, "switched off"),
            (&[("GOSUMDB", "sum.golang.google.cn")], "a.example/t", true, "another database is the user's choice"),
            (&[("GOPRIVATE", "corp.example,*.internal")], "a.internal/t", false, "a private module"),
            (&[("GOPRIVATE", "corp.example")], "corp.example/x/y", false, "a prefix of the path"),
            (&[("GOPRIVATE", "corp.example")], "corp.example.org/x", true, "elements are whole"),
            (&[("GOPRIVATE", "corp.example"), ("GONOSUMDB", "other")], "corp.example/x", true, "GONOSUMDB goes before"),
            (&[("GOPRIVATE", "a.example/x/y")], "a.example/x", true, "the pattern is longer than the path"),
            (&[("GOPRIVATE", "a.[c-f]xample")], "a.example/x", false, "a class counts as a match"),
            (&[("GOPRIVATE", ",")], "a.example/x", true, "an empty pattern matches nothing"),
        ] {
            let env = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(vouches_for(module, &env), expected, "{why}");
        }
    }
}
