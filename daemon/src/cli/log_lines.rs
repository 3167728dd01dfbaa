//! The lines of a log as they are printed: put together from what was read of each stream.

use std::collections::HashMap;

use burrow_protocol::hooks::{LogPiece, LogRead, LogStream};

use super::printer::{self, Printer};

/// How long one question for more of a log may wait, in milliseconds: then it is asked anew.
pub(crate) const WAIT_MS: u32 = 30_000;

/// Where output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// Each stream to its own, as if the commands ran in this terminal.
    Streams,
    /// All to standard error: standard output is for something else.
    Notes,
}

/// How output is printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineStyle {
    pub(crate) printer: Printer,
    pub(crate) sink: Sink,
    /// Whether each line begins with its time.
    pub(crate) times: bool,
}

/// Puts reads together to lines, for each stream of one command.
#[derive(Debug)]
pub(crate) struct Lines {
    /// What each line begins with.
    prefix: String,
    style: LineStyle,
    /// The line that each stream has begun: where standard error is `true`.
    open: HashMap<bool, String>,
    /// Which start of the command it is.
    attempt: u32,
}

impl Lines {
    pub(crate) fn new(prefix: String, style: LineStyle) -> Self {
        Self { prefix, style, open: HashMap::new(), attempt: 1 }
    }

    pub(crate) fn print(&mut self, piece: &LogPiece) {
        self.tell_attempt(piece);
        self.tell_cut(piece);
        for read in &piece.reads {
            self.add(read);
        }
    }

    /// Whether a piece is of a later start than what was printed.
    pub(crate) const fn is_later(&self, piece: &LogPiece) -> bool {
        piece.attempt > self.attempt
    }

    /// Sets the output of a later start apart from that of the one before.
    pub(crate) fn tell_attempt(&mut self, piece: &LogPiece) {
        if piece.attempt > self.attempt {
            self.finish();
            self.attempt = piece.attempt;
            let text = format!("... started again, for the {} time", ordinal(piece.attempt));
            let text = self.style.printer.paint(printer::Style::Faint, &text);
            self.style.printer.note(&format!("{}{text}", self.prefix));
        }
    }

    pub(crate) fn tell_cut(&self, piece: &LogPiece) {
        if piece.cut.get() > 0 {
            self.style.printer.note(&format!("{}... {} bytes of the log were cut here", self.prefix, piece.cut.get()));
        }
    }

    pub(crate) fn add(&mut self, read: &LogRead) {
        let is_error = read.stream == LogStream::Stderr;
        for part in read.text.split_inclusive('\n') {
            let begin = || if self.style.times { format!("{} ", read.time) } else { String::new() };
            let mut line = self.open.remove(&is_error).unwrap_or_else(begin);
            match part.strip_suffix('\n') {
                Some(end) => self.line(is_error, &(line + end)),
                None => {
                    line.push_str(part);
                    self.open.insert(is_error, line);
                }
            }
        }
    }

    /// Prints what has no line's end.
    pub(crate) fn finish(&mut self) {
        for is_error in [false, true] {
            if let Some(line) = self.open.remove(&is_error) {
                self.line(is_error, &line);
            }
        }
    }

    fn line(&self, is_error: bool, line: &str) {
        let line = format!("{}{line}", self.prefix);
        if is_error || self.style.sink == Sink::Notes {
            self.style.printer.note(&line);
        } else {
            self.style.printer.data(&line);
        }
    }
}

fn ordinal(number: u32) -> String {
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::ordinal;

    #[test]
    fn ordinals() {
        let told = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal);
        assert_eq!(told, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"]);
    }
}
