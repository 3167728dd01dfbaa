//! What the fuzz targets of `fuzz/` run: one function a target, which panics where an invariant is broken.
//!
//! It is here so that the corpora are replayed by plain `cargo test`, and so that what is fuzzed may stay private. A target
//! is a function and a row of [`TARGETS`] here, a file and a `[[bin]]` in `fuzz/`, and some inputs in `fuzz/corpus/NAME`.

use std::collections::BTreeMap;

use burrow_protocol::framing::MAX_BODY_BYTES;
use tokio_util::bytes::BytesMut;

use crate::debug;
use crate::debug::dap::codec;
use crate::toolchain;
use crate::workspace::files::devcontainer::{self, Settings};
use crate::workspace::files::substitute::{Substitution, substitute};
use crate::workspace::files::{air, bingo, dotenv, glob, go_mod, go_work, mise, tool_versions};

/// The body of a target.
pub type Target = fn(&[u8]);

/// Every target by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("air_toml", air_toml),
    ("buildinfo", buildinfo),
    ("dap", dap),
    ("devcontainer", devcontainer),
    ("go_mod", go_mod),
    ("lock", lock),
    ("mise", mise),
    ("substitution", substitution),
    ("tool_versions", tool_versions),
];

/// .air.toml, and the patterns and variables that go with it: no text makes the readers panic, and a mistake has words.
pub fn air_toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match air::parse(text) {
        Ok(file) => {
            assert!(file.problems.iter().all(|problem| !problem.is_empty()), "a problem without words");
            for pattern in file.exclude_file.iter().chain(&file.exclude_regex) {
                let _ = (glob::anchored(pattern), glob::anywhere(pattern));
            }
        }
        Err(error) => assert!(error.starts_with(|first: char| first.is_ascii_digit()), "no place in {error:?}"),
    }
    for (name, _) in dotenv::parse(text) {
        assert!(!name.is_empty() && !name.contains(['=', '\n']), "no name: {name:?}");
    }
}

/// A debug client's stream: no bytes make the readers panic or hold more than a message's limit, and what passes through
/// comes out as it went in.
pub fn dap(data: &[u8]) {
    let mut buffer = BytesMut::from(data);
    let mut passed = Vec::new();
    while let Ok(Some(frame)) = codec::take_frame(&mut buffer) {
        assert!(frame.body().len() <= MAX_BODY_BYTES);
        // Whatever it asks, it is read or left alone.
        debug::read_launch(frame.body());
        passed.extend_from_slice(frame.whole());
    }
    passed.extend_from_slice(&buffer);
    assert_eq!(passed, data);
    assert!(buffer.capacity() <= 2 * MAX_BODY_BYTES, "{}", buffer.capacity());
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(_)) = codec::decode(&mut buffer) {}
}

/// What a Go binary says of its build: no file makes the reader panic, or read more than there is.
pub fn buildinfo(data: &[u8]) {
    crate::toolchain::fuzz_buildinfo(data);
}

/// devcontainer.json: no text makes the reader panic, each mistake is told, and its place lies in the file.
pub fn devcontainer(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut settings = Settings::default();
    devcontainer::parse(text, "devcontainer.json".into(), &mut settings);
    // Each of the three that end a line for an editor.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    for problem in &settings.problems {
        assert!(!problem.message.is_empty(), "a problem without words: {problem:?}");
        let Some((line, column)) = problem.place else { continue };
        let lines: Vec<_> = text.split('\n').collect();
        assert!((1..=lines.len()).contains(&(line as usize)), "line {line} of {}", lines.len());
        let found = lines[line as usize - 1];
        // One past the end is where something is missing.
        assert!(
            (1..=found.chars().count() + 1).contains(&(column as usize)),
            "{line}:{column} is outside of {found:?}"
        );
    }
}

/// go.mod, go.work and bingo's files, which have one grammar: no text makes a reader panic, and a mistake has its line.
pub fn go_mod(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines = text.lines().count();
    match go_mod::parse(text) {
        Ok(file) => {
            for package in &file.tools {
                let version = file.version_of(package);
                assert!(version.is_none_or(|version| file.requires.iter().any(|(_, known)| known == version)));
            }
        }
        Err(error) => assert!((1..=lines).contains(&error.line), "line {} of {lines}", error.line),
    }
    if let Err(error) = go_work::parse(text) {
        assert!((1..=lines).contains(&error.line), "line {} of {lines}", error.line);
    }
    if let Ok(Some(tool)) = bingo::parse(text) {
        assert!(!tool.package.is_empty() || text.contains("\"\"") || text.contains("``"), "{tool:?}");
    }
}

/// mise.toml: no text makes the reader panic, and a mistake has a line of the file.
pub fn mise(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(error) = mise::parse(text) {
        let lines = text.matches('\n').count() + 1;
        assert!((1..=lines).contains(&error.line), "line {} of {lines}", error.line);
    }
}

/// .tool-versions: no text makes the reader panic, and a pin is two words of one line.
pub fn tool_versions(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for (tool, version) in tool_versions::parse(text) {
        let is_word = |word: &str| !word.is_empty() && !word.contains(char::is_whitespace) && !word.contains('#');
        assert!(is_word(&tool) && is_word(&version), "{tool:?} {version:?}");
    }
}

/// The lock file: no text makes the reader panic, and what it reads is written and read as the same.
pub fn lock(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match toolchain::parse_lock(text) {
        Ok(lock) => {
            let again = serde_json::to_string(&lock).ok().map(|text| toolchain::parse_lock(&text));
            assert_eq!(again, Some(Ok(lock)));
        }
        Err((line, column, problem)) => assert!(line <= text.lines().count() + 1 && column > 0, "{line}: {problem}"),
    }
}

/// Substitution: no text makes it panic, and where there is no variable nothing changes.
pub fn substitution(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let env = BTreeMap::from([("SET".to_owned(), "value".to_owned()), ("EMPTY".to_owned(), String::new())]);
    let context = Substitution { workspace: "/workspaces/api".into(), env: &env, container_id: "id" };
    match substitute(text, &context) {
        Ok(result) if !text.contains("${") => assert_eq!(result, text),
        Ok(_) => {}
        Err(error) => assert!(text.contains("Env:") || text.contains("env") || text.contains("Env}"), "{error}"),
    }
}
