//! What a hook finds when it runs: its environment, its folder, its user.

use serde_json::json;

use crate::sandbox::Sandbox;

/// Writes every layer's variables where the test can read them.
const SHOW: &str = "echo \"$SHELLS $CALLERS $REMOTES ${GONE-unset} $OWN\" >> seen; echo \"$PATH\" > path; pwd > cwd";

/// A home whose login shell sets three variables, and a folder of PATH that nobody else knows.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::bare().env("SHELL", "/bin/sh").env("CALLERS", "caller").env("GONE", "caller");
    let profile = "echo noise; export SHELLS=shell CALLERS=shell REMOTES=shell PATH=/only/here:$PATH\n";
    sandbox.change("../home/.profile", profile);
    sandbox.property("userEnvProbe", "loginShell").property("remoteEnv", json!({"REMOTES": "remote", "GONE": null}))
}

#[test]
fn the_shells_environment_lies_under_the_callers() {
    let command = json!({"commands": {"show": {"run": SHOW, "env": {"OWN": "own of ${containerEnv:REMOTES}"}}}});
    let sandbox = sandbox().burrow_hook("postCreate", command);
    sandbox.burrow(["hook", "run", "postCreate"]).exits(0);
    assert_eq!(sandbox.read("seen").as_deref(), Some("shell caller remote unset own of remote\n"));
    let path = sandbox.read("path").unwrap();
    assert!(path.trim_end().ends_with(":/only/here"), "after the caller's own: {path}");
}

#[test]
fn no_shell_is_asked_where_the_file_says_so() {
    let sandbox = sandbox().property("userEnvProbe", "none").hook("postCreate", SHOW);
    sandbox.burrow(["hook", "run", "postCreate"]).exits(0);
    assert_eq!(sandbox.read("seen").as_deref(), Some(" caller remote unset \n"));
}

#[test]
fn a_recorded_command_has_exactly_its_callers_environment() {
    let sandbox = sandbox();
    sandbox.burrow(["hook", "exec", "postCreate", "--", "sh", "-c", SHOW]).exits(0);
    assert_eq!(sandbox.read("seen").as_deref(), Some(" caller  caller \n"));
}

#[test]
fn a_shell_that_never_answers_holds_up_no_hook_for_good() {
    let sandbox = sandbox().hook("postCreate", "echo ran >> seen");
    sandbox.change("../home/.profile", "sleep 600\n");
    sandbox.burrow(["hook", "run", "postCreate"]).exits(0);
    assert_eq!(sandbox.read("seen").as_deref(), Some("ran\n"));
    let reasons = sandbox.workspace_status().reasons;
    let told = reasons.iter().find(|reason| reason.code.as_deref() == Some("BUR209"));
    let told = &told.unwrap_or_else(|| panic!("it is told: {reasons:?}")).message;
    assert!(told.ends_with("`/bin/sh -lc` did not end within 10 s"), "{told}");
}

/// A shell that failed for a reason outside its files is asked again by whoever asks for the hook again.
#[test]
fn a_shell_that_failed_is_asked_again_with_the_hook() {
    for again in [&["hook", "retry", "postCreate"][..], &["hook", "run", "postCreate", "--again"]] {
        let sandbox = sandbox().hook("postCreate", "test -n \"$SHELLS\"");
        sandbox.change("../home/.profile", "test -e \"$HOME/repaired\" || exit 3; export SHELLS=shell\n");
        sandbox.burrow(["up"]).exits(3);
        sandbox.change("../home/repaired", "");
        sandbox.burrow(again.iter().copied()).exits(0);
    }
}

#[test]
fn hooks_run_in_the_folder_that_the_file_names() {
    let folder = "${containerWorkspaceFolder}/service";
    let sandbox = sandbox().property("workspaceFolder", folder).hook("postCreate", SHOW).write("service/x", "");
    sandbox.burrow(["hook", "run", "postCreate"]).exits(0);
    assert_eq!(sandbox.read("service/cwd").unwrap().trim_end(), sandbox.workspace().join("service"));
}

/// The standard knows no such hook; people write it all the same.
#[test]
fn the_alias_of_on_startup_is_heard_and_told_with_its_place() {
    let text = "{\n  \"onStartupCommand\": \"echo x >> started\",\n}";
    let sandbox = Sandbox::bare().write(".devcontainer/devcontainer.json", text);
    sandbox.burrow(["hook", "run", "onStartup"]).exits(0);
    assert_eq!(sandbox.read("started").as_deref(), Some("x\n"));
    let reasons = sandbox.workspace_status().reasons;
    let told = reasons.iter().find(|reason| reason.message.contains("customizations.burrow.hooks.onStartup"));
    let told = &told.unwrap_or_else(|| panic!("it is told: {reasons:?}")).message;
    assert!(told.starts_with(".devcontainer/devcontainer.json:2:23: "), "{told}");
}
