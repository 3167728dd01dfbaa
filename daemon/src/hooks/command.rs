//! What is configured: each hook's commands, as written, with the hash that tells whether one was edited.
//!
//! Pure. Not here: whether a command is due (`plan`), and what it becomes when it starts (`launch`).

use burrow_protocol::hooks::{HookName, HookOrigin};
use burrow_protocol::settings::{HookCommand, SingleCommand};

use crate::hex;
use crate::workspace::files::devcontainer::Settings;

/// The commands that one place gives one hook. They run side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stage {
    pub(crate) hook: HookName,
    pub(crate) origin: HookOrigin,
    pub(crate) commands: Vec<Command>,
}

/// One command as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// Its key in the object form, else empty.
    pub(crate) name: String,
    pub(crate) line: SingleCommand,
    /// SHA-256 of the line's canonical JSON, before substitution.
    pub(crate) hash: String,
}

impl Command {
    pub(crate) fn new(name: impl Into<String>, line: SingleCommand) -> Self {
        let hash = hash(&line);
        Self { name: name.into(), line, hash }
    }
}

/// Everything that is configured, in the order in which it runs: Burrow's own commands of a hook come before the file's.
pub(crate) fn stages(settings: &Settings) -> Vec<Stage> {
    let own = &settings.burrow.hooks;
    HookName::ALL
        .into_iter()
        .flat_map(|hook| {
            let burrow = match hook {
                HookName::OnCreate => &own.on_create,
                HookName::UpdateContent => &own.update_content,
                HookName::PostCreate => &own.post_create,
                HookName::PostStart => &own.post_start,
                HookName::PostAttach => &own.post_attach,
                HookName::OnStartup => &own.on_startup,
            };
            [
                stage(hook, HookOrigin::Burrow, burrow.as_ref()),
                stage(hook, HookOrigin::Devcontainer, settings.devcontainer.hooks.get(&hook)),
            ]
        })
        .flatten()
        .collect()
}

/// None where there is nothing to do: no command, or only empty ones.
fn stage(hook: HookName, origin: HookOrigin, command: Option<&HookCommand>) -> Option<Stage> {
    let commands: Vec<_> = match command? {
        HookCommand::Shell(line) => vec![Command::new("", SingleCommand::Shell(line.clone()))],
        HookCommand::Exec(argv) => vec![Command::new("", SingleCommand::Exec(argv.clone()))],
        HookCommand::Named(commands) => commands.iter().map(|(name, line)| Command::new(name, line.clone())).collect(),
    };
    let commands: Vec<_> = commands.into_iter().filter(|command| !is_empty(&command.line)).collect();
    (!commands.is_empty()).then_some(Stage { hook, origin, commands })
}

const fn is_empty(line: &SingleCommand) -> bool {
    match line {
        SingleCommand::Shell(line) => line.is_empty(),
        SingleCommand::Exec(argv) => argv.is_empty(),
    }
}

fn hash(line: &SingleCommand) -> String {
    // A string or an array of strings has one compact JSON only, and writing it cannot fail.
    hex::sha256(&serde_json::to_vec(line).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use burrow_protocol::hooks::{HookName, HookOrigin};
    use burrow_protocol::settings::{HookCommand, SingleCommand};
    use indexmap::IndexMap;

    use super::{Command, stage, stages};
    use crate::workspace::files::devcontainer::Settings;

    #[test]
    fn the_three_forms() {
        let shell = |line: &str| SingleCommand::Shell(line.to_owned());
        let named = |pairs: &[(&str, &str)]| {
            HookCommand::Named(pairs.iter().map(|(name, line)| ((*name).to_owned(), shell(line))).collect())
        };
        for (command, expected, why) in [
            (Some(HookCommand::Shell("make".to_owned())), vec![""], "a string has no name"),
            (Some(HookCommand::Exec(vec!["make".to_owned()])), vec![""], "an array has no name"),
            (Some(named(&[("b", "x"), ("a", "y")])), vec!["b", "a"], "an object keeps its order"),
            (Some(named(&[("b", "x"), ("a", "")])), vec!["b"], "an empty command is none"),
            (Some(HookCommand::Shell(String::new())), vec![], "an empty string is nothing to do"),
            (Some(HookCommand::Exec(vec![])), vec![], "an empty array is nothing to do"),
            (Some(HookCommand::Named(IndexMap::new())), vec![], "an empty object is nothing to do"),
            (None, vec![], "no hook"),
        ] {
            let stage = stage(HookName::PostCreate, HookOrigin::Burrow, command.as_ref());
            let names: Vec<_> = stage.iter().flat_map(|stage| &stage.commands).map(|it| it.name.as_str()).collect();
            assert_eq!(names, expected, "{why}");
        }
    }

    #[test]
    fn burrows_own_hooks_come_first_within_one_hook() {
        let mut settings = Settings::default();
        let command = HookCommand::Shell("true".to_owned());
        settings.devcontainer.hooks.insert(HookName::PostStart, command.clone());
        settings.devcontainer.hooks.insert(HookName::OnCreate, command.clone());
        settings.burrow.hooks.post_start = Some(command);
        let order: Vec<_> = stages(&settings).iter().map(|stage| (stage.hook, stage.origin)).collect();
        let expected = [
            (HookName::OnCreate, HookOrigin::Devcontainer),
            (HookName::PostStart, HookOrigin::Burrow),
            (HookName::PostStart, HookOrigin::Devcontainer),
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn the_hash_is_that_of_the_json_as_written() {
        let shell = Command::new("a", SingleCommand::Shell("true".to_owned()));
        // printf '"true"' | sha256sum
        assert_eq!(shell.hash, "18d10c7d2b4b04aaf04254d1ae5d655a5dc0407cbcdd5a8c3986e985370f36ee");
        let exec = Command::new("a", SingleCommand::Exec(vec!["true".to_owned()]));
        assert_ne!(shell.hash, exec.hash, "the form is part of what was written");
    }
}
