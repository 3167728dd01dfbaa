//! `.tool-versions`: the pins of asdf and mise, one tool a line. Pure.
//!
//! Format: <https://asdf-vm.com/manage/configuration.html>. A tool may have several versions; the first is the one in use.

/// Reads a `.tool-versions`: the tools with their versions, as written. What is no such line is passed over.
#[must_use]
pub fn parse(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let pin = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    lines.filter_map(pin).collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_first_version_of_each_line_counts() {
        let text = "# tools\ngolang 1.26.8\ngolangci-lint 2.15.0 1.64.8 # two\n\nalone\n\tgofumpt\t0.9.2\r\n";
        let pins = parse(text);
        let pins: Vec<_> = pins.iter().map(|(tool, version)| (tool.as_str(), version.as_str())).collect();
        assert_eq!(pins, [("golang", "1.26.8"), ("golangci-lint", "2.15.0"), ("gofumpt", "0.9.2")]);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            for (tool, version) in parse(&text) {
                proptest::prop_assert!(!tool.is_empty() && !version.is_empty() && !version.contains('#'));
            }
        }
    }
}
