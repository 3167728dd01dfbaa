//! Lifecycle hooks through the real binary: once means once, a failure is seen and holds back, nothing is lost.

mod commands; // named commands: order, failures, retries, timeouts
mod logs; // which log is shown, and what is said where there is none
mod lost; // commands whose shims died
mod once; // what is done, over restarts and edits
mod services; // background commands
mod startup; // what a window starts by being there
mod watching; // who waits while the daemon is replaced
mod within; // a command of a hook that asks for hooks

use std::time::Duration;

use burrow_protocol::hooks::{HookName, HookState, HookStatus, RunSummary};
use camino::Utf8PathBuf;
use insta::assert_snapshot;
use serde_json::json;

use crate::sandbox::{Background, Run, Sandbox, eventually};

/// How long a state may take to be reached.
const SOON: Duration = Duration::from_secs(20);

/// The exit code where no daemon answers. A killed one accepts connections for the moment in which its threads end.
const NO_DAEMON: i32 = 4;

/// Waits for a file of the workspace, as a hook does that needs to be held.
const HELD: &str = "echo before; echo x >> runs; until [ -e go ]; do sleep 0.01; done; echo after";

/// A workspace without a Go module: its hooks are all there is to it.
fn sandbox() -> Sandbox {
    Sandbox::bare()
}

/// `burrow up`; what it says of the tools is none of these tests' business.
fn up(sandbox: &Sandbox) -> Run {
    sandbox.burrow(["up"])
}

fn hook(sandbox: &Sandbox, name: HookName) -> HookStatus {
    find_hook(sandbox, name).unwrap_or_else(|seen| panic!("{name} is listed: {seen}"))
}

fn find_hook(sandbox: &Sandbox, name: HookName) -> Result<HookStatus, String> {
    let run = sandbox.burrow(["hook", "list", "--json"]);
    if run.code() == NO_DAEMON {
        return Err(run.whole());
    }
    let hooks: Vec<HookStatus> = run.parse();
    hooks.into_iter().find(|hook| hook.name == name).ok_or_else(|| run.whole())
}

fn wait_for_state(sandbox: &Sandbox, name: HookName, state: HookState) -> HookStatus {
    eventually(&format!("{name} is {state:?}"), SOON, || {
        let hook = find_hook(sandbox, name)?;
        if hook.state == state { Ok(hook) } else { Err(format!("{hook:?}")) }
    })
}

fn wait_for_file(sandbox: &Sandbox, path: &str) {
    eventually(&format!("{path} is there"), SOON, || sandbox.read(path).map(|_| ()).ok_or("it is not"));
}

/// The folder in which this workspace's runs are kept.
fn runs_folder(sandbox: &Sandbox) -> Utf8PathBuf {
    let workspaces = sandbox.state_dir().join("workspaces");
    let mut folders = workspaces.read_dir_utf8().unwrap();
    folders.next().unwrap().unwrap().path().join("runs")
}

/// A hook that failed stays failed, and holds back what comes after it, until it is retried.
#[test]
fn failed_hook_waits_for_retry() {
    let sandbox = sandbox().hook("postCreate", "test -e repaired").hook("postStart", "echo x >> started");
    up(&sandbox).exits(3);
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(3), @r"
    postCreate  failed  exit code 1
    postStart  blocked  by postCreate
    ");
    sandbox.change("repaired", "");
    up(&sandbox).exits(3);
    assert_eq!(hook(&sandbox, HookName::PostCreate).attempt, 1, "up retries nothing");

    let retry = sandbox.burrow(["hook", "retry", "postCreate"]).exits(0);
    assert_snapshot!(retry, @"postCreate  succeeded  run 2, after exit code 1");
    assert_eq!(sandbox.read("started"), None, "a retry is of that hook alone");
    up(&sandbox);
    assert_eq!(sandbox.read("started").as_deref(), Some("x\n"));
}

/// What failed still holds back in the next daemon.
#[test]
fn failure_outlives_the_daemon() {
    let sandbox = sandbox().hook("postCreate", "false").hook("postStart", "true");
    up(&sandbox).exits(3);
    sandbox.burrow(["restart"]).exits(0);
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(3), @r"
    postCreate  failed  exit code 1
    postStart  blocked  by postCreate
    ");
}

#[test]
fn skipped_hook_lets_the_next_one_run() {
    let sandbox = sandbox().hook("postCreate", json!({"good": "true", "bad": "exit 4"})).hook("postStart", "true");
    up(&sandbox).exits(3);
    assert_snapshot!(sandbox.burrow(["hook", "skip", "postCreate/bad", "--reason", "not here"]).exits(0), @r"
    postCreate  succeeded
      good  succeeded
      bad  skipped  not here, after exit code 4
    ");
    up(&sandbox);
    assert_eq!(hook(&sandbox, HookName::PostStart).state, HookState::Succeeded);
    sandbox.burrow(["hook", "skip", "postCreate/none"]).exits(1).tells("BUR302");
}

/// A failure of one command keeps no other from its end, and all of them run at the same time.
#[test]
fn commands_of_one_hook_run_side_by_side() {
    let meet = |own: &str, other: &str| format!("touch {own}; until [ -e {other} ]; do sleep 0.01; done; echo {own}");
    let sandbox = sandbox().hook(
        "postCreate",
        json!({"one": meet("a", "b"), "two": meet("b", "a"), "three": ["sh", "-c", "exit 3"], "a/b": "echo odd"}),
    );
    let run = sandbox.burrow(["hook", "run", "postCreate"]).exits(3);
    for line in ["[one] a\n", "[two] b\n", "[a/b] odd\n"] {
        assert!(run.stdout().contains(line), "{}", run.whole());
    }
    assert_snapshot!(sandbox.burrow(["hook", "list"]), @r"
    postCreate  failed  exit code 3
      one  succeeded
      two  succeeded
      three  failed  exit code 3
      a/b  succeeded
    ");
}

/// Burrow's own hooks come before the file's, and a failure of one holds back the other.
#[test]
fn own_hooks_come_first() {
    let sandbox = sandbox().hook("onCreate", "echo file >> order").burrow_hook("onCreate", "echo own >> order; exit 1");
    up(&sandbox).exits(3);
    assert_eq!(sandbox.read("order").as_deref(), Some("own\n"));
    sandbox.burrow(["hook", "skip", "onCreate"]).exits(0);
}

/// Under a Dev Containers tool the standard hooks are that tool's, and are never called succeeded.
#[test]
fn what_a_tool_runs_is_left_alone() {
    let sandbox = sandbox()
        .env("REMOTE_CONTAINERS", "true")
        .hook("postCreate", "echo x >> file")
        .burrow_hook("postCreate", "echo x >> own");
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(0), @r"
    postCreate (burrow)  pending
    postCreate  external  a Dev Containers tool runs it
    ");
    up(&sandbox);
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(0), @r"
    postCreate (burrow)  succeeded
    postCreate  external  a Dev Containers tool runs it
    ");
    // Once seen is seen for this container, also by who has none of the tool's environment.
    let sandbox = sandbox.without_env("REMOTE_CONTAINERS");
    sandbox.burrow(["restart"]).exits(0);
    up(&sandbox);
    assert_eq!((sandbox.read("file"), sandbox.read("own").as_deref()), (None, Some("x\n")));
}

/// Markers of a tool that may be another container's are unclear whoever asks: a caller with another home, or none, changes
/// nothing about who runs the standard hooks.
#[test]
fn who_runs_the_hooks_is_no_matter_of_who_asks() {
    let sandbox = sandbox().hook("postCreate", "echo x >> ran");
    let marker = sandbox.workspace().join("../home/.devcontainer/.postCreateCommandMarker");
    sandbox.change("../home/.devcontainer/.postCreateCommandMarker", "");
    // Older than any container.
    std::fs::File::open(&marker).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let unclear = |sandbox: &Sandbox| {
        let told = hook(sandbox, HookName::PostCreate).reason;
        assert_eq!(told.as_deref(), Some("whether a tool ran it is unclear"));
    };
    up(&sandbox);
    unclear(&sandbox);
    for other in [Some("/nobody/here"), None] {
        let mut command = sandbox.burrow_command(["hook", "run", "postCreate"]);
        match other {
            Some(home) => command.env("HOME", home),
            None => command.env_remove("HOME"),
        };
        sandbox.run(command);
        unclear(&sandbox);
    }
    assert_eq!(sandbox.read("ran"), None);
    std::fs::remove_file(marker).unwrap();
    up(&sandbox);
    assert_eq!(sandbox.read("ran").as_deref(), Some("x\n"), "the user has decided");
}

/// What a tool runs is at its end once the tool has begun with the next hook.
#[test]
fn await_waits_for_what_a_tool_runs() {
    let sandbox = sandbox().env("REMOTE_CONTAINERS", "true").hook("postCreate", "true");
    let mark = |hook: &str| sandbox.change(&format!("../home/.devcontainer/.{hook}CommandMarker"), "");
    sandbox.burrow(["hook", "await", "postCreate"]).exits(0);
    for hook in ["onCreate", "updateContent", "postCreate"] {
        mark(hook);
    }
    sandbox.burrow(["hook", "await", "updateContent"]).exits(0);
    sandbox.burrow(["hook", "await", "postCreate", "--timeout", "50ms"]).exits(1);
    let mut waiting = sandbox.spawn(["hook", "await", "postCreate"]);
    let mut all = sandbox.spawn(["hook", "await"]);
    assert!(!waiting.has_ended() && !all.has_ended());
    mark("postStart");
    waiting.finish().exits(0).tells("postCreate  external");
    all.finish().exits(0);
}

/// Whoever looks late gets the past, then what follows, without a gap or a repeat.
#[test]
fn log_is_the_past_and_then_the_present() {
    let script = "for i in 1 2 3 4 5; do echo past $i; done; touch waiting; until [ -e go ]; do sleep 0.01; done; \
                  for i in 1 2 3 4 5; do echo live $i >&2; done; printf end";
    let sandbox = sandbox().hook("postCreate", script);
    let running = sandbox.spawn(["hook", "run", "postCreate"]);
    wait_for_file(&sandbox, "waiting");
    assert_eq!(
        sandbox.burrow(["hook", "log", "postCreate"]).exits(0).stdout(),
        "past 1\npast 2\npast 3\npast 4\npast 5\n"
    );

    let follower = sandbox.spawn(["hook", "log", "postCreate", "-f"]);
    follower.wait_for_stdout("past 5\n");
    sandbox.change("go", "");
    let followed = follower.finish().exits(0);
    assert_eq!(followed.stdout(), "past 1\npast 2\npast 3\npast 4\npast 5\nend\n");
    assert_eq!(followed.stderr(), "live 1\nlive 2\nlive 3\nlive 4\nlive 5\n");
    running.finish().exits(0);
}

/// What was printed lasts, in the order of time over all commands of the hook.
#[test]
fn log_of_several_commands_is_merged_by_time() {
    let after = |file: &str, word: &str, next: &str| {
        format!("until [ -e {file} ]; do sleep 0.01; done; echo {word}; sleep 0.02; touch {next}")
    };
    let sandbox = sandbox().hook(
        "postCreate",
        json!({"one": format!("echo 1; sleep 0.02; touch a; {}", after("b", "3", "c")), "two": after("a", "2", "b"), "silent": "true"}),
    );
    sandbox.burrow(["hook", "run", "postCreate"]).exits(0);
    assert_snapshot!(sandbox.burrow(["hook", "log", "postCreate"]).exits(0), @r"
    [one] 1
    [two] 2
    [one] 3
    ");
    let times = sandbox.burrow(["hook", "log", "postCreate/two", "--times"]).exits(0);
    assert!(times.stdout().starts_with("20") && times.stdout().ends_with("Z 2\n"), "{}", times.whole());
    sandbox.burrow(["hook", "log", "postCreate/silent"]).exits(0).tells("1-postCreate has printed nothing");
    sandbox.burrow(["hook", "log", "postStart"]).exits(1).tells("postStart has not run");
}

/// A daemon that dies takes no hook with it: the hook runs once, to its end, and the next daemon knows how it ended,
/// whether that came before or after the next daemon.
#[test]
fn daemon_killed_in_the_middle_of_a_hook() {
    for released_while_dead in [true, false] {
        let sandbox = sandbox().hook("postCreate", HELD).hook("postStart", "echo x >> started");
        let client = sandbox.spawn(["up"]);
        wait_for_file(&sandbox, "runs");
        // It would start the next daemon, and see the hook through.
        client.terminate();
        client.finish();
        sandbox.kill_daemon();
        if released_while_dead {
            sandbox.change("go", "");
        } else {
            wait_for_state(&sandbox, HookName::PostCreate, HookState::Running);
            sandbox.change("go", "");
        }
        let done = wait_for_state(&sandbox, HookName::PostCreate, HookState::Succeeded);
        assert_eq!((done.attempt, done.exit_code), (1, Some(0)));
        assert_eq!(sandbox.burrow(["hook", "log", "postCreate"]).stdout(), "before\nafter\n");
        up(&sandbox);
        assert_eq!(sandbox.read("runs").as_deref(), Some("x\n"), "it ran once");
        assert_eq!(sandbox.read("started").as_deref(), Some("x\n"), "the next up finishes the work");
    }
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// A command line that is recorded keeps its streams, its folder, its environment and its exit code.
#[test]
fn exec_records_any_command() {
    let sandbox = Sandbox::new().write("sub/here", "");
    let mut command = sandbox.burrow_command(["hook", "exec", "postCreate/deps", "--", "sh", "-c"]);
    command.arg("ls; echo $WORD >&2; exit 7").current_dir(sandbox.workspace().join("sub")).env("WORD", "hello");
    let run = sandbox.run(command).exits(7);
    assert_eq!(run.stdout(), "here\n");
    assert!(run.stderr().starts_with("hello\n"), "{}", run.whole());
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(3), @r"
    postCreate (exec)  failed  exit code 7
      deps  failed  exit code 7
    ");
    sandbox.burrow(["hook", "exec", "postCreate/deps", "--", "true"]).exits(0);
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(0), @r"
    postCreate (exec)  succeeded  run 2, after exit code 7
      deps  succeeded  after exit code 7
    ");
}

/// Ctrl-C, and the TERM of whoever runs it, which does not reach the command by itself.
#[test]
fn interrupted_exec_ends_its_command() {
    for end in [Background::interrupt, Background::terminate] {
        let sandbox = sandbox();
        let script = "trap 'echo ending; exit 9' TERM; touch running; while :; do sleep 0.01; done";
        let client = sandbox.spawn(["hook", "exec", "postCreate", "--", "sh", "-c", script]);
        wait_for_file(&sandbox, "running");
        end(&client);
        client.finish().exits(130).says("ending");
        assert_eq!(hook(&sandbox, HookName::PostCreate).state, HookState::Cancelled);
    }
}

/// Ctrl-C leaves a hook that is configured to itself, and says so; only what `exec` runs ends with it.
#[test]
fn interrupted_follower_says_that_the_hook_goes_on() {
    for command in [&["up"][..], &["hook", "run", "postCreate"], &["hook", "retry", "postCreate"]] {
        let sandbox =
            sandbox().hook("postCreate", "test -e repaired && touch running && until [ -e go ]; do sleep 0.01; done");
        if command.contains(&"retry") {
            up(&sandbox).exits(3);
        }
        sandbox.change("repaired", "");
        let client = sandbox.spawn(command.iter().copied());
        wait_for_file(&sandbox, "running");
        client.interrupt();
        client.finish().exits(130).tells("postCreate goes on: `burrow hook cancel postCreate` ends it");
        assert_eq!(hook(&sandbox, HookName::PostCreate).state, HookState::Running, "{command:?}");
        sandbox.change("go", "");
        wait_for_state(&sandbox, HookName::PostCreate, HookState::Succeeded);
    }
}

/// A script can wait for a hook that nobody has started yet.
#[test]
fn await_waits_for_a_hook_that_is_to_come() {
    let sandbox = sandbox().hook("postCreate", HELD);
    sandbox.burrow(["hook", "await", "postCreate", "--timeout", "50ms"]).exits(1);
    let waiting = sandbox.spawn(["hook", "await", "postCreate"]);
    let running = sandbox.spawn(["hook", "run", "postCreate"]);
    wait_for_file(&sandbox, "runs");
    sandbox.change("go", "");
    waiting.finish().exits(0).tells("postCreate  succeeded");
    running.finish().exits(0);
}

/// Two who ask for the same get the same run.
#[test]
fn asked_twice_runs_once() {
    let sandbox = sandbox().hook("postCreate", HELD);
    let one = sandbox.spawn(["hook", "run", "postCreate"]);
    wait_for_file(&sandbox, "runs");
    let other = sandbox.spawn(["hook", "run", "postCreate"]);
    other.wait_for_stdout("before\n");
    sandbox.burrow(["hook", "run", "postCreate", "--again"]).exits(1).tells("BUR303");
    sandbox.change("go", "");
    for client in [one, other] {
        assert_eq!(client.finish().exits(0).stdout(), "before\nafter\n");
    }
    assert_eq!(sandbox.read("runs").as_deref(), Some("x\n"));
}

/// The caller's environment reaches the hook, `remoteEnv` changes it, and no value of it is on disk.
#[test]
fn environment_stays_in_memory() {
    let sandbox = sandbox()
        .env("TOKEN", "correct-horse-battery")
        .env("OLD", "x")
        .setting("secrets", json!(["TOKEN"]))
        .property("remoteEnv", json!({"NEW": "${containerEnv:TOKEN}!", "OLD": null}))
        .hook("postCreate", "echo $TOKEN $NEW ${OLD-unset} ${containerWorkspaceFolderBasename}");
    let run = sandbox.burrow(["hook", "run", "postCreate"]).exits(0);
    assert!(!run.stdout().contains("correct-horse"), "{}", run.whole());
    assert!(run.stdout().ends_with(" unset workspace\n"), "{}", run.whole());
    sandbox.burrow(["hook", "exec", "postStart", "--", "echo", "correct-horse-battery"]).exits(0);

    let mut search = sandbox.command("grep");
    search.args(["-r", "correct-horse", sandbox.state_dir().as_str()]);
    let found = sandbox.run(search);
    assert_eq!(found.code(), 1, "found on disk: {}", found.whole());
}

/// What cannot be written down does not start.
#[test]
fn unrecorded_run_does_not_start() {
    let sandbox = sandbox().hook("postCreate", "echo x >> file");
    sandbox.burrow(["hook", "list"]).exits(0);
    let folder = runs_folder(&sandbox);
    let mut block = sandbox.command("touch");
    block.arg(&folder);
    sandbox.run(block).exits(0);

    sandbox.burrow(["hook", "run", "postCreate"]).exits(1).tells("BUR305");
    assert_eq!(sandbox.read("file"), None);
    assert_eq!(hook(&sandbox, HookName::PostCreate).state, HookState::Pending);

    std::fs::remove_file(&folder).unwrap();
    sandbox.burrow(["hook", "run", "postCreate"]).exits(0);
    assert_eq!(sandbox.read("file").as_deref(), Some("x\n"));
}

/// A command that cannot start, and one with a variable that has no name, are told with why.
#[test]
fn command_that_cannot_start() {
    let sandbox = sandbox().hook("postCreate", json!({"gone": ["/no/such/program"], "odd": "echo ${containerEnv:}"}));
    sandbox.burrow(["hook", "run", "postCreate"]).exits(1);
    let commands = hook(&sandbox, HookName::PostCreate).commands;
    let reasons: Vec<_> = commands.iter().filter_map(|command| command.reason.as_deref()).collect();
    assert!(reasons[0].contains("No such file"), "{reasons:?}");
    assert_eq!(reasons[1], "substitute `${containerEnv:}`: it names no environment variable");
    assert!(commands.iter().all(|command| command.state == HookState::Failed), "{commands:?}");
}

/// `--json` prints the protocol's types.
#[test]
fn json_for_scripts() {
    let sandbox = sandbox().hook("postCreate", "echo out; exit 5");
    let run = sandbox.burrow(["hook", "run", "postCreate", "--json"]).exits(5);
    let hooks: Vec<HookStatus> = run.parse();
    assert_eq!((hooks[0].state, hooks[0].exit_code), (HookState::Failed, Some(5)));
    assert!(run.stderr().contains("out\n"), "{}", run.whole());
    let logged: RunSummary = sandbox.burrow(["hook", "log", "postCreate", "--json"]).exits(0).parse();
    assert_eq!((logged.run_id.as_str(), logged.state), ("1-postCreate", HookState::Failed));
}
