//! The registry of methods: what can be asked, and what is told.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{debug, hooks, model, reload, toolchain};

/// A request: its name, what it takes, what it answers.
pub trait Method {
    /// The name on the wire: `burrow/hooks/run`.
    const NAME: &'static str;
    /// What it takes.
    type Params: Serialize + DeserializeOwned;
    /// What it answers.
    type Result: Serialize + DeserializeOwned;
}

/// A row of the registry, for the generator and the tests.
#[derive(Clone, Copy, Debug)]
pub struct MethodRow {
    /// The name on the wire.
    pub name: &'static str,
    /// The type of the params.
    pub params: &'static str,
    /// The type of the result; empty for a notification.
    pub result: &'static str,
    /// What it does.
    pub doc: &'static str,
}

macro_rules! methods {
    ($($(#[doc = $doc:literal])+ $name:ident = $wire:literal ($($params:tt)+) -> $($result:ident)::+;)*) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Copy, Debug)]
            pub enum $name {}
            impl Method for $name {
                const NAME: &'static str = $wire;
                type Params = $($params)+;
                type Result = $($result)::+;
            }
        )*

        /// Every request, by name.
        pub const METHODS: &[MethodRow] = &[
            $(MethodRow {
                name: $wire,
                params: stringify!($($params)+),
                result: stringify!($($result)::+),
                doc: concat!($($doc),+),
            },)*
        ];

        /// Shows the generator what every request takes and answers.
        #[cfg(feature = "generate")]
        pub(crate) fn collect_types(catalogue: &mut crate::generate::Catalogue) {
            $(
                catalogue.add::<$($params)+>();
                catalogue.add::<$($result)::+>();
            )*
        }
    };
}

wire! {
    /// Params of a request that needs none.
    #[derive(Default)]
    pub struct NoParams {}

    /// The answer of a request that only says that it was done.
    #[derive(Default)]
    pub struct Done {}

    /// Params of `burrow/daemon/stop`.
    pub struct StopParams {
        /// Cancel the hooks in flight as well.
        pub hooks: bool,
        /// Hand hooks over to the next daemon, which the caller starts: no mark "stopped by the user" is left.
        pub restart: bool,
    }
}

methods! {
    /// Ends the daemon: debug sessions end, hooks in flight go on under their shims.
    DaemonStop = "burrow/daemon/stop" (StopParams) -> Done;

    /// The status of everything, once.
    ModelStatus = "burrow/model/status" (NoParams) -> model::Status;
    /// The status of everything with its sequence number; changes follow as `burrow/model/changed`.
    ModelSubscribe = "burrow/model/subscribe" (NoParams) -> model::Snapshot;

    /// Queues every due hook of onCreate, updateContent, postCreate and postStart.
    HooksUp = "burrow/hooks/up" (hooks::UpHooksParams) -> hooks::StartedHooks;
    /// Queues one hook, where it is due.
    HooksRun = "burrow/hooks/run" (hooks::RunHookParams) -> hooks::StartedHooks;
    /// Runs a command and records it as a hook's run.
    HooksExec = "burrow/hooks/exec" (hooks::ExecHookParams) -> hooks::StartedHooks;
    /// Runs again what did not succeed.
    HooksRetry = "burrow/hooks/retry" (hooks::RetryHookParams) -> hooks::StartedHooks;
    /// Counts a hook as done without running it.
    HooksSkip = "burrow/hooks/skip" (hooks::SkipHookParams) -> hooks::HooksReport;
    /// Ends a run: TERM, then KILL after its grace.
    HooksCancel = "burrow/hooks/cancel" (hooks::CancelRunParams) -> Done;
    /// Types into the terminal of a command that runs.
    HooksInput = "burrow/hooks/input" (hooks::InputParams) -> Done;
    /// Tells a command that runs the size of its terminal.
    HooksResize = "burrow/hooks/resize" (hooks::ResizeParams) -> Done;
    /// Answers when hooks are at rest.
    HooksAwait = "burrow/hooks/await" (hooks::AwaitHooksParams) -> hooks::HooksReport;
    /// The runs on record.
    HooksRuns = "burrow/hooks/runs" (hooks::ListRunsParams) -> hooks::RunList;
    /// A piece of a command's output.
    HooksReadLog = "burrow/hooks/readLog" (hooks::ReadLogParams) -> hooks::LogPiece;

    /// The tools, with why each has its version.
    ToolchainList = "burrow/toolchain/list" (toolchain::ToolsParams) -> toolchain::ToolsReport;
    /// What a repair would do.
    ToolchainPlan = "burrow/toolchain/plan" (toolchain::RepairParams) -> toolchain::RepairPlan;
    /// Queues a repair.
    ToolchainRepair = "burrow/toolchain/repair" (toolchain::RepairParams) -> toolchain::StartedOperation;
    /// Queues an update of the locked versions.
    ToolchainUpdate = "burrow/toolchain/update" (toolchain::UpdateToolsParams) -> toolchain::StartedOperation;
    /// Answers when a queued operation ended.
    ToolchainAwait = "burrow/toolchain/await" (toolchain::AwaitOperationParams) -> toolchain::OperationResult;
    /// Ends a queued operation; what is installed stays as it is.
    ToolchainCancel = "burrow/toolchain/cancel" (toolchain::AwaitOperationParams) -> Done;
    /// Queues a build of the installed tools in empty caches, which must give the same binaries.
    ToolchainRebuild = "burrow/toolchain/rebuild" (toolchain::ToolsParams) -> toolchain::StartedOperation;
    /// Queues a question to the checksum database about the installed tools that the compatibility table does not know.
    ToolchainCheckSums = "burrow/toolchain/checkSums" (toolchain::ToolsParams) -> toolchain::StartedOperation;
    /// Checks the installed tools.
    ToolchainVerify = "burrow/toolchain/verify" (toolchain::VerifyParams) -> toolchain::ToolsReport;
    /// Makes the generation before the active one active.
    ToolchainRollback = "burrow/toolchain/rollback" (toolchain::ToolsParams) -> toolchain::ToolsReport;

    /// Leases a debug port; it listens when the answer comes.
    DebugLease = "burrow/debug/lease" (debug::LeaseParams) -> debug::LeaseGranted;
    /// Ends a lease and all of its processes.
    DebugRelease = "burrow/debug/release" (debug::ReleaseParams) -> debug::Released;
    /// Ends whatever of ours sits on a port.
    DebugReclaim = "burrow/debug/reclaim" (debug::ReclaimParams) -> debug::Released;
    /// The Go programs that run, for one who wants to attach to one.
    DebugProcesses = "burrow/debug/processes" (NoParams) -> debug::GoProcesses;
    /// The output of a lease's debug adapter and program.
    DebugReadLog = "burrow/debug/readLog" (debug::ReadDebugLogParams) -> hooks::LogPiece;

    /// Builds and runs programs, and does so again whenever their files change, until the session ends.
    ReloadStart = "burrow/reload/start" (reload::StartReloadParams) -> reload::StartedReload;
    /// Answers when something has happened to them.
    ReloadFollow = "burrow/reload/follow" (reload::FollowReloadParams) -> reload::ReloadPiece;
    /// Ends them.
    ReloadStop = "burrow/reload/stop" (reload::StopReloadParams) -> Done;
}

/// The name of the notification that carries a [`model::ModelChanged`].
pub const MODEL_CHANGED: &str = "burrow/model/changed";

/// The name of the notification that carries a [`toolchain::ToolsSwitched`].
pub const TOOLCHAIN_SWITCHED: &str = "burrow/toolchain/switched";

/// Every notification of the daemon's own, by name.
pub const NOTIFICATIONS: &[MethodRow] = &[
    MethodRow {
        name: MODEL_CHANGED,
        params: "model::ModelChanged",
        result: "",
        doc: " One part of the status has a new value.",
    },
    MethodRow {
        name: TOOLCHAIN_SWITCHED,
        params: "toolchain::ToolsSwitched",
        result: "",
        doc: " Another generation of tools is active: what runs an old binary goes on, and is to be restarted.",
    },
];
