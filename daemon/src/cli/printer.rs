//! What a person or a script sees: data on stdout, all else on stderr.

use std::io::{IsTerminal, Write};

use burrow_protocol::error::ErrorData;
use serde::Serialize;

/// Writes for one command line. A closed pipe is no error: whoever reads has seen enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    json: bool,
    color: bool,
    terminal: bool,
}

/// How a word is set off. Colour never carries a meaning that the word does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Good.
    Good,
    /// Bad.
    Bad,
    /// Worth a look.
    Notice,
    /// Of less weight.
    Faint,
    /// One of several that are told apart: which.
    OneOf(usize),
}

/// Cyan, magenta, blue, and their bright kin: none that says good or bad.
const APART: [u8; 6] = [36, 35, 34, 96, 95, 94];

impl Printer {
    /// A printer; `json` asks for the protocol's types instead of words.
    pub(crate) fn new(json: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let color = terminal
            && std::io::stdout().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { json, color, terminal }
    }

    /// Whether the caller wants JSON.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Whether progress may be drawn live.
    pub(crate) const fn is_terminal(self) -> bool {
        self.terminal
    }

    /// A line of data.
    pub(crate) fn data(self, line: &str) {
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }

    /// A type of the protocol as JSON.
    pub(crate) fn json<T: Serialize>(self, value: &T) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.data(&text),
            Err(error) => self.note(&format!("error: failed to print JSON: {error}")),
        }
    }

    /// A line for a person.
    pub(crate) fn note(self, line: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    /// An error: what failed and why, then what to do next.
    pub(crate) fn error(self, data: &ErrorData) {
        if self.json {
            return self.json(data);
        }
        self.note(&format!("{} {} [{} {}]", self.paint(Style::Bad, "error:"), data.message, data.code, data.slug));
        if let Some(hint) = &data.hint {
            self.note(&format!("{} {hint}", self.paint(Style::Notice, "hint:")));
        }
    }

    /// `text` in the colours of `style`, where colours are wanted.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match style {
            Style::Good => 32,
            Style::Bad => 31,
            Style::Notice => 33,
            Style::Faint => 2,
            Style::OneOf(which) => APART[which % APART.len()],
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}
