//! What can go wrong with the toolchain, each with its code and the next step.

use std::io;
use std::sync::Arc;

use burrow_protocol::error::ErrorCode;
use camino::Utf8PathBuf;

use super::buildinfo::BuildInfoError;
use super::version::GoVersion;
use crate::coded::Coded;
use crate::durable::DurableError;
use crate::process::ProcessError;
use crate::workspace::files::go_mod::GoLineError;

/// Why the tools are not in order.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// No Go on the caller's PATH.
    #[error("find Go: no folder of PATH outside the workspace holds a `go` that belongs to a Go installation")]
    NoGo,
    /// The `go` on PATH belongs to no installation, and does not say where its Go lies.
    #[error("find Go: {program} belongs to no Go installation, and {why}")]
    GoUnknown {
        /// The program.
        program: Utf8PathBuf,
        /// Why nobody can say.
        why: String,
    },
    /// No module in the workspace.
    #[error("find a Go module in {workspace}: there is no go.work, and no go.mod in it or below")]
    NoModule {
        /// The workspace.
        workspace: Utf8PathBuf,
    },
    /// A go.mod or go.work that cannot be read.
    #[error("read {path}")]
    GoModSyntax {
        /// The file.
        path: Utf8PathBuf,
        /// Where and why.
        source: GoLineError,
    },
    /// A go.mod or go.work names a Go that is none.
    #[error("read {path}: {text:?} is no version of Go")]
    GoModVersion {
        /// The file.
        path: Utf8PathBuf,
        /// What it says.
        text: String,
    },
    /// A file of the workspace or of Go cannot be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The local Go is older than the workspace asks for, and may not fetch a newer one.
    #[error(
        "use go{local} for this workspace: {file} asks for go{asked}, and {}",
        if *switches { "GOTOOLCHAIN does not let Go fetch it" } else { "a Go before 1.21 fetches no other" }
    )]
    GoTooOld {
        /// The Go at hand.
        local: GoVersion,
        /// The Go that is asked for.
        asked: GoVersion,
        /// The file that asks.
        file: Utf8PathBuf,
        /// Whether this Go would fetch another one where it may.
        switches: bool,
    },
    /// The table has no version of the tool for this Go, or for all that the modules have.
    #[error("choose a version of {tool}: none that is known works with {go}")]
    NoVersionFits {
        /// The tool.
        tool: String,
        /// The Go, or each with a file that has it.
        go: String,
        /// Whether there are several of them.
        many: bool,
    },
    /// Pins of equal strength that no version satisfies.
    #[error("choose a version of {tool}: {pins} exclude each other")]
    PinsConflict {
        /// The tool.
        tool: String,
        /// The pins, each with its file.
        pins: String,
    },
    /// The module proxy has no version that a pin allows and that works.
    #[error("choose a version of {tool}: {module} has no {pin} that Go {go} can build")]
    NoneUpstream {
        /// The tool.
        tool: String,
        /// The pin.
        pin: String,
        /// The module.
        module: String,
        /// The Go that would build it.
        go: GoVersion,
    },
    /// A version that takes a newer Go to build than there is.
    #[error(
        "use {tool} {version}: its go.mod asks for Go {needs}, the workspace has Go {go}, and none that new can be fetched"
    )]
    NoBuilder {
        /// The tool.
        tool: String,
        /// The version.
        version: String,
        /// The `go` line.
        needs: GoVersion,
        /// The Go that would have built it.
        go: GoVersion,
    },
    /// A file that pins tools cannot be read, so nobody knows what is pinned.
    #[error("read {path}: {problem}")]
    PinFile {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody agreed to a lock file in a repository that has nothing of Dev Containers yet.
    #[error("write {path}: the repository has no .devcontainer folder, and nobody agreed to make one")]
    ConsentNeeded {
        /// The lock file that would be written.
        path: Utf8PathBuf,
    },
    /// A pin that cannot work with this Go.
    #[error("use {tool} {pin}, as pinned in {from}: {why}")]
    PinCannotWork {
        /// The tool.
        tool: String,
        /// The pin.
        pin: String,
        /// Where it stands.
        from: String,
        /// Why not.
        why: String,
        /// Versions that do.
        fitting: Vec<String>,
    },
    /// A pin that is no version.
    #[error("read the pin {pin:?} of {tool} in {from}: {expected} is expected")]
    PinInvalid {
        /// The tool.
        tool: String,
        /// The pin.
        pin: String,
        /// Where it stands.
        from: String,
        /// What would have worked.
        expected: &'static str,
    },
    /// A tool whose package is not known by its name.
    #[error("find the package of {tool}: its name alone is known for {known} only")]
    ToolUnknown {
        /// The tool.
        tool: String,
        /// The names that are known.
        known: String,
    },
    /// Somebody wants a tool updated that this workspace does not have.
    #[error("update {tool}: this workspace asks for {asked} only")]
    NotAsked {
        /// The tool.
        tool: String,
        /// The tools that it asks for.
        asked: String,
    },
    /// What the lock file says is not what is asked for, or the installed is not what the lock file says.
    #[error("use {tool} as locked: {why}")]
    Drifted {
        /// The tool.
        tool: String,
        /// The difference.
        why: String,
    },
    /// The lock file is damaged.
    #[error("read {path}:{line}:{column}: {problem}")]
    LockInvalid {
        /// The file.
        path: Utf8PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong.
        problem: String,
    },
    /// A file that is to be written lies outside of the workspace.
    #[error("use {path}: it is a link out of the workspace")]
    LinkOutside {
        /// The link.
        path: Utf8PathBuf,
    },
    /// A module could not be downloaded.
    #[error("download {module}@{version}: {detail}")]
    Download {
        /// The module or package.
        module: String,
        /// The version.
        version: String,
        /// What Go said.
        detail: String,
    },
    /// Go refused a download: its content is not the one that the checksum database knows.
    #[error("download {module}@{version}: {detail}")]
    SumRefused {
        /// The module or package.
        module: String,
        /// The version.
        version: String,
        /// What Go said.
        detail: String,
    },
    /// A checksum is not the expected one.
    #[error("check {what}: {found} was found, {expected} is expected by {by}")]
    ChecksumMismatch {
        /// What was checked.
        what: String,
        /// The sum found.
        found: String,
        /// The sum expected.
        expected: String,
        /// Who expects it.
        by: String,
    },
    /// A tool could not be built.
    #[error("build {tool} {version}: {detail}")]
    BuildFailed {
        /// The tool.
        tool: String,
        /// The version.
        version: String,
        /// The last lines that Go said, or what is wrong with the binary.
        detail: String,
    },
    /// The file system filled up under Go.
    #[error("download and build {module}@{version}: {detail}")]
    DiskFull {
        /// The module or package.
        module: String,
        /// The version.
        version: String,
        /// What Go said.
        detail: String,
    },
    /// A binary that was just built says nothing of its build.
    #[error("look at what was built")]
    Built(#[from] BuildInfoError),
    /// The store cannot be read or written.
    #[error("use the store of tools")]
    Store(#[source] DurableError),
    /// The store cannot be read or written, outside of `durable`.
    #[error("use {path} in the store of tools")]
    StoreFile {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another container's daemon keeps the store's lock.
    #[error("use the store of tools: another daemon has kept {path} locked for a minute")]
    StoreBusy {
        /// The lock.
        path: Utf8PathBuf,
    },
    /// A file of the folder in which tools are built cannot be read or written.
    #[error("use {path} to build tools in")]
    WorkFile {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing can be downloaded, and what is at hand is not enough.
    #[error("{network}; no older set of tools is whole, and {caches}")]
    OutOfReach {
        /// The modules that would be needed, with their versions.
        needs: Vec<String>,
        /// What the download said.
        network: String,
        /// What the downloads that are kept lack.
        caches: &'static str,
    },
    /// A build of the same sources by the same Go, in empty caches, gave another binary.
    #[error("build {} again: the installed binary is another than what its sources give", tools.join(", "))]
    NotReproduced {
        /// The tools.
        tools: Vec<String>,
    },
    /// Somebody cancelled the operation.
    #[error("finish the work on the tools: it was cancelled")]
    Cancelled,
    /// The state directory or the lock file cannot be read or written.
    #[error("keep the record of the tools")]
    State(#[from] DurableError),
    /// Go could not be run.
    #[error("run Go")]
    Process(#[from] ProcessError),
    /// Nothing to go back to.
    #[error("go back to an older generation: there is none that is whole")]
    NoGeneration,
    /// Which tools are asked for cannot be read, so nothing is changed.
    #[error("know which tools are asked for: {message}")]
    Settings {
        /// What is wrong with devcontainer.json.
        message: String,
        /// The mistake's code.
        code: ErrorCode,
    },
    /// A tool that is asked for is not installed, or its binary was changed.
    #[error("find {tool}: {why}")]
    NotInstalled {
        /// The tool.
        tool: String,
        /// Whether it is missing or changed.
        why: &'static str,
    },
    /// The window that asks has not been trusted with this folder, which names what would be built.
    #[error("install tools for {workspace}: the folder is not trusted")]
    Untrusted {
        /// The folder.
        workspace: Utf8PathBuf,
    },
    /// No such operation.
    #[error("wait for {operation}: no such operation is known")]
    OperationUnknown {
        /// The operation's name.
        operation: String,
    },
    /// The daemon is ending.
    #[error("finish the work on the tools: the daemon is ending")]
    Ending,
}

impl Coded for ToolchainError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NoGo | Self::GoUnknown { .. } => ErrorCode::NoGo,
            Self::NoModule { .. } => ErrorCode::NoModule,
            Self::GoModSyntax { .. } | Self::GoModVersion { .. } | Self::Read { .. } => ErrorCode::GoModSyntax,
            Self::GoTooOld { .. } => ErrorCode::GoTooOld,
            Self::NoVersionFits { .. } | Self::NoneUpstream { .. } => ErrorCode::NoVersionFits,
            Self::PinCannotWork { .. } | Self::NoBuilder { .. } => ErrorCode::PinCannotWork,
            Self::PinInvalid { .. } => ErrorCode::ConfigValue,
            Self::PinsConflict { .. } => ErrorCode::PinsConflict,
            Self::PinFile { .. } => ErrorCode::PinFile,
            Self::ConsentNeeded { .. } => ErrorCode::ConsentNeeded,
            Self::ToolUnknown { .. } | Self::NotAsked { .. } => ErrorCode::ToolUnknown,
            Self::Drifted { .. } | Self::NotInstalled { .. } => ErrorCode::Drifted,
            Self::Settings { code, .. } => *code,
            Self::LockInvalid { .. } => ErrorCode::LockInvalid,
            Self::LinkOutside { .. } => ErrorCode::LinkOutside,
            Self::Download { .. } => ErrorCode::Download,
            Self::SumRefused { .. } | Self::ChecksumMismatch { .. } => ErrorCode::ChecksumMismatch,
            Self::BuildFailed { .. } | Self::Built(_) => ErrorCode::BuildFailed,
            Self::OutOfReach { .. } => ErrorCode::Download,
            Self::NotReproduced { .. } => ErrorCode::NotReproduced,
            Self::Cancelled => ErrorCode::ToolsCancelled,
            Self::DiskFull { .. } => ErrorCode::DiskFull,
            Self::WorkFile { source, .. } if is_disk_full(source) => ErrorCode::DiskFull,
            Self::WorkFile { .. } => ErrorCode::StateUnwritable,
            Self::StoreBusy { .. } => ErrorCode::StoreUnwritable,
            Self::Store(error) if error.is_disk_full() => ErrorCode::DiskFull,
            Self::StoreFile { source, .. } if is_disk_full(source) => ErrorCode::DiskFull,
            Self::Store(_) | Self::StoreFile { .. } => ErrorCode::StoreUnwritable,
            Self::State(error) => error.code(),
            Self::Process(error) => error.code(),
            Self::NoGeneration => ErrorCode::NoGeneration,
            Self::Untrusted { .. } | Self::OperationUnknown { .. } => ErrorCode::BadRequest,
            Self::Ending => ErrorCode::DaemonUnreachable,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoGo => {
                Some("install Go from https://go.dev/dl or use a `golang` image, and see that `go` is on PATH".into())
            }
            Self::GoUnknown { program, .. } => Some(format!(
                "trust the folder, see that `{program} env GOVERSION GOROOT` works there, or put a Go installation before it on PATH"
            )),
            Self::NoModule { .. } => {
                Some("run `go mod init NAME` there, or name another folder with `--workspace`".into())
            }
            Self::GoModSyntax { path, .. } | Self::GoModVersion { path, .. } => Some(format!("mend {path}")),
            Self::Read { path, .. } => Some(format!("make {path} a readable UTF-8 file")),
            Self::GoTooOld { asked, switches, .. } => Some(format!(
                "use an image with Go {asked} or newer, such as `{}`{}",
                super::go::image(*asked),
                if *switches { ", or set GOTOOLCHAIN=auto" } else { "" }
            )),
            Self::NoVersionFits { many: true, .. } => Some(
                "join the modules by a go.work, raise the older `go` line, or open one of them with `--workspace`"
                    .into(),
            ),
            Self::NoneUpstream { tool, .. } => Some(format!("pin another version of {tool}, or use a newer Go")),
            Self::NoBuilder { tool, needs, .. } => Some(format!(
                "pin an older version of {tool}, use Go {needs} or newer, or see that GOTOOLCHAIN and GOPROXY let Go fetch it"
            )),
            Self::PinsConflict { tool, .. } => {
                Some(format!("make the pins equal, or name one version in `customizations.burrow.tools.{tool}`"))
            }
            Self::PinFile { path, .. } => Some(format!("mend {path}; until then no tool is chosen anew")),
            Self::ConsentNeeded { .. } => Some("run `burrow tools update --yes`, or make the folder yourself".into()),
            Self::NoVersionFits { tool, .. } => {
                Some(format!("name a version in `customizations.burrow.tools.{tool}`, or update Burrow"))
            }
            Self::PinCannotWork { tool, fitting, .. } if fitting.is_empty() => {
                Some(format!("remove the pin of {tool}: no known version works with this Go"))
            }
            Self::PinCannotWork { tool, from, fitting, .. } if from == super::pins::SETTINGS => {
                Some(format!("set `customizations.burrow.tools.{tool}` to \"auto\" or one of {}", fitting.join(", ")))
            }
            Self::PinCannotWork { tool, from, fitting, .. } => Some(format!(
                "pin one of {} in {from}, or set `customizations.burrow.tools.{tool}` to \"auto\"",
                fitting.join(", ")
            )),
            Self::PinInvalid { tool, from, .. } => Some(format!("correct the version of {tool} in {from}")),
            Self::ToolUnknown { tool, .. } => Some(format!(
                "write `\"{tool}\": {{ \"package\": \"...\", \"version\": \"v...\" }}` under `customizations.burrow.tools`"
            )),
            Self::NotAsked { tool, .. } => {
                Some(format!("correct the name, or ask for {tool} under `customizations.burrow.tools`"))
            }
            Self::Drifted { .. } => Some("run `burrow tools update` to move the lock file, or undo the change".into()),
            Self::NotInstalled { .. } => Some("run `burrow tools repair`".into()),
            Self::Settings { .. } => Some("correct devcontainer.json; what is installed stays as it is".into()),
            Self::LockInvalid { path, .. } => {
                Some(format!("restore {path} from version control, or remove it and run `burrow up`"))
            }
            Self::LinkOutside { path } => Some(format!("replace {path} by a file or folder of the workspace")),
            Self::Download { module, version, .. } => Some(format!(
                "{module}@{version} and what it needs have to be within reach: check the network, GOPROXY and the proxy settings, then run `burrow tools repair`"
            )),
            Self::SumRefused { .. } | Self::ChecksumMismatch { .. } => {
                Some("do not use this download: check GOPROXY, and tell whoever runs that proxy".into())
            }
            Self::BuildFailed { tool, .. } => {
                Some(format!("pin another version in `customizations.burrow.tools.{tool}`"))
            }
            Self::Built(_) => Some("run `burrow tools repair` again".into()),
            Self::Store(error) if error.is_disk_full() => error.hint(),
            Self::Store(_) => Some(
                "make the store readable and writable for this user, or set BURROW_STORE_DIR to a folder that is"
                    .into(),
            ),
            Self::DiskFull { .. } => Some("free some space on that file system, then run `burrow tools repair`".into()),
            Self::StoreFile { source, .. } | Self::WorkFile { source, .. } if is_disk_full(source) => {
                Some("free some space on that file system, then try again".into())
            }
            Self::StoreFile { path, .. } => {
                Some(format!("make {path} readable and writable for this user, or set BURROW_STORE_DIR"))
            }
            Self::StoreBusy { path } => {
                Some(format!("find who has {path} open, or set BURROW_STORE_DIR to a folder of this container"))
            }
            Self::WorkFile { path, .. } => Some(format!("make {path} readable and writable for this user")),
            Self::OutOfReach { needs, .. } => Some(format!(
                "{} and what they need have to be within reach: check the network, GOPROXY and the proxy settings, then run `burrow tools repair`",
                needs.join(", ")
            )),
            Self::NotReproduced { .. } => Some(
                "do not use it: run `burrow tools repair`, which builds it again, and ask where that binary came from"
                    .into(),
            ),
            Self::Cancelled => Some("nothing was changed: run `burrow tools repair` again when it suits".into()),
            Self::State(error) => error.hint(),
            Self::Process(error) => error.hint(),
            Self::NoGeneration => Some("run `burrow tools repair`".into()),
            Self::Untrusted { .. } => Some("trust the folder in the editor, or run `burrow up` in a terminal".into()),
            Self::OperationUnknown { .. } => Some("start it again with `burrow tools repair`".into()),
            Self::Ending => Some("run the command again".into()),
        }
    }
}

/// The result of an operation is told to everyone who waits for it.
impl Coded for Arc<ToolchainError> {
    fn code(&self) -> ErrorCode {
        self.as_ref().code()
    }

    fn hint(&self) -> Option<String> {
        self.as_ref().hint()
    }
}

fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
