//! The files in which a project pins its tools already: go.mod's `tool` lines, bingo's, mise's and asdf's.
//!
//! They count for tools that the compatibility table knows, by their package or by their name there. A tool that is found in
//! one of them is asked for. All functions block.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::compat::Compat;
use super::error::ToolchainError;
use super::go::Module;
use crate::workspace::files::{bingo, mise, text, tool_versions};

/// bingo's folder.
const BINGO: &str = ".bingo";
/// asdf's file.
const TOOL_VERSIONS: &str = ".tool-versions";

/// A pin as a file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilePin {
    /// The version, as written.
    pub(crate) version: String,
    /// The main package, where the file names it.
    pub(crate) package: Option<String>,
    /// The file, as it is told: below the workspace where it lies there.
    pub(crate) from: String,
}

/// The pins of one kind of file, by tool.
pub(crate) type Level = BTreeMap<String, Vec<FilePin>>;

/// The pins in the files of a workspace, the strongest kind first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FilePins {
    pub(crate) levels: Vec<Level>,
}

/// The files that [`read`] looks at, whether they are there or not; go.mod is looked at by who reads the modules.
pub(crate) fn looked_at(workspace: &Utf8Path, modules: &[Module]) -> BTreeSet<Utf8PathBuf> {
    let mut files: BTreeSet<_> = mise::NAMES.iter().map(|name| workspace.join(name)).collect();
    files.insert(workspace.join(TOOL_VERSIONS));
    for folder in bingo_folders(workspace, modules) {
        files.extend(bingo_files(&folder));
        files.insert(folder);
    }
    files
}

/// Reads the pins in the files of `workspace`.
///
/// # Errors
/// [`ToolchainError::PinFile`]: with a file that cannot be read nobody can say what is pinned.
pub(crate) fn read(workspace: &Utf8Path, modules: &[Module], compat: &Compat) -> Result<FilePins, ToolchainError> {
    let mut go_mod = Level::new();
    for module in modules {
        let from = told(workspace, &module.folder.join("go.mod"));
        for package in &module.file.tools {
            // A tool of the module itself has no version: it is no installed tool.
            let version = module.file.version_of(package);
            if let (Some(name), Some(version)) = (compat.name_of_package(package), version) {
                add(&mut go_mod, name, version, Some(package), &from);
            }
        }
    }
    let mut by_bingo = Level::new();
    for file in bingo_folders(workspace, modules).iter().flat_map(|folder| bingo_files(folder)) {
        let Some(content) = text_of(&file)? else { continue };
        let tool = bingo::parse(&content).map_err(|error| unreadable(&file, error.to_string()))?;
        if let Some(tool) = tool
            && let Some(name) = compat.name_of_package(&tool.package)
        {
            add(&mut by_bingo, name, &tool.version, Some(&tool.package), &told(workspace, &file));
        }
    }
    let mut managers = Level::new();
    for name in mise::NAMES {
        let file = workspace.join(name);
        let Some(content) = text_of(&file)? else { continue };
        let pins = mise::parse(&content).map_err(|error| unreadable(&file, error.to_string()))?;
        add_first(&mut managers, pins, compat, &told(workspace, &file));
    }
    let file = workspace.join(TOOL_VERSIONS);
    if let Some(content) = text_of(&file)? {
        add_first(&mut managers, tool_versions::parse(&content), compat, &told(workspace, &file));
    }
    Ok(FilePins { levels: vec![go_mod, by_bingo, managers] })
}

fn add(level: &mut Level, name: &str, version: &str, package: Option<&str>, from: &str) {
    let (version, package, from) = (version.to_owned(), package.map(str::to_owned), from.to_owned());
    level.entry(name.to_owned()).or_default().push(FilePin { version, package, from });
}

/// Adds what a version manager's file pins; of two such files the first has the say.
fn add_first(level: &mut Level, pins: Vec<(String, String)>, compat: &Compat, from: &str) {
    let mut new = Level::new();
    for (tool, version) in pins {
        // The one word of theirs that pins nothing.
        if version == "system" {
            continue;
        }
        let (name, package) = match tool.strip_prefix("go:") {
            Some(package) => (compat.name_of_package(package), Some(package)),
            // Other backends name a repository: `aqua:golangci/golangci-lint`.
            None => (compat.name_of(tool.rsplit(['/', ':']).next().unwrap_or(&tool)), None),
        };
        if let Some(name) = name {
            add(&mut new, name, version.strip_prefix("prefix:").unwrap_or(&version), package, from);
        }
    }
    for (name, pins) in new {
        level.entry(name).or_insert(pins);
    }
}

fn bingo_folders(workspace: &Utf8Path, modules: &[Module]) -> BTreeSet<Utf8PathBuf> {
    let folders = modules.iter().map(|module| module.folder.as_path()).chain([workspace]);
    folders.map(|folder| folder.join(BINGO)).collect()
}

fn bingo_files(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
    let mut files: Vec<_> =
        entries.filter(|entry| bingo::tool_name(entry.file_name()).is_some()).map(|entry| entry.into_path()).collect();
    files.sort();
    files
}

fn text_of(file: &Utf8Path) -> Result<Option<String>, ToolchainError> {
    text::read(file).map_err(|error| unreadable(file, error.to_string()))
}

fn unreadable(file: &Utf8Path, problem: String) -> ToolchainError {
    ToolchainError::PinFile { path: file.to_owned(), problem }
}

fn told(workspace: &Utf8Path, file: &Utf8Path) -> String {
    // `use ./api` of a go.work leaves a dot in the path.
    let below = file.strip_prefix(workspace).unwrap_or(file).as_str();
    below.replace("/./", "/").trim_start_matches("./").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::files::go_mod;

    fn write(path: &Utf8Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        crate::durable::replace(path, text.as_bytes()).unwrap();
    }

    fn module(folder: Utf8PathBuf, text: &str) -> Module {
        Module { folder, file: go_mod::parse(text).unwrap() }
    }

    #[test]
    fn each_kind_of_file_is_a_level() {
        let keep = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(keep.path().to_owned()).unwrap();
        write(&root.join(".bingo/dlv.mod"), "module _\nrequire github.com/go-delve/delve v1.26.3 // cmd/dlv\n");
        write(&root.join(".bingo/go.mod"), "module _\n");
        write(&root.join(".bingo/own.mod"), "module _\nrequire a.example/own v1.0.0\n");
        write(
            &root.join("mise.toml"),
            "[tools]\nnode = '20'\ngofumpt = 'latest'\n\"go:golang.org/x/tools/gopls\" = '0.20'\nair = 'system'\n\
             \"aqua:golangci/golangci-lint\" = 'prefix:2.1'\n",
        );
        write(&root.join(".tool-versions"), "golang 1.26.8\ngofumpt 0.9.2\ndelve 1.27.1\n");
        let tools = "module m\ntool (\n golang.org/x/tools/cmd/goimports\n example.com/m/gen\n m/cmd/x\n)\n\
                     require golang.org/x/tools v0.36.0\nrequire example.com/m v1.0.0\n";
        let modules = [module(root.join("./api"), tools)];
        let pins = read(&root, &modules, Compat::built_in()).unwrap();
        let level = |level: usize| {
            let pins = pins.levels[level].iter().flat_map(|(name, pins)| pins.iter().map(move |pin| (name, pin)));
            pins.map(|(name, pin)| format!("{name} {} {}", pin.version, pin.from)).collect::<Vec<_>>()
        };
        assert_eq!(level(0), ["goimports v0.36.0 api/go.mod"]);
        assert_eq!(level(1), ["dlv v1.26.3 .bingo/dlv.mod"], "what the table does not know is bingo's own");
        assert_eq!(
            level(2),
            [
                "dlv 1.27.1 .tool-versions",
                "gofumpt latest mise.toml",
                "golangci-lint 2.1 mise.toml",
                "gopls 0.20 mise.toml"
            ],
            "mise.toml goes before .tool-versions"
        );
        let seen = looked_at(&root, &modules);
        for file in [".bingo", ".bingo/dlv.mod", "mise.toml", ".tool-versions", "./api/.bingo"] {
            assert!(seen.contains(&root.join(file)), "{file}: {seen:?}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told() {
        for (file, text) in [("mise.toml", "[tools"), (".bingo/dlv.mod", "require (\n")] {
            let keep = tempfile::tempdir().unwrap();
            let root = Utf8PathBuf::from_path_buf(keep.path().to_owned()).unwrap();
            write(&root.join(file), text);
            let refused = read(&root, &[], Compat::built_in());
            assert!(matches!(refused, Err(ToolchainError::PinFile { .. })), "{file}: {refused:?}");
        }
    }
}
