//! What is due: the configured commands held against the ledger. Pure.
//!
//! A command that ran for this container (or this start of it) is done, also if it was edited since. One that did not
//! succeed holds back every later hook until it is retried or skipped.

use burrow_protocol::hooks::{HookName, HookOrigin, HookState};
use burrow_protocol::model::ContainerStatus;

use super::command::Stage;
use super::evidence::Runner;
use super::ledger::{Entries, Entry, Key, scope};

/// The hooks that `up` runs, in order.
pub(crate) const UP: [HookName; 4] =
    [HookName::OnCreate, HookName::UpdateContent, HookName::PostCreate, HookName::PostStart];

/// How one hook of one origin stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) hook: HookName,
    pub(crate) origin: HookOrigin,
    /// What came before it and did not succeed: `HOOK` or `HOOK/COMMAND`.
    pub(crate) held_by: Option<String>,
    pub(crate) commands: Vec<Standing>,
}

/// How one command stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) name: String,
    pub(crate) state: HookState,
    /// Whether it is to run when its hook's turn comes.
    pub(crate) due: bool,
    /// Whether it was edited since it ran.
    pub(crate) changed: bool,
    pub(crate) entry: Option<Entry>,
}

impl Row {
    /// The state of the whole.
    pub(crate) fn state(&self) -> HookState {
        overall(self.commands.iter().map(|command| command.state))
    }
}

/// Holds `stages` against `entries`, in the order in which hooks run. What `burrow hook exec` recorded has rows of its
/// own, after those that are configured for the same hook.
pub(crate) fn plan(stages: &[Stage], entries: &Entries, container: &ContainerStatus, runner: Runner) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut blocker = None;
    for hook in HookName::ALL {
        for stage in stages.iter().filter(|stage| stage.hook == hook) {
            let external =
                stage.origin == HookOrigin::Devcontainer && hook != HookName::OnStartup && runner != Runner::Burrow;
            let held_by = if external { None } else { blocker.clone() };
            let commands = stage.commands.iter().map(|command| {
                let entry = entries.get(&Key::new(container, hook, stage.origin, &command.name));
                standing(hook, &command.name, Some(&command.hash), entry, external, held_by.is_some())
            });
            let row = Row { hook, origin: stage.origin, commands: commands.collect(), held_by };
            if !external {
                blocker = blocker.or_else(|| blocks(&row));
            }
            rows.push(row);
        }
        let recorded = exec_row(hook, entries, container);
        blocker = blocker.or_else(|| recorded.as_ref().and_then(blocks));
        rows.extend(recorded);
    }
    rows
}

/// Its rows never hold anything back by being due: a recorded command line runs when its caller says so.
fn exec_row(hook: HookName, entries: &Entries, container: &ContainerStatus) -> Option<Row> {
    let scope = scope(container, hook);
    let mine = |key: &Key| key.origin == HookOrigin::Exec && key.hook == hook && key.scope == scope;
    let entries = entries.iter().filter(|entry| mine(&entry.key) && entry.fate.state().is_some());
    let commands: Vec<_> =
        entries.map(|entry| standing(hook, &entry.key.command, None, Some(entry), true, false)).collect();
    (!commands.is_empty()).then_some(Row { hook, origin: HookOrigin::Exec, commands, held_by: None })
}

fn standing(
    hook: HookName,
    name: &str,
    hash: Option<&str>,
    entry: Option<&Entry>,
    external: bool,
    held: bool,
) -> Standing {
    let recorded = entry.and_then(|entry| entry.fate.state());
    let waits = match recorded {
        None => true,
        Some(state) => is_always_due(hook) && state != HookState::Running && !external,
    };
    let state = match recorded {
        _ if waits && held => HookState::Blocked,
        Some(state) => state,
        None if external => HookState::External,
        None => HookState::Pending,
    };
    let ran = entry.filter(|entry| entry.fate.state().is_some() && !entry.hash.is_empty());
    Standing {
        name: name.to_owned(),
        state,
        due: waits && !external && !held,
        changed: ran.zip(hash).is_some_and(|(entry, hash)| entry.hash != hash),
        entry: entry.cloned(),
    }
}

/// Each attach and each connect asks for these anew.
const fn is_always_due(hook: HookName) -> bool {
    match hook {
        HookName::PostAttach | HookName::OnStartup => true,
        HookName::OnCreate | HookName::UpdateContent | HookName::PostCreate | HookName::PostStart => false,
    }
}

/// The command of `row` that holds back what comes after it. A run inside another run does not: the outer one answers.
fn blocks(row: &Row) -> Option<String> {
    if is_always_due(row.hook) {
        return None;
    }
    let bad =
        |command: &&Standing| command.entry.as_ref().is_some_and(|entry| entry.fate.is_bad() && entry.within.is_none());
    row.commands.iter().find(bad).map(|command| full_name(row.hook, &command.name))
}

/// `HOOK/COMMAND`, or `HOOK` for a command without a name.
pub(crate) fn full_name(hook: HookName, command: &str) -> String {
    if command.is_empty() { hook.to_string() } else { format!("{hook}/{command}") }
}

/// The state of several commands as one: what needs attention counts before what is well.
pub(crate) fn overall(states: impl IntoIterator<Item = HookState>) -> HookState {
    const fn weight(state: HookState) -> u8 {
        match state {
            HookState::Running => 9,
            HookState::Failed => 8,
            HookState::TimedOut => 7,
            HookState::Interrupted => 6,
            HookState::Cancelled => 5,
            HookState::Blocked => 4,
            HookState::Pending => 3,
            HookState::External => 2,
            HookState::Succeeded => 1,
            HookState::Skipped => 0,
        }
    }
    states.into_iter().max_by_key(|state| weight(*state)).unwrap_or(HookState::Skipped)
}

#[cfg(test)]
mod tests {
    use burrow_protocol::hooks::HookName::{OnCreate, OnStartup, PostAttach, PostCreate, PostStart};
    use burrow_protocol::hooks::HookOrigin::{Burrow, Devcontainer, Exec};
    use burrow_protocol::hooks::HookState::{
        self, Blocked, Cancelled, External, Failed, Interrupted, Pending, Running, Skipped, Succeeded,
    };
    use burrow_protocol::hooks::{HookName, HookOrigin};
    use burrow_protocol::model::{ContainerKind, ContainerStatus};
    use burrow_protocol::settings::SingleCommand;

    use super::{Row, overall, plan};
    use crate::hooks::command::{Command, Stage};
    use crate::hooks::evidence::Runner;
    use crate::hooks::fate::Fate;
    use crate::hooks::ledger::{Entries, Entry, Key, Line};
    use crate::hooks::record::RunId;

    fn container() -> ContainerStatus {
        ContainerStatus { kind: ContainerKind::Docker, id: "c".to_owned(), start_id: "s".to_owned() }
    }

    fn command(name: &str) -> Command {
        Command::new(name, SingleCommand::Shell("true".to_owned()))
    }

    fn stage(hook: HookName, origin: HookOrigin) -> Stage {
        Stage { hook, origin, commands: vec![command("")], jobs: None }
    }

    fn entry(hook: HookName, origin: HookOrigin, fate: Fate) -> Entry {
        Entry {
            key: Key::new(&container(), hook, origin, ""),
            hash: command("").hash,
            run: Some(RunId { number: 1, hook }),
            attempt: 1,
            started_at: None,
            fate,
            note: None,
            within: None,
        }
    }

    fn entries(all: impl IntoIterator<Item = Entry>) -> Entries {
        let mut entries = Entries::default();
        all.into_iter().for_each(|entry| entries.apply(Line::Command(Box::new(entry))));
        entries
    }

    fn states(rows: &[Row]) -> Vec<HookState> {
        rows.iter().map(Row::state).collect()
    }

    const DONE: Fate = Fate::Succeeded { duration_ms: 1 };

    /// What each fate of a postCreate means for it and for the postStart that comes after it.
    #[test]
    fn a_fate_decides_what_is_due_and_what_waits() {
        let stages = [stage(PostCreate, Devcontainer), stage(PostStart, Devcontainer)];
        for (fate, expected, due, why) in [
            (None, [Pending, Pending], [true, true], "nothing ran"),
            (Some(Fate::Running), [Running, Pending], [false, true], "what runs is not due again"),
            (Some(DONE), [Succeeded, Pending], [false, true], "what is done is done"),
            (Some(Fate::not_started("x")), [Failed, Blocked], [false, false], "a failure holds back what comes after"),
            (Some(Fate::Cancelled { duration_ms: 1 }), [Cancelled, Blocked], [false, false], "and so does a cancel"),
            (Some(Fate::Interrupted), [Interrupted, Blocked], [false, false], "never run again by itself"),
            (Some(Fate::NeverStarted), [Pending, Pending], [true, true], "as if it had not been asked for"),
            (Some(Fate::Skipped { why: None }), [Skipped, Pending], [false, true], "skipped counts as done"),
        ] {
            let entries = entries(fate.map(|fate| entry(PostCreate, Devcontainer, fate)));
            let rows = plan(&stages, &entries, &container(), Runner::Burrow);
            assert_eq!(states(&rows), expected, "{why}");
            let found: Vec<_> = rows.iter().map(|row| row.commands[0].due).collect();
            assert_eq!(found, due, "{why}");
        }
    }

    #[test]
    fn another_container_or_start_makes_due_again() {
        let stages = [stage(PostCreate, Devcontainer), stage(PostStart, Devcontainer)];
        let entries = entries([entry(PostCreate, Devcontainer, DONE), entry(PostStart, Devcontainer, DONE)]);
        for (id, start_id, expected, why) in [
            ("c", "s", [Succeeded, Succeeded], "the same start"),
            ("c", "s2", [Succeeded, Pending], "a restart makes postStart due"),
            ("c2", "s2", [Pending, Pending], "a new container makes all due"),
        ] {
            let container = ContainerStatus { id: id.to_owned(), start_id: start_id.to_owned(), ..container() };
            assert_eq!(states(&plan(&stages, &entries, &container, Runner::Burrow)), expected, "{why}");
        }
    }

    #[test]
    fn an_edited_command_is_told_and_not_run() {
        let mut edited = entry(PostCreate, Burrow, DONE);
        edited.hash = "another".to_owned();
        let rows = plan(&[stage(PostCreate, Burrow)], &entries([edited]), &container(), Runner::Burrow);
        let standing = &rows[0].commands[0];
        assert_eq!((standing.state, standing.due, standing.changed), (Succeeded, false, true));
    }

    #[test]
    fn what_a_tool_runs_is_external_and_only_burrows_own_is_due() {
        let stages = [stage(OnCreate, Burrow), stage(OnCreate, Devcontainer), stage(OnStartup, Devcontainer)];
        for runner in [Runner::Tool, Runner::Unclear] {
            let rows = plan(&stages, &Entries::default(), &container(), runner);
            assert_eq!(states(&rows), [Pending, External, Pending], "no tool knows onStartup: {runner:?}");
            assert!(!rows[1].commands[0].due);
        }
    }

    #[test]
    fn an_external_hook_neither_waits_nor_holds_back() {
        let stages = [stage(OnCreate, Burrow), stage(OnCreate, Devcontainer), stage(PostCreate, Burrow)];
        let failed = entries([entry(OnCreate, Burrow, Fate::Interrupted)]);
        let rows = plan(&stages, &failed, &container(), Runner::Tool);
        assert_eq!(states(&rows), [Interrupted, External, Blocked]);
        assert_eq!(rows[2].held_by.as_deref(), Some("onCreate"));
    }

    #[test]
    fn post_attach_is_always_due_and_holds_nothing_back() {
        let stages = [stage(PostAttach, Devcontainer), stage(OnStartup, Burrow)];
        let entries = entries([entry(PostAttach, Devcontainer, Fate::Interrupted)]);
        let rows = plan(&stages, &entries, &container(), Runner::Burrow);
        assert_eq!(states(&rows), [Interrupted, Pending]);
        assert!(rows[0].commands[0].due, "the next attach runs it whatever the last one did");
    }

    #[test]
    fn a_recorded_command_line_has_its_own_row() {
        let mut failed = entry(PostCreate, Exec, Fate::Interrupted);
        let stages = [stage(PostCreate, Devcontainer), stage(PostStart, Burrow)];
        let rows = plan(&stages, &entries([failed.clone()]), &container(), Runner::Tool);
        assert_eq!(states(&rows), [External, Interrupted, Blocked], "its failure holds back what comes after");

        failed.within = Some(RunId { number: 1, hook: PostCreate });
        let rows = plan(&stages, &entries([failed]), &container(), Runner::Tool);
        assert_eq!(states(&rows), [External, Interrupted, Pending], "within a run, that run answers for it");
    }

    #[test]
    fn what_needs_attention_is_the_state_of_the_whole() {
        for (states, expected, why) in [
            (vec![Succeeded, Failed, Running], Running, "it goes on"),
            (vec![Succeeded, Failed, Pending], Failed, "a failure is told first"),
            (vec![Succeeded, Pending], Pending, "one is yet to run"),
            (vec![Succeeded, Skipped], Succeeded, "what ran counts more than what was passed over"),
        ] {
            assert_eq!(overall(states), expected, "{why}");
        }
    }
}
