//! devcontainer.json, as far as Burrow acts on it: where it lies, what it says, what is wrong with it.
//!
//! A mistake never hides the rest: what can be read is used, and every problem is told with its place.

use burrow_protocol::error::ErrorCode;
use burrow_protocol::hooks::HookName;
use burrow_protocol::model::Reason;
use burrow_protocol::settings::{BurrowSettings, HookCommand};
use camino::{Utf8Path, Utf8PathBuf};
use indexmap::IndexMap;
use jsonc_parser::ParseOptions;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Comments, and the trailing commas that occur in the wild: more than that is no devcontainer.json.
const DIALECT: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// What an untagged type wants, in words: serde can only say that nothing fitted.
const COMMAND_FORMS: &str = "a hook is a string, an array of strings, or an object of those by name";

/// Everything that a workspace's devcontainer.json says, with what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The workspace folder.
    pub root: Utf8PathBuf,
    /// The file that was read; none where there is none.
    pub file: Option<Utf8PathBuf>,
    /// The standard properties.
    pub devcontainer: Devcontainer,
    /// `customizations.burrow`.
    pub burrow: BurrowSettings,
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
    /// The hooks' commands. `onStartupCommand`, which is no standard property, counts as `onStartup`.
    pub hooks: IndexMap<HookName, HookCommand>,
    /// `remoteEnv`; `None` unsets a variable.
    pub remote_env: IndexMap<String, Option<String>>,
    /// `remoteUser`.
    pub remote_user: Option<String>,
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
    /// Line and column, both from 1, where they are known.
    pub place: Option<(u32, u32)>,
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
fn parse(text: &str, name: &Utf8Path, settings: &mut Settings) {
    let value: Value = match jsonc_parser::parse_to_serde_value(text, &DIALECT) {
        Ok(value) => value,
        Err(error) => {
            let (line, column) = (narrow(error.line_display()), narrow(error.column_display()));
            settings.problems.push(Problem {
                code: ErrorCode::ConfigSyntax,
                message: format!("{name}:{line}:{column}: {}", error.kind()),
                hint: Some("correct the file; until then none of its hooks and settings count".to_owned()),
                place: Some((line, column)),
            });
            return;
        }
    };
    let Value::Object(mut properties) = value else {
        settings.problems.push(bad_value(name, "", "the file must hold one object"));
        return;
    };
    let problems = &mut settings.problems;
    for hook in HookName::ALL {
        let property = format!("{hook}Command");
        if let Some(command) = take(&mut properties, &property, name, problems) {
            if hook == HookName::OnStartup {
                problems.push(bad_value(
                    name,
                    &property,
                    "the standard knows no such property; write it as `customizations.burrow.hooks.onStartup`",
                ));
            }
            settings.devcontainer.hooks.insert(hook, command);
        }
    }
    settings.devcontainer.remote_env = take(&mut properties, "remoteEnv", name, problems).unwrap_or_default();
    settings.devcontainer.remote_user = take(&mut properties, "remoteUser", name, problems);
    if let Some(Value::Object(mut customizations)) = properties.remove("customizations") {
        (settings.burrow, settings.tools_unknown) = take_settings(&mut customizations, name, problems);
    }
}

/// `customizations.burrow`, key by key: a mistake in one does not hide the others.
/// Beside them, the mistake that hides which tools are asked for.
fn take_settings(
    customizations: &mut Map<String, Value>,
    name: &Utf8Path,
    problems: &mut Vec<Problem>,
) -> (BurrowSettings, Option<Problem>) {
    let before = problems.len();
    let Some(mut burrow) = take::<Map<String, Value>>(customizations, "burrow", name, problems) else {
        return (BurrowSettings::default(), problems.get(before).cloned());
    };
    let before = problems.len();
    let tools = take(&mut burrow, "tools", name, problems).unwrap_or_default();
    let tools_unknown = problems.get(before).cloned();
    let settings = BurrowSettings {
        hooks: take(&mut burrow, "hooks", name, problems).unwrap_or_default(),
        secrets: take(&mut burrow, "secrets", name, problems).unwrap_or_default(),
        tools,
        reload: take(&mut burrow, "reload", name, problems).unwrap_or_default(),
    };
    for key in burrow.keys() {
        problems.push(bad_value(name, &format!("customizations.burrow.{key}"), "there is no such setting"));
    }
    (settings, tools_unknown)
}

/// Takes one property out; one that has the wrong shape is told and counts as absent.
fn take<T: DeserializeOwned>(
    properties: &mut Map<String, Value>,
    key: &str,
    name: &Utf8Path,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let value = properties.shift_remove(key).filter(|value| !value.is_null())?;
    match serde_json::from_value(value) {
        Ok(value) => Some(value),
        Err(error) => {
            let why = error.to_string();
            let why = if why.contains("untagged enum HookCommand") { COMMAND_FORMS } else { &why };
            problems.push(bad_value(name, key, why));
            None
        }
    }
}

fn bad_value(name: &Utf8Path, property: &str, why: &str) -> Problem {
    let place = if property.is_empty() { String::new() } else { format!("`{property}`: ") };
    Problem {
        code: ErrorCode::ConfigValue,
        message: format!("{name}: {place}{why}"),
        hint: Some("correct that property; the others count".to_owned()),
        place: None,
    }
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use burrow_protocol::hooks::HookName;
    use burrow_protocol::settings::HookCommand;

    use super::{Settings, parse};

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
        let Some(HookCommand::Named(commands)) = settings.devcontainer.hooks.get(&HookName::PostCreate) else {
            panic!("an object is named commands")
        };
        assert_eq!(commands.keys().collect::<Vec<_>>(), ["b", "a"], "the order of the file is kept");
        assert_eq!(settings.devcontainer.remote_env["B"], None, "null unsets");
        assert_eq!(settings.burrow.secrets, ["TOKEN"]);
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
        assert!(settings.problems[0].message.contains("a hook is a string"), "{}", settings.problems[0].message);
        assert!(settings.devcontainer.hooks.contains_key(&HookName::PostStart));
        assert_eq!(settings.burrow.secrets, ["A"]);
        assert_eq!(settings.tools_unknown, None, "no tool is asked for, and that is known");
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
