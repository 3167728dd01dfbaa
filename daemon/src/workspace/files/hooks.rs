//! Hooks as devcontainer.json writes them, checked: what comes out of here can be run.
//!
//! Pure. Every mistake is told with its place, and a hook with one counts as not understood as a whole: to run a part of
//! it would be half the work. Not here: whether a command is due, and what it becomes when it starts (`hooks`).

mod needs; // the graph of a stage's commands

use std::time::Duration;

use burrow_protocol::hooks::{HookName, HookOrigin};
use burrow_protocol::settings::{BuiltInStep, CommandSetting, ReadyCheck, SingleCommand};
use indexmap::IndexMap;
use serde_json::Value;

use super::jsonc::{Fault, Node};
use crate::{duration, hex};

const FORMS: &str = "a hook is a string, an array of strings, or an object of those by name";
const LINE_FORMS: &str = "a command is a string or an array of strings";
const READY_FORMS: &str = "a ready check is `{\"log\": PATTERN}`, `{\"port\": NUMBER}` or `{\"command\": COMMAND}`";

/// The commands that one place gives one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Which hook.
    pub hook: HookName,
    /// Where it stands.
    pub origin: HookOrigin,
    /// In the order of the file; at least one.
    pub commands: Vec<Command>,
    /// How many may run at the same time.
    pub jobs: Option<usize>,
}

/// One command as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its key in an object form, else empty.
    pub name: String,
    /// What is run, before substitution.
    pub action: Action,
    /// SHA-256 of the canonical JSON of all that was written of it.
    pub hash: String,
    /// Where it runs, relative to the workspace folder, before substitution.
    pub cwd: Option<String>,
    /// Its environment, over all else, before substitution; `None` unsets.
    pub env: IndexMap<String, Option<String>>,
    /// Names of commands of the same stage. There is no cycle.
    pub needs: Vec<String>,
    /// It is ended after this long; a background command: if it is not ready by then.
    pub timeout: Option<Duration>,
    /// How often it is started anew when it fails.
    pub retries: u32,
    /// Whether its failure holds nothing back.
    pub optional: bool,
    /// Whether it is a service.
    pub background: bool,
    /// How a service shows that it is ready; none: once it has started.
    pub ready: Option<ReadyCheck>,
    /// Whether it runs in a terminal of its own.
    pub tty: bool,
}

/// What a command runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A command line.
    Run(SingleCommand),
    /// A step that Burrow brings along.
    Uses(BuiltInStep),
}

impl Action {
    /// The command line, as records keep it.
    #[must_use]
    pub fn line(&self) -> SingleCommand {
        match self {
            Self::Run(line) => line.clone(),
            Self::Uses(step) => SingleCommand::Exec(["burrow", "step", step.as_str()].map(str::to_owned).to_vec()),
        }
    }
}

impl Command {
    /// A command of one of the standard forms.
    #[must_use]
    pub fn new(name: impl Into<String>, line: SingleCommand) -> Self {
        // A string or an array of strings has one compact JSON only, and writing it cannot fail.
        let hash = hex::sha256(&serde_json::to_vec(&line).unwrap_or_default());
        Self {
            name: name.into(),
            action: Action::Run(line),
            hash,
            cwd: None,
            env: IndexMap::new(),
            needs: Vec::new(),
            timeout: None,
            retries: 0,
            optional: false,
            background: false,
            ready: None,
            tty: false,
        }
    }
}

/// Reads a hook in one of the standard forms; none where there is nothing to do.
///
/// # Errors
/// Every mistake in it.
pub(super) fn read_standard(hook: HookName, origin: HookOrigin, node: &Node<'_>) -> Result<Option<Stage>, Vec<Fault>> {
    let commands = match node.properties() {
        Some(properties) => each(properties, |(name, node)| Ok(Command::new(name, line(&node)?)))?,
        None => vec![Command::new("", line(node).map_err(|fault| vec![Fault { why: FORMS.to_owned(), ..fault }])?)],
    };
    let commands: Vec<_> = commands
        .into_iter()
        .filter(|command| !matches!(&command.action, Action::Run(line) if is_empty(line)))
        .collect();
    Ok((!commands.is_empty()).then_some(Stage { hook, origin, commands, jobs: None }))
}

/// Reads a hook of `customizations.burrow`: a standard form, or commands with an order among them. It is the latter where
/// `commands` is an object.
///
/// # Errors
/// Every mistake in it.
pub(super) fn read_own(hook: HookName, node: &Node<'_>) -> Result<Option<Stage>, Vec<Fault>> {
    let origin = HookOrigin::Burrow;
    let Some(commands) = node.get("commands").filter(Node::is_object) else {
        return read_standard(hook, origin, node);
    };
    let mut faults = Vec::new();
    let mut jobs = None;
    for (name, value) in node.properties().unwrap_or_default() {
        match name {
            "commands" => {}
            "jobs" => match value.decode::<usize>() {
                Ok(0) => faults.push(value.fault("at least one command must be allowed to run")),
                Ok(count) => jobs = Some(count),
                Err(fault) => faults.push(fault),
            },
            _ => faults.push(value.fault("there is no such setting; beside `commands` there is `jobs`")),
        }
    }
    let nodes = commands.properties().unwrap_or_default();
    let mut read = Vec::new();
    for (name, node) in &nodes {
        match command(name, node) {
            Ok(command) => read.push(command),
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() {
        faults = needs::wrong(&read, &nodes);
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok((!read.is_empty()).then_some(Stage { hook, origin, commands: read, jobs }))
}

fn command(name: &str, node: &Node<'_>) -> Result<Command, Vec<Fault>> {
    let Some(properties) = node.properties() else {
        return Err(vec![
            node.fault("a command beside others under `commands` is an object, such as `{\"run\": \"make\"}`"),
        ]);
    };
    let mut setting = CommandSetting::default();
    let mut faults = Vec::new();
    if name.is_empty() {
        faults.push(node.fault("a command needs a name"));
    }
    for (key, value) in &properties {
        if let Err(fault) = take(&mut setting, key, value) {
            faults.push(fault);
        }
    }
    let place = |key: &str| properties.iter().find(|(name, _)| *name == key).map_or(node, |(_, value)| value);
    if faults.is_empty() {
        faults.extend(contradictions(&setting).into_iter().map(|(key, why)| place(key).fault(why)));
    }
    let timeout = setting.timeout.as_deref().map(duration::parse).transpose();
    match timeout {
        Ok(Some(Duration::ZERO)) => faults.push(place("timeout").fault("no command ends in no time")),
        Ok(_) => {}
        Err(ref why) => faults.push(place("timeout").fault(why)),
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let hash = hash(&setting);
    let action = match (setting.run, setting.uses) {
        (Some(line), _) => Action::Run(line),
        (None, Some(step)) => Action::Uses(step),
        (None, None) => return Err(Vec::new()), // told as a contradiction
    };
    Ok(Command {
        name: name.to_owned(),
        action,
        hash,
        cwd: setting.cwd,
        env: setting.env,
        needs: setting.needs,
        timeout: timeout.unwrap_or_default(),
        retries: setting.retries.unwrap_or(0),
        optional: setting.optional,
        background: setting.background,
        ready: setting.ready,
        tty: setting.tty,
    })
}

fn take(setting: &mut CommandSetting, key: &str, value: &Node<'_>) -> Result<(), Fault> {
    match key {
        "run" => {
            let line = line(value)?;
            if is_empty(&line) {
                return Err(value.fault("it is empty"));
            }
            setting.run = Some(line);
        }
        "uses" => setting.uses = Some(step(value)?),
        "cwd" => setting.cwd = Some(value.decode()?),
        "env" => setting.env = environment(value)?,
        "needs" => setting.needs = value.decode_list()?,
        "timeout" => setting.timeout = Some(value.decode()?),
        "retries" => setting.retries = Some(value.decode()?),
        "optional" => setting.optional = value.decode()?,
        "background" => setting.background = value.decode()?,
        "ready" => setting.ready = Some(ready(value)?),
        "tty" => setting.tty = value.decode()?,
        _ => {
            let known = "run, uses, cwd, env, needs, timeout, retries, optional, background, ready and tty";
            return Err(value.fault(format!("there is no such setting of a command; there are {known}")));
        }
    }
    Ok(())
}

/// What does not go together, each with the key that is told.
fn contradictions(setting: &CommandSetting) -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    let mut no = |wrong: bool, key, why| {
        if wrong {
            found.push((key, why));
        }
    };
    let background = setting.background;
    no(setting.run.is_some() && setting.uses.is_some(), "uses", "a command has either `run` or `uses`, not both");
    no(setting.run.is_none() && setting.uses.is_none(), "", "a command needs `run` or `uses`");
    no(setting.ready.is_some() && !background, "ready", "only a command with `background: true` becomes ready");
    no(background && setting.tty, "tty", "a background command has no terminal");
    no(background && setting.uses.is_some(), "uses", "a built-in step ends by itself and is no background command");
    no(
        background && setting.retries.is_some(),
        "retries",
        "a background command is started anew whenever it ends, without a count",
    );
    no(
        background && setting.ready.is_none() && setting.timeout.is_some(),
        "timeout",
        "of a background command it limits the time until it is ready, which needs `ready`",
    );
    found
}

fn line(node: &Node<'_>) -> Result<SingleCommand, Fault> {
    if let Some(line) = node.string() {
        return Ok(SingleCommand::Shell(line.to_owned()));
    }
    match node.elements() {
        Some(_) => Ok(SingleCommand::Exec(node.decode_list()?)),
        None => Err(node.fault(LINE_FORMS)),
    }
}

const fn is_empty(line: &SingleCommand) -> bool {
    match line {
        SingleCommand::Shell(line) => line.is_empty(),
        SingleCommand::Exec(argv) => argv.is_empty(),
    }
}

fn step(node: &Node<'_>) -> Result<BuiltInStep, Fault> {
    let named = |name: &str| BuiltInStep::ALL.into_iter().find(|step| step.as_str() == name);
    node.string().and_then(named).ok_or_else(|| {
        let names = BuiltInStep::ALL.map(BuiltInStep::as_str).join(", ");
        node.fault(format!("there is no such step; there are {names}"))
    })
}

fn environment(node: &Node<'_>) -> Result<IndexMap<String, Option<String>>, Fault> {
    let env: IndexMap<String, Option<String>> = node.decode_map()?;
    match env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        Some(name) => Err(node.fault(format!("`{name}` cannot be the name of a variable"))),
        None => Ok(env),
    }
}

fn ready(node: &Node<'_>) -> Result<ReadyCheck, Fault> {
    let properties = node.properties().unwrap_or_default();
    let [(key, value)] = properties.as_slice() else { return Err(node.fault(READY_FORMS)) };
    match *key {
        "log" => {
            let pattern: String = value.decode()?;
            let wrong = if pattern.is_empty() {
                Some("an empty pattern matches before anything was printed".to_owned())
            } else {
                regex_lite::Regex::new(&pattern).err().map(|error| error.to_string())
            };
            wrong.map_or(Ok(ReadyCheck::Log { log: pattern }), |why| Err(value.fault(why)))
        }
        "port" => match value.decode()? {
            0 => Err(value.fault("nothing listens on port 0")),
            port => Ok(ReadyCheck::Port { port }),
        },
        "command" => match line(value)? {
            line if is_empty(&line) => Err(value.fault("it is empty")),
            line => Ok(ReadyCheck::Command { command: line }),
        },
        _ => Err(value.fault(READY_FORMS)),
    }
}

/// All that was written of a command, each key at its place of the alphabet: the same setting has the same hash, however it
/// was ordered.
fn hash(setting: &CommandSetting) -> String {
    // Strings, numbers and flags under string keys: this cannot fail.
    let mut value = serde_json::to_value(setting).unwrap_or(Value::Null);
    value.sort_all_objects();
    hex::sha256(value.to_string().as_bytes())
}

/// Reads all items, or tells what is wrong with each.
fn each<I, T>(items: Vec<I>, read: impl Fn(I) -> Result<T, Fault>) -> Result<Vec<T>, Vec<Fault>> {
    let mut faults = Vec::new();
    let good: Vec<T> =
        items.into_iter().filter_map(|item| read(item).map_err(|fault| faults.push(fault)).ok()).collect();
    if faults.is_empty() { Ok(good) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use burrow_protocol::hooks::{HookName, HookOrigin};
    use burrow_protocol::settings::{BuiltInStep, HookSetting, ReadyCheck, SingleCommand};

    use super::{Action, Command, Stage, read_own, read_standard};
    use crate::workspace::files::jsonc::{Document, Fault};

    fn own(text: &str) -> Result<Option<Stage>, Vec<Fault>> {
        read_own(HookName::PostCreate, &Document::parse(text).unwrap().root())
    }

    fn commands(text: &str) -> Vec<Command> {
        own(text).unwrap().map(|stage| stage.commands).unwrap_or_default()
    }

    #[test]
    fn the_three_forms() {
        for (text, expected, why) in [
            (r#""make""#, vec![""], "a string has no name"),
            (r#"["make"]"#, vec![""], "an array has no name"),
            (r#"{"b": "x", "a": ["y"]}"#, vec!["b", "a"], "an object keeps its order"),
            (r#"{"b": "x", "a": ""}"#, vec!["b"], "an empty command is none"),
            (r#"{"commands": "x", "jobs": "y"}"#, vec!["commands", "jobs"], "names of commands like any other"),
            (r#""""#, vec![], "an empty string is nothing to do"),
            ("[]", vec![], "an empty array is nothing to do"),
            ("{}", vec![], "an empty object is nothing to do"),
            (r#"{"commands": {}}"#, vec![], "no commands are nothing to do"),
        ] {
            let names: Vec<_> = commands(text).into_iter().map(|command| command.name).collect();
            assert_eq!(names, expected, "{why}");
        }
    }

    #[test]
    fn a_command_with_all_there_is_to_say() {
        let text = r#"{"jobs": 2, "commands": {
            "deps": {"uses": "modules", "cwd": "api", "retries": 3, "timeout": "5m", "optional": true},
            "db": {"run": ["postgres"], "background": true, "ready": {"port": 5432}, "timeout": "1m"},
            "seed": {"run": "make seed", "needs": ["deps", "db"], "env": {"A": "1", "B": null}, "tty": true}
        }}"#;
        let stage = own(text).unwrap().unwrap();
        assert_eq!((stage.jobs, stage.origin), (Some(2), HookOrigin::Burrow));
        let [deps, db, seed] = stage.commands.as_slice() else { panic!("three: {stage:?}") };
        assert_eq!((&deps.action, deps.cwd.as_deref()), (&Action::Uses(BuiltInStep::Modules), Some("api")));
        assert_eq!((deps.retries, deps.timeout, deps.optional), (3, Some(Duration::from_secs(300)), true));
        assert_eq!((db.background, &db.ready), (true, &Some(ReadyCheck::Port { port: 5432 })));
        assert_eq!((seed.needs.as_slice(), seed.tty), (["deps".to_owned(), "db".to_owned()].as_slice(), true));
        assert_eq!(seed.env.get("B"), Some(&None), "null unsets");
        // What the schema offers is what is read here.
        serde_json::from_str::<HookSetting>(text).unwrap();
    }

    #[test]
    fn every_mistake_is_told_at_its_place() {
        for (command, expected) in [
            (r#"~"make""#, "is an object"),
            (r#"{"run": "x", "uses": ~"build"}"#, "not both"),
            (r#"~{"needs": ["a"]}"#, "`run` or `uses`"),
            (r#"{"run": ~7}"#, "a string or an array of strings"),
            (r#"{"run": ["x", ~7]}"#, "invalid type"),
            (r#"{"run": ~""}"#, "empty"),
            (r#"{"uses": ~"lint"}"#, "toolchain, modules, build"),
            (r#"{"run": "x", "timeout": ~"soon"}"#, "no time such as"),
            (r#"{"run": "x", "timeout": ~"0s"}"#, "no command ends"),
            (r#"{"run": "x", "retries": ~-1}"#, "invalid value"),
            (r#"{"run": "x", "ready": ~{"port": 1}}"#, "background: true"),
            (r#"{"run": "x", "background": true, "ready": {"port": ~0}}"#, "port 0"),
            (r#"{"run": "x", "background": true, "ready": {"prot": ~1}}"#, "ready check"),
            (r#"{"run": "x", "background": true, "ready": {"log": ~"("}}"#, "group"),
            (r#"{"run": "x", "background": true, "tty": ~true}"#, "no terminal"),
            (r#"{"run": "x", "background": true, "retries": ~1}"#, "without a count"),
            (r#"{"run": "x", "background": true, "timeout": ~"1s"}"#, "needs `ready`"),
            (r#"{"uses": ~"build", "background": true}"#, "ends by itself"),
            (r#"{"run": "x", "env": ~{"A=B": "1"}}"#, "name of a variable"),
            (r#"{"run": "x", "optional": ~"yes"}"#, "invalid type"),
            (r#"{"run": "x", "retry": ~3}"#, "no such setting of a command"),
            (r#"{"run": "x", "needs": [~"b"]}"#, "no command `b`; it has a"),
            (r#"{"run": "x", "needs": ~["a"]}"#, "a -> a"),
        ] {
            let text = format!("{{\"commands\": {{\"a\":\n{command}}}}}");
            let column = command.find('~').unwrap() + 1;
            let faults = own(&text.replace('~', "")).unwrap_err();
            let [fault] = faults.as_slice() else { panic!("one fault of {command}: {faults:?}") };
            assert_eq!(fault.place.1 as usize, column, "{command}: {}", fault.why);
            assert!(fault.why.contains(expected), "{command}: {}", fault.why);
        }
    }

    #[test]
    fn a_cycle_is_told_with_its_path() {
        let text = r#"{"commands": {
            "in": {"run": "x", "needs": ["b"]},
            "a": {"run": "x", "needs": ["b"]},
            "b": {"run": "x", "needs": ["free", "c"]},
            "c": {"run": "x", "needs": ["a"]},
            "free": {"run": "x"}
        }}"#;
        let faults = own(text).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(faults[0].why, "these commands wait for each other: b -> c -> a -> b");
        assert_eq!(faults[0].path, "commands.b.needs");
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let text = r#"{"jobs": 0, "job": 1, "commands": {"a": {"run": 7}, "b": {}}}"#;
        let paths: Vec<_> = own(text).unwrap_err().into_iter().map(|fault| fault.path).collect();
        assert_eq!(paths, ["jobs", "job", "commands.a.run", "commands.b"]);
    }

    #[test]
    fn devcontainer_json_itself_has_the_three_forms_only() {
        let document = Document::parse(r#"{"commands": {"a": {"run": "make"}}}"#).unwrap();
        let faults = read_standard(HookName::PostCreate, HookOrigin::Devcontainer, &document.root()).unwrap_err();
        assert!(faults[0].why.contains("a string or an array"), "{faults:?}");
        let document = Document::parse("7").unwrap();
        let faults = read_standard(HookName::PostCreate, HookOrigin::Devcontainer, &document.root()).unwrap_err();
        assert!(faults[0].why.contains("a hook is a string"), "{faults:?}");
    }

    #[test]
    fn the_hash_is_that_of_the_json_as_written() {
        let shell = Command::new("a", SingleCommand::Shell("true".to_owned()));
        // printf '"true"' | sha256sum
        assert_eq!(shell.hash, "18d10c7d2b4b04aaf04254d1ae5d655a5dc0407cbcdd5a8c3986e985370f36ee");
        let exec = Command::new("a", SingleCommand::Exec(vec!["true".to_owned()]));
        assert_ne!(shell.hash, exec.hash, "the form is part of what was written");

        let hash = |setting: &str| commands(&format!(r#"{{"commands": {{"a": {setting}}}}}"#))[0].hash.clone();
        let first = hash(r#"{"run": "true", "env": {"A": "1", "B": "2"}}"#);
        // printf '{"env":{"A":"1","B":"2"},"run":"true"}' | sha256sum
        assert_eq!(first, "80345acbe7be06e93afaea66ba7955df049e9edb3eaed5953f9a0c2783e4c6e8");
        assert_eq!(first, hash(r#"{"env": {"B": "2", "A": "1"}, "run": "true"}"#), "the order says nothing");
        assert_ne!(first, hash(r#"{"run": "true", "env": {"A": "1", "B": "3"}}"#), "the environment counts");
        assert_ne!(hash(r#"{"run": "true"}"#), hash(r#"{"run": "true", "retries": 1}"#), "and so does the rest");
    }
}
