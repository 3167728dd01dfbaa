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
