//! The lock file: which versions a team uses, and which binaries those are.
//!
//! It lies in the workspace's `.devcontainer`, or in the state directory where there is none. A pull request may change it:
//! it decides which allowed version is installed, and is no root of trust for what a download holds.
//!
//! Invariants: nothing is read or written through a link that leads out of the workspace; what was written reads back
//! the same; keys are sorted. All functions block.

use std::io;
use std::os::unix::fs::MetadataExt;

use burrow_protocol::lock::LockFile;
use camino::{Utf8Path, Utf8PathBuf};

use super::environment::BuildTarget;
use super::error::ToolchainError;
use crate::durable::{self, DurableError, WorkspaceLayout};

/// The format's version.
const SCHEMA: u32 = 1;
/// A lock file is about 2 KiB; one this large was not written by Burrow.
const MAX_BYTES: u64 = 1 << 20;
const FOLDER: &str = ".devcontainer";
const NAME: &str = "burrow-lock.json";

/// Where a workspace's lock file lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LockPlace {
    /// The file.
    pub(crate) path: Utf8PathBuf,
    /// Whether it is part of the repository.
    pub(crate) shared: bool,
}

/// Finds the place of the lock file of `workspace`.
///
/// # Errors
/// [`ToolchainError::LinkOutside`] where the folder or the file is a link out of the workspace.
pub(crate) fn place(workspace: &Utf8Path, layout: &WorkspaceLayout) -> Result<LockPlace, ToolchainError> {
    let folder = workspace.join(FOLDER);
    if !folder.is_dir() {
        return Ok(LockPlace { path: layout.lock_file(), shared: false });
    }
    let root = canonical(workspace)?.ok_or_else(|| ToolchainError::LinkOutside { path: workspace.to_owned() })?;
    let inside = |path: &Utf8Path| match canonical(path)? {
        Some(real) if !real.starts_with(&root) => Err(ToolchainError::LinkOutside { path: path.to_owned() }),
        real => Ok(real),
    };
    inside(&folder)?;
    let path = folder.join(NAME);
    let real = inside(&path)?;
    if real.is_none() && path.is_symlink() {
        // A dangling link: writing through it would make a file wherever it points.
        return Err(ToolchainError::LinkOutside { path });
    }
    Ok(LockPlace { path: real.unwrap_or(path), shared: true })
}

/// The paths that decide where the lock file of `workspace` lies and what it says.
pub(crate) fn looked_at(workspace: &Utf8Path) -> [Utf8PathBuf; 2] {
    let folder = workspace.join(FOLDER);
    [folder.join(NAME), folder]
}

fn canonical(path: &Utf8Path) -> Result<Option<Utf8PathBuf>, ToolchainError> {
    match path.canonicalize_utf8() {
        Ok(path) => Ok(Some(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ToolchainError::Read { path: path.to_owned(), source }),
    }
}

/// Reads the lock file; none where there is none.
///
/// # Errors
/// [`ToolchainError::LockInvalid`] with the place of the mistake, or [`ToolchainError::Read`].
pub(crate) fn read(place: &LockPlace) -> Result<Option<LockFile>, ToolchainError> {
    let path = &place.path;
    let unreadable = |source| ToolchainError::Read { path: path.clone(), source };
    match path.metadata() {
        Ok(metadata) if metadata.len() > MAX_BYTES => {
            return Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB")));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    parse(&text).map(Some).map_err(|(line, column, problem)| ToolchainError::LockInvalid {
        path: path.clone(),
        line,
        column,
        problem,
    })
}

/// Reads the text of a lock file, or tells line, column and what is wrong there.
pub(crate) fn parse(text: &str) -> Result<LockFile, (usize, usize, String)> {
    let lock: LockFile = serde_json::from_str(text).map_err(|error| {
        let said = error.to_string();
        // serde_json ends its message with the place, which is told apart here.
        let problem = said.rsplit_once(" at line ").map_or(said.as_str(), |(problem, _)| problem);
        (error.line(), error.column().max(1), problem.to_owned())
    })?;
    if lock.schema != SCHEMA {
        return Err((1, 1, format!("schema {} is not known to this version of Burrow", lock.schema)));
    }
    Ok(lock)
}

/// Replaces the lock file. In the repository it gets the mode of an ordinary file, and written by root the folder's owner.
///
/// # Errors
/// [`ToolchainError::State`].
pub(crate) fn write(place: &LockPlace, lock: &LockFile) -> Result<(), ToolchainError> {
    let text = render(lock).map_err(|error| DurableError::Write { path: place.path.clone(), source: error.into() })?;
    if !place.shared {
        return Ok(durable::replace(&place.path, text.as_bytes())?);
    }
    durable::replace_with_mode(&place.path, text.as_bytes(), 0o644)?;
    give_to_folders_owner(&place.path).map_err(|source| DurableError::Write { path: place.path.clone(), source }.into())
}

/// The text of a lock file.
fn render(lock: &LockFile) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(lock)? + "\n")
}

/// A file that root makes in a user's repository is the user's.
fn give_to_folders_owner(path: &Utf8Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let Some(folder) = path.parent() else { return Ok(()) };
    let owner = folder.metadata()?;
    std::os::unix::fs::lchown(path, Some(owner.uid()), Some(owner.gid()))
}

/// A lock file without rows.
pub(crate) fn empty() -> LockFile {
    LockFile { schema: SCHEMA, tools: std::collections::BTreeMap::new() }
}

/// The place of the lock file in the repository, made where it is none yet: a folder like the workspace's own, and its
/// owner's.
///
/// # Errors
/// [`ToolchainError::State`], [`ToolchainError::LinkOutside`].
pub(crate) fn make_shared(workspace: &Utf8Path, layout: &WorkspaceLayout) -> Result<LockPlace, ToolchainError> {
    let folder = workspace.join(FOLDER);
    let failed = |source| ToolchainError::from(DurableError::Write { path: folder.clone(), source });
    durable::create_dir(&folder)?;
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).map_err(failed)?;
    give_to_folders_owner(&folder).map_err(failed)?;
    place(workspace, layout)
}

/// The key of a binary for this platform in the lock file: everything that its bytes depend on besides the module.
pub(crate) fn build_key(go: &str) -> String {
    key_for(go, &BuildTarget::host())
}

/// As [`build_key`], for any platform.
pub(crate) fn key_for(go: &str, target: &BuildTarget) -> String {
    let level = target.level().map_or("", |(_, level)| level);
    format!("{go} {} {level}", target.platform()).trim_end().to_owned()
}

/// The platform in the key of a binary.
pub(crate) fn platform_of(key: &str) -> Option<BuildTarget> {
    let (goos, goarch) = key.split(' ').nth(1)?.split_once('/')?;
    let is_name = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_name(goos) && is_name(goarch)).then(|| BuildTarget { goos: goos.to_owned(), goarch: goarch.to_owned() })
}

#[cfg(test)]
mod tests {
    use burrow_protocol::lock::LockedTool;

    use super::*;
    use crate::durable::StateLayout;

    fn folder() -> (tempfile::TempDir, Utf8PathBuf, WorkspaceLayout) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
        std::fs::create_dir_all(path.join("work/.devcontainer")).unwrap();
        let layout = StateLayout::new(path.join("state")).workspace(&path.join("work"));
        (folder, path, layout)
    }

    fn lock() -> LockFile {
        let tool = LockedTool {
            module: "golang.org/x/tools/gopls".into(),
            package: "golang.org/x/tools/gopls".into(),
            version: "v0.23.0".into(),
            h1: "h1:abc".into(),
            binaries: [("go1.26.8 linux/amd64 v1".to_owned(), "00ff".to_owned())].into(),
        };
        LockFile { schema: 1, tools: [("gopls".to_owned(), tool)].into() }
    }

    #[test]
    fn what_was_written_reads_back_and_is_an_ordinary_file() {
        let (_keep, root, layout) = folder();
        let place = place(&root.join("work"), &layout).unwrap();
        assert_eq!(read(&place).unwrap(), None);
        write(&place, &lock()).unwrap();
        assert_eq!(read(&place).unwrap(), Some(lock()));
        let path = root.join("work/.devcontainer/burrow-lock.json");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o644);
        insta::assert_snapshot!(std::fs::read_to_string(path).unwrap(), @r#"
        {
          "schema": 1,
          "tools": {
            "gopls": {
              "module": "golang.org/x/tools/gopls",
              "package": "golang.org/x/tools/gopls",
              "version": "v0.23.0",
              "h1": "h1:abc",
              "binaries": {
                "go1.26.8 linux/amd64 v1": "00ff"
              }
            }
          }
        }
        "#);
    }

    #[test]
    fn without_the_folder_it_lies_in_the_state_directory() {
        let (_keep, root, layout) = folder();
        std::fs::remove_dir(root.join("work/.devcontainer")).unwrap();
        let place = place(&root.join("work"), &layout).unwrap();
        assert_eq!(place, LockPlace { path: layout.lock_file(), shared: false });
    }

    #[test]
    fn a_link_out_of_the_workspace_is_refused() {
        let (_keep, root, layout) = folder();
        let (work, outside) = (root.join("work"), root.join("outside"));
        let file = work.join(".devcontainer/burrow-lock.json");
        std::fs::create_dir(&outside).unwrap();
        let refused = |why: &str| {
            assert!(matches!(place(&work, &layout), Err(ToolchainError::LinkOutside { .. })), "{why}");
        };
        std::os::unix::fs::symlink(outside.join("new"), &file).unwrap();
        refused("a dangling link");
        durable::replace(&outside.join("new"), b"{}").unwrap();
        refused("a link to a file outside");
        std::fs::remove_dir_all(work.join(".devcontainer")).unwrap();
        std::os::unix::fs::symlink(&outside, work.join(".devcontainer")).unwrap();
        refused("the folder itself is a link");
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (text, line, column, why) in [
            ("", 1, 1, "an empty file"),
            ("{\n  \"schema\": 1,\n  \"tools\": {\n", 4, 1, "a file that is cut off"),
            ("{\n  \"schema\": 1,\n  \"toolz\": {}\n}", 3, 9, "a key that is not known"),
            ("{\"schema\": 2, \"tools\": {}}", 1, 1, "a schema of the future"),
            ("<<<<<<< HEAD\n{}", 1, 1, "a merge that was not finished"),
        ] {
            let (at_line, at_column, problem) = parse(text).unwrap_err();
            assert_eq!(at_line, line, "{why}: {problem}");
            assert!(at_column.abs_diff(column) <= 1, "{why}: column {at_column}");
            assert!(!problem.contains("at line"), "{problem}");
        }
    }

    #[test]
    fn a_key_names_its_platform() {
        let arm = BuildTarget { goos: "linux".into(), goarch: "arm64".into() };
        assert_eq!(key_for("go1.26.8", &arm), "go1.26.8 linux/arm64 v8.0");
        assert_eq!(platform_of("go1.26.8 linux/arm64 v8.0"), Some(arm));
        for key in ["", "go1.26.8", "go1.26.8 linux", "go1.26.8 linux/../x v1", "go1.26.8 /amd64 v1"] {
            assert_eq!(platform_of(key), None, "{key:?}");
        }
    }

    /// Two branches that each move another tool merge by themselves.
    #[test]
    fn one_tool_a_block() {
        let mut base = lock();
        let mut other = base.tools["gopls"].clone();
        other.version = "v1.27.1".into();
        base.tools.insert("dlv".into(), other);
        let blocks = |lock: &LockFile| {
            let text = render(lock).unwrap();
            let lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines
        };
        let before = blocks(&base);
        base.tools.get_mut("dlv").unwrap().version = "v1.27.2".into();
        let after = blocks(&base);
        let changed: Vec<_> = before.iter().zip(&after).filter(|(a, b)| a != b).collect();
        assert_eq!((before.len(), changed.len()), (after.len(), 1), "one version is one line");
    }

    proptest::proptest! {
        #[test]
        fn any_lock_reads_back(version in "v[0-9.]{1,8}", name in "\\PC{1,12}", key in "\\PC{0,20}") {
            let mut lock = lock();
            let mut tool = lock.tools["gopls"].clone();
            tool.version = version;
            tool.binaries.insert(key, "ff".into());
            lock.tools.insert(name, tool);
            proptest::prop_assert_eq!(parse(&render(&lock).unwrap()), Ok(lock));
        }
    }
}
