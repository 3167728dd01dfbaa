//! What is due: the configured commands held against the ledger. Pure.
//!
//! A command that ran for this container (or this start of it) is done, also if it was edited since, unless the workspace
//! wants edited ones again. One that did not succeed holds back the commands that need it and every later hook, until it
//! is retried or skipped; an optional one holds back nothing.

use std::collections::BTreeSet;

use burrow_protocol::hooks::{HookName, HookOrigin, HookState};
use burrow_protocol::model::ContainerStatus;

use super::command::{Command, Stage};
use super::evidence::Runner;
use super::fate::Fate;
use super::ledger::{Entries, Entry, Key, scope};

/// The hooks that `up` runs, in order.
pub(crate) const UP: [HookName; 4] =
    [HookName::OnCreate, HookName::UpdateContent, HookName::PostCreate, HookName::PostStart];

/// What is configured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Configured {
    /// In the order in which hooks run.
    pub(crate) stages: Vec<Stage>,
    /// Hooks that cannot be understood, and where they stand.
    pub(crate) unknown: BTreeSet<(HookName, HookOrigin)>,
    /// Whether what was edited is due again.
    pub(crate) rerun: bool,
}

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
    pub(crate) optional: bool,
    pub(crate) background: bool,
    /// What it waits for, where it is blocked: `HOOK` or `HOOK/COMMAND`.
    pub(crate) blocked_by: Option<String>,
    /// Why it waits within a run that goes on.
    pub(crate) waits: Option<String>,
    pub(crate) entry: Option<Entry>,
}

impl Row {
    /// The state of the whole.
    pub(crate) fn state(&self) -> HookState {
        overall(self.commands.iter().map(Standing::counts_as))
    }

    fn standing(&self, name: &str) -> Option<&Standing> {
        self.commands.iter().find(|standing| standing.name == name)
    }

    /// Whether a command of it may be run again by hand: one that did not succeed, or that such a one held back. What
    /// `burrow hook exec` recorded is its caller's to run.
    pub(crate) fn can_retry(&self, standing: &Standing) -> bool {
        let held = standing.state == HookState::Blocked && self.held_by.is_none();
        self.origin != HookOrigin::Exec && (standing.is_bad() || held)
    }
}

impl Standing {
    /// Whether it ended without having done what it should.
    pub(crate) fn is_bad(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| entry.fate.is_bad())
    }

    /// Whether there is something to pass over by hand.
    pub(crate) fn can_skip(&self) -> bool {
        self.due || self.state == HookState::Blocked || self.is_bad()
    }

    /// Whether it is a service that runs and is ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.background && self.entry.as_ref().is_some_and(|entry| entry.fate == Fate::Running && entry.ready)
    }

    /// Whether what needs it may start.
    pub(crate) fn is_done(&self) -> bool {
        let is_over = matches!(self.state, HookState::Succeeded | HookState::Skipped | HookState::External);
        is_over && !self.due || self.is_ready() || self.is_let_off()
    }

    /// Whether it failed and may.
    fn is_let_off(&self) -> bool {
        self.optional && self.is_bad() && !matches!(self.state, HookState::Pending | HookState::Blocked)
    }

    /// What it adds to the state of its hook: a ready service is well, and so is whatever may fail.
    pub(crate) fn counts_as(&self) -> HookState {
        if self.is_ready() || self.is_let_off() { HookState::Succeeded } else { self.state }
    }
}

/// Holds what is configured against `entries`, in the order in which hooks run. A hook that cannot be understood holds back
/// what else there is of it, and what comes after it. What `burrow hook exec` recorded has rows of its own, after those
/// that are configured for the same hook.
pub(crate) fn plan(
    configured: &Configured,
    entries: &Entries,
    container: &ContainerStatus,
    runner: Runner,
) -> Vec<Row> {
    let Configured { stages, unknown, rerun } = configured;
    let mut rows = Vec::new();
    let mut blocker = None;
    for hook in HookName::ALL {
        let ours = |(name, origin): &(HookName, HookOrigin)| *name == hook && !is_external(hook, *origin, runner);
        let misunderstood = unknown.iter().any(ours).then(|| hook.to_string());
        for stage in stages.iter().filter(|stage| stage.hook == hook) {
            let external = is_external(hook, stage.origin, runner);
            let held_by = if external { None } else { blocker.clone().or_else(|| misunderstood.clone()) };
            let commands = stage.commands.iter().map(|command| {
                let entry = entries.get(&Key::new(container, hook, stage.origin, &command.name));
                standing(hook, command, entry, external, *rerun)
            });
            let mut row = Row { hook, origin: stage.origin, commands: commands.collect(), held_by };
            hold_back(&mut row, &stage.commands);
            if !external {
                blocker = blocker.or_else(|| blocks(&row));
            }
            rows.push(row);
        }
        blocker = blocker.or_else(|| misunderstood.filter(|_| !is_always_due(hook)));
        let recorded = exec_row(hook, entries, container);
        blocker = blocker.or_else(|| recorded.as_ref().and_then(blocks));
        rows.extend(recorded);
    }
    rows
}

/// Whether a Dev Containers tool runs what this place says of `hook`: no tool knows onStartup.
pub(crate) fn is_external(hook: HookName, origin: HookOrigin, runner: Runner) -> bool {
    origin == HookOrigin::Devcontainer && hook != HookName::OnStartup && runner != Runner::Burrow
}

/// Its rows never hold anything back by being due: a recorded command line runs when its caller says so.
fn exec_row(hook: HookName, entries: &Entries, container: &ContainerStatus) -> Option<Row> {
    let scope = scope(container, hook);
    let mine = |key: &Key| key.origin == HookOrigin::Exec && key.hook == hook && key.scope == scope;
    let recorded = |entry: &&Entry| mine(&entry.key) && entry.fate.state().is_some();
    let commands: Vec<_> = entries
        .iter()
        .filter(recorded)
        .map(|entry| Standing {
            name: entry.key.command.clone(),
            state: entry.fate.state().unwrap_or(HookState::Pending),
            due: false,
            changed: false,
            optional: false,
            background: false,
            blocked_by: None,
            waits: None,
            entry: Some(entry.clone()),
        })
        .collect();
    (!commands.is_empty()).then_some(Row { hook, origin: HookOrigin::Exec, commands, held_by: None })
}

/// How a command stands, whatever there is that holds it back.
fn standing(hook: HookName, command: &Command, entry: Option<&Entry>, external: bool, rerun: bool) -> Standing {
    let recorded = entry.and_then(|entry| entry.fate.state());
    let ran = entry.filter(|entry| entry.fate.state().is_some() && !entry.hash.is_empty());
    let changed = ran.is_some_and(|entry| entry.hash != command.hash);
    let wanted_again = changed && rerun && recorded != Some(HookState::Skipped);
    let waits = match recorded {
        None => true,
        Some(state) => (is_always_due(hook) || wanted_again) && state != HookState::Running,
    };
    let state = match recorded {
        Some(_) if wanted_again && waits && !external => HookState::Pending,
        Some(state) => state,
        None if external => HookState::External,
        None => HookState::Pending,
    };
    Standing {
        name: command.name.clone(),
        state,
        due: waits && !external,
        changed,
        optional: command.optional,
        background: command.background,
        blocked_by: None,
        waits: None,
        entry: entry.cloned(),
    }
}

/// Marks as blocked what is due and cannot be done: all of a hook that is held back, else what needs a command that did
/// not succeed.
fn hold_back(row: &mut Row, commands: &[Command]) {
    if let Some(by) = row.held_by.clone() {
        for standing in row.commands.iter_mut().filter(|standing| standing.due) {
            standing.block(&by);
        }
        return;
    }
    // Each round reaches what needs something of the round before.
    loop {
        let mut found = Vec::new();
        for command in commands {
            if row.standing(&command.name).is_some_and(|standing| standing.due)
                && let Some(by) = command.needs.iter().find_map(|need| blocking(row, need))
            {
                found.push((command.name.clone(), by));
            }
        }
        if found.is_empty() {
            return;
        }
        for (name, by) in found {
            row.commands.iter_mut().filter(|standing| standing.name == name).for_each(|it| it.block(&by));
        }
    }
}

impl Standing {
    fn block(&mut self, by: &str) {
        self.state = HookState::Blocked;
        self.due = false;
        self.blocked_by = Some(by.to_owned());
    }
}

/// What keeps that which needs the command `need` from starting, for good.
fn blocking(row: &Row, need: &str) -> Option<String> {
    let standing = row.standing(need)?;
    let failed = standing.is_bad() && !standing.optional && !standing.due;
    standing.blocked_by.clone().or_else(|| failed.then(|| full_name(row.hook, need)))
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
    let is_outer = |standing: &Standing| standing.entry.as_ref().is_some_and(|entry| entry.within.is_none());
    let bad = |it: &&Standing| it.is_bad() && !it.due && !it.optional && is_outer(it);
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
mod tests;
