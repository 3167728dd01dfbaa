//! `.devcontainer/burrow-lock.json`: exactly which binaries a team uses.

use std::collections::BTreeMap;

wire! {
    /// The lock file. Keys are sorted, one tool a block, so that it merges well.
    #[serde(deny_unknown_fields)]
    pub struct LockFile {
        /// The format's version: 1.
        pub schema: u32,
        /// The tools by name.
        pub tools: BTreeMap<String, LockedTool>,
    }

    /// One tool.
    #[serde(deny_unknown_fields)]
    pub struct LockedTool {
        /// The module's path: `golang.org/x/tools/gopls`.
        pub module: String,
        /// The main package's path.
        pub package: String,
        /// The module's version: `v0.23.0`.
        pub version: String,
        /// The module's checksum, as in go.sum: `h1:...`.
        pub h1: String,
        /// SHA-256 in hexadecimal by `GO PLATFORM SETTINGS`, such as `go1.26.8 linux/amd64 v1`.
        pub binaries: BTreeMap<String, String>,
    }
}
