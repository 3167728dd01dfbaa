//! Hooks as text, and as exit codes. Pure.

use std::fmt::Write;

use burrow_protocol::hooks::{CommandStatus, HookOrigin, HookState, HookStatus};

use crate::cli::exit::ExitStatus;
use crate::cli::printer::{Printer, Style};
use crate::cli::status::word_of;

/// A shorter time is not worth telling.
const WORTH_TELLING_MS: u32 = 1000;
/// What a shell gives a command that a signal ended, before the signal's number is added.
const SIGNALED: i32 = 128;
/// What timeout(1) gives a command whose time was over.
const TIMED_OUT: u8 = 124;
/// What a shell gives a command that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// One hook a line, its named commands below it.
pub(crate) fn hooks(printer: Printer, hooks: &[HookStatus]) -> String {
    let mut text = String::new();
    for hook in hooks {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{}", line(printer, hook));
        for command in hook.commands.iter().filter(|command| !command.name.is_empty()) {
            let _ = writeln!(text, "  {}", command_line(printer, command));
        }
    }
    text
}

/// `postCreate  succeeded  run 2, after exit code 1`.
pub(crate) fn line(printer: Printer, hook: &HookStatus) -> String {
    let run = (hook.attempt > 1).then(|| format!("run {}", hook.attempt));
    let blocked = hook.blocked_by.as_ref().map(|name| format!("by {name}"));
    let told = hook.reason.as_deref() == Some("changed since it ran");
    let details = [run, hook.reason.clone(), blocked, took(hook.duration_ms), changed(hook.changed && !told)];
    columns(printer, &title(hook), hook.state, details)
}

fn command_line(printer: Printer, command: &CommandStatus) -> String {
    let blocked = command.blocked_by.as_ref().map(|name| format!("by {name}"));
    let optional = (command.optional && needs_attention(command.state)).then(|| "optional".to_owned());
    let told = command.reason.as_deref() == Some("changed since it ran");
    let details =
        [command.reason.clone(), blocked, optional, took(command.duration_ms), changed(command.changed && !told)];
    columns(printer, &command.name, command.state, details)
}

/// The hook's name, with its origin where that is not devcontainer.json itself.
pub(crate) fn title(hook: &HookStatus) -> String {
    match hook.origin {
        HookOrigin::Devcontainer => hook.name.to_string(),
        HookOrigin::Burrow => format!("{} (burrow)", hook.name),
        HookOrigin::Exec => format!("{} (exec)", hook.name),
    }
}

fn columns(printer: Printer, name: &str, state: HookState, details: [Option<String>; 5]) -> String {
    let details: Vec<_> = details.into_iter().flatten().collect();
    let gap = if details.is_empty() { "" } else { "  " };
    format!("{name}  {}{gap}{}", printer.paint(style(state), &word_of(&state)), details.join(", "))
}

fn took(duration_ms: Option<u32>) -> Option<String> {
    let millis = duration_ms.filter(|millis| *millis >= WORTH_TELLING_MS)?;
    Some(format!("{}.{} s", millis / 1000, millis % 1000 / 100))
}

fn changed(changed: bool) -> Option<String> {
    changed.then(|| "changed since it ran".to_owned())
}

const fn style(state: HookState) -> Style {
    match state {
        HookState::Succeeded => Style::Good,
        HookState::Failed | HookState::TimedOut | HookState::Cancelled | HookState::Interrupted => Style::Bad,
        HookState::Pending | HookState::Blocked | HookState::Running => Style::Notice,
        HookState::External | HookState::Skipped => Style::Faint,
    }
}

/// Whether somebody has to look at it.
pub(crate) const fn needs_attention(state: HookState) -> bool {
    match state {
        HookState::Failed
        | HookState::TimedOut
        | HookState::Cancelled
        | HookState::Interrupted
        | HookState::Blocked => true,
        HookState::Pending | HookState::Running | HookState::Succeeded | HookState::External | HookState::Skipped => {
            false
        }
    }
}

/// What the whole of `hooks` means for the caller.
pub(crate) fn attention<'a>(hooks: impl IntoIterator<Item = &'a HookStatus>) -> ExitStatus {
    let attention = hooks.into_iter().any(|hook| needs_attention(hook.state));
    if attention { ExitStatus::Attention } else { ExitStatus::Success }
}

/// The exit code of the first command of `runs` that did not succeed; one that ended tells more than one that was held back.
pub(crate) fn child_status(hooks: &[HookStatus], runs: &[String]) -> ExitStatus {
    let commands = hooks.iter().flat_map(|hook| &hook.commands);
    let mut of_runs =
        commands.filter(|command| command.run_id.as_ref().is_some_and(|run| runs.contains(run))).peekable();
    if of_runs.peek().is_none() {
        // It was queued, and something before it did not succeed.
        return ExitStatus::Attention;
    }
    let bad = of_runs.filter(|command| !command.optional).map(command_status).filter(|it| *it != ExitStatus::Success);
    // Of two that are equal the first is taken.
    bad.min_by_key(|status| *status == ExitStatus::Attention).unwrap_or(ExitStatus::Success)
}

fn command_status(command: &CommandStatus) -> ExitStatus {
    let code = |code: i32| u8::try_from(code).map_or(ExitStatus::Failure, ExitStatus::Child);
    match command.state {
        HookState::Succeeded | HookState::Skipped => ExitStatus::Success,
        HookState::Running if command.ready => ExitStatus::Success,
        HookState::Failed => match (command.exit_code, command.signal) {
            (Some(exit), _) => code(exit),
            (None, Some(signal)) => code(SIGNALED + signal),
            (None, None) => ExitStatus::Failure,
        },
        HookState::TimedOut => ExitStatus::Child(TIMED_OUT),
        HookState::Cancelled => ExitStatus::Child(INTERRUPTED),
        HookState::Interrupted | HookState::Pending | HookState::Blocked | HookState::Running | HookState::External => {
            ExitStatus::Attention
        }
    }
}

#[cfg(test)]
mod tests {
    use burrow_protocol::hooks::{CommandStatus, HookName, HookOrigin, HookState, HookStatus};

    use super::{attention, child_status, hooks};
    use crate::cli::exit::ExitStatus;
    use crate::cli::printer::Printer;

    fn command(name: &str, state: HookState) -> CommandStatus {
        CommandStatus {
            name: name.to_owned(),
            state,
            run_id: Some("2-postCreate".to_owned()),
            started_at: None,
            duration_ms: None,
            exit_code: None,
            signal: None,
            reason: None,
            blocked_by: None,
            changed: false,
            attempt: 1,
            can_retry: false,
            can_skip: false,
            optional: false,
            background: false,
            ready: false,
        }
    }

    fn hook(state: HookState, commands: Vec<CommandStatus>) -> HookStatus {
        HookStatus {
            name: HookName::PostCreate,
            origin: HookOrigin::Devcontainer,
            state,
            run_id: Some("2-postCreate".to_owned()),
            started_at: None,
            duration_ms: Some(1250),
            exit_code: None,
            signal: None,
            reason: None,
            blocked_by: None,
            changed: false,
            attempt: 1,
            can_retry: false,
            can_skip: false,
            commands,
        }
    }

    #[test]
    fn a_hook_is_a_line_and_its_named_commands_are_below() {
        let retried = HookStatus {
            attempt: 2,
            reason: Some("after exit code 1".to_owned()),
            ..hook(HookState::Succeeded, vec![command("", HookState::Succeeded)])
        };
        let failed = CommandStatus { reason: Some("exit code 1".to_owned()), ..command("vet", HookState::Failed) };
        let named = HookStatus {
            origin: HookOrigin::Burrow,
            reason: Some("exit code 1".to_owned()),
            changed: true,
            duration_ms: None,
            ..hook(HookState::Failed, vec![failed, command("test", HookState::Succeeded)])
        };
        let held = CommandStatus {
            blocked_by: Some("postCreate/vet".to_owned()),
            run_id: None,
            ..command("seed", HookState::Blocked)
        };
        let optional = CommandStatus { optional: true, ..command("lint", HookState::TimedOut) };
        let reason = Some("ready".to_owned());
        let service = CommandStatus { background: true, ready: true, reason, ..command("db", HookState::Running) };
        let ordered =
            HookStatus { duration_ms: None, attempt: 1, ..hook(HookState::Failed, vec![held, optional, service]) };
        let blocked = HookStatus {
            name: HookName::PostStart,
            blocked_by: Some("postCreate/vet".to_owned()),
            duration_ms: None,
            ..hook(HookState::Blocked, vec![])
        };
        insta::assert_snapshot!(hooks(Printer::new(false), &[retried, named, ordered, blocked]), @r"
        postCreate  succeeded  run 2, after exit code 1, 1.2 s
        postCreate (burrow)  failed  exit code 1, changed since it ran
          vet  failed  exit code 1
          test  succeeded
        postCreate  failed
          seed  blocked  by postCreate/vet
          lint  timedOut  optional
          db  running  ready
        postStart  blocked  by postCreate/vet
        ");
    }

    #[test]
    fn the_exit_code_is_that_of_the_child() {
        let runs = ["2-postCreate".to_owned()];
        let failed = |exit_code, signal| CommandStatus { exit_code, signal, ..command("", HookState::Failed) };
        let other = CommandStatus { run_id: Some("1-postCreate".to_owned()), ..failed(Some(9), None) };
        for (commands, expected, why) in [
            (vec![command("", HookState::Succeeded)], ExitStatus::Success, "all is well"),
            (vec![failed(Some(7), None)], ExitStatus::Child(7), "its own code"),
            (vec![failed(None, Some(15))], ExitStatus::Child(143), "as a shell tells a signal"),
            (vec![failed(None, None)], ExitStatus::Failure, "it did not start"),
            (vec![command("", HookState::Cancelled)], ExitStatus::Child(130), "as Ctrl-C"),
            (vec![command("", HookState::TimedOut)], ExitStatus::Child(124), "as timeout(1)"),
            (vec![command("", HookState::Interrupted)], ExitStatus::Attention, "nobody knows"),
            (
                vec![command("a", HookState::Succeeded), failed(Some(2), None)],
                ExitStatus::Child(2),
                "the first that failed",
            ),
            (
                vec![command("a", HookState::Blocked), failed(Some(2), None), failed(Some(4), None)],
                ExitStatus::Child(2),
                "what it waits for stands after it in the file",
            ),
            (
                vec![CommandStatus { optional: true, ..failed(Some(2), None) }, command("b", HookState::Succeeded)],
                ExitStatus::Success,
                "one that may fail did",
            ),
            (
                vec![CommandStatus { background: true, ready: true, ..command("db", HookState::Running) }],
                ExitStatus::Success,
                "a service is ready",
            ),
            (vec![other], ExitStatus::Attention, "the run was held back, and an earlier one is shown"),
        ] {
            assert_eq!(child_status(&[hook(HookState::Failed, commands)], &runs), expected, "{why}");
        }
    }

    #[test]
    fn what_is_held_back_needs_attention() {
        assert_eq!(attention(&[hook(HookState::Blocked, vec![])]), ExitStatus::Attention);
        assert_eq!(attention(&[hook(HookState::External, vec![])]), ExitStatus::Success);
    }
}
