//! Files of `NAME=value` lines, such as `.env`. Pure.

/// The variables of `text`, in its order. Blank lines, comments and lines without a name are left out; a value may stand
/// in quotes, in double ones with `\n`, `\t`, `\"` and `\\`; `export` before a name is heard.
#[must_use]
pub fn parse(text: &str) -> Vec<(String, String)> {
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let (name, value) = line.split_once('=')?;
    let name = name.trim_end();
    let is_name = |name: &str| {
        !name.starts_with(|first: char| first.is_ascii_digit())
            && name.chars().all(|one| one.is_ascii_alphanumeric() || matches!(one, '_' | '.' | '-'))
    };
    (!name.is_empty() && is_name(name)).then(|| (name.to_owned(), self::value(value.trim_start())))
}

fn value(text: &str) -> String {
    if let Some(rest) = text.strip_prefix('\'') {
        return rest.split_once('\'').map_or(rest, |(inside, _)| inside).to_owned();
    }
    let Some(rest) = text.strip_prefix('"') else {
        // A comment begins after a blank.
        let end = text.find(" #").or_else(|| text.find("\t#")).unwrap_or(text.len());
        return if text.starts_with('#') { String::new() } else { text[..end].trim_end().to_owned() };
    };
    let mut value = String::new();
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => match characters.next() {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some('r') => value.push('\r'),
                Some(other) => value.push(other),
                None => value.push('\\'),
            },
            other => value.push(other),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lines() {
        for (text, expected, why) in [
            ("A=1", Some(("A", "1")), "plain"),
            ("  export A = b c ", Some(("A", "b c")), "with blanks, for a shell"),
            ("A=\"x\\n\\\"y\\\" # z\" # c", Some(("A", "x\n\"y\" # z")), "double quotes"),
            ("A='x\\n' # c", Some(("A", "x\\n")), "single quotes keep all"),
            ("A=x#y # c", Some(("A", "x#y")), "a comment begins after a blank"),
            ("A=", Some(("A", "")), "empty"),
            ("A=# c", Some(("A", "")), "nothing but a comment"),
            ("A=b=c", Some(("A", "b=c")), "the first `=` counts"),
            ("A=\"open", Some(("A", "open")), "a quote that is not closed ends with the line"),
            ("# A=1", None, "a comment"),
            ("A", None, "no value"),
            ("=1", None, "no name"),
            ("A B=1", None, "a name has no blank"),
            ("1A=1", None, "nor begins with a digit"),
        ] {
            let parsed = parse(text);
            let first = parsed.first().map(|(name, value)| (name.as_str(), value.as_str()));
            assert_eq!(first, expected, "{text}: {why}");
        }
        assert_eq!(parse("A=1\n\nB=2\n").len(), 2);
    }
}
