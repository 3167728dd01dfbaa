//! Where to stop, as a person writes it: `FILE:LINE`, or a function such as `main.main`.

use std::fmt;

use camino::Utf8PathBuf;

/// Where to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A line of a file.
    Line {
        /// The file, as written.
        file: Utf8PathBuf,
        /// The line, from 1.
        line: u32,
    },
    /// A function, by the name that dlv knows: `main.main`, `main.(*Greeter).greet`.
    Function(String),
}

impl Default for Target {
    fn default() -> Self {
        Self::Function("main.main".to_owned())
    }
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.rsplit_once(':') {
            Some((file, line)) if !file.is_empty() => match line.parse() {
                Ok(line) if line > 0 => Ok(Self::Line { file: file.into(), line }),
                _ => Err(format!("`{line}` is no line number")),
            },
            None if !text.is_empty() && !text.ends_with(".go") => Ok(Self::Function(text.to_owned())),
            _ => Err("write FILE:LINE, or a function such as main.main".to_owned()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(formatter, "{file}:{line}"),
            Self::Function(name) => formatter.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn forms() {
        let line = |file: &str, line| Some(Target::Line { file: file.into(), line });
        for (text, expected, why) in [
            ("main.go:12", line("main.go", 12), "a line"),
            ("a:b/main.go:1", line("a:b/main.go", 1), "a path may have a colon"),
            ("main.main", Some(Target::default()), "a function"),
            ("main.(*Greeter).greet", Some(Target::Function("main.(*Greeter).greet".to_owned())), "a method"),
            ("main.go:0", None, "lines count from 1"),
            ("main.go:x", None, "no number"),
            ("main.go", None, "a file without a line"),
            (":3", None, "a line without a file"),
            ("", None, "nothing"),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}: {why}");
        }
    }
}
