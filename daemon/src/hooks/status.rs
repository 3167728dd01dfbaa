//! How the hooks are shown: rows of the plan as the types of the wire. Pure.

use burrow_protocol::error::ErrorCode;
use burrow_protocol::hooks::{CommandStatus, HookName, HookOrigin, HookState, HookStatus};
use burrow_protocol::model::Reason;

use super::evidence::Runner;
use super::ledger::Entry;
use super::machine::{Job, Machine};
use super::plan::{Row, Standing, full_name};
use super::record::RunId;
use crate::model::HooksPart;

/// A service that was started anew more often than this is worth somebody's attention.
const RESTARTS_TOLD: u32 = 4;

/// Everything there is to show; `trouble` is what kept a run from being written down.
pub(crate) fn part(machine: &Machine, trouble: Option<&Reason>) -> HooksPart {
    let rows = machine.rows();
    let mut reasons: Vec<_> =
        trouble.into_iter().cloned().chain(rows.iter().filter_map(|row| reason(row, &rows))).collect();
    let unclear = machine.runner() == Runner::Unclear && rows.iter().any(|row| row.state() == HookState::External);
    if unclear {
        reasons.push(unclear_runner());
    }
    reasons.extend(due(machine, &rows));
    let hooks = rows.iter().map(|row| hook(machine, row)).collect();
    HooksPart { hooks, working: !machine.is_idle(), reasons }
}

fn hook(machine: &Machine, row: &Row) -> HookStatus {
    let (state, runner) = (row.state(), machine.runner());
    let queued = machine.queued(row.hook, row.origin).next();
    // The command that the state of the whole speaks of: the first of the newest run.
    let telling = row.commands.iter().rev().filter(|command| command.counts_as() == state).max_by_key(|it| run(it));
    let entry = telling.and_then(|command| command.entry.as_ref());
    let waits = queued.filter(|_| state != HookState::Running);
    let idle = machine.run_of(row.hook).is_none();
    let commands: Vec<_> = row.commands.iter().map(|it| command(row, it, waits, runner, idle)).collect();
    let reason = match (telling, waits) {
        (_, Some(_)) => Some("waits for its turn".to_owned()),
        // What a ready service or an optional command has to say is its own.
        (Some(command), None) if command.state == state => reason_of(command, runner),
        (Some(_), None) => None,
        (None, None) => None,
    };
    HookStatus {
        name: row.hook,
        origin: row.origin,
        state: if waits.is_some() { HookState::Pending } else { state },
        run_id: waits.map(|job| job.run).or_else(|| entry?.run).map(|run| run.to_string()),
        started_at: entry.and_then(|entry| entry.started_at.clone()),
        duration_ms: duration(row),
        exit_code: entry
            .and_then(|entry| entry.fate.exit_code())
            .filter(|code| *code == 0 || state != HookState::Succeeded),
        signal: entry.and_then(|entry| entry.fate.signal()).filter(|_| state != HookState::Succeeded),
        reason,
        blocked_by: row.held_by.clone().filter(|_| state == HookState::Blocked),
        changed: row.commands.iter().any(|command| command.changed),
        attempt: row
            .commands
            .iter()
            .filter(|command| !command.background)
            .filter_map(|command| command.entry.as_ref())
            .map(|it| it.attempt)
            .max()
            .unwrap_or(0),
        can_retry: commands.iter().any(|command| command.can_retry),
        can_skip: commands.iter().any(|command| command.can_skip),
        commands,
    }
}

/// One command; with `idle`, no run of its hook waits or runs.
fn command(row: &Row, standing: &Standing, waits: Option<&Job>, runner: Runner, idle: bool) -> CommandStatus {
    let waits = waits.filter(|job| job.commands.iter().any(|command| command.name == standing.name));
    let entry = standing.entry.as_ref();
    CommandStatus {
        name: standing.name.clone(),
        state: if waits.is_some() { HookState::Pending } else { standing.state },
        run_id: waits.map(|job| job.run).or_else(|| entry?.run).map(|run| run.to_string()),
        started_at: entry.and_then(|entry| entry.started_at.clone()),
        duration_ms: entry.and_then(|entry| entry.fate.duration_ms()),
        exit_code: entry.and_then(|entry| entry.fate.exit_code()),
        signal: entry.and_then(|entry| entry.fate.signal()),
        reason: reason_of(standing, runner),
        blocked_by: standing.blocked_by.clone(),
        changed: standing.changed,
        attempt: entry.map_or(0, |entry| entry.attempt),
        can_retry: idle && row.can_retry(standing),
        can_skip: idle && standing.can_skip(),
        optional: standing.optional,
        background: standing.background,
        ready: standing.is_ready(),
    }
}

fn run(standing: &Standing) -> Option<RunId> {
    standing.entry.as_ref()?.run
}

/// The commands run side by side: the longest says how long the hook took.
fn duration(row: &Row) -> Option<u32> {
    row.commands.iter().filter_map(|command| command.entry.as_ref()?.fate.duration_ms()).max()
}

fn reason_of(standing: &Standing, runner: Runner) -> Option<String> {
    match standing.state {
        HookState::External if runner == Runner::Unclear => Some("whether a tool ran it is unclear".to_owned()),
        HookState::External => Some("a Dev Containers tool runs it".to_owned()),
        // Its entry speaks of the start before.
        HookState::Running | HookState::Pending if standing.waits.is_some() => standing.waits.clone(),
        HookState::Blocked => None,
        HookState::Pending if standing.changed => Some("changed since it ran".to_owned()),
        _ => standing.entry.as_ref().and_then(told),
    }
}

fn told(entry: &Entry) -> Option<String> {
    let parts: Vec<_> = entry.fate.reason().into_iter().chain(entry.note.clone()).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// What needs attention about one hook, among all of them.
fn reason(row: &Row, rows: &[Row]) -> Option<Reason> {
    let bad = row.commands.iter().find(|command| command.is_bad() && !command.optional && !is_about_to_run(command));
    let Some(bad) = bad else { return row.commands.iter().find_map(|command| keeps_ending(row, command)) };
    let name = full_name(row.hook, &bad.name);
    let code = if bad.state == HookState::Interrupted { ErrorCode::RunInterrupted } else { ErrorCode::HookFailed };
    let why = bad.entry.as_ref().and_then(told).unwrap_or_else(|| "it did not succeed".to_owned());
    let again = match row.origin {
        HookOrigin::Burrow | HookOrigin::Devcontainer => format!("`burrow hook retry {name}`"),
        HookOrigin::Exec => format!("`burrow hook exec {name} -- ...`"),
    };
    let log = match run(bad).filter(|run| newest_run(rows, row.hook, &bad.name) != Some(*run)) {
        Some(run) => format!("`burrow hook log {name} --run {run}`"),
        None => format!("`burrow hook log {name}`"),
    };
    Some(Reason {
        code: Some(code.code().to_owned()),
        message: format!("{name} did not succeed: {why}"),
        hint: Some(format!("see {log}, then {again} or `burrow hook skip {name}`")),
    })
}

/// The run that `burrow hook log` shows where none is named: of a hook as a whole that of any command, wherever it stands.
fn newest_run(rows: &[Row], hook: HookName, command: &str) -> Option<RunId> {
    let of_hook = rows.iter().filter(|row| row.hook == hook).flat_map(|row| &row.commands);
    of_hook.filter(|it| command.is_empty() || it.name == command).filter_map(run).max()
}

/// It is edited, and due again.
fn is_about_to_run(standing: &Standing) -> bool {
    standing.state == HookState::Pending
}

/// A service that is started anew again and again.
fn keeps_ending(row: &Row, standing: &Standing) -> Option<Reason> {
    let starts = standing.entry.as_ref().filter(|_| standing.is_ready()).map_or(0, |entry| entry.start);
    let name = full_name(row.hook, &standing.name);
    (starts > RESTARTS_TOLD).then(|| Reason {
        code: Some(ErrorCode::HookFailed.code().to_owned()),
        message: format!("{name} keeps ending: {}", standing.waits.clone().unwrap_or_default()),
        hint: Some(format!("see `burrow hook log {name}`; `burrow hook cancel {name}` ends it")),
    })
}

/// What `burrow up` would run, where nobody has asked it to: a fresh container, a new start, a window before its first `up`.
fn due(machine: &Machine, rows: &[Row]) -> Option<Reason> {
    let is_due = |row: &&Row| {
        row.state() == HookState::Pending
            && !matches!(row.hook, HookName::PostAttach | HookName::OnStartup)
            && machine.queued(row.hook, row.origin).next().is_none()
    };
    let mut names: Vec<_> = rows.iter().filter(is_due).map(|row| row.hook.as_str()).collect();
    names.dedup();
    (!names.is_empty()).then(|| Reason {
        code: None,
        message: format!("due: {}", names.join(", ")),
        hint: Some("run `burrow up`".to_owned()),
    })
}

fn unclear_runner() -> Reason {
    Reason {
        code: None,
        message:
            "the home directory has marks of a Dev Containers tool that are older than this container: whether it \
                  runs the hooks of devcontainer.json is unclear, so they were left alone"
                .to_owned(),
        hint: Some("run them with `burrow hook run HOOK --again --origin devcontainer`".to_owned()),
    }
}
