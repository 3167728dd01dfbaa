//! The effective Go of a workspace, by our own reader: no `go` process is started to learn it, unless the `go` on PATH is one
//! that has to be asked where its Go lies (`asked_go`).
//!
//! `go` is looked up on the caller's PATH, outside of the workspace; its version is read from `GOROOT/VERSION` and held
//! against the `go` and `toolchain` lines of go.work and go.mod, under the caller's GOTOOLCHAIN. Why not ask `go`: it acts on
//! the workspace's content (a `toolchain` line makes it run or fetch another one), and it may hang on the network.
//! Rules: <https://go.dev/doc/toolchain>.
//!
//! Where no go.work joins them, each module has a Go of its own, and the tools have to serve them all. A module that the
//! local Go is too old for, or whose go.mod is damaged, is told and does not hold up the others.
//!
//! Functions that read files block.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};

use super::asked_go::AskedGo;
use super::environment;
use super::error::ToolchainError;
use super::version::GoVersion;
use crate::process::Caller;
use crate::workspace::files::go_mod::GoMod;
use crate::workspace::files::{go_mod, go_work, modules, text};

/// A Go installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoInstall {
    /// Its folder, GOROOT.
    pub root: Utf8PathBuf,
    /// Its version.
    pub version: GoVersion,
}

/// The first Go that can fetch another one.
const FIRST_WITH_TOOLCHAINS: &str = "1.21";

/// A module of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// Its folder.
    pub(crate) folder: Utf8PathBuf,
    /// What its go.mod says.
    pub(crate) file: GoMod,
}

/// What shares one Go: a go.work with its modules, or a module alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Unit {
    /// The highest `go` line, with its file.
    go: Option<(GoVersion, Utf8PathBuf)>,
    /// The highest `toolchain` line, with its file.
    toolchain: Option<(GoVersion, Utf8PathBuf)>,
    /// The go.work or go.mod.
    file: Utf8PathBuf,
}

/// What the files of a workspace ask for.
#[derive(Debug, Default)]
pub(crate) struct Files {
    units: Vec<Unit>,
    /// The modules, the workspace's own first.
    pub(crate) modules: Vec<Module>,
    /// What cannot be read.
    damaged: Vec<ToolchainError>,
    /// The files that were looked at, whether they are there or not, and the folders in which a new module would lie.
    pub(crate) looked_at: BTreeSet<Utf8PathBuf>,
}

/// A workspace's Go, with all that follows from its modules.
#[derive(Debug)]
pub(crate) struct WorkspaceGo {
    pub(crate) go: EffectiveGo,
    /// The versions that the modules have, newest first, each with a file that has it.
    pub(crate) served: Vec<(GoVersion, Utf8PathBuf)>,
    /// Whether the local Go may fetch a newer one.
    pub(crate) fetches: bool,
    /// Modules that cannot be served, told as what they are.
    pub(crate) left_out: Vec<ToolchainError>,
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

/// The effective Go of `workspace` for `caller`.
///
/// # Errors
/// [`ToolchainError`] `NoGo`, `GoUnknown`, `NoModule`, `GoTooOld`, or a file that cannot be read.
pub(crate) fn effective(workspace: &Utf8Path, caller: &Caller, asked: &AskedGo) -> Result<EffectiveGo, ToolchainError> {
    let local = find_for(workspace, caller, asked)?;
    let files = files(workspace, &caller.env, Some(&local));
    Ok(of(workspace, &caller.env, local, files)?.0.go)
}

/// The Go on the PATH of `caller`; a `go` that belongs to no installation is asked, as far as the caller is trusted.
///
/// # Errors
/// [`ToolchainError::NoGo`] or [`ToolchainError::GoUnknown`].
pub(crate) fn find_for(workspace: &Utf8Path, caller: &Caller, asked: &AskedGo) -> Result<GoInstall, ToolchainError> {
    let path = caller.env.get("PATH").map_or("", String::as_str);
    find(path, workspace, |program| asked.ask(program, workspace, caller))
}

/// Which Go works for what `files` ask, and the modules that they name.
///
/// # Errors
/// Where no module can be served: [`ToolchainError`] `NoModule`, `GoTooOld`, or a file that cannot be read.
pub(crate) fn of(
    workspace: &Utf8Path,
    env: &BTreeMap<String, String>,
    local: GoInstall,
    files: Files,
) -> Result<(WorkspaceGo, Vec<Module>), ToolchainError> {
    let Files { units, modules, damaged: mut left_out, .. } = files;
    let switching = Switching::of(&local, environment::go_setting(env, &local.root, "GOTOOLCHAIN").as_deref());
    let no_proxy = environment::go_setting(env, &local.root, "GOPROXY").as_deref() == Some("off");
    let mut served: Vec<(GoVersion, Utf8PathBuf)> = Vec::new();
    for unit in units {
        match choose(&local, &unit, switching) {
            Ok(version) if served.iter().all(|(known, _)| *known != version) => served.push((version, unit.file)),
            Ok(_) => {}
            Err(error) => left_out.push(error),
        }
    }
    served.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let Some((version, _)) = served.first() else {
        let none = || ToolchainError::NoModule { workspace: workspace.to_owned() };
        return Err(left_out.into_iter().next().unwrap_or_else(none));
    };
    let fetches = switching.fetches && !no_proxy;
    Ok((WorkspaceGo { go: EffectiveGo { version: *version, local }, served, fetches, left_out }, modules))
}

/// Finds the Go that `path` (a PATH) leads to. Folders that are relative or lie in the workspace do not count. `ask` is for a
/// program that belongs to no installation; where nobody can say what it stands for, the next one on PATH counts.
fn find(
    path: &str,
    workspace: &Utf8Path,
    ask: impl Fn(&Utf8Path) -> Result<GoInstall, String>,
) -> Result<GoInstall, ToolchainError> {
    let mut error = ToolchainError::NoGo;
    for folder in path.split(':').map(Utf8Path::new).filter(|folder| folder.is_absolute()) {
        let program = folder.join("go");
        let Some(real) = real_program(&program, workspace) else { continue };
        // GOROOT/bin/go; links are followed, as `/usr/bin/go` of Debian is one.
        if let Some(found) = real.parent().and_then(Utf8Path::parent).and_then(installed) {
            return Ok(found);
        }
        match ask(&program) {
            Ok(found) => return Ok(found),
            Err(why) if matches!(error, ToolchainError::NoGo) => error = ToolchainError::GoUnknown { program, why },
            Err(_) => {}
        }
    }
    Err(error)
}

/// What `program` leads to, where that can be run and lies outside of the workspace.
fn real_program(program: &Utf8Path, workspace: &Utf8Path) -> Option<Utf8PathBuf> {
    let real = program.canonicalize_utf8().ok()?;
    let metadata = real.metadata().ok()?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return None;
    }
    let workspace = workspace.canonicalize_utf8().unwrap_or_else(|_| workspace.to_owned());
    if real.starts_with(&workspace) || program.starts_with(&workspace) {
        return None;
    }
    Some(real)
}

/// The installation in the folder `root`, by its VERSION file.
pub(crate) fn installed(root: &Utf8Path) -> Option<GoInstall> {
    let text = fs_err::read_to_string(root.join("VERSION")).ok()?;
    let version = text.lines().next()?.parse().ok()?;
    Some(GoInstall { root: root.to_owned(), version })
}

/// Reads what the files of `workspace` ask for: the go.work that `go` would take with the modules that it names, else the
/// module that the folder lies in and those below. What cannot be read is among the answers.
pub(crate) fn files(workspace: &Utf8Path, env: &BTreeMap<String, String>, local: Option<&GoInstall>) -> Files {
    let root = local.map_or(Utf8Path::new("/"), |local| &local.root);
    let setting = environment::go_setting(env, root, "GOWORK");
    let mut files = Files::default();
    files.looked_at.insert(workspace.join("go.work"));
    files.looked_at.insert(workspace.join("go.mod"));
    let work = match setting.as_deref() {
        Some("off") => None,
        Some(path) if Utf8Path::new(path).is_absolute() => Some(Utf8PathBuf::from(path)),
        _ => upward(workspace, "go.work"),
    };
    if let Some(work) = work {
        files.add_work(&work);
        return files;
    }
    if let Some(file) = upward(workspace, "go.mod") {
        files.add_module(&file);
    }
    let (below, folders) = modules::walk(workspace);
    for folder in below {
        files.add_module(&folder.join("go.mod"));
    }
    files.looked_at.extend(folders);
    files
}

/// The nearest file `name` in `folder` or above it.
fn upward(folder: &Utf8Path, name: &str) -> Option<Utf8PathBuf> {
    folder.ancestors().map(|folder| folder.join(name)).find(|file| file.is_file())
}

impl Files {
    fn add_work(&mut self, work: &Utf8Path) {
        self.looked_at.insert(work.to_owned());
        let mut unit = Unit { file: work.to_owned(), ..Unit::default() };
        let read = read(work).and_then(|text| {
            let file = go_work::parse(text.as_deref().unwrap_or_default())
                .map_err(|source| ToolchainError::GoModSyntax { path: work.to_owned(), source })?;
            unit.lines(work, file.go.as_deref(), file.toolchain.as_deref())?;
            Ok(file.uses)
        });
        match read {
            Ok(uses) => {
                let base = work.parent().unwrap_or(work);
                for folder in uses {
                    self.add_used(&base.join(folder).join("go.mod"), &mut unit);
                }
                self.units.push(unit);
            }
            Err(error) => self.damaged.push(error),
        }
    }

    fn add_used(&mut self, path: &Utf8Path, unit: &mut Unit) {
        self.looked_at.insert(path.to_owned());
        let module = read_module(path).and_then(|module| {
            if let Some(module) = &module {
                unit.lines(path, module.file.go.as_deref(), module.file.toolchain.as_deref())?;
            }
            Ok(module)
        });
        match module {
            Ok(module) => self.modules.extend(module),
            Err(error) => self.damaged.push(error),
        }
    }

    fn add_module(&mut self, path: &Utf8Path) {
        let mut unit = Unit { file: path.to_owned(), ..Unit::default() };
        let (modules, damaged) = (self.modules.len(), self.damaged.len());
        self.add_used(path, &mut unit);
        if self.modules.len() > modules && self.damaged.len() == damaged {
            self.units.push(unit);
        }
    }
}

impl Unit {
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

/// The module whose go.mod is at `path`, if there is one.
fn read_module(path: &Utf8Path) -> Result<Option<Module>, ToolchainError> {
    let Some(text) = read(path)? else { return Ok(None) };
    let file = go_mod::parse(&text).map_err(|source| ToolchainError::GoModSyntax { path: path.to_owned(), source })?;
    Ok(path.parent().map(|folder| Module { folder: folder.to_owned(), file }))
}

/// The `go` line of a downloaded go.mod; none where there is none that can be read. Blocks.
pub(crate) fn line_in(path: &Utf8Path) -> Option<GoVersion> {
    let text = read(path).ok()??;
    go_mod::parse(&text).ok()?.go?.parse().ok()
}

fn read(path: &Utf8Path) -> Result<Option<String>, ToolchainError> {
    text::read(path).map_err(|source| ToolchainError::Read { path: path.to_owned(), source })
}

/// What GOTOOLCHAIN allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Switching {
    /// Whether this Go heeds it at all.
    known: bool,
    /// The version that is used in any case, instead of the local one.
    base: Option<GoVersion>,
    /// Whether a workspace may ask for a newer one.
    newer: bool,
    /// Whether that may come from the network.
    fetches: bool,
}

impl Switching {
    /// Unset (also in `GOROOT/go.env`) is as `local`, and so is whatever is set for a Go that never switches.
    fn of(local: &GoInstall, text: Option<&str>) -> Self {
        let known = FIRST_WITH_TOOLCHAINS.parse().is_ok_and(|first: GoVersion| local.version >= first);
        let text = text.filter(|_| known);
        let (base, suffix) = match text.unwrap_or("local") {
            "auto" | "path" => ("local", "auto"),
            text => text.split_once('+').unwrap_or((text, "")),
        };
        let fetches = text == Some("auto") || suffix == "auto" && text != Some("path");
        Self { known, base: base.parse().ok(), newer: matches!(suffix, "auto" | "path"), fetches }
    }
}

/// An official image that has `go`: <https://hub.docker.com/_/golang>. Those of newer lines need not have one on bookworm.
pub(super) fn image(go: GoVersion) -> String {
    let line = go.language();
    let has_bookworm = ("1.20", "1.26");
    let within = |text: &str| text.parse::<GoVersion>().ok();
    match (within(has_bookworm.0), within(has_bookworm.1)) {
        (Some(first), Some(last)) if first <= line && line <= last => format!("golang:{line}-bookworm"),
        _ => format!("golang:{line}"),
    }
}

/// Chooses as the `go` command would, but refuses what it would refuse.
fn choose(local: &GoInstall, asked: &Unit, switching: Switching) -> Result<GoVersion, ToolchainError> {
    let base = switching.base.unwrap_or(local.version);
    // Without switching the `toolchain` line is no more than advice.
    let lines = [asked.go.as_ref(), asked.toolchain.as_ref().filter(|_| switching.newer)];
    let newest = lines.into_iter().flatten().max_by_key(|(version, _)| *version);
    match newest {
        Some((version, _)) if *version > base && switching.newer => Ok(version.released()),
        Some((version, file)) if *version > base => {
            let (asked, file) = (*version, file.clone());
            Err(ToolchainError::GoTooOld { local: base, asked, file, switches: switching.known })
        }
        _ => Ok(base),
    }
}

#[cfg(test)]
mod tests;
