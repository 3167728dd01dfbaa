//! Whether Go asks the checksum database about a module. Pure.
//!
//! Rules: <https://go.dev/ref/mod#private-modules>. Where they are unclear, the answer is no: then a tool is shown as
//! `unverified` rather than wrongly as verified.

use std::collections::BTreeMap;

/// Whether a `go` with the environment `env` checks `module` against the database.
pub(crate) fn vouches_for(module: &str, env: &BTreeMap<String, String>) -> bool {
    let value = |name: &str| env.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let excepted = value("GONOSUMDB").or_else(|| value("GOPRIVATE")).unwrap_or_default();
    value("GOSUMDB") != Some("off") && !excepted.split(',').any(|pattern| matches_prefix(pattern.trim(), module))
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
