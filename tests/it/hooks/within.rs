//! A command of a hook that asks for hooks: it never waits for itself.

use burrow_protocol::hooks::{HookName, HookState};
use insta::assert_snapshot;

use super::{hook, sandbox, up};
use crate::sandbox::{BURROW, eventually};

/// A hook may call `burrow up` and its like, as people write it into `postStartCommand`: what is due runs after it, and
/// nobody waits for himself. Previously such a hook never ended.
#[test]
fn hook_that_calls_up_ends() {
    let burrow = BURROW;
    let sandbox = sandbox()
        .hook(
            "postCreate",
            format!("{burrow} up --json > /dev/null; {burrow} hook run postStart; echo created > created"),
        )
        .hook("postStart", "echo started > started");
    up(&sandbox);
    assert_eq!(hook(&sandbox, HookName::PostCreate).state, HookState::Succeeded);
    assert_eq!(hook(&sandbox, HookName::PostStart).state, HookState::Succeeded);
    assert_eq!(sandbox.read("started").as_deref(), Some("started\n"));
}

/// An existing hook may be prefixed: run by Burrow, it is a run within a run and does not wait for itself.
#[test]
fn exec_within_a_hook() {
    let sandbox =
        sandbox().hook("postCreate", format!("{BURROW} hook exec postCreate/inner -- sh -c 'echo in; exit 6'"));
    let run = sandbox.burrow(["hook", "run", "postCreate"]).exits(6);
    assert_eq!(run.stdout(), "in\n");
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(3), @r"
    postCreate  failed  exit code 6
    postCreate (exec)  failed  exit code 6
      inner  failed  exit code 6
    ");
}

/// One rule for all that would wait: what comes after the caller is named, and not waited for.
#[test]
fn nothing_inside_a_hook_waits_for_itself() {
    for (ask, code, told) in [
        ("up", 0, "postStart runs after postCreate, which asks for it"),
        ("hook run postStart", 0, "postStart runs after postCreate, which asks for it"),
        ("hook run postCreate", 0, "postCreate runs already, and postCreate, which asks for it, is a part of it"),
        ("hook run postCreate --again", 1, "BUR303"),
        ("hook retry postCreate", 1, "BUR303"),
        ("hook await", 1, "BUR308"),
        ("hook await postCreate", 1, "BUR308"),
        ("hook await postStart --timeout 1h", 1, "BUR308"),
        ("hook await onCreate", 0, "onCreate  succeeded"),
    ] {
        let sandbox = sandbox()
            .hook("onCreate", "true")
            .hook("postCreate", format!("{BURROW} {ask} > out 2>&1; echo $? > code"))
            .hook("postStart", "true");
        up(&sandbox);
        let out = sandbox.read("out").unwrap_or_default();
        assert!(out.contains(told), "{ask}: {out}");
        // `up` minds the tools too.
        if ask != "up" {
            assert_eq!(sandbox.read("code").as_deref().map(str::trim), Some(code.to_string().as_str()), "{ask}: {out}");
        }
        for name in [HookName::PostCreate, HookName::PostStart] {
            assert_eq!(hook(&sandbox, name).state, HookState::Succeeded, "{ask}: {name}");
        }
    }
}

/// A retry from within a hook is queued: it begins when the hook has ended.
#[test]
fn retry_inside_a_hook_comes_after_it() {
    let sandbox = sandbox()
        .hook("onCreate", "test -e created")
        .hook("postAttach", format!("touch created; {BURROW} hook retry onCreate > out 2>&1; touch attached"));
    up(&sandbox).exits(3);
    sandbox.burrow(["hook", "run", "postAttach", "--again"]).exits(0);
    sandbox.burrow(["hook", "await"]).exits(0);
    assert_eq!(hook(&sandbox, HookName::OnCreate).state, HookState::Succeeded);
    let out = sandbox.read("out").unwrap();
    assert!(out.contains("onCreate runs after postAttach, which asks for it"), "{out}");
}

/// A command line that is recorded within a tool's hook holds up no hook of Burrow's: it may wait for them.
#[test]
fn recorded_command_line_may_wait_for_others() {
    let sandbox = sandbox().burrow_hook("postStart", "echo x >> started");
    let script = format!("{BURROW} hook run postStart; {BURROW} hook await postCreate");
    sandbox.burrow(["hook", "exec", "postCreate", "--", "sh", "-c", &script]).exits(1).tells("BUR308");
    assert_eq!(sandbox.read("started").as_deref(), Some("x\n"));
}

/// What a command of a hook recorded ends with it, also where `burrow hook exec` had no time to see to that.
#[test]
fn nested_exec_follows_its_caller() {
    let nested = "echo $$ > nested; until [ -e go ]; do sleep 0.01; done";
    let script = format!("{BURROW} hook exec postCreate/inner -- sh -c '{nested}' & echo $! > caller; wait $!");
    let sandbox = sandbox().hook("postCreate", script);
    let run = sandbox.spawn(["hook", "run", "postCreate"]);
    let pid = |file: &str| {
        let read = || sandbox.read(file).unwrap_or_default().trim().parse();
        eventually(&format!("{file} is written"), super::SOON, read)
    };
    let (caller, nested): (u32, u32) = (pid("caller"), pid("nested"));
    super::kill(caller);
    eventually("what it recorded has ended", super::SOON, || {
        let alive = std::fs::read_to_string(format!("/proc/{nested}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        if alive { Err("it goes on") } else { Ok(()) }
    });
    run.finish();
    // The end of what it recorded is another run's, and written down on its own.
    sandbox.burrow(["hook", "await"]).exits(3);
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(3), @r"
    postCreate  failed  exit code 137
    postCreate (exec)  cancelled  cancelled
      inner  cancelled  cancelled
    ");
}
