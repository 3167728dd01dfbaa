//! go.work: which modules are worked on together, and which Go they ask for. Pure.

use super::go_mod::{GoLineError, directives};

/// What a go.work says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoWork {
    /// The `go` line's version.
    pub go: Option<String>,
    /// The `toolchain` line's name.
    pub toolchain: Option<String>,
    /// The folders of the modules, as written: relative to go.work's own folder, or absolute.
    pub uses: Vec<String>,
}

/// Reads a go.work.
///
/// # Errors
/// As [`super::go_mod::parse`].
pub fn parse(text: &str) -> Result<GoWork, GoLineError> {
    let mut file = GoWork::default();
    for directive in directives(text)? {
        match directive.verb.as_str() {
            "go" => file.go = Some(directive.single()?),
            "toolchain" => file.toolchain = Some(directive.single()?),
            "use" => file.uses.push(directive.single()?),
            _ => {}
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_read_from_lines_and_blocks() {
        let text = "go 1.25.0\ntoolchain go1.26.1\nuse ./api // first\nuse (\n\t./web\n\t\"./with space\"\n)\nreplace a => b\n";
        let file = parse(text).unwrap();
        assert_eq!(file.go.as_deref(), Some("1.25.0"));
        assert_eq!(file.toolchain.as_deref(), Some("go1.26.1"));
        assert_eq!(file.uses, ["./api", "./web", "./with space"]);
    }

    #[test]
    fn a_use_without_a_folder_is_told() {
        assert_eq!(parse("go 1.25\nuse\n").map_err(|error| error.line), Err(2));
    }
}
