//! Pure: lays out the TypeScript that ts-rs writes, which breaks lines around comments only.

/// One field a line, two spaces a level, comments of one sentence on one line, maps as `Record`.
pub(super) fn lay_out(text: &str) -> String {
    let mut out = String::new();
    let mut depth = 0;
    let mut angles = 0;
    let mut break_due = false;
    let mut rest = text.trim();
    while let Some(next) = rest.chars().next() {
        if next.is_whitespace() {
            rest = rest.trim_start();
            if !break_due && !rest.starts_with(',') {
                out.push(' ');
            }
            continue;
        }
        if next == '}' {
            depth -= 1;
        }
        if break_due {
            out.truncate(out.trim_end().len());
            out.push('\n');
            out.push_str(&"  ".repeat(depth));
            break_due = false;
        }
        let taken = match next {
            '/' => {
                let (text, length) = take_comment(rest);
                out.push_str(&comment(text, &"  ".repeat(depth)));
                break_due = true;
                length
            }
            '{' if rest.starts_with("{ [key in string]: ") => {
                let length = matching_brace(rest);
                let value = &rest["{ [key in string]: ".len()..length - 1];
                out.push_str(&format!("Record<string, {}>", value.trim()));
                length
            }
            '"' => {
                let length = rest[1..].find('"').map_or(rest.len(), |end| end + 2);
                out.push_str(&rest[..length]);
                length
            }
            ',' if depth > 0 && angles == 0 => {
                out.push(';');
                break_due = true;
                1
            }
            other => {
                match other {
                    '{' => (depth, break_due) = (depth + 1, true),
                    '<' => angles += 1,
                    '>' => angles -= 1,
                    _ => {}
                }
                out.push(other);
                other.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    out
}

/// A documentation comment at `indent`: one line where it is one, else a block.
pub(super) fn comment(text: &str, indent: &str) -> String {
    let text = text.trim().trim_start_matches("/**").trim_end_matches("*/");
    let lines: Vec<_> = text.lines().map(|line| line.trim().trim_start_matches("* ").trim()).collect();
    match lines.iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().as_slice() {
        [line] => format!("/** {line} */"),
        lines => {
            let lines: String = lines.iter().map(|line| format!("\n{indent} * {line}")).collect();
            format!("/**{lines}\n{indent} */")
        }
    }
}

fn take_comment(text: &str) -> (&str, usize) {
    let length = text.find("*/").map_or(text.len(), |end| end + 2);
    (&text[..length], length)
}

/// The length of the part that ends with the brace that closes the first one.
fn matching_brace(text: &str) -> usize {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return at + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::{comment, lay_out};

    #[test]
    fn forms_of_ts_rs() {
        for (text, expected, why) in [
            ("\"a\" | \"b, c\"", "\"a\" | \"b, c\"", "words stay as they are"),
            ("Record<symbol, never>", "Record<symbol, never>", "a comma between types ends no field"),
            ("{ a: number, b: string, }", "{\n  a: number;\n  b: string;\n}", "one field a line"),
            ("{ \n/**\n * Doc.\n */\na: number, }", "{\n  /** Doc. */\n  a: number;\n}", "a comment above its field"),
            ("{ m: { [key in string]: Array<T> }, }", "{\n  m: Record<string, Array<T>>;\n}", "a map is a Record"),
            ("{ a: A, } | { b: B, }", "{\n  a: A;\n} | {\n  b: B;\n}", "a union of objects"),
        ] {
            assert_eq!(lay_out(text), expected, "{why}");
        }
    }

    #[test]
    fn comment_of_several_lines_is_a_block() {
        assert_eq!(comment("One.\nTwo.", "  "), "/**\n   * One.\n   * Two.\n   */");
    }
}
