//! Variables in devcontainer.json: `${containerEnv:NAME:default}` and its kin.

use std::collections::BTreeMap;

use camino::Utf8Path;

/// What variables stand for.
#[derive(Clone, Copy, Debug)]
pub struct Substitution<'a> {
    /// The workspace folder inside the container.
    pub workspace: &'a Utf8Path,
    /// The environment of the container.
    pub env: &'a BTreeMap<String, String>,
    /// `devcontainerId`.
    pub container_id: &'a str,
}

/// Why a text cannot be substituted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubstituteError {
    /// `${containerEnv:}` names no variable.
    #[error("substitute `{variable}`: it names no environment variable")]
    NoName {
        /// The variable as written.
        variable: String,
    },
}

/// Replaces the variables in `text`. A missing one is empty or its default, which ends at the next `:`; an unknown one
/// stays as it is, as does `${localEnv:...}`'s value on the host, which cannot be known here: it counts as missing.
///
/// # Errors
/// [`SubstituteError::NoName`].
pub fn substitute(text: &str, context: &Substitution<'_>) -> Result<String, SubstituteError> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        let variable = &rest[start..=start + length];
        result.push_str(&rest[..start]);
        match value(&variable[2..variable.len() - 1], context) {
            Value::Text(text) => result.push_str(text),
            Value::Unknown => result.push_str(variable),
            Value::NoName => return Err(SubstituteError::NoName { variable: variable.to_owned() }),
        }
        rest = &rest[start + length + 1..];
    }
    result.push_str(rest);
    Ok(result)
}

/// Whether `text` has a `${localEnv:NAME}` without a default: what that stands for is known on the host alone.
#[must_use]
pub fn is_known_on_the_host_alone(text: &str) -> bool {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).any(|(variable, _)| {
        let mut parts = variable.split(':');
        matches!(parts.next(), Some("localEnv" | "env")) && parts.next().is_some() && parts.next().is_none()
    })
}

enum Value<'a> {
    Text(&'a str),
    Unknown,
    NoName,
}

fn value<'a>(variable: &'a str, context: &Substitution<'a>) -> Value<'a> {
    let mut parts = variable.split(':');
    let base = |path: &'a Utf8Path| Value::Text(path.file_name().unwrap_or_default());
    match parts.next().unwrap_or_default() {
        "containerWorkspaceFolder" | "localWorkspaceFolder" => Value::Text(context.workspace.as_str()),
        "containerWorkspaceFolderBasename" | "localWorkspaceFolderBasename" => base(context.workspace),
        "devcontainerId" => Value::Text(context.container_id),
        kind @ ("containerEnv" | "localEnv" | "env") => {
            let Some(name) = parts.next().filter(|name| !name.is_empty()) else { return Value::NoName };
            let default = parts.next().unwrap_or_default();
            let found = if kind == "containerEnv" { context.env.get(name).map(String::as_str) } else { None };
            Value::Text(found.unwrap_or(default))
        }
        _ => Value::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{SubstituteError, Substitution, substitute};

    #[test]
    fn variables() {
        let env = BTreeMap::from([("HOME".to_owned(), "/home/me".to_owned())]);
        let context = Substitution { workspace: "/workspaces/api".into(), env: &env, container_id: "abc" };
        for (text, expected, why) in [
            ("plain", "plain", "nothing to do"),
            ("${containerEnv:HOME}/x", "/home/me/x", "a variable that is there"),
            ("${containerEnv:NONE}", "", "a missing one is empty"),
            ("${containerEnv:NONE:a:b}", "a", "the default ends at the next colon"),
            ("${localEnv:HOME:far}", "far", "the host's environment is not known here"),
            ("${containerWorkspaceFolder}", "/workspaces/api", "the folder"),
            ("${localWorkspaceFolderBasename}-${devcontainerId}", "api-abc", "two in one text"),
            ("${unknown:x} ${open", "${unknown:x} ${open", "what is unknown or open stays"),
            ("$${containerEnv:HOME}", "$/home/me", "a dollar before it is text"),
        ] {
            assert_eq!(substitute(text, &context).as_deref(), Ok(expected), "{why}");
        }
        let no_name = SubstituteError::NoName { variable: "${containerEnv:}".to_owned() };
        assert_eq!(substitute("${containerEnv:}", &context), Err(no_name), "a name is needed");
    }

    /// A part of a text, and what must become of it.
    fn part() -> impl Strategy<Value = (String, Option<String>)> {
        // No `$`, so that no variable begins by chance.
        let literal = "[a-z{}: /é]{0,6}".prop_map(|text: String| (text.clone(), Some(text)));
        let default = "[a-z /é{]{0,4}";
        let set = (default, prop::bool::ANY).prop_map(|(default, given)| {
            let written =
                if given { format!("${{containerEnv:SET:{default}}}") } else { "${containerEnv:SET}".to_owned() };
            (written, Some("value".to_owned()))
        });
        let missing = (prop::sample::select(vec!["containerEnv:NONE", "localEnv:SET", "env:SET"]), default, default)
            .prop_map(|(name, default, rest)| (format!("${{{name}:{default}:{rest}}}"), Some(default)));
        let empty = prop::sample::select(vec!["${containerEnv:NONE}", "${localEnv:HOME}", "${containerEnv:EMPTY:x}"])
            .prop_map(|written| (written.to_owned(), Some(String::new())));
        let unknown = "\\$\\{(other|containerenv|)(:[a-z]{0,3}){0,2}\\}".prop_map(|text| (text.clone(), Some(text)));
        let nameless = prop::sample::select(vec!["${containerEnv:}", "${containerEnv}", "${localEnv::x}"])
            .prop_map(|written| (written.to_owned(), None));
        prop_oneof![8 => literal, 4 => set, 4 => missing, 2 => empty, 2 => unknown, 1 => nameless]
    }

    proptest! {
        #[test]
        fn each_part_becomes_what_it_must(parts in prop::collection::vec(part(), 0..8)) {
            let env = BTreeMap::from([("SET".to_owned(), "value".to_owned()), ("EMPTY".to_owned(), String::new())]);
            let context = Substitution { workspace: "/w".into(), env: &env, container_id: "id" };
            let text: String = parts.iter().map(|(written, _)| written.as_str()).collect();
            let expected: Option<String> = parts.into_iter().map(|(_, expected)| expected).collect();
            prop_assert_eq!(substitute(&text, &context).ok(), expected, "{}", text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(\\$|\\{|\\}|:|containerEnv|localEnv|A|é|😀){0,24}") {
            let context = Substitution { workspace: "/".into(), env: &BTreeMap::new(), container_id: "" };
            let _ = substitute(&text, &context);
        }
    }
}
