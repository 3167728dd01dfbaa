//! Building tools: `go mod download` and `go install`, in folders and an environment of their own.
//!
//! Invariants: the module and build caches are fresh, so nothing that somebody put into a shared one reaches a tool; the zip
//! of a tool's module is summed by ourselves before it is built; nothing leaves the work folder before it was looked at. A
//! dropped future ends its `go`.
//!
//! Not here: the store and the generations, in which a finished binary is kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use burrow_protocol::toolchain::{RepairAction, RepairVerb};
use camino::Utf8PathBuf;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::buildinfo;
use super::dirhash;
use super::environment::BuildFolders;
use super::error::ToolchainError;
use super::generations::{InstalledTool, Voucher};
use super::go::EffectiveGo;
use super::pins::Wanted;
use super::store::Store;
use super::sumdb;
use super::verify;
use crate::process::Stream;
use crate::process::run::{self, CommandLine};

/// How long one download may take: Go itself waits for a silent proxy without end.
const FETCH_DEADLINE: Duration = Duration::from_secs(10 * 60);
/// How long one build may take, with the downloads that it needs.
const BUILD_DEADLINE: Duration = Duration::from_secs(60 * 60);
/// How much of what Go says goes into an error.
const DETAIL_LINES: usize = 6;

/// A step of the work, told as it begins or goes on.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// An action begins.
    Begin(RepairAction),
    /// What Go says.
    Say(String),
}

/// Downloads and builds tools in one work folder.
#[derive(Debug)]
pub(crate) struct Installer {
    go: EffectiveGo,
    env: BTreeMap<String, String>,
    folders: BuildFolders,
    store: Store,
    steps: mpsc::Sender<Step>,
}

/// A module that is in the work folder's cache, with its sum as we computed it.
#[derive(Debug)]
struct Fetched {
    wanted: Wanted,
    module: String,
    h1: String,
    voucher: Voucher,
    go_sum: String,
}

/// What `go mod download -json` prints, as far as it is used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Downloaded {
    version: Option<String>,
    zip: Option<Utf8PathBuf>,
    error: Option<String>,
}

impl Installer {
    /// An installer for `go` in `folders`; `env` is the environment of [`super::environment::for_build`].
    pub(crate) fn new(
        go: EffectiveGo,
        env: BTreeMap<String, String>,
        folders: BuildFolders,
        store: Store,
        steps: mpsc::Sender<Step>,
    ) -> Self {
        Self { go, env, folders, store, steps }
    }

    /// Installs `tools` into the store, one after another; the modules of the later ones are downloaded meanwhile.
    ///
    /// # Errors
    /// The first that occurs; the tools before it are in the store, and no generation has them.
    pub(crate) async fn install(
        self,
        tools: Vec<(Wanted, String)>,
    ) -> Result<BTreeMap<String, InstalledTool>, ToolchainError> {
        let this = Arc::new(self);
        let (sender, mut fetched) = mpsc::channel(tools.len().max(1));
        // Ended with this future: the set aborts its task when it is dropped.
        let mut fetching = JoinSet::new();
        let fetcher = Arc::clone(&this);
        fetching.spawn(async move {
            for (wanted, why) in tools {
                let result = fetcher.fetch(wanted, &why).await.map(|fetched| (fetched, why));
                let failed = result.is_err();
                if sender.send(result).await.is_err() || failed {
                    return;
                }
            }
        });
        let mut built = BTreeMap::new();
        while let Some(fetched) = fetched.recv().await {
            let (fetched, why) = fetched?;
            let name = fetched.wanted.name.clone();
            built.insert(name, this.build(fetched, &why).await?);
        }
        Ok(built)
    }

    /// Downloads the module of a tool and checks its sum.
    async fn fetch(&self, wanted: Wanted, why: &str) -> Result<Fetched, ToolchainError> {
        self.begin(RepairVerb::Fetch, &wanted, why);
        let (module, zip) = self.download(&wanted).await?;
        let (h1, go_sum) = blocking(move || {
            let read = dirhash::hash_zip(&zip).and_then(|h1| Ok((h1, dirhash::go_sum_in(&zip)?)));
            read.map_err(|source| ToolchainError::StoreFile { path: zip, source })
        })
        .await?;
        if let Some(expected) = wanted.h1.as_ref().filter(|expected| expected.sum != h1) {
            return Err(ToolchainError::ChecksumMismatch {
                what: format!("{module}@{}", wanted.version),
                found: h1,
                expected: expected.sum.clone(),
                by: if expected.from_table { "the compatibility table" } else { "the lock file" }.to_owned(),
            });
        }
        let voucher = if wanted.h1.as_ref().is_some_and(|expected| expected.from_table) {
            Voucher::Table
        } else if sumdb::vouches_for(&module, &self.env) {
            Voucher::ChecksumDatabase
        } else {
            Voucher::Nobody
        };
        Ok(Fetched { wanted, module, h1, voucher, go_sum })
    }

    /// The module that holds a tool's package, and its zip. Where the module is not known, the longest path that is one.
    async fn download(&self, wanted: &Wanted) -> Result<(String, Utf8PathBuf), ToolchainError> {
        if let Some(module) = &wanted.module {
            return Ok((module.clone(), self.download_module(module, &wanted.version).await?));
        }
        let mut path = wanted.package.as_str();
        let mut first_error = None;
        loop {
            match self.download_module(path, &wanted.version).await {
                Ok(zip) => return Ok((path.to_owned(), zip)),
                Err(error @ ToolchainError::Download { .. }) => drop(first_error.get_or_insert(error)),
                Err(error) => return Err(error),
            }
            match path.rsplit_once('/') {
                // A module's path begins with a host.
                Some((parent, _)) if parent.contains('.') => path = parent,
                _ => break,
            }
        }
        let none = || not_downloaded(&wanted.package, &wanted.version, "there is no such module".to_owned());
        Err(first_error.unwrap_or_else(none))
    }

    async fn download_module(&self, module: &str, version: &str) -> Result<Utf8PathBuf, ToolchainError> {
        let query = format!("{module}@{version}");
        let command = self.go(["mod", "download", "-json", &query], self.env.clone());
        let output = run::output(command, FETCH_DEADLINE).await.map_err(|error| late(error, module, version))?;
        let downloaded: Option<Downloaded> = serde_json::from_slice(&output.stdout).ok();
        match downloaded {
            Some(Downloaded { error: None, zip: Some(zip), version: Some(found) }) if found == version => Ok(zip),
            Some(Downloaded { error: Some(error), .. }) => Err(not_downloaded(module, version, last_lines(&error))),
            _ => Err(not_downloaded(module, version, last_lines(&String::from_utf8_lossy(&output.stderr)))),
        }
    }

    /// Builds a tool whose module was checked, and takes the binary into the store.
    async fn build(&self, fetched: Fetched, why: &str) -> Result<InstalledTool, ToolchainError> {
        let Fetched { wanted, module, h1, voucher, go_sum } = fetched;
        self.begin(RepairVerb::Build, &wanted, why);
        let folder = self.folders.bin(&wanted.name);
        let mut env = self.env.clone();
        env.insert("GOBIN".to_owned(), folder.to_string());
        env.insert("GOTOOLCHAIN".to_owned(), self.go.toolchain_for(wanted.builder));
        let query = format!("{}@{}", wanted.package, wanted.version);
        let command = self.go(["install", "-v", "-trimpath", &query], env);
        let mut said = Vec::new();
        let lines = run::lines(command, |stream, line| {
            if stream == Stream::Stderr {
                let _ = self.steps.try_send(Step::Say(line.to_owned()));
                said.push(line.to_owned());
            }
        });
        let status = match tokio::time::timeout(BUILD_DEADLINE, lines).await {
            Ok(status) => status?,
            Err(_) => {
                return Err(not_built(
                    &wanted,
                    format!("it took longer than {} minutes", BUILD_DEADLINE.as_secs() / 60),
                ));
            }
        };
        if !status.success() {
            return Err(failed_build(&wanted, &module, &said));
        }
        self.begin(RepairVerb::Verify, &wanted, "a binary is compared before it is used");
        let (store, built_with, env) = (self.store.clone(), wanted.builder.name(), self.env.clone());
        blocking(move || {
            let binary = only_file(&folder).ok_or_else(|| not_built(&wanted, "Go left no binary".to_owned()))?;
            let voucher = with_dependencies(voucher, &binary, &go_sum, &env)?;
            let (sha256, fingerprint) = store.add(&binary, &wanted.name)?;
            let tool = InstalledTool {
                module,
                package: wanted.package.clone(),
                version: wanted.version.clone(),
                h1,
                voucher,
                differs_from: wanted.sha256.clone().filter(|locked| *locked != sha256),
                sha256,
                built_with,
                fingerprint,
            };
            verify::check_build(&store.path(&tool.sha256, &wanted.name), &tool)
                .map_err(|problem| not_built(&wanted, problem))?;
            Ok(tool)
        })
        .await
    }

    fn go<const N: usize>(&self, args: [&str; N], env: BTreeMap<String, String>) -> CommandLine {
        CommandLine {
            program: self.go.bin().join("go").into_string(),
            args: args.map(str::to_owned).to_vec(),
            env,
            cwd: self.folders.root.clone(),
        }
    }

    fn begin(&self, verb: RepairVerb, wanted: &Wanted, why: &str) {
        let action = RepairAction {
            verb,
            tool: Some(wanted.name.clone()),
            version: Some(wanted.version.clone()),
            why: why.to_owned(),
        };
        // A step that is lost is not missed: what was done is told at the end.
        let _ = self.steps.try_send(Step::Begin(action));
    }
}

/// Who vouches for a tool together with the modules that were built into it. Its build information is no mere claim here: our
/// own `go` wrote it just now, from caches of our own.
fn with_dependencies(
    voucher: Voucher,
    binary: &camino::Utf8Path,
    go_sum: &str,
    env: &BTreeMap<String, String>,
) -> Result<Voucher, ToolchainError> {
    let info = buildinfo::read(binary)?;
    match sumdb::vouches_for_all(&info.dependencies, go_sum, env) {
        Ok(true) => Ok(voucher),
        Ok(false) => Ok(Voucher::Nobody),
        Err((module, expected)) => Err(ToolchainError::ChecksumMismatch {
            what: format!("{}@{}", module.path, module.version),
            found: module.sum.clone(),
            expected,
            by: format!("the go.sum of {}", info.module.path),
        }),
    }
}

/// Runs `work` where blocking is allowed.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ToolchainError> + Send + 'static,
) -> Result<T, ToolchainError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(ToolchainError::Ending),
    }
}

fn only_file(folder: &camino::Utf8Path) -> Option<Utf8PathBuf> {
    let mut entries = folder.read_dir_utf8().ok()?.flatten();
    let first = entries.next()?.into_path();
    entries.next().is_none().then_some(first)
}

/// Why a build failed. A compiler's message has a header `# PACKAGE`; without one, Go did not come as far as compiling.
fn failed_build(wanted: &Wanted, module: &str, said: &[String]) -> ToolchainError {
    let detail = last_lines(&said.join("\n"));
    if said.iter().any(|line| line.starts_with("# ")) {
        return not_built(wanted, detail);
    }
    not_downloaded(module, &wanted.version, detail)
}

fn not_built(wanted: &Wanted, detail: String) -> ToolchainError {
    ToolchainError::BuildFailed { tool: wanted.name.clone(), version: wanted.version.clone(), detail }
}

/// A failed download. Go tells a wrong sum by these words only: there is no other sign of it.
fn not_downloaded(module: &str, version: &str, detail: String) -> ToolchainError {
    let (module, version) = (module.to_owned(), version.to_owned());
    if detail.contains("SECURITY ERROR") || detail.contains("checksum mismatch") {
        return ToolchainError::SumRefused { module, version, detail };
    }
    ToolchainError::Download { module, version, detail }
}

fn late(error: crate::process::ProcessError, module: &str, version: &str) -> ToolchainError {
    match error {
        crate::process::ProcessError::Deadline { deadline, .. } => {
            not_downloaded(module, version, format!("no answer within {} minutes", deadline.as_secs() / 60))
        }
        error => error.into(),
    }
}

/// The last lines that say something, in one.
fn last_lines(text: &str) -> String {
    // `go install -v` names each package that it compiles: those lines are no reason.
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| line.contains(' ')).collect();
    lines[lines.len().saturating_sub(DETAIL_LINES)..].join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use burrow_protocol::error::ErrorCode;

    use crate::coded::Coded;

    fn wanted() -> Wanted {
        Wanted {
            name: "t".into(),
            module: None,
            package: "a.example/t".into(),
            version: "v1.0.0".into(),
            open: None,
            h1: None,
            builder: "1.26.8".parse().unwrap(),
            sha256: None,
            why: String::new(),
        }
    }

    #[test]
    fn why_go_failed() {
        for (said, expected, why) in [
            (
                &["internal/cpu", "# a.example/t", "./main.go:3:1: syntax error"][..],
                ErrorCode::BuildFailed,
                "a compiler's header",
            ),
            (&["go: downloading b v1", "go: b@v1: dial tcp: connection refused"], ErrorCode::Download, "no network"),
            (
                &["go: b@v1: verifying module: checksum mismatch", "SECURITY ERROR"],
                ErrorCode::ChecksumMismatch,
                "wrong content",
            ),
        ] {
            let said: Vec<_> = said.iter().map(|line| (*line).to_owned()).collect();
            let error = failed_build(&wanted(), "a.example/t", &said);
            assert_eq!(error.code(), expected, "{why}: {error}");
            assert!(!error.to_string().contains("internal/cpu"), "names of packages are no reason");
        }
    }
}
