//! Building tools: `go mod download` and `go install`, in folders and an environment of their own.
//!
//! Invariants: the module and build caches are fresh, so nothing that somebody put into a shared one reaches a tool; the zip
//! of a tool's module is summed by ourselves before it is built; nothing leaves the work folder before it was looked at. A
//! dropped future ends its `go`.
//!
//! Not here: the store and the generations, in which a finished binary is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use burrow_protocol::toolchain::RepairVerb;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::buildinfo;
use super::compat;
use super::dirhash;
use super::environment::{self, BuildFolders, BuildTarget, Modules};
use super::error::ToolchainError;
use super::generations::{InstalledTool, Voucher};
use super::go::{self, EffectiveGo};
use super::go_command::{GoCommand, GoEnd, failed_build, not_downloaded};
use super::pins::Wanted;
use super::store::Store;
use super::sumdb;
use super::verify;
use super::version::GoVersion;
use super::work::WorkFolder;
use crate::durable;
use crate::process::{Caller, Stream};

/// How much of what Go prints is read.
const MAX_ANSWER: usize = 256 * 1024;

/// A step of the work, told as it begins or goes on.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A step of this kind begins, for a tool in a version.
    Begin(RepairVerb, String, String),
    /// What Go says.
    Say(String),
}

/// Downloads and builds tools in one work folder. Clones are one and the same.
#[derive(Clone, Debug)]
pub(crate) struct Installer {
    go: EffectiveGo,
    /// Newer ones that may be fetched to build.
    fetchable: Vec<GoVersion>,
    env: Arc<BTreeMap<String, String>>,
    folders: BuildFolders,
    mark: String,
    steps: mpsc::Sender<Step>,
}

/// What came of installing tools.
#[derive(Debug, Default)]
pub(crate) struct Installed {
    /// Those that are in the store.
    pub(crate) tools: BTreeMap<String, InstalledTool>,
    /// Those that cannot be had, each with why.
    pub(crate) failed: BTreeMap<String, ToolchainError>,
}

/// A binary that was built and looked at, in the work folder.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    /// Where it lies until the work folder goes.
    pub(crate) path: Utf8PathBuf,
    pub(crate) sha256: String,
    pub(crate) module: String,
    pub(crate) h1: String,
    pub(crate) voucher: Voucher,
    /// The Go that built it.
    pub(crate) builder: GoVersion,
}

/// A module that is in the work folder's cache, with its sum as we computed it.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    module: String,
    h1: String,
    voucher: Voucher,
    go_sum: String,
    builder: GoVersion,
}

impl Fetched {
    /// The module's sum.
    pub(crate) fn h1(&self) -> &str {
        &self.h1
    }

    /// The Go that builds it: the one that is wanted, or a newer one where its go.mod asks for that.
    pub(crate) fn builder(&self) -> GoVersion {
        self.builder
    }
}

/// What `go mod download -json` prints, as far as it is used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Downloaded {
    version: Option<String>,
    zip: Option<Utf8PathBuf>,
    go_mod: Option<Utf8PathBuf>,
    error: Option<String>,
}

impl Installer {
    /// An installer that works in `work`, in the name of `caller`. Blocks.
    ///
    /// # Errors
    /// [`ToolchainError::State`].
    pub(crate) fn new(
        go: EffectiveGo,
        fetchable: Vec<GoVersion>,
        caller: &Caller,
        workspace: &Utf8Path,
        work: &WorkFolder,
        modules: &Modules,
        steps: mpsc::Sender<Step>,
    ) -> Result<Self, ToolchainError> {
        let folders = BuildFolders { root: work.path.join(modules.folder()) };
        durable::create_dir(&folders.temporary())?;
        let env = Arc::new(environment::for_build(&caller.env, workspace, &go, &folders, modules));
        Ok(Self { go, fetchable, env, folders, mark: work.mark(), steps })
    }

    /// The folder of what was downloaded, in the layout of GOPROXY.
    pub(crate) fn downloads(&self) -> Utf8PathBuf {
        self.folders.modules().join("cache/download")
    }

    /// Builds `tools` for this platform and takes each into the store, one after another; what the later ones need is downloaded
    /// meanwhile. One that cannot be had does not hold up the others.
    ///
    /// # Errors
    /// The first that occurs and is not about one tool alone; the tools before it are in the store.
    pub(crate) async fn install(&self, tools: Vec<Wanted>, store: &Store) -> Result<Installed, ToolchainError> {
        let (sender, mut fetched) = mpsc::channel(tools.len().max(1));
        // Ended with this future: the set aborts its task when it is dropped.
        let mut fetching = JoinSet::new();
        let fetcher = self.clone();
        fetching.spawn(async move {
            for (place, wanted) in tools.into_iter().enumerate() {
                let result = fetcher.fetch(&wanted).await;
                let is_over = result.as_ref().is_err_and(|error| !error.is_of_one_tool());
                // The first is built at once, and downloads what it needs itself.
                if let Ok(Fetched { builder, .. }) = &result
                    && place > 0
                {
                    fetcher.fetch_dependencies(&wanted, *builder).await;
                }
                if sender.send((wanted, result)).await.is_err() || is_over {
                    return;
                }
            }
        });
        let mut installed = Installed::default();
        while let Some((wanted, fetched)) = fetched.recv().await {
            let built = match fetched {
                Ok(fetched) => self.build(&wanted, &fetched, &BuildTarget::host()).await,
                Err(error) => Err(error),
            };
            let name = wanted.name.clone();
            match built {
                Ok(built) => {
                    let store = store.clone();
                    installed.tools.insert(name, blocking(move || take(&store, &wanted, built)).await?);
                }
                Err(error) if error.is_of_one_tool() => drop(installed.failed.insert(name, error)),
                Err(error) => return Err(error),
            }
        }
        Ok(installed)
    }

    /// Whether Go checks a download of this module against the checksum database.
    pub(crate) fn asks_database_about(&self, module: &str) -> bool {
        sumdb::vouches_for(module, &self.env)
    }

    /// Downloads the module of a tool and checks its sum.
    ///
    /// # Errors
    /// [`ToolchainError`] `Download`, `SumRefused`, `ChecksumMismatch`, `NoBuilder`.
    pub(crate) async fn fetch(&self, wanted: &Wanted) -> Result<Fetched, ToolchainError> {
        self.begin(RepairVerb::Fetch, wanted);
        let (module, zip, builder) = self.download(wanted).await?;
        let (h1, go_sum) = blocking(move || {
            let read = dirhash::hash_zip(&zip).and_then(|h1| Ok((h1, dirhash::go_sum_in(&zip)?)));
            read.map_err(|source| ToolchainError::WorkFile { path: zip, source })
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
        } else if self.asks_database_about(&module) {
            Voucher::ChecksumDatabase
        } else {
            Voucher::Nobody
        };
        Ok(Fetched { module, h1, voucher, go_sum, builder })
    }

    /// Downloads what a tool is built from besides its own module: Go loads its packages, and builds none of them. Whether
    /// that worked is told by the build, which downloads what is missing.
    async fn fetch_dependencies(&self, wanted: &Wanted, builder: GoVersion) {
        let args = ["install", "-n", "-trimpath", &wanted.query()].map(str::to_owned).to_vec();
        let command = self.go(args, self.env_for(builder, &BuildTarget::host()));
        let said = command.run(|_, line| {
            if line.starts_with("go: downloading ") {
                let _ = self.steps.try_send(Step::Say(line.to_owned()));
            }
        });
        if let Err(error) = said.await {
            tracing::debug!(tool = wanted.name, %error, "what a tool needs was not downloaded ahead");
        }
    }

    /// The module that holds a tool's package, its zip, and the Go that builds it. Where the module is not known, the longest
    /// path that is one.
    async fn download(&self, wanted: &Wanted) -> Result<(String, Utf8PathBuf, GoVersion), ToolchainError> {
        if let Some(module) = &wanted.module {
            let (zip, builder) = self.download_module(wanted, module).await?;
            return Ok((module.clone(), zip, builder));
        }
        let mut path = wanted.package.as_str();
        let mut first_error = None;
        loop {
            match self.download_module(wanted, path).await {
                Ok((zip, builder)) => return Ok((path.to_owned(), zip, builder)),
                // Where the path is no module; anything else would be no different one step up.
                Err(error) if error.says_there_is_none() => drop(first_error.get_or_insert(error)),
                Err(error) => return Err(error),
            }
            match path.rsplit_once('/') {
                // A module's path begins with a host.
                Some((parent, _)) if parent.contains('.') => path = parent,
                _ => break,
            }
        }
        let none = || not_downloaded(&wanted.package, &wanted.version, "there is no such module");
        Err(first_error.unwrap_or_else(none))
    }

    /// Downloads a module: its zip, and the Go that builds it. Where its go.mod asks for a newer Go than is wanted, that is the
    /// newest that can be fetched.
    async fn download_module(&self, wanted: &Wanted, module: &str) -> Result<(Utf8PathBuf, GoVersion), ToolchainError> {
        let version = wanted.version.as_str();
        let mut builder = wanted.builder;
        loop {
            let (answer, said) = self.ask_for_module(module, version, builder).await?;
            match answer {
                Some(Downloaded { error: None, zip: Some(zip), version: Some(found), .. }) if found == version => {
                    return Ok((zip, builder));
                }
                Some(Downloaded { error: Some(error), go_mod, .. }) => {
                    let needs = blocking(move || Ok(go_mod.and_then(|path| go::line_in(&path)))).await?;
                    let Some(needs) = needs.filter(|needs| *needs > builder) else {
                        return Err(not_downloaded(module, version, &error));
                    };
                    builder = compat::newest_for(needs, &self.fetchable).ok_or_else(|| ToolchainError::NoBuilder {
                        tool: wanted.name.clone(),
                        version: version.to_owned(),
                        needs,
                        go: builder,
                    })?;
                }
                _ => return Err(not_downloaded(module, version, &said)),
            }
        }
    }

    /// What Go answers that is asked for a module, and what it says besides.
    async fn ask_for_module(
        &self,
        module: &str,
        version: &str,
        builder: GoVersion,
    ) -> Result<(Option<Downloaded>, String), ToolchainError> {
        let args = ["mod", "download", "-json", &format!("{module}@{version}")].map(str::to_owned).to_vec();
        let (mut answer, mut said) = (String::new(), Vec::new());
        let ended = self.go(args, self.env_for(builder, &BuildTarget::host())).run(|stream, line| match stream {
            Stream::Stdout if answer.len() + line.len() < MAX_ANSWER => answer.push_str(line),
            Stream::Stdout => {}
            Stream::Stderr => {
                let _ = self.steps.try_send(Step::Say(line.to_owned()));
                said.push(line.to_owned());
            }
        });
        if let GoEnd::GivenUp(why) = ended.await? {
            return Err(not_downloaded(module, version, &why));
        }
        Ok((serde_json::from_str(&answer).ok(), said.join("\n")))
    }

    /// Builds a tool for `target` from a module that was checked, and looks at what came of it.
    ///
    /// # Errors
    /// [`ToolchainError`] `Download`, `SumRefused`, `ChecksumMismatch`, `BuildFailed`.
    pub(crate) async fn build(
        &self,
        wanted: &Wanted,
        fetched: &Fetched,
        target: &BuildTarget,
    ) -> Result<Built, ToolchainError> {
        self.begin(RepairVerb::Build, wanted);
        let folder = self.folders.bin(&wanted.name, target);
        let mut env = self.env_for(fetched.builder, target);
        if target.is_host() {
            env.insert("GOBIN".to_owned(), folder.to_string());
        } else {
            // The tools share it, and what is found there afterwards has to be this one.
            let folder = folder.clone();
            blocking(move || Ok(durable::remove_dir(&folder)?)).await?;
        }
        let args = ["install", "-v", "-trimpath", &wanted.query()].map(str::to_owned).to_vec();
        let mut said = Vec::new();
        let ended = self.go(args, env.clone()).run(|stream, line| {
            if stream == Stream::Stderr {
                let _ = self.steps.try_send(Step::Say(line.to_owned()));
                said.push(line.to_owned());
            }
        });
        match ended.await? {
            GoEnd::Exited(status) if status.success() => {}
            GoEnd::Exited(_) => return Err(failed_build(&wanted.name, &fetched.module, &wanted.version, &said)),
            GoEnd::GivenUp(why) => return Err(not_downloaded(&fetched.module, &wanted.version, &why)),
        }
        self.begin(RepairVerb::Verify, wanted);
        let (wanted, fetched, target) = (wanted.clone(), fetched.clone(), target.clone());
        blocking(move || {
            let path = only_file(&folder).ok_or_else(|| not_built(&wanted, "Go left no binary".to_owned()))?;
            let voucher = with_dependencies(fetched.voucher, &path, &fetched.go_sum, &env)?;
            let unreadable = |source| ToolchainError::WorkFile { path: path.clone(), source };
            let sha256 = dirhash::sha256_of_file(&path).map_err(unreadable)?;
            let Fetched { module, h1, builder, .. } = fetched;
            let expected = verify::Build {
                package: &wanted.package,
                module: &module,
                version: &wanted.version,
                h1: &h1,
                go: &builder.name(),
            };
            verify::check_build(&path, &expected, &target).map_err(|problem| not_built(&wanted, problem))?;
            Ok(Built { path, sha256, module, h1, voucher, builder })
        })
        .await
    }

    /// Asks Go, in the workspace's own version: what it prints, or else what it says.
    ///
    /// # Errors
    /// [`ToolchainError::Process`].
    pub(crate) async fn ask(&self, args: Vec<String>) -> Result<Result<String, String>, ToolchainError> {
        let (mut answer, mut said) = (String::new(), String::new());
        let ended = self.go(args, (*self.env).clone()).run(|stream, line| {
            let text = if stream == Stream::Stdout { &mut answer } else { &mut said };
            if text.len() + line.len() < MAX_ANSWER {
                text.push_str(line);
                text.push('\n');
            }
        });
        Ok(match ended.await? {
            GoEnd::Exited(status) if status.success() => Ok(answer),
            GoEnd::Exited(_) => Err(said),
            GoEnd::GivenUp(why) => Err(why),
        })
    }

    fn go(&self, args: Vec<String>, env: BTreeMap<String, String>) -> GoCommand {
        let program = self.go.bin().join("go");
        GoCommand { program, args, env, cwd: self.folders.root.clone(), mark: self.mark.clone() }
    }

    fn env_for(&self, builder: GoVersion, target: &BuildTarget) -> BTreeMap<String, String> {
        let mut env = (*self.env).clone();
        env.insert("GOTOOLCHAIN".to_owned(), self.go.toolchain_for(builder));
        env.extend(environment::for_target(target));
        env
    }

    fn begin(&self, verb: RepairVerb, wanted: &Wanted) {
        // A step that is lost is not missed: what was done is told at the end.
        let _ = self.steps.try_send(Step::Begin(verb, wanted.name.clone(), wanted.version.clone()));
    }
}

impl Wanted {
    /// What `go install` is asked for.
    fn query(&self) -> String {
        format!("{}@{}", self.package, self.version)
    }
}

/// Takes a binary that was built into the store. Blocks.
fn take(store: &Store, wanted: &Wanted, built: Built) -> Result<InstalledTool, ToolchainError> {
    let Built { path, sha256, module, h1, voucher, builder } = built;
    let fingerprint = store.add(&path, &sha256, &wanted.name)?;
    Ok(InstalledTool {
        module,
        package: wanted.package.clone(),
        version: wanted.version.clone(),
        h1,
        voucher,
        differs_from: wanted.sha256.clone().filter(|locked| builder == wanted.builder && *locked != sha256),
        sha256,
        built_with: builder.name(),
        refuted: false,
        fingerprint,
    })
}

/// Who vouches for a tool together with the modules that were built into it. Its build information is no mere claim here: our
/// own `go` wrote it just now, from caches of our own.
fn with_dependencies(
    voucher: Voucher,
    binary: &Utf8Path,
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

fn only_file(folder: &Utf8Path) -> Option<Utf8PathBuf> {
    let mut entries = folder.read_dir_utf8().ok()?.flatten();
    let first = entries.next()?.into_path();
    entries.next().is_none().then_some(first)
}

fn not_built(wanted: &Wanted, detail: String) -> ToolchainError {
    ToolchainError::BuildFailed { tool: wanted.name.clone(), version: wanted.version.clone(), detail }
}
