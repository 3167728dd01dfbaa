//! devcontainer.json, as far as Burrow acts on it: where it lies, what it says, what is wrong with it.
//!
//! A mistake never hides the rest: what can be read is used, and every problem is told with its place.

use burrow_protocol::error::ErrorCode;
use burrow_protocol::hooks::{HookName, HookOrigin};
use burrow_protocol::model::Reason;
use burrow_protocol::settings::{DebugSettings, ReloadSettings, ToolSetting};
use camino::{Utf8Path, Utf8PathBuf};
use indexmap::IndexMap;
use serde::Deserialize;
use std::collections::BTreeMap;

use super::hooks::{self, Stage};
use super::jsonc::{Document, Fault, Node, Place};

/// Everything that a workspace's devcontainer.json says, with what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The workspace folder.
    pub root: Utf8PathBuf,
    /// The file that was read; none where there is none.
    pub file: Option<Utf8PathBuf>,
    /// The standard properties.
    pub devcontainer: Devcontainer,
    /// `customizations.burrow`, but for its hooks.
    pub burrow: Burrow,
    /// All hooks, in the order in which they run: Burrow's own commands of a hook come before the file's.
    pub stages: Vec<Stage>,
    /// Hooks that cannot be understood, and where they stand, each with its first mistake: to run nothing would look like
    /// having nothing to do.
    pub hooks_unknown: BTreeMap<(HookName, HookOrigin), Problem>,
    /// What is wrong, in the order of the file.
    pub problems: Vec<Problem>,
    /// The mistake that keeps anybody from knowing which tools are asked for: none is asked for where the file is silent,
    /// and that is something else.
    pub tools_unknown: Option<Problem>,
}

impl Settings {
    /// Whether the file as a whole could not be read: then nothing of it is known.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.problems.iter().any(|problem| problem.code == ErrorCode::ConfigSyntax)
    }
}

/// The standard properties that Burrow acts on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devcontainer {
    /// `remoteEnv`; `None` unsets a variable.
    pub remote_env: IndexMap<String, Option<String>>,
    /// `remoteUser`.
    pub remote_user: Option<String>,
    /// `service`: which one of the compose file this container is.
    pub service: Option<String>,
    /// `containerUser`.
    pub container_user: Option<String>,
    /// `userEnvProbe`.
    pub user_env_probe: UserEnvProbe,
    /// `workspaceFolder`, before substitution.
    pub workspace_folder: Option<String>,
}

impl Devcontainer {
    /// The user as whom hooks are to run; none: the image's.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.remote_user.as_deref().or(self.container_user.as_deref())
    }
}

/// Which shell is asked for its environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UserEnvProbe {
    /// None.
    None,
    /// One that reads what is read at a login.
    LoginShell,
    /// One that reads both.
    #[default]
    LoginInteractiveShell,
    /// One that reads what is read for a prompt.
    InteractiveShell,
}

/// The settings of `customizations.burrow` that are no hooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Burrow {
    /// Names of variables whose values are masked in logs.
    pub secrets: Vec<String>,
    /// Go tools by name.
    pub tools: BTreeMap<String, ToolSetting>,
    /// Whether an edited command is due again.
    pub rerun_on_change: bool,
    /// The debug ports.
    pub debug: DebugSettings,
    /// Whether tools that are not in order are brought in order by themselves.
    pub auto_repair: bool,
    /// How programs are built and started again when their files change.
    pub reload: ReloadSettings,
}

/// One mistake in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its code.
    pub code: ErrorCode,
    /// What is wrong, with file and place.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Where, if that is known.
    pub place: Option<Place>,
}

impl From<&Problem> for Reason {
    fn from(problem: &Problem) -> Self {
        Self {
            code: Some(problem.code.code().to_owned()),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        }
    }
}

/// Reads the settings of the workspace at `root`. Does not fail: what is wrong is among the problems.
#[must_use]
pub fn read(root: &Utf8Path) -> Settings {
    let mut settings = Settings { root: root.to_owned(), ..Settings::default() };
    let Some(file) = locate(root, &mut settings.problems) else { return settings };
    match std::fs::read_to_string(&file) {
        Ok(text) => parse(&text, file.strip_prefix(root).unwrap_or(&file), &mut settings),
        Err(error) => settings.problems.push(Problem {
            code: ErrorCode::ConfigSyntax,
            message: format!("{file} cannot be read: {error}"),
            hint: Some("make it a readable UTF-8 file".to_owned()),
            place: None,
        }),
    }
    settings.file = Some(file);
    if settings.is_broken() {
        settings.tools_unknown = settings.problems.last().cloned();
    }
    settings
}

/// The files that decide where a workspace's settings are; a watcher looks at their folders.
fn locate(root: &Utf8Path, problems: &mut Vec<Problem>) -> Option<Utf8PathBuf> {
    let folder = root.join(".devcontainer");
    let direct = [folder.join("devcontainer.json"), root.join(".devcontainer.json")];
    if let Some(file) = direct.into_iter().find(|file| file.is_file()) {
        return Some(file);
    }
    let mut named: Vec<_> = folder
        .read_dir_utf8()
        .ok()?
        .flatten()
        .map(|entry| entry.path().join("devcontainer.json"))
        .filter(|file| file.is_file())
        .collect();
    named.sort();
    if let [first, _, ..] = named.as_slice() {
        problems.push(Problem {
            code: ErrorCode::ConfigValue,
            message: format!("there are {} configurations in {folder}; {first} is used", named.len()),
            hint: Some("call Burrow with `--workspace` for another folder, or keep one configuration".to_owned()),
            place: None,
        });
    }
    named.into_iter().next()
}

/// Reads `text`; `name` stands in messages.
pub(crate) fn parse(text: &str, name: &Utf8Path, settings: &mut Settings) {
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(fault) => {
            let (line, column) = fault.place;
            settings.problems.push(Problem {
                code: ErrorCode::ConfigSyntax,
                message: format!("{name}:{line}:{column}: {}", fault.why),
                hint: Some("correct the file; until then none of its hooks and settings count".to_owned()),
                place: Some(fault.place),
            });
            return;
        }
    };
    let root = document.root();
    if !root.is_object() {
        settings.problems.push(bad_value(name, &root.fault("the file must hold one object")));
        return;
    }
    let mut reader = Reader { name, settings };
    let burrow = root.get("customizations").and_then(|node| node.get("burrow"));
    reader.hooks(&root, burrow.as_ref());
    reader.devcontainer(&root);
    if let Some(node) = burrow {
        reader.burrow(&node);
    }
    settings.problems.sort_by_key(|problem| problem.place);
}

/// Takes the properties one by one: a mistake in one does not hide the others.
struct Reader<'a> {
    name: &'a Utf8Path,
    settings: &'a mut Settings,
}

impl Reader<'_> {
    fn hooks(&mut self, root: &Node<'_>, burrow: Option<&Node<'_>>) {
        let own = burrow.and_then(|node| node.get("hooks"));
        for hook in HookName::ALL {
            if let Some(node) = own.as_ref().and_then(|node| node.get(hook.as_str())) {
                self.stage(hook, HookOrigin::Burrow, hooks::read_own(hook, &node));
            }
            if let Some(node) = root.get(&format!("{hook}Command")) {
                if hook == HookName::OnStartup {
                    let why =
                        "the standard knows no such property; write it as `customizations.burrow.hooks.onStartup`";
                    self.tell(&node.fault(why));
                }
                let origin = HookOrigin::Devcontainer;
                self.stage(hook, origin, hooks::read_standard(hook, origin, &node));
            }
        }
        match own.as_ref().map(|node| (node, node.properties())) {
            Some((node, None)) => self.tell(&node.fault("an object of hooks by name is wanted here")),
            Some((_, Some(properties))) => {
                let known = |name: &str| HookName::ALL.into_iter().any(|hook| hook.as_str() == name);
                for (_, node) in properties.iter().filter(|(name, _)| !known(name)) {
                    let names = HookName::ALL.map(HookName::as_str).join(", ");
                    self.tell(&node.fault(format!("there is no such hook; there are {names}")));
                }
            }
            None => {}
        }
    }

    fn stage(&mut self, hook: HookName, origin: HookOrigin, read: Result<Option<Stage>, Vec<Fault>>) {
        match read {
            Ok(stage) => self.settings.stages.extend(stage),
            Err(faults) => {
                faults.iter().for_each(|fault| self.tell(fault));
                if let Some(fault) = faults.first() {
                    let first = || bad_value(self.name, fault);
                    self.settings.hooks_unknown.entry((hook, origin)).or_insert_with(first);
                }
            }
        }
    }

    fn devcontainer(&mut self, root: &Node<'_>) {
        for (name, node) in self.take(root, "remoteEnv", Node::entries).unwrap_or_default() {
            match node.decode() {
                Ok(value) => drop(self.settings.devcontainer.remote_env.insert(name.to_owned(), value)),
                Err(fault) => self.tell(&fault),
            }
        }
        self.settings.devcontainer.remote_user = self.take(root, "remoteUser", Node::decode);
        self.settings.devcontainer.service = self.take(root, "service", Node::decode);
        self.settings.devcontainer.container_user = self.take(root, "containerUser", Node::decode);
        self.settings.devcontainer.user_env_probe = self.take(root, "userEnvProbe", Node::decode).unwrap_or_default();
        self.settings.devcontainer.workspace_folder = self.take(root, "workspaceFolder", Node::decode);
    }

    fn burrow(&mut self, node: &Node<'_>) {
        let before = self.settings.problems.len();
        let Some(properties) = node.properties() else {
            self.tell(&node.fault("an object is wanted here"));
            self.settings.tools_unknown = self.settings.problems.get(before).cloned();
            return;
        };
        self.settings.burrow.tools = self.take(node, "tools", Node::decode_map).unwrap_or_default();
        self.settings.tools_unknown = self.settings.problems.get(before).cloned();
        self.settings.burrow.secrets = self.take(node, "secrets", Node::decode_list).unwrap_or_default();
        self.settings.burrow.rerun_on_change = self.take(node, "rerunOnChange", Node::decode).unwrap_or_default();
        // What is not understood opens no port: a mistake leaves the loopback interface.
        self.settings.burrow.debug = self.take(node, "debug", Node::decode).unwrap_or_default();
        self.settings.burrow.auto_repair = self.take(node, "autoRepair", Node::decode).unwrap_or_default();
        self.settings.burrow.reload = self.take(node, "reload", Node::decode).unwrap_or_default();
        for (key, node) in properties {
            if !matches!(key, "hooks" | "tools" | "secrets" | "rerunOnChange" | "autoRepair" | "reload" | "debug") {
                self.tell(&node.fault("there is no such setting"));
            }
        }
    }

    /// One property; one that has the wrong shape is told and counts as absent.
    fn take<'d, T>(&mut self, node: &Node<'d>, key: &str, decode: impl Fn(&Node<'d>) -> Result<T, Fault>) -> Option<T> {
        decode(&node.get(key)?).map_err(|fault| self.tell(&fault)).ok()
    }

    fn tell(&mut self, fault: &Fault) {
        self.settings.problems.push(bad_value(self.name, fault));
    }
}

fn bad_value(name: &Utf8Path, fault: &Fault) -> Problem {
    let (line, column) = fault.place;
    let property = if fault.path.is_empty() { String::new() } else { format!("`{}`: ", fault.path) };
    Problem {
        code: ErrorCode::ConfigValue,
        message: format!("{name}:{line}:{column}: {property}{}", fault.why),
        hint: Some("correct that property; the others count".to_owned()),
        place: Some(fault.place),
    }
}

#[cfg(test)]
mod tests {
    use burrow_protocol::hooks::HookName;
    use burrow_protocol::hooks::HookOrigin::{Burrow, Devcontainer};
    use burrow_protocol::settings::BurrowSettings;

    use super::{Settings, parse};
    use crate::workspace::files::hooks::Stage;

    fn read(text: &str) -> Settings {
        let mut settings = Settings::default();
        parse(text, "devcontainer.json".into(), &mut settings);
        settings
    }

    #[test]
    fn comments_and_trailing_commas_are_heard() {
        let settings = read(
            r#"{ // why not
              "postCreateCommand": {"b": "make", "a": ["go", "mod", "download"],}, /* x */
              "postStartCommand": "date",
              "remoteEnv": {"A": "1", "B": null},
              "customizations": {"burrow": {"secrets": ["TOKEN"], "tools": {"gopls": "v0.23.0"}}},
            }"#,
        );
        assert_eq!(settings.problems, []);
        let names = |stage: &Stage| stage.commands.iter().map(|command| command.name.clone()).collect::<Vec<_>>();
        assert_eq!(settings.stages.iter().map(names).collect::<Vec<_>>(), [vec!["b", "a"], vec![""]]);
        assert_eq!(settings.devcontainer.remote_env["B"], None, "null unsets");
        assert_eq!(settings.burrow.secrets, ["TOKEN"]);
    }

    #[test]
    fn a_variable_that_is_no_text_costs_no_other() {
        let settings = read("{\"remoteEnv\": {\"A\": 1, \"B\": \"b\", \"C\": null}}");
        let [problem] = settings.problems.as_slice() else { panic!("one problem: {:?}", settings.problems) };
        assert!(problem.message.starts_with("devcontainer.json:1:21: `remoteEnv.A`: "), "{}", problem.message);
        let variables: Vec<_> = settings.devcontainer.remote_env.into_iter().collect();
        assert_eq!(variables, [("B".to_owned(), Some("b".to_owned())), ("C".to_owned(), None)]);
    }

    #[test]
    fn a_syntax_error_has_line_and_column() {
        let settings = read("{\n  \"postCreateCommand\": \"a\"\n  \"x\": 1\n}");
        let [problem] = settings.problems.as_slice() else { panic!("one problem: {:?}", settings.problems) };
        assert_eq!(problem.place.map(|place| place.0), Some(2), "{}", problem.message);
        assert!(problem.message.starts_with("devcontainer.json:2:"), "{}", problem.message);
    }

    #[test]
    fn a_wrong_value_does_not_hide_the_others() {
        let settings = read(
            r#"{"postCreateCommand": 7, "postStartCommand": "date", "customizations": {"burrow": {"sekrets": 1, "secrets": ["A"]}}}"#,
        );
        assert_eq!(settings.problems.len(), 2, "{:?}", settings.problems);
        let told = "devcontainer.json:1:23: `postCreateCommand`: a hook is a string";
        assert!(settings.problems[0].message.starts_with(told), "{}", settings.problems[0].message);
        assert_eq!(settings.problems[1].place, Some((1, 95)), "{}", settings.problems[1].message);
        assert_eq!(settings.hooks_unknown.keys().collect::<Vec<_>>(), [&(HookName::PostCreate, Devcontainer)]);
        assert_eq!(settings.stages[0].hook, HookName::PostStart);
        assert_eq!(settings.burrow.secrets, ["A"]);
        assert_eq!(settings.tools_unknown, None, "no tool is asked for, and that is known");
    }

    #[test]
    fn burrows_own_hooks_come_first_within_one_hook() {
        let text = r#"{"postStartCommand": "x", "onCreateCommand": "x",
            "customizations": {"burrow": {"hooks": {"postStart": "x"}}}}"#;
        let order: Vec<_> = read(text).stages.iter().map(|stage| (stage.hook, stage.origin)).collect();
        let expected =
            [(HookName::OnCreate, Devcontainer), (HookName::PostStart, Burrow), (HookName::PostStart, Devcontainer)];
        assert_eq!(order, expected);
    }

    #[test]
    fn what_the_schema_offers_is_what_is_read() {
        let burrow = r#"{"secrets": ["A"], "tools": {"gopls": "auto"}, "rerunOnChange": true,
            "reload": {"whenStopped": "ask", "delay": "1s", "build": ["make"]},
            "hooks": {"onStartup": {"commands": {"a": {"uses": "build"}}, "jobs": 1}}}"#;
        serde_json::from_str::<BurrowSettings>(burrow).unwrap();
        let settings = read(&format!(r#"{{"customizations": {{"burrow": {burrow}}}}}"#));
        assert_eq!(settings.problems, []);
        assert!(settings.burrow.rerun_on_change && settings.burrow.tools.contains_key("gopls"));
        assert_eq!(settings.stages[0].jobs, Some(1));
        assert_eq!(settings.burrow.reload.delay.as_deref(), Some("1s"));
    }

    #[test]
    fn nesting_without_end_is_a_mistake_and_no_crash() {
        for open in ["[", "{\"a\":", "[{\"a\":"] {
            assert!(read(&open.repeat(100_000)).is_broken(), "{open}");
        }
    }

    #[test]
    fn tools_that_cannot_be_read_are_not_no_tools() {
        for text in
            [r#"{"customizations": {"burrow": {"tools": ["gopls"]}}}"#, r#"{"customizations": {"burrow": "tools"}}"#]
        {
            assert!(read(text).tools_unknown.is_some(), "{text}");
        }
    }
}
