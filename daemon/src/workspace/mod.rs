//! One open folder: its settings, read again when their files change.
//!
//! Not here: what is done with the settings (`hooks`, `toolchain`).

pub mod files;
pub mod trust;

use std::sync::Arc;

use burrow_protocol::model::{FileProblem, Reason};
use camino::Utf8Path;
use tokio::sync::watch;

use crate::model::{SettingsPart, WorkspacePublisher};
use files::devcontainer::{self, Problem, Settings};

/// Reads the settings of the folder at `root` and shows what is wrong with them. Blocks.
#[must_use]
pub fn read_settings(root: &Utf8Path, publisher: &WorkspacePublisher) -> Arc<Settings> {
    let settings = Arc::new(devcontainer::read(root));
    let place = |problem| settings.file.as_deref().and_then(|file| at_its_place(problem, file, root));
    publisher.settings(&SettingsPart {
        reasons: settings.problems.iter().map(Reason::from).collect(),
        problems: settings.problems.iter().filter_map(place).collect(),
    });
    settings
}

/// Reads the settings again and tells those who follow them, if they changed. Blocks.
pub fn reread_settings(root: &Utf8Path, publisher: &WorkspacePublisher, settings: &watch::Sender<Arc<Settings>>) {
    let mut new = read_settings(root, publisher);
    settings.send_if_modified(|old| {
        if new.is_broken() {
            // What is secret stays so while the file is half saved.
            Arc::make_mut(&mut new).burrow.secrets.clone_from(&old.burrow.secrets);
        }
        let changed = **old != *new;
        *old = new;
        changed
    });
}

/// A mistake for one who looks at the file: without its place in words, which an editor shows itself.
fn at_its_place(problem: &Problem, file: &Utf8Path, root: &Utf8Path) -> Option<FileProblem> {
    let (line, column) = problem.place?;
    let name = file.strip_prefix(root).unwrap_or(file);
    let message = problem.message.strip_prefix(&format!("{name}:{line}:{column}: ")).unwrap_or(&problem.message);
    Some(FileProblem {
        path: file.to_string(),
        line,
        column,
        code: problem.code.code().to_owned(),
        message: message.to_owned(),
        hint: problem.hint.clone(),
    })
}

#[cfg(test)]
mod tests {
    use burrow_protocol::error::ErrorCode;

    use super::at_its_place;
    use super::files::devcontainer::Problem;

    #[test]
    fn a_place_is_told_once() {
        let problem = |place| Problem {
            code: ErrorCode::ConfigValue,
            message: "a/devcontainer.json:3:7: `secrets`: no list".to_owned(),
            hint: None,
            place,
        };
        let placed =
            at_its_place(&problem(Some((3, 7))), "/w/a/devcontainer.json".into(), "/w".into()).expect("placed");
        assert_eq!((placed.path.as_str(), placed.line, placed.column), ("/w/a/devcontainer.json", 3, 7));
        assert_eq!(placed.message, "`secrets`: no list");
        assert_eq!(at_its_place(&problem(None), "/w/a/devcontainer.json".into(), "/w".into()), None, "it has no place");
    }
}
