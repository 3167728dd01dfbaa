//! Once means once: over restarts, in other containers, and when a command was edited.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{runs_folder, sandbox, up};
use crate::sandbox::{BURROW, Run, Sandbox};

/// Runs `script` as the first process of a container start of its own: the machine as it is after a restart.
fn in_another_start(sandbox: &Sandbox, script: &str) -> Run {
    let mut command = sandbox.command("unshare");
    command.args(["--user", "--map-current-user", "--pid", "--fork", "--mount-proc", "sh", "-c"]);
    command.args([&format!("{script}; code=$?; {BURROW} stop; exit $code")]);
    sandbox.run(command)
}

/// How often each of the three hooks ran.
fn counts(sandbox: &Sandbox) -> [usize; 3] {
    ["created", "started", "attached"].map(|file| sandbox.read(file).map_or(0, |text| text.lines().count()))
}

/// The three hooks of the reference's behaviour tables.
fn tabled() -> Sandbox {
    sandbox()
        .hook("postCreate", "echo x >> created")
        .hook("postStart", "echo x >> started")
        .hook("postAttach", "echo x >> attached")
}

/// Changes what a copy of the container does not share: here the state directory itself.
fn become_another_container(sandbox: &Sandbox) {
    let (state, copy) = (sandbox.state_dir(), sandbox.root().join("copy"));
    let mut copied = sandbox.command("sh");
    copied.args(["-c", &format!("cp -a {state} {copy} && rm -r {state} && mv {copy} {state}")]);
    sandbox.run(copied).exits(0);
}

/// The reference's behaviour table: which of postCreate, postStart and postAttach run when a container is made, and when
/// it is started again; an attach is `burrow hook run postAttach`.
#[test]
fn once_a_container_once_a_start_once_an_attach() {
    let sandbox = tabled();
    let counts = || counts(&sandbox);
    let attach = format!("{BURROW} up; {BURROW} hook run postAttach");

    in_another_start(&sandbox, &attach).exits(0);
    assert_eq!(counts(), [1, 1, 1], "made");
    in_another_start(&sandbox, &attach).exits(0);
    assert_eq!(counts(), [1, 2, 2], "started again");
    in_another_start(&sandbox, &format!("{BURROW} up; {BURROW} up; {BURROW} hook list")).exits(0);
    assert_eq!(counts(), [1, 3, 2], "started again, nobody attached, up called twice");

    become_another_container(&sandbox);
    in_another_start(&sandbox, &attach).exits(0);
    assert_eq!(counts(), [2, 4, 3], "another container");
}

/// An edited command is told, and run again on request only.
#[test]
fn edited_command_is_told() {
    let sandbox = sandbox().hook("postCreate", "echo 1 >> file");
    up(&sandbox);
    let sandbox = sandbox.hook("postCreate", "echo 2 >> file");
    up(&sandbox);
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(0), @"postCreate  succeeded  changed since it ran");
    sandbox.burrow(["hook", "run", "postCreate", "--again"]).exits(0);
    assert_eq!(sandbox.read("file").as_deref(), Some("1\n2\n"));
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(0), @"postCreate  succeeded  run 2");
}

/// The newest runs are kept; the ledger still knows what the oldest did.
#[test]
fn old_runs_go_and_the_ledger_stays() {
    let sandbox = sandbox().hook("postCreate", "echo x >> file");
    up(&sandbox);
    for _ in 0..52 {
        sandbox.burrow(["hook", "exec", "postStart", "--", "true"]).exits(0);
    }
    let runs = runs_folder(&sandbox).read_dir_utf8().unwrap().count();
    assert_eq!(runs, 50);
    sandbox.burrow(["hook", "log", "postCreate"]).exits(1).tells("BUR304");
    sandbox.burrow(["restart"]).exits(0);
    up(&sandbox);
    assert_eq!(sandbox.read("file").as_deref(), Some("x\n"), "it is still done");
}

/// The reference's other table: nobody attaches when the container is made, nor when it is started again.
#[test]
fn up_alone_runs_no_post_attach() {
    let sandbox = tabled();
    let up = format!("{BURROW} up; {BURROW} hook list");
    in_another_start(&sandbox, &up).exits(0);
    assert_eq!(counts(&sandbox), [1, 1, 0], "made");
    in_another_start(&sandbox, &up).exits(0);
    assert_eq!(counts(&sandbox), [1, 2, 0], "started again");
    become_another_container(&sandbox);
    in_another_start(&sandbox, &up).exits(0);
    assert_eq!(counts(&sandbox), [2, 3, 0], "another container");
}

/// The ledger decides, not the logs: after 60 starts, each with commands enough that the ledger was rewritten and the run
/// of postCreate is long gone, it is still done.
#[test]
fn after_60_starts_post_create_is_still_done() {
    let many: serde_json::Map<_, _> = (0..9).map(|number| (format!("c{number}"), json!("true"))).collect();
    let sandbox = sandbox().hook("postCreate", "echo x >> created").hook("postStart", Value::Object(many));
    for _ in 0..60 {
        in_another_start(&sandbox, &format!("{BURROW} up; {BURROW} hook list")).exits(0);
    }
    assert_eq!(sandbox.read("created").as_deref(), Some("x\n"));
    let ledger = std::fs::read_to_string(runs_folder(&sandbox).with_file_name("ledger.jsonl")).unwrap();
    let lines = ledger.lines().count();
    assert!(lines < 2 * 60 * 9, "it was rewritten on the way: {lines} lines");
    assert_eq!(ledger.lines().filter(|line| line.contains("postCreate")).count(), 1, "{ledger}");
    sandbox.burrow(["hook", "log", "postCreate"]).exits(1).tells("BUR304");
}

/// With `rerunOnChange` an edited command is due again, also one that had failed; the others of its hook are not.
#[test]
fn edited_command_is_due_again_where_that_is_wanted() {
    let hook = |edited: &str| json!({"edited": edited, "same": "echo same >> file"});
    let sandbox = sandbox()
        .setting("rerunOnChange", true)
        .hook("postCreate", hook("echo 1 >> file; exit 1"))
        .hook("postStart", "echo started >> file");
    up(&sandbox).exits(3);
    let sandbox = sandbox.hook("postCreate", hook("echo 2 >> file"));
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(0), @r"
    postCreate  pending  changed since it ran
      edited  pending  changed since it ran
      same  succeeded
    postStart  pending
    ");
    up(&sandbox);
    let mut lines: Vec<_> = sandbox.read("file").unwrap().lines().map(str::to_owned).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["1", "2", "same", "started"]);
    up(&sandbox);
    assert_eq!(sandbox.read("file").unwrap().lines().count(), 4, "once means once");
}

/// Of a named command every setting counts, however it is ordered.
#[test]
fn edited_setting_of_a_named_command_is_told() {
    let hook = |command: Value| json!({"commands": {"a": command}});
    let sandbox = sandbox().burrow_hook("postCreate", hook(json!({"run": "true", "cwd": ".", "retries": 1})));
    up(&sandbox);
    let sandbox = sandbox.burrow_hook("postCreate", hook(json!({"retries": 1, "cwd": ".", "run": "true"})));
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(0), @r"
    postCreate (burrow)  succeeded
      a  succeeded
    ");
    let sandbox = sandbox.burrow_hook("postCreate", hook(json!({"run": "true", "cwd": ".", "retries": 2})));
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(0), @r"
    postCreate (burrow)  succeeded  changed since it ran
      a  succeeded  changed since it ran
    ");
    sandbox.burrow(["hook", "run", "postCreate"]).exits(0).tells("`burrow hook run postCreate --again` runs");
}
