//! Lifecycle hooks: their status, their runs, their logs.

use crate::SafeInt;

wire! {
    /// A lifecycle hook. `initializeCommand` runs outside the container and is not among them.
    #[derive(Copy, PartialOrd, Ord, Hash)]
    pub enum HookName {
        /// `onCreateCommand`: once a container.
        OnCreate,
        /// `updateContentCommand`: once a container.
        UpdateContent,
        /// `postCreateCommand`: once a container.
        PostCreate,
        /// `postStartCommand`: each start of the container.
        PostStart,
        /// `postAttachCommand`: each time a tool attaches.
        PostAttach,
        /// A trusted window connected.
        OnStartup,
    }

    /// Where a hook was written.
    #[derive(Copy, PartialOrd, Ord, Hash)]
    pub enum HookOrigin {
        /// `customizations.burrow.hooks` in devcontainer.json.
        Burrow,
        /// devcontainer.json's own property.
        Devcontainer,
        /// A command line that was recorded by `burrow hook exec`.
        Exec,
    }

    /// The state of a hook, or of one of its commands.
    #[derive(Copy)]
    pub enum HookState {
        /// Due, not started.
        Pending,
        /// Due, held back by what `blockedBy` names.
        Blocked,
        /// A shim has it, or it is about to be started anew.
        Running,
        /// Exit code 0.
        Succeeded,
        /// Another exit code, a signal, or it could not be started.
        Failed,
        /// Ended because its `timeout` had passed.
        TimedOut,
        /// Ended on request.
        Cancelled,
        /// Its shim died before the outcome was on disk: how it ended is not known.
        Interrupted,
        /// A Dev Containers tool runs it; its result is unknown here.
        External,
        /// Passed over by hand.
        Skipped,
    }

    /// One hook of a workspace.
    pub struct HookStatus {
        /// Which hook.
        pub name: HookName,
        /// Where it was written.
        pub origin: HookOrigin,
        /// The state of the whole.
        pub state: HookState,
        /// The run that `state` speaks of, such as `12-postCreate`.
        pub run_id: Option<String>,
        /// When that run began, RFC 3339.
        pub started_at: Option<String>,
        /// How long it took, once it ended.
        pub duration_ms: Option<u32>,
        /// The exit code, where it exited by itself.
        pub exit_code: Option<i32>,
        /// The signal that ended it.
        pub signal: Option<i32>,
        /// Why it is in this state, in a few words.
        pub reason: Option<String>,
        /// What holds it back: `HOOK` or `HOOK/COMMAND`.
        pub blocked_by: Option<String>,
        /// Whether the command is another one than the one that ran.
        pub changed: bool,
        /// How often it was started for this container or this start.
        pub attempt: u32,
        /// Whether `burrow/hooks/retry` would run any of it again now.
        #[serde(default)]
        pub can_retry: bool,
        /// Whether `burrow/hooks/skip` would pass over any of it now.
        #[serde(default)]
        pub can_skip: bool,
        /// Its commands, in the order of the file.
        pub commands: Vec<CommandStatus>,
    }

    /// One command of a hook. A hook that is no object has one command, with an empty name.
    pub struct CommandStatus {
        /// Its key in the object form; empty otherwise.
        pub name: String,
        /// Its state.
        pub state: HookState,
        /// The run that `state` speaks of.
        pub run_id: Option<String>,
        /// When it began, RFC 3339.
        pub started_at: Option<String>,
        /// How long it took, once it ended.
        pub duration_ms: Option<u32>,
        /// The exit code, where it exited by itself.
        pub exit_code: Option<i32>,
        /// The signal that ended it.
        pub signal: Option<i32>,
        /// Why it is in this state, in a few words.
        pub reason: Option<String>,
        /// What holds it back: `HOOK` or `HOOK/COMMAND`.
        #[serde(default)]
        pub blocked_by: Option<String>,
        /// Whether the command is another one than the one that ran.
        pub changed: bool,
        /// How often it was started for this container or this start.
        #[serde(default)]
        pub attempt: u32,
        /// Whether `burrow/hooks/retry` would run it again now.
        #[serde(default)]
        pub can_retry: bool,
        /// Whether `burrow/hooks/skip` would pass over it now.
        #[serde(default)]
        pub can_skip: bool,
        /// Whether its failure holds nothing back.
        #[serde(default)]
        pub optional: bool,
        /// Whether it is a service: one that is `ready` counts as done while it runs.
        #[serde(default)]
        pub background: bool,
        /// Whether a service is ready.
        #[serde(default)]
        pub ready: bool,
    }

    /// Params of `burrow/hooks/up`: run what is due of onCreate, updateContent, postCreate and postStart.
    pub struct UpHooksParams {
        /// The workspace's path.
        pub workspace: String,
    }

    /// Params of `burrow/hooks/run`.
    pub struct RunHookParams {
        /// The workspace's path.
        pub workspace: String,
        /// Which hook.
        pub hook: HookName,
        /// One command of it, else all.
        pub command: Option<String>,
        /// Run it whatever the ledger says.
        pub again: bool,
        /// Only what stands here, else every origin.
        pub origin: Option<HookOrigin>,
    }

    /// Params of `burrow/hooks/exec`: records `argv` as a run of a hook.
    pub struct ExecHookParams {
        /// The workspace's path.
        pub workspace: String,
        /// Which hook.
        pub hook: HookName,
        /// The name of the command, else the hook's only one.
        pub command: Option<String>,
        /// Program and arguments.
        pub argv: Vec<String>,
        /// Where it runs; else the workspace folder.
        pub cwd: Option<String>,
    }

    /// Params of `burrow/hooks/retry`: run again what did not succeed.
    pub struct RetryHookParams {
        /// The workspace's path.
        pub workspace: String,
        /// Which hook; else every one that did not succeed.
        pub hook: Option<HookName>,
        /// One command of it, else all that did not succeed.
        pub command: Option<String>,
    }

    /// Params of `burrow/hooks/skip`: count a hook as done without running it.
    pub struct SkipHookParams {
        /// The workspace's path.
        pub workspace: String,
        /// Which hook.
        pub hook: HookName,
        /// One command of it, else all that did not succeed.
        pub command: Option<String>,
        /// Why, for the record.
        pub reason: Option<String>,
    }

    /// Params of `burrow/hooks/cancel`.
    pub struct CancelRunParams {
        /// The workspace's path.
        pub workspace: String,
        /// Which run.
        pub run_id: String,
        /// One command of it, else all.
        #[serde(default)]
        pub command: Option<String>,
    }

    /// Params of `burrow/hooks/input`.
    pub struct InputParams {
        /// The workspace's path.
        pub workspace: String,
        /// Which run.
        pub run_id: String,
        /// Which of its commands; it must have `"tty": true`.
        pub command: String,
        /// What is typed.
        pub text: String,
    }

    /// Params of `burrow/hooks/resize`.
    pub struct ResizeParams {
        /// The workspace's path.
        pub workspace: String,
        /// Which run.
        pub run_id: String,
        /// Which of its commands; it must have `"tty": true`.
        pub command: String,
        /// The terminal's height in characters.
        pub rows: u16,
        /// The terminal's width in characters.
        pub cols: u16,
    }

    /// What a request to run hooks started. The work goes on in the daemon.
    pub struct StartedHooks {
        /// The runs that were started or queued, in their order. Empty: nothing was due, or nothing that the caller may
        /// wait for.
        pub runs: Vec<String>,
        /// What the caller should know of them.
        #[serde(default)]
        pub notes: Vec<String>,
    }

    /// Params of `burrow/hooks/await`: answers when the hook (or every queued one) no longer waits or runs.
    pub struct AwaitHooksParams {
        /// The workspace's path.
        pub workspace: String,
        /// Which hook, else all that are queued or running.
        pub hook: Option<HookName>,
        /// Answer after this long all the same.
        pub timeout_ms: Option<u32>,
    }

    /// The hooks as they stand.
    pub struct HooksReport {
        /// Every hook of the workspace.
        pub hooks: Vec<HookStatus>,
        /// Whether the time ran out before they were at rest.
        pub timed_out: bool,
    }

    /// Params of `burrow/hooks/runs`.
    pub struct ListRunsParams {
        /// The workspace's path.
        pub workspace: String,
        /// Only runs of this hook.
        pub hook: Option<HookName>,
    }

    /// Runs on record, newest first.
    pub struct RunList {
        /// The runs.
        pub runs: Vec<RunSummary>,
    }

    /// One run on record.
    pub struct RunSummary {
        /// `NUMBER-HOOK`.
        pub run_id: String,
        /// Which hook.
        pub hook: HookName,
        /// Where it was written.
        pub origin: HookOrigin,
        /// When it began, RFC 3339; none while it waits for its turn.
        pub started_at: Option<String>,
        /// How it stands.
        pub state: HookState,
        /// Its commands' names, in order.
        pub commands: Vec<String>,
        /// How each of them stands, in the same order.
        #[serde(default)]
        pub standings: Vec<CommandStanding>,
    }

    /// How one command of a run stands or ended.
    pub struct CommandStanding {
        /// Its name.
        pub name: String,
        /// Its state; `pending` where it was not started.
        pub state: HookState,
        /// Why it is in this state, in a few words.
        pub reason: Option<String>,
        /// How its earlier starts within the run ended, oldest first.
        pub attempts: Vec<String>,
    }

    /// Params of `burrow/hooks/readLog`.
    pub struct ReadLogParams {
        /// The workspace's path.
        pub workspace: String,
        /// Which run.
        pub run_id: String,
        /// Which of its commands.
        pub command: String,
        /// The first byte wanted, counted from the start of the command's output.
        pub offset: SafeInt,
        /// Where there is nothing at `offset` yet: wait this long for it.
        pub wait_ms: u32,
        /// Which start of the command within the run, from 1; `offset` counts within it. 0: the first that is kept.
        #[serde(default)]
        pub attempt: u32,
        /// A service that is ready counts as ended.
        #[serde(default)]
        pub until_ready: bool,
    }

    /// A piece of a log.
    pub struct LogPiece {
        /// Reads in the order in which they were made.
        pub reads: Vec<LogRead>,
        /// The offset to ask for next.
        pub next: SafeInt,
        /// Bytes between `offset` and the first read that the cap has cut out.
        pub cut: SafeInt,
        /// Whether the command has ended and nothing follows.
        pub ended: bool,
        /// The start of the command to ask for next: a later one where this one has ended and been read.
        #[serde(default)]
        pub attempt: u32,
    }

    /// The bytes of one read.
    pub struct LogRead {
        /// When they were read, RFC 3339.
        pub time: String,
        /// Which stream they came from.
        pub stream: LogStream,
        /// The offset of the first.
        pub offset: SafeInt,
        /// The bytes as text; what is no UTF-8 is replaced.
        pub text: String,
    }

    /// An output stream.
    #[derive(Copy)]
    pub enum LogStream {
        /// Standard output.
        Stdout,
        /// Standard error.
        Stderr,
    }
}

impl AwaitHooksParams {
    /// How all hooks of `workspace` stand now, without waiting for any.
    #[must_use]
    pub fn now(workspace: &str) -> Self {
        Self { workspace: workspace.to_owned(), hook: None, timeout_ms: Some(0) }
    }
}

impl HookName {
    /// All hooks, in the order in which they run.
    pub const ALL: [Self; 6] =
        [Self::OnCreate, Self::UpdateContent, Self::PostCreate, Self::PostStart, Self::PostAttach, Self::OnStartup];

    /// The name that users write: `postCreate`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnCreate => "onCreate",
            Self::UpdateContent => "updateContent",
            Self::PostCreate => "postCreate",
            Self::PostStart => "postStart",
            Self::PostAttach => "postAttach",
            Self::OnStartup => "onStartup",
        }
    }
}

impl std::fmt::Display for HookName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl std::str::FromStr for HookName {
    type Err = String;

    /// Accepts `postCreate` and devcontainer.json's `postCreateCommand`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let short = text.strip_suffix("Command").unwrap_or(text);
        Self::ALL.into_iter().find(|hook| hook.as_str() == short).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|hook| hook.as_str()).collect();
            format!("`{text}` is no lifecycle hook; there are {}", names.join(", "))
        })
    }
}
