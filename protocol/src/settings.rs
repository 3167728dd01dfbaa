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
        /// How programs are built and started again when their files change.
        pub reload: ReloadSettings,
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

    /// Hooks by name, each in one of devcontainer.json's three forms.
    #[derive(Default)]
    #[serde(default, deny_unknown_fields)]
    pub struct HookSettings {
        /// Once a container.
        pub on_create: Option<HookCommand>,
        /// Once a container, after onCreate.
        pub update_content: Option<HookCommand>,
        /// Once a container, after updateContent.
        pub post_create: Option<HookCommand>,
        /// Each start of the container.
        pub post_start: Option<HookCommand>,
        /// Each time a tool attaches.
        pub post_attach: Option<HookCommand>,
        /// A trusted window connected.
        pub on_startup: Option<HookCommand>,
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
