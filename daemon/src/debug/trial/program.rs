//! Which program to debug: the main packages of a workspace, found by our own reader. Blocks.
//!
//! Invariants: nothing of the workspace is run, no `go list`; depth, files and bytes are bounded.

use camino::{Utf8Path, Utf8PathBuf};

use super::error::TrialError;
use super::target::Target;
use crate::workspace::files::lexical::clean;

const MAX_DEPTH: usize = 8;
const MAX_FILES: usize = 20_000;
/// The package clause stands near a file's top; a licence may stand before it.
const MAX_HEAD: u64 = 64 * 1024;

/// A package that is a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MainPackage {
    /// Its folder.
    pub dir: Utf8PathBuf,
    /// The folder as seen from the workspace; `.` for its root.
    pub name: String,
}

/// All programs below `workspace`, by folder.
///
/// # Errors
/// [`TrialError::Unreadable`] where the workspace itself cannot be read; what is not readable in it is left out.
pub fn find_packages(workspace: &Utf8Path) -> Result<Vec<MainPackage>, TrialError> {
    workspace.read_dir_utf8().map_err(TrialError::Unreadable)?;
    let mut found = Vec::new();
    let mut budget = MAX_FILES;
    walk(workspace, workspace, MAX_DEPTH, &mut budget, &mut found);
    found.sort_by(|one: &MainPackage, other| one.dir.cmp(&other.dir));
    Ok(found)
}

/// The program that is meant: the one named, else the one with the target's file, else the workspace's own, else the
/// only one.
///
/// # Errors
/// [`TrialError`] with the candidates where that is not clear.
pub fn select_package(
    workspace: &Utf8Path,
    packages: &[MainPackage],
    named: Option<&Utf8Path>,
    target: &Target,
) -> Result<MainPackage, TrialError> {
    let at = |dir: &Utf8Path| packages.iter().find(|package| package.dir == dir).cloned();
    let candidates = || packages.iter().map(|package| package.name.clone()).collect::<Vec<_>>();
    if let Some(named) = named {
        let dir = clean(&workspace.join(named));
        return at(&dir).ok_or_else(|| TrialError::NotMain { program: named.to_owned(), candidates: candidates() });
    }
    if let Target::Line { file, .. } = target
        && let Some(package) = clean(&workspace.join(file)).parent().and_then(at)
    {
        return Ok(package);
    }
    match packages {
        [] => Err(TrialError::NoProgram { workspace: workspace.to_owned() }),
        [only] => Ok(only.clone()),
        _ => at(workspace)
            .ok_or_else(|| TrialError::SeveralPrograms { workspace: workspace.to_owned(), candidates: candidates() }),
    }
}

fn walk(root: &Utf8Path, dir: &Utf8Path, depth: usize, budget: &mut usize, found: &mut Vec<MainPackage>) {
    let Ok(entries) = dir.read_dir_utf8() else { return };
    let (mut is_main, mut folders) = (false, Vec::new());
    for entry in entries.flatten() {
        let Some(left) = budget.checked_sub(1) else { return };
        *budget = left;
        let (name, Ok(kind)) = (entry.file_name(), entry.file_type()) else { continue };
        if kind.is_dir() && !is_ignored(name) {
            folders.push(entry.into_path());
        } else if kind.is_file()
            && name.ends_with(".go")
            && !name.ends_with("_test.go")
            && !name.starts_with(['.', '_'])
        {
            is_main = is_main || head(entry.path()).is_some_and(|head| is_main_file(&head));
        }
    }
    if is_main {
        let name = dir.strip_prefix(root).ok().filter(|path| !path.as_str().is_empty());
        found.push(MainPackage { dir: dir.to_owned(), name: name.map_or(".".to_owned(), |path| format!("./{path}")) });
    }
    if depth > 0 {
        for folder in folders {
            walk(root, &folder, depth - 1, budget, found);
        }
    }
}

/// Folders that the go command leaves out of `./...`, and one that never has Go of the project's own.
fn is_ignored(name: &str) -> bool {
    name.starts_with(['.', '_']) || matches!(name, "vendor" | "testdata" | "node_modules")
}

fn head(path: &Utf8Path) -> Option<String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    fs_err::File::open(path).ok()?.take(MAX_HEAD).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether a file begins with `package main`, after comments, and is not left out of every build by `//go:build ignore`.
fn is_main_file(text: &str) -> bool {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        if let Some(comment) = rest.strip_prefix("//") {
            let (line, after) = comment.split_once('\n').unwrap_or((comment, ""));
            if line.trim_end() == "go:build ignore" || line.trim() == "+build ignore" {
                return false;
            }
            rest = after.trim_start();
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, after)| after).trim_start();
        } else {
            let mut words = rest.split(|letter: char| letter.is_whitespace() || letter == ';' || letter == '/');
            return words.next() == Some("package") && words.find(|word| !word.is_empty()) == Some("main");
        }
    }
}

#[cfg(test)]
mod tests {
    use camino::{Utf8Path, Utf8PathBuf};

    use super::{MainPackage, Target, clean, find_packages, is_main_file, select_package};

    #[test]
    fn package_clauses() {
        for (text, expected, why) in [
            ("package main\n", true, "the plain form"),
            ("// Command x.\n/* more */ package  main // why\nimport \"fmt\"", true, "after comments"),
            ("\u{feff}package main;import \"fmt\"", true, "a byte order mark, and a semicolon"),
            ("//go:build linux\n\npackage main", true, "a build of its own system"),
            ("//go:build ignore\n\npackage main", false, "left out of every build"),
            ("package mainly", false, "another name"),
            ("// package main\npackage api", false, "only a comment says so"),
            ("", false, "nothing"),
        ] {
            assert_eq!(is_main_file(text), expected, "{why}");
        }
    }

    #[test]
    fn programs_of_a_workspace() {
        let temporary = tempfile::tempdir().expect("folder");
        let root = Utf8PathBuf::from_path_buf(temporary.path().to_owned()).expect("UTF-8");
        for (file, text) in [
            ("cmd/api/main.go", "package main"),
            ("cmd/api/main_test.go", "package main"),
            ("cmd/tool/main.go", "package main"),
            ("internal/x.go", "package internal"),
            ("vendor/v/main.go", "package main"),
            ("testdata/t/main.go", "package main"),
            (".hidden/main.go", "package main"),
            ("only/main_test.go", "package main"),
        ] {
            let path = root.join(file);
            crate::durable::create_dir(path.parent().expect("parent")).expect("folder");
            crate::durable::replace(&path, text.as_bytes()).expect("file");
        }
        let names: Vec<_> = find_packages(&root).expect("packages").into_iter().map(|package| package.name).collect();
        assert_eq!(names, ["./cmd/api", "./cmd/tool"]);
    }

    #[test]
    fn choice() {
        let root = Utf8Path::new("/w");
        let package = |name: &str| MainPackage { dir: clean(&root.join(name)), name: name.to_owned() };
        let (own, api, tool) = (package("."), package("./cmd/api"), package("./cmd/tool"));
        let (all, two, one) = ([own.clone(), api.clone(), tool.clone()], [api.clone(), tool.clone()], [api.clone()]);
        let line = |file: &str| Target::Line { file: file.into(), line: 1 };
        let main = Target::default();
        for (packages, named, target, expected, why) in [
            (&all[..], None, &main, Some(&own), "the workspace's own comes first"),
            (&two, None, &main, None, "two, and none is the workspace's own"),
            (&one, None, &main, Some(&api), "there is only one"),
            (&[], None, &main, None, "there is none"),
            (&all, Some("cmd/tool"), &main, Some(&tool), "named"),
            (&all, Some("./cmd/../cmd/tool/"), &main, Some(&tool), "named in another way"),
            (&all, Some("internal"), &main, None, "named, and no program"),
            (&all, None, &line("cmd/api/main.go"), Some(&api), "the file's own package"),
            (&all, None, &line("/w/cmd/api/main.go"), Some(&api), "the file's own package, by its whole path"),
            (&one, None, &line("internal/x.go"), Some(&api), "a file of a library: the only program"),
        ] {
            let chosen = select_package(root, packages, named.map(Utf8Path::new), target);
            assert_eq!(chosen.ok().as_ref(), expected, "{why}");
        }
    }
}
