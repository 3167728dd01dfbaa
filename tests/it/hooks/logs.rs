//! Which log is shown, and what is said where there is none.

use burrow_protocol::hooks::{HookName, HookState};

use super::{hook, sandbox, up};

/// The hint at a failure leads to the output of that very run, also where the hook has a newer one.
#[test]
fn hint_leads_to_the_log_of_what_failed() {
    let sandbox = sandbox().burrow_hook("postCreate", "echo told; exit 1");
    up(&sandbox).exits(3).tells("see `burrow hook log postCreate`, then");
    sandbox.burrow(["hook", "exec", "postCreate", "--", "echo", "other"]).exits(0);
    assert_eq!(sandbox.burrow(["hook", "log", "postCreate"]).exits(0).stdout(), "other\n");
    let reasons = sandbox.workspace_status().reasons;
    let hint = reasons.iter().find_map(|reason| reason.hint.as_deref().filter(|hint| hint.contains("hook log")));
    let hint = hint.unwrap_or_else(|| panic!("a hint: {reasons:?}"));
    let named = hint.split('`').nth(1).and_then(|line| line.strip_prefix("burrow ")).unwrap();
    assert_eq!(sandbox.burrow(named.split(' ')).exits(0).stdout(), "told\n", "{hint}");
}

/// The newest runs are kept, and beside them the newest one of whatever did not succeed: its log is what a hint leads to.
#[test]
fn log_of_a_failure_is_kept_until_it_is_mended() {
    let sandbox = sandbox().hook("onCreate", "echo done").hook("postCreate", "echo told; exit 3");
    up(&sandbox).exits(3);
    for _ in 0..50 {
        sandbox.burrow(["hook", "exec", "postStart/other", "--", "true"]).exits(0);
    }
    assert_eq!(sandbox.burrow(["hook", "log", "postCreate"]).exits(0).stdout(), "told\n");
    let gone = sandbox.burrow(["hook", "log", "onCreate"]).exits(1);
    gone.tells("onCreate succeeded, and the log of 1-onCreate is no longer kept");
}

/// What a Dev Containers tool runs has its output there.
#[test]
fn log_of_what_a_tool_runs_is_the_tools() {
    let sandbox = sandbox().env("REMOTE_CONTAINERS", "true").hook("postCreate", "true");
    assert_eq!(hook(&sandbox, HookName::PostCreate).state, HookState::External);
    sandbox.burrow(["hook", "log", "postCreate"]).exits(1).tells("postCreate is run by a Dev Containers tool");
}
