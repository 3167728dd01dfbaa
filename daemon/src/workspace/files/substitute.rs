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
}
