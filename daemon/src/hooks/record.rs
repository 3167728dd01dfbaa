//! What a run's `record.json` says: which commands ran, as they were written, and how each ended.
//!
//! Invariants: commands stand here before substitution, and no environment ever does. Not here: the files (`runs`).

use burrow_protocol::hooks::{CommandStanding, HookName, HookOrigin, HookState, RunSummary};
use burrow_protocol::settings::SingleCommand;
use serde::{Deserialize, Serialize};

use super::fate::Fate;
use super::plan::overall;
use crate::hex;

/// The folder of a command without a name.
const MAIN: &str = "main";
/// A longer folder name is cut and told apart by a hash.
const LONGEST_FOLDER: usize = 80;

/// `NUMBER-HOOK`. Numbers grow and are never used again within a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct RunId {
    pub(crate) number: u32,
    pub(crate) hook: HookName,
}

impl std::fmt::Display for RunId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}-{}", self.number, self.hook)
    }
}

impl std::str::FromStr for RunId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is no run; a run is written as `12-postCreate`");
        let (number, hook) = text.split_once('-').ok_or_else(wrong)?;
        let number = number.parse().map_err(|_| wrong())?;
        let hook = HookName::ALL.into_iter().find(|name| name.as_str() == hook).ok_or_else(wrong)?;
        Ok(Self { number, hook })
    }
}

impl TryFrom<String> for RunId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(run: RunId) -> Self {
        run.to_string()
    }
}

/// One run of a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunRecord {
    pub(crate) schema: u32,
    pub(crate) run: RunId,
    pub(crate) origin: HookOrigin,
    /// The container's identity or start it counts for.
    pub(crate) scope: String,
    /// RFC 3339.
    pub(crate) started_at: String,
    /// The start of the container in which it began.
    #[serde(default)]
    pub(crate) container_start: String,
    pub(crate) commands: Vec<RecordedCommand>,
    /// The names, not the values, of the variables that its caller had, and of a retry also those that the runs before it
    /// had: the next retry tells which of them it lacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) variables: Vec<String>,
}

/// One command of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordedCommand {
    pub(crate) name: String,
    pub(crate) line: SingleCommand,
    pub(crate) hash: String,
    pub(crate) fate: Fate,
    /// Its earlier starts within this run, oldest first; the newest of them are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) attempts: Vec<Attempt>,
    /// Whether it is a service.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) background: bool,
}

/// A start of a command that was followed by another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Attempt {
    /// Which start within the run, from 1.
    pub(crate) start: u32,
    /// RFC 3339.
    pub(crate) started_at: Option<String>,
    pub(crate) fate: Fate,
}

impl RunRecord {
    /// The version of the file.
    pub(crate) const SCHEMA: u32 = 1;

    pub(crate) fn is_over(&self) -> bool {
        self.commands.iter().all(|command| command.fate != Fate::Running)
    }

    /// The run as shown; none where it was recorded but never began.
    pub(crate) fn summary(&self) -> Option<RunSummary> {
        let states: Vec<HookState> = self.commands.iter().filter_map(|command| command.fate.state()).collect();
        if states.is_empty() {
            return None;
        }
        Some(RunSummary {
            run_id: self.run.to_string(),
            hook: self.run.hook,
            origin: self.origin,
            started_at: Some(self.started_at.clone()),
            state: overall(states),
            commands: self.commands.iter().map(|command| command.name.clone()).collect(),
            standings: self.commands.iter().map(RecordedCommand::standing).collect(),
        })
    }
}

impl RecordedCommand {
    fn standing(&self) -> CommandStanding {
        CommandStanding {
            name: self.name.clone(),
            state: self.fate.state().unwrap_or(HookState::Pending),
            reason: self.fate.reason(),
            attempts: self.attempts.iter().map(|attempt| attempt.fate.how()).collect(),
        }
    }
}

/// The name of the folder of a command's nth start within a run.
pub(crate) fn folder_of_start(command: &str, start: u32) -> String {
    let folder = folder_name(command);
    // No name has a dot once it is written as a folder.
    if start == 1 { folder } else { format!("{folder}.{start}") }
}

/// Which start of `command` a folder belongs to.
pub(crate) fn start_of_folder(folder: &str, command: &str) -> Option<u32> {
    match folder.strip_prefix(&folder_name(command))? {
        "" => Some(1),
        rest => rest.strip_prefix('.')?.parse().ok(),
    }
}

/// The name of a command's folder. Two names of one hook never share one: what is no plain character is written as
/// its bytes, so that no name is `record.json` or leads out of the run's folder.
fn folder_name(command: &str) -> String {
    if command.is_empty() {
        return MAIN.to_owned();
    }
    if command == MAIN {
        // That name stands for a command without one.
        return format!("%{MAIN}");
    }
    let mut folder = String::new();
    for byte in command.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => folder.push(byte.into()),
            _ => folder.push_str(&format!("%{byte:02X}")),
        }
    }
    if folder.len() <= LONGEST_FOLDER {
        return folder;
    }
    // All of it is ASCII: any byte is a boundary.
    format!("{}%{}", &folder[..LONGEST_FOLDER], hex::short_digest(command))
}

#[cfg(test)]
mod tests {
    use super::{RunId, folder_name, folder_of_start, start_of_folder};

    #[test]
    fn names_of_folders() {
        for (command, expected, why) in [
            ("", "main", "no name"),
            ("deps", "deps", "a plain name"),
            ("go-mod_2", "go-mod_2", "plain characters"),
            ("a/b", "a%2Fb", "no name leads into another folder"),
            ("..", "%2E%2E", "nor out of the run's"),
            ("record.json", "record%2Ejson", "the record's name is taken"),
            ("ä", "%C3%A4", "bytes, not characters"),
        ] {
            assert_eq!(folder_name(command), expected, "{why}");
        }
    }

    #[test]
    fn every_start_has_a_folder_of_its_own() {
        assert_eq!(folder_of_start("deps", 1), "deps");
        assert_eq!(folder_of_start("deps", 2), "deps.2");
        assert_eq!(folder_of_start("deps.2", 1), "deps%2E2", "that name is no start of another");
        for (folder, expected, why) in [
            ("deps", Some(1), "the first"),
            ("deps.12", Some(12), "a later one"),
            ("deps2", None, "another command"),
            ("deps%2E2", None, "another command"),
        ] {
            assert_eq!(start_of_folder(folder, "deps"), expected, "{why}");
        }
    }

    #[test]
    fn long_names_stay_apart() {
        let (one, other) = ("/".repeat(300) + "a", "/".repeat(300) + "b");
        assert_ne!(folder_name(&one), folder_name(&other));
        assert!(folder_name(&one).len() < 128);
    }

    #[test]
    fn ids_of_runs() {
        for (text, valid, why) in [
            ("12-postCreate", true, "number and hook"),
            ("12", false, "no hook"),
            ("x-postCreate", false, "no number"),
            ("12-postCreateCommand", false, "not as it is written"),
            ("../12-postCreate", false, "no path"),
        ] {
            let run: Result<RunId, _> = text.parse();
            assert_eq!(run.as_ref().map(ToString::to_string).ok(), valid.then(|| text.to_owned()), "{why}");
        }
    }
}
