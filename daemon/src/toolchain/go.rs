//! The effective Go of a workspace, by our own reader: no `go` process is started to learn it.
//!
//! `go` is looked up on the caller's PATH, outside of the workspace; its version is read from `GOROOT/VERSION` and held
//! against the `go` and `toolchain` lines of go.work and go.mod, under the caller's GOTOOLCHAIN. Why not ask `go`: it acts on
//! the workspace's content (a `toolchain` line makes it run or fetch another one), and it may hang on the network.
//! Rules: <https://go.dev/doc/toolchain>.
//!
//! Functions that read files block.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};

use super::environment;
use super::error::ToolchainError;
use super::version::GoVersion;
use crate::workspace::files::{go_mod, go_work};

/// How deep below the workspace folder modules are looked for.
const WALK_DEPTH: usize = 4;
/// How many folders that walk looks into at most.
const WALK_FOLDERS: usize = 2000;

/// A Go installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoInstall {
    /// Its folder, GOROOT.
    pub root: Utf8PathBuf,
    /// Its version.
    pub version: GoVersion,
}

/// What the files of a workspace ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The folders of the modules, the workspace's own first.
    pub(crate) modules: Vec<Utf8PathBuf>,
    /// The highest `go` line, with its file.
    pub(crate) go: Option<(GoVersion, Utf8PathBuf)>,
    /// The highest `toolchain` line, with its file.
    pub(crate) toolchain: Option<(GoVersion, Utf8PathBuf)>,
}

/// The Go that works in a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveGo {
    /// The installation that is on PATH.
    pub local: GoInstall,
    /// The version that works: the local one, or the one that it fetches for this workspace.
    pub version: GoVersion,
}

impl EffectiveGo {
    /// The version as Go writes it: `go1.26.8`.
    #[must_use]
    pub fn name(&self) -> String {
        self.version.name()
    }

    /// The folder with `go`, for a PATH.
    #[must_use]
    pub fn bin(&self) -> Utf8PathBuf {
        self.local.root.join("bin")
    }

    /// The GOTOOLCHAIN that gives this very version: a local one never looks for another.
    #[must_use]
    pub fn toolchain(&self) -> String {
        self.toolchain_for(self.version)
    }

    /// The GOTOOLCHAIN that makes the local Go run `version`.
    #[must_use]
    pub fn toolchain_for(&self, version: GoVersion) -> String {
        if version == self.local.version { "local".to_owned() } else { version.name() }
    }
}

/// The effective Go of `workspace` for a caller with the environment `env`.
///
/// # Errors
/// [`ToolchainError`] `NoGo`, `NoModule`, `GoTooOld`, or a file that cannot be read.
pub(crate) fn effective(workspace: &Utf8Path, env: &BTreeMap<String, String>) -> Result<EffectiveGo, ToolchainError> {
    let local = find(env.get("PATH").map_or("", String::as_str), workspace)?;
    let asked = asked(workspace)?;
    let switching = Switching::from(environment::go_setting(env, &local.root, "GOTOOLCHAIN").as_deref());
    choose(local, &asked, switching)
}

/// Finds the Go that `path` (a PATH) leads to. Folders that are relative or lie in the workspace do not count.
///
/// # Errors
/// [`ToolchainError::NoGo`].
pub(crate) fn find(path: &str, workspace: &Utf8Path) -> Result<GoInstall, ToolchainError> {
    path.split(':')
        .map(Utf8Path::new)
        .filter(|folder| folder.is_absolute())
        .find_map(|folder| install(&folder.join("go"), workspace))
        .ok_or(ToolchainError::NoGo)
}

/// The installation that `program` belongs to; links are followed, as `/usr/bin/go` of Debian is one.
fn install(program: &Utf8Path, workspace: &Utf8Path) -> Option<GoInstall> {
    let real = program.canonicalize_utf8().ok()?;
    let metadata = real.metadata().ok()?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return None;
    }
    let workspace = workspace.canonicalize_utf8().unwrap_or_else(|_| workspace.to_owned());
    if real.starts_with(&workspace) || program.starts_with(&workspace) {
        return None;
    }
    let root = real.parent()?.parent()?;
    let text = fs_err::read_to_string(root.join("VERSION")).ok()?;
    let version = text.lines().next()?.parse().ok()?;
    Some(GoInstall { root: root.to_owned(), version })
}

/// Reads what the files of `workspace` ask for: its go.work with the modules that it names, else its go.mod, else the
/// modules below.
///
/// # Errors
/// [`ToolchainError::NoModule`], or a file that cannot be read.
pub(crate) fn asked(workspace: &Utf8Path) -> Result<Asked, ToolchainError> {
    let mut asked = Asked::default();
    let work = workspace.join("go.work");
    if let Some(text) = read(&work)? {
        let file =
            go_work::parse(&text).map_err(|source| ToolchainError::GoModSyntax { path: work.clone(), source })?;
        asked.lines(&work, file.go.as_deref(), file.toolchain.as_deref())?;
        for folder in file.uses {
            asked.module(&workspace.join(folder))?;
        }
        return Ok(asked);
    }
    asked.module(workspace)?;
    if asked.modules.is_empty() {
        for folder in modules_below(workspace) {
            asked.module(&folder)?;
        }
    }
    if asked.modules.is_empty() {
        return Err(ToolchainError::NoModule { workspace: workspace.to_owned() });
    }
    Ok(asked)
}

impl Asked {
    /// Adds the module in `folder`, if there is one.
    fn module(&mut self, folder: &Utf8Path) -> Result<(), ToolchainError> {
        let path = folder.join("go.mod");
        let Some(text) = read(&path)? else { return Ok(()) };
        let file = go_mod::parse(&text).map_err(|source| ToolchainError::GoModSyntax { path: path.clone(), source })?;
        self.lines(&path, file.go.as_deref(), file.toolchain.as_deref())?;
        self.modules.push(folder.to_owned());
        Ok(())
    }

    fn lines(&mut self, path: &Utf8Path, go: Option<&str>, toolchain: Option<&str>) -> Result<(), ToolchainError> {
        // `toolchain default` asks for nothing.
        for (highest, text) in [(&mut self.go, go), (&mut self.toolchain, toolchain.filter(|name| *name != "default"))]
        {
            let Some(text) = text else { continue };
            let version: GoVersion = text
                .parse()
                .map_err(|_| ToolchainError::GoModVersion { path: path.to_owned(), text: text.to_owned() })?;
            if highest.as_ref().is_none_or(|(highest, _)| *highest < version) {
                *highest = Some((version, path.to_owned()));
            }
        }
        Ok(())
    }
}

/// The file's text; none where there is no such file.
fn read(path: &Utf8Path) -> Result<Option<String>, ToolchainError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(ToolchainError::Read { path: path.to_owned(), source }),
    }
}

/// The folders below `workspace` that hold a go.mod, in order; the walk is bounded and follows no links.
fn modules_below(workspace: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut found = Vec::new();
    let mut level = vec![workspace.to_owned()];
    let mut left = WALK_FOLDERS;
    for _ in 0..WALK_DEPTH {
        let mut next = Vec::new();
        for folder in level {
            let Ok(entries) = folder.read_dir_utf8() else { continue };
            let folders = entries.flatten().filter(|entry| {
                entry.file_type().is_ok_and(|kind| kind.is_dir())
                    && !entry.file_name().starts_with(['.', '_'])
                    && !matches!(entry.file_name(), "node_modules" | "vendor" | "testdata")
            });
            for entry in folders.take(left) {
                left -= 1;
                let path = entry.into_path();
                if path.join("go.mod").is_file() {
                    found.push(path.clone());
                }
                next.push(path);
            }
        }
        level = next;
    }
    found.sort();
    found
}

/// What GOTOOLCHAIN allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Switching {
    /// The version that is used in any case, instead of the local one.
    base: Option<GoVersion>,
    /// Whether a workspace may ask for a newer one.
    newer: bool,
}

impl From<Option<&str>> for Switching {
    /// Unset (also in `GOROOT/go.env`, and before Go 1.21) is as `local`.
    fn from(text: Option<&str>) -> Self {
        let (base, suffix) = match text.unwrap_or("local") {
            "auto" | "path" => ("local", "auto"),
            text => text.split_once('+').unwrap_or((text, "")),
        };
        Self { base: base.parse().ok(), newer: matches!(suffix, "auto" | "path") }
    }
}

/// Chooses as the `go` command would, but refuses what it would refuse.
fn choose(local: GoInstall, asked: &Asked, switching: Switching) -> Result<EffectiveGo, ToolchainError> {
    let base = switching.base.unwrap_or(local.version);
    // Without switching the `toolchain` line is no more than advice.
    let lines = [asked.go.as_ref(), asked.toolchain.as_ref().filter(|_| switching.newer)];
    let newest = lines.into_iter().flatten().max_by_key(|(version, _)| *version);
    let version = match newest {
        Some((version, _)) if *version > base && switching.newer => version.released(),
        Some((version, file)) if *version > base => {
            return Err(ToolchainError::GoTooOld { local: base, asked: *version, file: file.clone() });
        }
        _ => base,
    };
    Ok(EffectiveGo { local, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
        (folder, path)
    }

    fn write(path: &Utf8Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        crate::durable::replace(path, text.as_bytes()).unwrap();
    }

    fn go(text: &str) -> GoVersion {
        text.parse().unwrap()
    }

    #[test]
    fn the_choice_follows_gotoolchain() {
        for (local, setting, go_line, toolchain, expected, why) in [
            ("1.26.8", "local", Some("1.26.0"), None, Ok("1.26.8"), "the local Go is new enough"),
            ("1.26.8", "local", Some("1.27"), None, Err("1.27"), "older than asked, and may not fetch"),
            ("1.26.8", "local", Some("1.26"), Some("go1.27.1"), Ok("1.26.8"), "a toolchain line is advice there"),
            ("1.26.8", "auto", Some("1.26"), Some("go1.27.1"), Ok("1.27.1"), "a toolchain line is followed"),
            ("1.26.8", "auto", Some("1.27.2"), Some("go1.27.1"), Ok("1.27.2"), "the higher line counts"),
            ("1.26.8", "auto", Some("1.28"), None, Ok("1.28.0"), "a language version is fetched as its release"),
            ("1.26.8", "path", Some("1.27.0"), None, Ok("1.27.0"), "from PATH only, but allowed"),
            ("1.26.8", "go1.25.3", Some("1.25"), None, Ok("1.25.3"), "a fixed version replaces the local one"),
            ("1.26.8", "go1.25.3", Some("1.26"), None, Err("1.26"), "and is refused where it is too old"),
            ("1.26.8", "go1.25.3+auto", Some("1.26.1"), None, Ok("1.26.1"), "unless it may fetch"),
            ("1.26.8", "", None, None, Ok("1.26.8"), "nothing is asked for"),
        ] {
            let asked = Asked {
                modules: Vec::new(),
                go: go_line.map(|text| (go(text), "go.mod".into())),
                toolchain: toolchain.map(|text| (go(text), "go.mod".into())),
            };
            let local = GoInstall { root: "/go".into(), version: go(local) };
            let chosen = choose(local, &asked, Switching::from(Some(setting)));
            match (chosen, expected) {
                (Ok(chosen), Ok(expected)) => assert_eq!(chosen.version, go(expected), "{why}"),
                (Err(ToolchainError::GoTooOld { asked, .. }), Err(expected)) => {
                    assert_eq!(asked, go(expected), "{why}");
                }
                (chosen, _) => panic!("{chosen:?}: {why}"),
            }
        }
        assert_eq!(Switching::from(None), Switching::from(Some("local")), "unset is as local");
    }

    #[test]
    fn the_highest_line_of_a_family_of_modules_counts() {
        let (_keep, root) = folder();
        write(&root.join("go.work"), "go 1.24\nuse (\n\t./a\n\t./b\n\t./gone\n)\n");
        write(&root.join("a/go.mod"), "module a\ngo 1.25.3\ntoolchain go1.26.0\n");
        write(&root.join("b/go.mod"), "module b\ngo 1.23\n");
        let asked = asked(&root).unwrap();
        assert_eq!(asked.modules, [root.join("./a"), root.join("./b")]);
        assert_eq!(asked.go, Some((go("1.25.3"), root.join("./a/go.mod"))));
        assert_eq!(asked.toolchain, Some((go("1.26.0"), root.join("./a/go.mod"))));
    }

    #[test]
    fn modules_below_are_found_and_none_is_told() {
        let (_keep, root) = folder();
        assert!(matches!(asked(&root), Err(ToolchainError::NoModule { .. })));
        for (file, counts) in [
            ("services/api/go.mod", true),
            ("a/b/c/d/go.mod", true),
            ("a/b/c/d/e/go.mod", false),
            ("vendor/x/go.mod", false),
            (".cache/go.mod", false),
            ("x/testdata/go.mod", false),
        ] {
            write(&root.join(file), "module m\ngo 1.22\n");
            let modules = asked(&root).map(|asked| asked.modules).unwrap_or_default();
            assert_eq!(modules.contains(&root.join(file).parent().unwrap().to_owned()), counts, "{file}");
        }
    }

    #[test]
    fn go_is_found_by_its_version_file_and_never_in_the_workspace() {
        let (_keep, root) = folder();
        let workspace = root.join("work");
        let program = |home: &str, version: Option<&str>| {
            let go = root.join(home).join("bin/go");
            write(&go, "#!/bin/sh\nexit 1\n");
            std::fs::set_permissions(&go, PermissionsExt::from_mode(0o755)).unwrap();
            if let Some(version) = version {
                write(&root.join(home).join("VERSION"), version);
            }
            go.parent().unwrap().to_owned()
        };
        let shim = program("shims", None);
        let inside = program("work/go", Some("go1.99.0\n"));
        let real = program("sdk", Some("go1.26.8\ntime 2026-08-28T16:20:06Z\n"));
        let linked = root.join("usr/bin");
        std::fs::create_dir_all(&linked).unwrap();
        std::os::unix::fs::symlink(real.join("go"), linked.join("go")).unwrap();

        let found = find(&format!("bin:{inside}:{shim}:/nonexistent:{linked}"), &workspace).unwrap();
        assert_eq!(found, GoInstall { root: root.join("sdk"), version: go("1.26.8") });
        assert!(matches!(find(&format!("{inside}:{shim}"), &workspace), Err(ToolchainError::NoGo)));
        assert!(matches!(find("", &workspace), Err(ToolchainError::NoGo)));
    }
}
