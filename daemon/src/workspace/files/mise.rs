//! mise.toml: the tools that mise pins. Pure.
//!
//! Format: <https://mise.jdx.dev/configuration.html>. A tool's value is a version, a list of them (the first is the one in
//! use), or a table with `version`.

use serde::Deserialize;
use toml::{Table, Value};

/// Where a mise.toml may lie in a folder; the first that is there has the last word.
pub const NAMES: [&str; 5] = ["mise.toml", "mise/config.toml", ".mise.toml", ".mise/config.toml", ".config/mise.toml"];

/// A mise.toml that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct MiseError {
    /// The line, from 1.
    pub line: usize,
    /// What is the matter with it.
    pub problem: String,
}

#[derive(Debug, Deserialize)]
struct File {
    #[serde(default)]
    tools: Table,
}

/// Reads a mise.toml: the tools with their versions, as written, in the order of their names.
///
/// # Errors
/// [`MiseError`] where it is no TOML.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, MiseError> {
    let file: File = toml::from_str(text).map_err(|error| MiseError {
        line: error
            .span()
            .map_or(1, |span| text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1)),
        problem: error.message().to_owned(),
    })?;
    let pins = file.tools.into_iter().filter_map(|(tool, value)| Some((tool, version(value)?)));
    Ok(pins.collect())
}

fn version(value: Value) -> Option<String> {
    match value {
        Value::String(version) => Some(version),
        // `gopls = 0.20`, which somebody meant as a text.
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        // One level is enough: a list in a list is nothing that mise knows.
        Value::Array(values) => values.into_iter().next().filter(|first| !first.is_array()).and_then(version),
        Value::Table(mut table) => table.remove("version").filter(|inner| !inner.is_table()).and_then(version),
        Value::Boolean(_) | Value::Datetime(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn all_forms_of_a_version_are_read() {
        let text = "[env]\nA = 1\n[tools]\ngofumpt = '0.9.2'\ngolangci-lint = ['2.15', '1.64']\n\
                    \"go:golang.org/x/tools/gopls\" = { version = \"latest\" }\nair = 1.67\nnode = true\n";
        let pins = parse(text).unwrap();
        let pins: Vec<_> = pins.iter().map(|(tool, version)| (tool.as_str(), version.as_str())).collect();
        assert_eq!(
            pins,
            [
                ("air", "1.67"),
                ("go:golang.org/x/tools/gopls", "latest"),
                ("gofumpt", "0.9.2"),
                ("golangci-lint", "2.15"),
            ]
        );
        assert_eq!(parse("").unwrap(), [], "an empty file pins nothing");
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_line() {
        for (text, line) in [("[tools\n", 1), ("[tools]\na = 1\na = 2\n", 3), ("tools = 7", 1)] {
            assert_eq!(parse(text).map_err(|error| error.line), Err(line), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\[tools\\]|\n|=|'|\"|a|\\{|\\}|\\[|\\]|1|,|é){0,24}") {
            let _ = parse(&text);
        }
    }
}
