//! `HOOK[/COMMAND]` on the command line.

use std::str::FromStr;

use burrow_protocol::hooks::HookName;

/// A hook, or one command of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) hook: HookName,
    pub(crate) command: Option<String>,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (hook, command) = match text.split_once('/') {
            Some((hook, command)) => (hook, Some(command.to_owned())),
            None => (text, None),
        };
        Ok(Self { hook: hook.parse()?, command })
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.command {
            Some(command) => write!(formatter, "{}/{command}", self.hook),
            None => write!(formatter, "{}", self.hook),
        }
    }
}

#[cfg(test)]
mod tests {
    use burrow_protocol::hooks::HookName;

    use super::Target;

    #[test]
    fn targets() {
        let target = |hook, command: Option<&str>| Some(Target { hook, command: command.map(str::to_owned) });
        for (text, expected, why) in [
            ("postCreate", target(HookName::PostCreate, None), "a hook"),
            ("postCreateCommand", target(HookName::PostCreate, None), "as devcontainer.json has it"),
            ("postStart/a/b", target(HookName::PostStart, Some("a/b")), "a command's name may hold a slash"),
            ("initialize", None, "runs on the host"),
        ] {
            assert_eq!(text.parse().ok(), expected, "{why}");
        }
    }
}
