//! What is wrong with the lock file, at its place in it: for an editor. Blocks: the file is read for the place.

use burrow_protocol::model::FileProblem;
use camino::Utf8Path;

use super::error::ToolchainError;
use super::observe::Asked;
use crate::coded::Coded;

/// The problems of the lock file that `asked` came upon.
pub(crate) fn at_the_lock_file(asked: &Result<Asked, ToolchainError>) -> Vec<FileProblem> {
    match asked {
        Err(error @ ToolchainError::LockInvalid { path, line, column, problem }) => {
            let place = (u32::try_from(*line).unwrap_or(u32::MAX), u32::try_from(*column).unwrap_or(u32::MAX));
            vec![FileProblem { message: problem.clone(), ..told(error, path, place) }]
        }
        Ok(asked) if asked.lock.is_some() => {
            let drifted = asked.choices.iter().filter_map(|choice| match &choice.wanted {
                Err(error @ ToolchainError::Drifted { tool, .. }) => Some((error, tool)),
                _ => None,
            });
            // Without its text the first line has to do.
            let text = std::fs::read_to_string(&asked.place.path).unwrap_or_default();
            drifted.map(|(error, tool)| told(error, &asked.place.path, row_of(&text, tool))).collect()
        }
        Ok(_) | Err(_) => Vec::new(),
    }
}

fn told(error: &ToolchainError, path: &Utf8Path, (line, column): (u32, u32)) -> FileProblem {
    let data = error.to_data();
    FileProblem { path: path.to_string(), line, column, code: data.code, message: data.message, hint: data.hint }
}

/// Line and column of the row of `tool`, from 1; the start of the file where there is none.
fn row_of(text: &str, tool: &str) -> (u32, u32) {
    let key = format!("\"{tool}\":");
    let found = (1..).zip(text.lines()).find_map(|(line, content)| {
        let indent = u32::try_from(content.len() - content.trim_start().len()).ok()?;
        content.trim_start().starts_with(&key).then_some((line, indent + 1))
    });
    found.unwrap_or((1, 1))
}

#[cfg(test)]
mod tests {
    use super::row_of;

    #[test]
    fn a_tool_has_its_row() {
        let text =
            "{\n  \"tools\": {\n    \"dlv\": {\n      \"package\": \"gopls\"\n    },\n    \"gopls\": {}\n  }\n}\n";
        for (tool, expected, why) in [
            ("dlv", (3, 5), "its key"),
            ("gopls", (6, 5), "its key, not a value that reads the same"),
            ("goimports", (1, 1), "it has no row"),
        ] {
            assert_eq!(row_of(text, tool), expected, "{why}");
        }
    }
}
