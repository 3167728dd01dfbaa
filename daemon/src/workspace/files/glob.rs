//! Patterns with `*`, `**`, `?` and `[...]`, as regular expressions over paths with `/`. Pure.

use std::fmt::Write as _;

use regex_lite::Regex;

/// A pattern as .gitignore reads it: without a `/` it matches a name at any depth, else the path from the base.
///
/// # Errors
/// What is wrong with it, in words.
pub fn anywhere(pattern: &str) -> Result<Regex, String> {
    let path = pattern.strip_prefix("./").unwrap_or(pattern);
    match path.strip_prefix('/') {
        Some(path) => compile(path, pattern),
        None if path.contains('/') => compile(path, pattern),
        None => compile(&format!("**/{path}"), pattern),
    }
}

/// A pattern for the whole path from the base.
///
/// # Errors
/// What is wrong with it, in words.
pub fn anchored(pattern: &str) -> Result<Regex, String> {
    compile(pattern.strip_prefix("./").unwrap_or(pattern), pattern)
}

fn compile(path: &str, pattern: &str) -> Result<Regex, String> {
    let mut regex = String::from("^");
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let (text, length) = match first {
            _ if rest.starts_with("**/") => ("(?:.*/)?".to_owned(), 3),
            _ if rest.starts_with("**") => (".*".to_owned(), 2),
            '*' => ("[^/]*".to_owned(), 1),
            '?' => ("[^/]".to_owned(), 1),
            '[' => class(rest).ok_or_else(|| format!("`{pattern}`: a `[` is not closed"))?,
            other => {
                let mut text = String::new();
                // Writing to a String does not fail.
                let _ = write!(text, "{}", regex_lite::escape(other.encode_utf8(&mut [0; 4])));
                (text, other.len_utf8())
            }
        };
        regex.push_str(&text);
        rest = &rest[length..];
    }
    regex.push('$');
    Regex::new(&regex).map_err(|error| format!("`{pattern}`: {error}"))
}

/// `[a-z]` or `[!a-z]` at the start of `text`, with its length.
fn class(text: &str) -> Option<(String, usize)> {
    let end = text.find(']').filter(|end| *end > 1)?;
    let inner = &text[1..end];
    let (negated, inner) = match inner.strip_prefix(['!', '^']) {
        Some(inner) => ("^/", inner),
        None => ("", inner),
    };
    let escaped: String = inner
        .chars()
        .flat_map(|one| if matches!(one, '[' | '\\' | '^' | '&' | '~') { vec!['\\', one] } else { vec![one] })
        .collect();
    Some((format!("[{negated}{escaped}]"), end + 1))
}

#[cfg(test)]
mod tests {
    use super::{anchored, anywhere};

    #[test]
    fn patterns() {
        for (pattern, path, expected, why) in [
            ("*.sql", "q.sql", true, "a name"),
            ("*.sql", "a/b/q.sql", true, "at any depth"),
            ("*.sql", "q.sqlx", false, "to its end"),
            ("web/*.html", "web/a.html", true, "from the base"),
            ("./web/*.html", "web/a.html", true, "the same, written otherwise"),
            ("/web/*.html", "web/a.html", true, "the same, as .gitignore has it"),
            ("web/*.html", "web/a/b.html", false, "`*` stays in its folder"),
            ("web/*.html", "x/web/a.html", false, "not at any depth"),
            ("web/**/*.html", "web/a/b/c.html", true, "`**` does not stay"),
            ("web/**/*.html", "web/c.html", true, "nor needs a folder"),
            ("web/**", "web/a/b", true, "all below"),
            ("a?.go", "ab.go", true, "one character"),
            ("a?.go", "a/.go", false, "that is no folder's"),
            ("[a-c].go", "b.go", true, "a class"),
            ("[!a-c].go", "b.go", false, "the others"),
            ("a.go", "abgo", false, "a dot is a dot"),
            ("a+(b)|c", "a+(b)|c", true, "nothing else is special"),
        ] {
            assert_eq!(anywhere(pattern).unwrap().is_match(path), expected, "{pattern} with {path}: {why}");
        }
        assert!(!anchored("*.go").unwrap().is_match("cmd/a.go"), "an anchored name is one of the base");
        assert!(anywhere("a[b").unwrap_err().contains("not closed"));
    }
}
