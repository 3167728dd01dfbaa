//! What a debug session asks of hot reload: types only, so that neither service knows the other.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use tokio::sync::mpsc;

/// A program to be built for a debugger, now and whenever its files change.
#[derive(Clone, Debug)]
pub struct RebuildOrder {
    /// The workspace, whose files are watched.
    pub workspace: Utf8PathBuf,
    /// The environment of the build.
    pub env: BTreeMap<String, String>,
    /// Where the build runs: what dlv's own would take.
    pub cwd: Utf8PathBuf,
    /// The package, as the client named it.
    pub package: String,
    /// Whether the package's tests are what is built.
    pub test: bool,
    /// Flags of `go build`.
    pub flags: Vec<String>,
}

/// What became of a build. One that a newer change made worthless is not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebuild {
    /// It was built to this file, which is the receiver's from here on.
    Built(Utf8PathBuf),
    /// It was not built.
    Failed {
        /// The command line.
        command: String,
        /// What it printed, and how it ended.
        output: String,
    },
    /// Files are polled, or a setting makes no sense: something that a person should know.
    Told(String),
}

/// Builds as they come; dropping it ends watching and building.
pub type Rebuilds = mpsc::Receiver<Rebuild>;
