//! go.mod: the lines that say which Go a module asks for. Pure.
//!
//! Only the few directives that Burrow needs are read; all others, also those of newer Go versions, are skipped.
//! Grammar: <https://go.dev/ref/mod#go-mod-file-grammar>. go.work has the same one, so its reader shares the lines here.

/// What a go.mod says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoMod {
    /// The module's path.
    pub module: Option<String>,
    /// The `go` line's version, such as `1.26.0`: the oldest Go that may build the module.
    pub go: Option<String>,
    /// The `toolchain` line's name, such as `go1.26.8`: the Go that the module prefers.
    pub toolchain: Option<String>,
    /// The packages of its `tool` lines.
    pub tools: Vec<String>,
    /// The modules that it requires, each with its version.
    pub requires: Vec<(String, String)>,
}

impl GoMod {
    /// The version at which the module with `package` is required; the longest path that fits is that module's.
    #[must_use]
    pub fn version_of(&self, package: &str) -> Option<&str> {
        let holds =
            |module: &str| package.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let fitting = self.requires.iter().filter(|(module, _)| holds(module));
        fitting.max_by_key(|(module, _)| module.len()).map(|(_, version)| version.as_str())
    }
}

/// A line that is no go.mod or go.work line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct GoLineError {
    /// The line, from 1.
    pub line: usize,
    /// What is the matter with it.
    pub problem: &'static str,
}

/// Reads a go.mod.
///
/// # Errors
/// [`GoLineError`] where a string or a block does not end, or where `go`, `toolchain` or `module` has not one value.
pub fn parse(text: &str) -> Result<GoMod, GoLineError> {
    let mut file = GoMod::default();
    for directive in directives(text)? {
        match directive.verb.as_str() {
            "module" => file.module = Some(directive.single()?),
            "go" => file.go = Some(directive.single()?),
            "toolchain" => file.toolchain = Some(directive.single()?),
            "tool" => file.tools.push(directive.single()?),
            "require" => file.requires.extend(directive.required()),
            _ => {}
        }
    }
    Ok(file)
}

/// One directive with its values; a line of a block has the block's verb.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Directive {
    line: usize,
    pub(super) verb: String,
    pub(super) values: Vec<String>,
    /// What stands behind `//`, trimmed.
    pub(super) comment: String,
}

impl Directive {
    /// The only value.
    pub(super) fn single(self) -> Result<String, GoLineError> {
        let line = self.line;
        let mut values = self.values.into_iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Ok(value),
            _ => Err(GoLineError { line, problem: "one value is expected here" }),
        }
    }

    /// The module and version of a `require` line.
    pub(super) fn required(&self) -> Option<(String, String)> {
        match self.values.as_slice() {
            [module, version] => Some((module.clone(), version.clone())),
            _ => None,
        }
    }
}

/// The directives of a go.mod or go.work, blocks taken apart.
pub(super) fn directives(text: &str) -> Result<Vec<Directive>, GoLineError> {
    let mut directives = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for (index, text) in text.lines().enumerate() {
        let line = index + 1;
        let (mut words, comment) = words(text).map_err(|problem| GoLineError { line, problem })?;
        if words.is_empty() {
            continue;
        }
        if let Some((_, verb)) = &block {
            if words == [")"] {
                block = None;
            } else {
                directives.push(Directive { line, verb: verb.clone(), values: words, comment });
            }
            continue;
        }
        let verb = words.remove(0);
        if words == ["("] {
            block = Some((line, verb));
        } else {
            directives.push(Directive { line, verb, values: words, comment });
        }
    }
    match block {
        Some((line, _)) => Err(GoLineError { line, problem: "the block that opens here does not end" }),
        None => Ok(directives),
    }
}

/// The words of one line, bare, in double quotes or in backquotes; and the comment that ends it.
fn words(line: &str) -> Result<(Vec<String>, String), &'static str> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(comment) = rest.strip_prefix("//") {
            return Ok((words, comment.trim().to_owned()));
        }
        let (word, after) = match first {
            '"' => quoted(&rest[1..])?,
            '`' => {
                let end = rest[1..].find('`').ok_or("a string does not end")?;
                (rest[1..=end].to_owned(), &rest[end + 2..])
            }
            '(' | ')' => (first.to_string(), &rest[1..]),
            _ => {
                let end = bare_end(rest);
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        words.push(word);
        rest = after.trim_start();
    }
    Ok((words, String::new()))
}

/// Where a bare word ends: at white space, a parenthesis or a comment.
fn bare_end(text: &str) -> usize {
    let by_character = text.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')')).unwrap_or(text.len());
    text.find("//").map_or(by_character, |comment| comment.min(by_character)).max(1)
}

/// The string that `text` (after its opening quote) begins with, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                _ => return Err("only \\\" and \\\\ are known in a string here"),
            },
            _ => value.push(c),
        }
    }
    Err("a string does not end")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mod_of(module: Option<&str>, go: Option<&str>, toolchain: Option<&str>) -> GoMod {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        GoMod { module: owned(module), go: owned(go), toolchain: owned(toolchain), ..GoMod::default() }
    }

    #[test]
    fn tools_and_the_versions_that_they_have() {
        let file = parse(
            "module m\ntool golang.org/x/tools/cmd/goimports\ntool (\n\ta.example/x/cmd/y\n)\nrequire (\n\tgolang.org/x v0.1.0\n\t\
             golang.org/x/tools v0.36.0 // indirect\n)\nrequire golang.org/x/toolsmith v1.0.0\n",
        )
        .unwrap();
        assert_eq!(file.tools, ["golang.org/x/tools/cmd/goimports", "a.example/x/cmd/y"]);
        assert_eq!(file.version_of("golang.org/x/tools/cmd/goimports"), Some("v0.36.0"), "the longest path that fits");
        assert_eq!(file.version_of("a.example/x/cmd/y"), None, "a tool of the module itself, or of a replaced one");
    }

    #[test]
    fn the_lines_that_matter_are_read() {
        for (text, expected, why) in [
            ("", mod_of(None, None, None), "an empty file asks for nothing"),
            ("module a.b/c\ngo 1.21\n", mod_of(Some("a.b/c"), Some("1.21"), None), "the usual form"),
            ("go 1.26.0 // newest\n\ttoolchain go1.26.8", mod_of(None, Some("1.26.0"), Some("go1.26.8")), "comments"),
            ("module \"a b\"\ngo `1.20`", mod_of(Some("a b"), Some("1.20"), None), "both kinds of quotes"),
            (
                "exclude (\n\tgo 1.99\n\tx v1 // indirect\n)\ngo 1.22",
                mod_of(None, Some("1.22"), None),
                "blocks are apart",
            ),
            ("retract(\n toolchain v1\n)\n", mod_of(None, None, None), "a block without a space before it"),
            ("// go 1.9\r\ngo 1.22\r\n", mod_of(None, Some("1.22"), None), "Windows line ends"),
            ("frobnicate a b c\ngo 1.22", mod_of(None, Some("1.22"), None), "a directive of the future is skipped"),
            ("go 1.22// no space", mod_of(None, Some("1.22"), None), "a comment needs no space before it"),
        ] {
            assert_eq!(parse(text), Ok(expected), "{why}");
        }
    }

    #[test]
    fn what_is_no_such_line_is_told_with_its_number() {
        for (text, line, why) in [
            ("module a\ngo\n", 2, "a version is missing"),
            ("go 1.21 1.22", 1, "two versions"),
            ("\nmodule \"a", 2, "an open string"),
            ("go `1.21", 1, "an open raw string"),
            ("go 1.21\nrequire (\n a v1\n", 2, "an open block is told where it opens"),
            ("module \"\\q\"", 1, "an escape that Go's paths never need"),
        ] {
            assert_eq!(parse(text).map_err(|error| error.line), Err(line), "{why}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(go|toolchain|module|\\(|\\)|\"|`|//|\\\\|é| |\t|\n|1.2){0,24}") {
            let _ = parse(&text);
            let _ = super::super::go_work::parse(&text);
        }
    }
}
