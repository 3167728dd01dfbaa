//! The environment of a command: one layer over the other. Pure.
//!
//! What the user's shell sets < the caller's < `remoteEnv` < what the command sets itself; `null` unsets. Where `remoteEnv`
//! takes a value from the host, which a Dev Containers tool alone can do, what that tool gave the caller stays. It goes to
//! the shim and nowhere else: no layer of it is ever written down.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::launch::Place;
use crate::workspace::files::substitute::{SubstituteError, is_known_on_the_host_alone, substitute};

/// A variable that keeps git from waiting for an answer that nobody can give.
const GIT_PROMPT: &str = "GIT_TERMINAL_PROMPT";

/// The environment of a command that sets `own`, called by somebody with the environment `caller`.
///
/// # Errors
/// [`SubstituteError`].
pub(crate) fn merge(
    place: &Place<'_>,
    caller: &BTreeMap<String, String>,
    own: &IndexMap<String, Option<String>>,
    tty: bool,
) -> Result<BTreeMap<String, String>, SubstituteError> {
    let mut env = under(place.probed, caller);
    if !tty {
        env.entry(GIT_PROMPT.to_owned()).or_insert_with(|| "0".to_owned());
    }
    let has_it_already = |name: &String, value: &Option<String>| {
        caller.contains_key(name) && value.as_deref().is_some_and(is_known_on_the_host_alone)
    };
    let remote = place.settings.devcontainer.remote_env.iter().filter(|(name, value)| !has_it_already(name, value));
    for layer in [remote.collect::<Vec<_>>(), own.iter().collect()] {
        let below = env.clone();
        for (name, value) in layer {
            match value {
                Some(value) => env.insert(name.clone(), substitute(value, &place.substitution(&below))?),
                None => env.remove(name),
            };
        }
    }
    Ok(env)
}

/// The caller's environment over what the shell sets. Of PATH both count, the caller's folders first: a window or a bare
/// `docker exec` may lack the folder with `go`, and `/etc/profile` forgets those of the image.
fn under(probed: &BTreeMap<String, String>, caller: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut env = probed.clone();
    env.extend(caller.iter().map(|(name, value)| (name.clone(), value.clone())));
    if let (Some(theirs), Some(shells)) = (caller.get("PATH"), probed.get("PATH")) {
        let mut folders: Vec<_> = theirs.split(':').collect();
        for folder in shells.split(':').filter(|folder| !folder.is_empty()) {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        env.insert("PATH".to_owned(), folders.join(":"));
    }
    env
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use indexmap::IndexMap;

    use super::merge;
    use crate::hooks::launch::Place;
    use crate::workspace::files::devcontainer::Settings;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn layer(pairs: &[(&str, Option<&str>)]) -> IndexMap<String, Option<String>> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect()
    }

    #[test]
    fn the_later_layer_wins() {
        let probed = env(&[("A", "shell"), ("B", "shell"), ("C", "shell"), ("D", "shell"), ("E", "shell")]);
        let caller = env(&[("B", "caller"), ("C", "caller"), ("D", "caller")]);
        let mut settings = Settings::default();
        settings.devcontainer.remote_env =
            layer(&[("C", Some("remote")), ("D", Some("${containerEnv:C}+")), ("E", None)]);
        let own = layer(&[("D", Some("${containerEnv:D}own ${containerEnv:C}")), ("B", None), ("E", Some("back"))]);
        let place = Place { workspace: "/w".into(), container_id: "c", settings: &settings, probed: &probed };
        let expected = env(&[
            ("A", "shell"),
            ("C", "remote"),
            // A layer sees the ones below it, and not itself.
            ("D", "caller+own remote"),
            ("E", "back"),
            ("GIT_TERMINAL_PROMPT", "0"),
        ]);
        assert_eq!(merge(&place, &caller, &own, false), Ok(expected));
    }

    #[test]
    fn what_comes_from_the_host_is_left_as_the_caller_has_it() {
        for (value, caller, expected, why) in [
            ("${localEnv:TOKEN}", Some("real"), "real", "a tool has put it there"),
            ("${localEnv:TOKEN}", None, "", "nobody knows it"),
            ("${localEnv:TOKEN}", Some(""), "", "the host has none"),
            ("${localEnv:TOKEN:none}", Some("real"), "none", "a default is known"),
            ("a ${env:TOKEN} b", Some("a real b"), "a real b", "its other name, within a text"),
            ("${containerEnv:TOKEN}+", Some("real"), "real+", "the container's is known"),
            ("${localEnv:TOKEN", Some("real"), "${localEnv:TOKEN", "it is no variable"),
        ] {
            let mut settings = Settings::default();
            settings.devcontainer.remote_env = layer(&[("TOKEN", Some(value))]);
            let caller = caller.map(|value| ("TOKEN".to_owned(), value.to_owned())).into_iter().collect();
            let (none, own) = (BTreeMap::new(), IndexMap::new());
            let place = Place { workspace: "/w".into(), container_id: "c", settings: &settings, probed: &none };
            let merged = merge(&place, &caller, &own, true).unwrap();
            assert_eq!(merged.get("TOKEN").map(String::as_str), Some(expected), "{why}");
        }
    }

    #[test]
    fn what_only_the_shell_knows_of_path_is_added() {
        for (shell, caller, expected, why) in [
            (Some("/go/bin:/usr/bin"), Some("/usr/bin:/bin"), Some("/usr/bin:/bin:/go/bin"), "the caller's come first"),
            (Some("/go/bin"), None, Some("/go/bin"), "the caller has none"),
            (None, Some("/bin"), Some("/bin"), "the shell has none"),
            (Some(":/bin:"), Some("/bin"), Some("/bin"), "an empty part would be the current folder"),
        ] {
            let one = |path: Option<&str>| path.map(|path| ("PATH".to_owned(), path.to_owned())).into_iter().collect();
            let (probed, settings) = (one(shell), Settings::default());
            let place = Place { workspace: "/w".into(), container_id: "c", settings: &settings, probed: &probed };
            let merged = merge(&place, &one(caller), &IndexMap::new(), true).unwrap();
            assert_eq!(merged.get("PATH").map(String::as_str), expected, "{why}");
        }
    }

    #[test]
    fn git_asks_only_where_somebody_can_answer() {
        let (settings, none) = (Settings::default(), BTreeMap::new());
        let place = Place { workspace: "/w".into(), container_id: "c", settings: &settings, probed: &none };
        let of = |caller, tty| merge(&place, &caller, &IndexMap::new(), tty).unwrap().remove("GIT_TERMINAL_PROMPT");
        assert_eq!(of(none.clone(), false).as_deref(), Some("0"));
        assert_eq!(of(none.clone(), true), None, "a terminal");
        assert_eq!(of(env(&[("GIT_TERMINAL_PROMPT", "1")]), false).as_deref(), Some("1"), "the caller said so");
    }
}
