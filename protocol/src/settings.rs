//! `customizations.burrow` of devcontainer.json, as users write it. The source of the settings' JSON Schema.

use std::collections::BTreeMap;

use indexmap::IndexMap;

wire! {
    /// `customizations.burrow`.
    #[derive(Default)]
    #[serde(default, deny_unknown_fields)]
    pub struct BurrowSettings {
        /// Hooks that Burrow runs, before those of devcontainer.json itself.
        pub hooks: HookSettings,
        /// Names (not values) of environment variables whose values are masked in logs.
        pub secrets: Vec<String>,
        /// Go tools by name.
        pub tools: BTreeMap<String, ToolSetting>,
        /// Whether a hook whose command was edited since it ran is due again. Without it the edit is only told.
        pub rerun_on_change: bool,
        /// The debug ports.
        pub debug: DebugSettings,
        /// Whether tools that are not in order are brought in order by themselves, in a workspace that is trusted. Without it
        /// that is only told.
        pub auto_repair: bool,
        /// How programs are built and started again when their files change.
        pub reload: ReloadSettings,
    }

    /// The debug ports.
    #[derive(Default)]
    #[serde(default, deny_unknown_fields)]
    pub struct DebugSettings {
        /// Who may connect.
        pub bind: DebugBind,
        /// Networks whose clients may connect as well, such as `10.0.0.0/8`; they count with `bind: "all"`.
        pub allow: Vec<String>,
        /// How long a lease waits for its first client, such as `"30m"`; `"10m"` by default.
        pub idle_timeout: Option<String>,
    }

    /// On which addresses leased debug ports listen. DAP has no authentication: whoever connects can run code.
    #[derive(Copy, Default)]
    pub enum DebugBind {
        /// The loopback addresses, for processes of the same user and of root.
        #[default]
        Loopback,
        /// All addresses, for the container's gateway (published ports) and `allow` as well.
        All,
    }

    /// How programs are built and started again when their files change.
    #[derive(Default)]
    #[serde(default, deny_unknown_fields)]
    pub struct ReloadSettings {
        /// Whether every debug session reloads on save, where its configuration has no `reload` attribute of its own.
        pub on_save: bool,
        /// What a change does to a debugged program that stands at a breakpoint.
        pub when_stopped: WhenStopped,
        /// What builds a program, in place of `go build`: run in the workspace folder, it builds the package in the folder
        /// `$BURROW_PACKAGE` and leaves the program at `$BURROW_OUTPUT`.
        pub build: Option<SingleCommand>,
        /// Patterns of files that count as well, such as `web/**/*.css`.
        pub include: Vec<String>,
        /// Patterns of files that do not count, such as `*.gen.go`.
        pub exclude: Vec<String>,
        /// How long after the last change, such as `100ms`, which is the default.
        pub delay: Option<String>,
    }

    /// What a change does to a debugged program that stands at a breakpoint.
    #[derive(Copy, Default)]
    pub enum WhenStopped {
        /// It is built, and restarted once the user lets it go on.
        #[default]
        Wait,
        /// It is built, and the user is told how to restart it.
        Ask,
        /// It is restarted.
        Restart,
    }

    /// Hooks by name, each in one of devcontainer.json's three forms, or as named commands with their order.
    #[derive(Default)]
    #[serde(default, deny_unknown_fields)]
    pub struct HookSettings {
        /// Once a container.
        pub on_create: Option<HookSetting>,
        /// Once a container, after onCreate.
        pub update_content: Option<HookSetting>,
        /// Once a container, after updateContent.
        pub post_create: Option<HookSetting>,
        /// Each start of the container.
        pub post_start: Option<HookSetting>,
        /// Each time a tool attaches.
        pub post_attach: Option<HookSetting>,
        /// A trusted window connected.
        pub on_startup: Option<HookSetting>,
    }

    /// A hook under `customizations.burrow`.
    #[serde(untagged)]
    pub enum HookSetting {
        /// One of devcontainer.json's three forms.
        Standard(HookCommand),
        /// Named commands with an order among them.
        Commands(HookCommands),
    }

    /// Named commands: each runs as soon as those that it needs are done.
    #[serde(deny_unknown_fields)]
    pub struct HookCommands {
        /// The commands by name.
        pub commands: IndexMap<String, CommandSetting>,
        /// How many may run at the same time; without it all that can.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub jobs: Option<u32>,
    }

    /// One named command: either `run` or `uses`.
    #[derive(Default)]
    #[serde(default, deny_unknown_fields)]
    pub struct CommandSetting {
        /// What is run: a string for `/bin/sh -c`, or an array without a shell.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub run: Option<SingleCommand>,
        /// A step that Burrow brings along.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub uses: Option<BuiltInStep>,
        /// Where it runs, relative to the workspace folder; without it the workspace folder.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub cwd: Option<String>,
        /// Its environment, over all else; `null` unsets.
        #[serde(skip_serializing_if = "IndexMap::is_empty")]
        pub env: IndexMap<String, Option<String>>,
        /// The commands of this hook that must be done before it starts.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub needs: Vec<String>,
        /// It is ended after this long, such as `30s`, `5m` or `500ms`; a background command: if it is not ready by then.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub timeout: Option<String>,
        /// How often it is started anew, after a growing pause, when it fails.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub retries: Option<u32>,
        /// Whether its failure holds nothing back.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub optional: bool,
        /// Whether it is a service: it counts as done once it is ready, and is started anew when it ends.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub background: bool,
        /// How a background command shows that it is ready; without it once it has started.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub ready: Option<ReadyCheck>,
        /// Whether it runs in a terminal of its own.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub tty: bool,
    }

    /// A step that Burrow brings along.
    #[derive(Copy)]
    pub enum BuiltInStep {
        /// The Go tools of the workspace are in order.
        Toolchain,
        /// The modules of the workspace are downloaded and verified.
        Modules,
        /// All packages and tests are compiled once, so that the build cache is warm.
        Build,
    }

    /// How a background command shows that it is ready.
    #[serde(untagged, deny_unknown_fields)]
    pub enum ReadyCheck {
        /// A line of its output matches.
        Log {
            /// A regular expression.
            log: String,
        },
        /// Something listens on a TCP port of this container.
        Port {
            /// The port.
            port: u16,
        },
        /// A command succeeds.
        Command {
            /// The command, run again until it succeeds.
            command: SingleCommand,
        },
    }

    /// A hook's command in one of the three forms.
    #[serde(untagged)]
    pub enum HookCommand {
        /// Run by `/bin/sh -c`.
        Shell(String),
        /// Program and arguments, run without a shell.
        Exec(Vec<String>),
        /// Named commands, run side by side.
        Named(IndexMap<String, SingleCommand>),
    }

    /// A named command.
    #[serde(untagged)]
    pub enum SingleCommand {
        /// Run by `/bin/sh -c`.
        Shell(String),
        /// Program and arguments, run without a shell.
        Exec(Vec<String>),
    }

    /// How a tool is chosen.
    #[serde(untagged)]
    pub enum ToolSetting {
        /// A version such as `v0.23.0`, or `auto`: the newest that fits the workspace's Go.
        Version(String),
        /// A tool by its package path.
        Package {
            /// The main package, such as `honnef.co/go/tools/cmd/staticcheck`.
            package: String,
            /// Its version, such as `v0.7.0`.
            version: String,
        },
    }
}

impl BuiltInStep {
    /// All steps.
    pub const ALL: [Self; 3] = [Self::Toolchain, Self::Modules, Self::Build];

    /// The name that users write: `modules`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Toolchain => "toolchain",
            Self::Modules => "modules",
            Self::Build => "build",
        }
    }
}
