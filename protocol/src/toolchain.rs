//! Go tools: their status, repair, verification and rollback.

use crate::model::Reason;

wire! {
    /// One Go tool of a workspace.
    pub struct ToolStatus {
        /// The tool's name: `gopls`.
        pub name: String,
        /// The version, such as `v0.23.0`: the installed one, else the wanted one.
        pub version: String,
        /// Why this version: the pin, the lock or the compatibility table.
        pub why: String,
        /// Its state.
        pub state: ToolState,
        /// What `verified` rests on.
        pub by: Option<VerifiedBy>,
        /// Where the binary is, once installed.
        pub path: Option<String>,
        /// The Go that built it, such as `go1.26.8`, once installed.
        pub built_with: Option<String>,
        /// The version that is asked for, where somebody rolled back from it: that holds until the next repair or update.
        #[serde(default)]
        pub rolled_back_from: Option<String>,
    }

    /// The state of a tool.
    #[derive(Copy)]
    pub enum ToolState {
        /// Installed, and what the lock and the compatibility table say.
        Verified,
        /// Not installed.
        Missing,
        /// Installed, but not what the pin or the lock asks for, or changed since.
        Drifted,
        /// Being installed.
        Installing,
        /// The last try to install it failed.
        Failed,
        /// Installed, with nothing to compare it with.
        Unverified,
    }

    /// What a verification rests on.
    #[derive(Copy)]
    pub enum VerifiedBy {
        /// The lock file's row for this Go, platform and build settings.
        Sha256,
        /// The module's checksum, from the compatibility table or the checksum database.
        H1,
    }

    /// Params of `burrow/toolchain/list`, `rebuild` and `rollback`.
    pub struct ToolsParams {
        /// The workspace's path.
        pub workspace: String,
    }

    /// The tools as they stand.
    pub struct ToolsReport {
        /// The tools, by name.
        pub tools: Vec<ToolStatus>,
        /// The active generation, if any.
        pub generation: Option<u32>,
        /// The folder with the active generation's binaries.
        pub bin: Option<String>,
        /// The Go that the workspace uses, such as `go1.26.8`.
        pub go: Option<String>,
    }

    /// Params of `burrow/toolchain/repair`.
    pub struct RepairParams {
        /// The workspace's path.
        pub workspace: String,
        /// Fail rather than install anything that the lock file does not name.
        pub locked: bool,
        /// Leave the tools at the set that somebody rolled back to, as long as it is whole.
        #[serde(default)]
        pub keep_rollback: bool,
    }

    /// Params of `burrow/toolchain/verify`.
    pub struct VerifyParams {
        /// The workspace's path.
        pub workspace: String,
        /// Read every byte again, instead of comparing size and times.
        pub full: bool,
    }

    /// Params of `burrow/toolchain/update`: move to the newest versions that the pins allow.
    pub struct UpdateToolsParams {
        /// The workspace's path.
        pub workspace: String,
        /// One tool, else all.
        pub name: Option<String>,
        /// Whether a `.devcontainer` folder may be made for the lock file where the repository has none.
        #[serde(default)]
        pub create_folder: bool,
    }

    /// An operation was queued. Its `$/progress` carries `operation` as the token.
    pub struct StartedOperation {
        /// The operation's name.
        pub operation: String,
    }

    /// Params of `burrow/toolchain/await`, which answers when the operation ended, and `cancel`.
    pub struct AwaitOperationParams {
        /// The workspace's path.
        pub workspace: String,
        /// The operation's name.
        pub operation: String,
    }

    /// What a repair will do, or has done.
    pub struct RepairPlan {
        /// The actions in order. Empty: nothing to do.
        pub actions: Vec<RepairAction>,
    }

    /// One action of a repair.
    pub struct RepairAction {
        /// What is done.
        pub verb: RepairVerb,
        /// The tool, where it concerns one.
        pub tool: Option<String>,
        /// The version, where it concerns one.
        pub version: Option<String>,
        /// Why it is needed.
        pub why: String,
        /// What it takes.
        pub cost: ActionCost,
    }

    /// What an action takes.
    #[derive(Copy)]
    pub enum ActionCost {
        /// Links and small files: milliseconds.
        Links,
        /// The reading of whole binaries: up to seconds.
        Reading,
        /// Downloads: as long as the network takes.
        Network,
        /// A compiler: up to minutes, with all processors.
        Building,
    }

    /// Params of `burrow/toolchain/switched`.
    pub struct ToolsSwitched {
        /// The workspace's path.
        pub workspace: String,
        /// The generation that is active now.
        pub generation: u32,
        /// The tools whose binaries are others than before, or were not to be found, by name.
        pub tools: Vec<String>,
    }

    /// What an action of a repair does.
    #[derive(Copy)]
    pub enum RepairVerb {
        /// Download a module and check its sum.
        Fetch,
        /// Build a binary.
        Build,
        /// Check a binary.
        Verify,
        /// Make a new generation the active one.
        Activate,
        /// Go back to an older generation.
        Rollback,
        /// Mend the links of the active generation from the store.
        Relink,
        /// Remove generations that are no longer kept.
        Prune,
    }

    /// How an operation ended. An error is the request's error instead.
    pub struct OperationResult {
        /// What was done, in order.
        pub done: Vec<RepairAction>,
        /// The tools afterwards.
        pub report: ToolsReport,
        /// Things worth telling, such as a lock file that was written.
        pub notes: Vec<String>,
        /// What an update did to the lock file, by tool.
        pub changes: Vec<LockChange>,
        /// What still needs somebody's attention, such as a download that failed while an older set serves.
        #[serde(default)]
        pub reasons: Vec<Reason>,
    }

    /// A tool of the lock file before and after an update.
    pub struct LockChange {
        /// The tool.
        pub tool: String,
        /// The locked version before; none where it is new.
        pub before: Option<String>,
        /// The locked version now; none where nobody asks for the tool any more.
        pub after: Option<String>,
        /// The platforms whose binaries were added.
        pub platforms: Vec<String>,
    }
}
