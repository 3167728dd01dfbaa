//! Named commands: their order, what a failure holds back, retries, timeouts, and what is wrong in the file.

use burrow_protocol::hooks::{HookName, HookState, RunSummary};
use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{SOON, hook, sandbox, up, wait_for_file, wait_for_state};
use crate::sandbox::{BURROW, Sandbox, eventually};

/// A sandbox with a postCreate of Burrow's own that has these commands.
fn with_commands(commands: &Value) -> Sandbox {
    sandbox().burrow_hook("postCreate", json!({ "commands": commands }))
}

#[test]
fn commands_run_in_the_order_of_their_needs() {
    let sandbox = with_commands(&json!({
        "last": {"run": "cat a b > last", "needs": ["a", "b"]},
        "a": {"run": ["sh", "-c", "cat ../first > ../a"], "needs": ["first"], "cwd": "sub"},
        "b": {"run": "echo $WORD > b", "needs": ["first"], "env": {"WORD": "${containerEnv:OTHER}!"}},
        "first": {"run": "echo first > first"}
    }));
    let sandbox = sandbox.env("OTHER", "word").write("sub/here", "");
    sandbox.burrow(["hook", "run", "postCreate"]).exits(0);
    assert_eq!(sandbox.read("last").as_deref(), Some("first\nword!\n"));
}

/// A terminal shows each line with its command's name, in a colour of its own. Nothing else gets colours.
#[test]
fn terminal_shows_names_in_colour() {
    let sandbox =
        with_commands(&json!({"one": {"run": "echo first"}, "two": {"run": "echo second", "needs": ["one"]}}));
    let run = format!("{BURROW} hook run --again postCreate");
    let colored = sandbox.run_program("script", ["-qec", &run, "/dev/null"]).exits(0);
    for line in ["\u{1b}[36m[one] \u{1b}[0mfirst", "\u{1b}[35m[two] \u{1b}[0msecond"] {
        assert!(colored.stdout().contains(line), "{line:?} in {:?}", colored.stdout());
    }
    let unwanted = sandbox.run_program("script", ["-qec", &format!("NO_COLOR=1 {run}"), "/dev/null"]).exits(0);
    let piped = sandbox.burrow(["hook", "run", "--again", "postCreate"]).exits(0);
    for run in [unwanted, piped] {
        let shown = run.whole();
        assert!(shown.contains("[one] first") && shown.contains("[two] second"), "{shown:?}");
        assert!(!shown.contains("\u{1b}[3"), "{shown:?}");
    }
}

/// A failure holds back what needs it, and later hooks; the rest of its hook runs to its end. A retry brings all of it.
#[test]
fn failure_blocks_what_needs_it() {
    let sandbox = with_commands(&json!({
        "deps": {"run": "test -e mended"},
        "seed": {"run": "echo x >> seeded", "needs": ["deps"]},
        "free": {"run": "true"}
    }));
    let sandbox = sandbox.hook("postStart", "true");
    up(&sandbox).exits(3);
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(3), @r"
    postCreate (burrow)  failed  exit code 1
      deps  failed  exit code 1
      seed  blocked  by postCreate/deps
      free  succeeded
    postStart  blocked  by postCreate/deps
    ");
    // Not run, and no output, are two things.
    sandbox.burrow(["hook", "log", "postCreate/seed"]).exits(1).tells("postCreate/seed has not run: blocked by");
    sandbox.burrow(["hook", "log", "postCreate/free"]).exits(0).tells("1-postCreate has printed nothing");
    sandbox.burrow(["hook", "log", "postCreate"]).exits(0).tells("[seed] has not run: blocked by postCreate/deps");

    sandbox.burrow(["restart"]).exits(0);
    assert_eq!(hook(&sandbox, HookName::PostCreate).commands[1].state, HookState::Blocked, "also in the next daemon");
    sandbox.change("mended", "");
    sandbox.burrow(["hook", "retry", "postCreate"]).exits(0);
    assert_eq!(sandbox.read("seeded").as_deref(), Some("x\n"));
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(0), @r"
    postCreate (burrow)  succeeded  run 2, after exit code 1
      deps  succeeded  after exit code 1
      seed  succeeded
      free  succeeded
    postStart  pending
    ");
}

/// Two run at a time, and never three.
#[test]
fn no_more_run_at_once_than_jobs() {
    let script =
        "touch on.$$; ls on.* | wc -l >> counts; until [ $(wc -l < counts) -ge 2 ]; do sleep 0.01; done; rm on.$$";
    let four: serde_json::Map<_, _> = (0..4).map(|number| (format!("c{number}"), json!({"run": script}))).collect();
    let sandbox = sandbox().burrow_hook("postCreate", json!({"commands": four, "jobs": 2}));
    sandbox.burrow(["hook", "run", "postCreate"]).exits(0);
    let counts: Vec<u32> = sandbox.read("counts").unwrap().lines().map(|line| line.trim().parse().unwrap()).collect();
    assert_eq!(counts.len(), 4);
    assert!(counts.iter().all(|count| *count <= 2) && counts.contains(&2), "{counts:?}");
}

/// What waits for its turn has a shim already. It ends with the daemon, and has begun nothing.
#[test]
fn a_shim_ahead_of_its_turn_ends_with_the_daemon() {
    let waits = "echo x >> first; until [ -e go ]; do sleep 0.01; done";
    let commands = json!({"first": {"run": waits}, "second": {"run": "echo x >> second"}});
    let sandbox = sandbox().burrow_hook("postCreate", json!({"commands": commands, "jobs": 1}));
    let client = sandbox.spawn(["hook", "run", "postCreate"]);
    wait_for_file(&sandbox, "first");
    let shims = |count: usize| {
        eventually("the shims", SOON, || {
            let shims =
                sandbox.processes().iter().filter(|process| process.command.starts_with("burrow shim ")).count();
            if shims == count { Ok(()) } else { Err(shims) }
        });
    };
    shims(2);
    client.terminate();
    client.finish();
    sandbox.kill_daemon();
    shims(1);
    sandbox.burrow(["start"]).exits(0);
    sandbox.change("go", "");
    wait_for_state(&sandbox, HookName::PostCreate, HookState::Pending);
    assert_eq!(sandbox.read("second"), None, "what never began is due again, and not run by itself");
    sandbox.burrow(["hook", "run", "postCreate"]).exits(0);
    assert_eq!((sandbox.read("first").as_deref(), sandbox.read("second").as_deref()), (Some("x\n"), Some("x\n")));
}

#[test]
fn optional_failure_holds_nothing_back_and_is_shown() {
    let sandbox = with_commands(&json!({
        "lint": {"run": "exit 5", "optional": true},
        "after": {"run": "true", "needs": ["lint"]}
    }));
    let sandbox = sandbox.hook("postStart", "echo x >> started");
    sandbox.burrow(["hook", "run", "postCreate"]).exits(0);
    up(&sandbox);
    assert_eq!(sandbox.read("started").as_deref(), Some("x\n"));
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(0), @r"
    postCreate (burrow)  succeeded
      lint  failed  exit code 5, optional
      after  succeeded
    postStart  succeeded
    ");
}

#[test]
fn timeout_ends_a_command_with_all_that_it_started() {
    let script = "setsid sh -c 'touch child; sleep 300' & echo started; wait";
    let sandbox = with_commands(&json!({"slow": {"run": script, "timeout": "500ms"}}));
    sandbox.burrow(["hook", "run", "postCreate"]).exits(124).says("started");
    let commands = hook(&sandbox, HookName::PostCreate).commands;
    assert_eq!((commands[0].state, commands[0].reason.as_deref()), (HookState::TimedOut, Some("its time was over")));
    let left: Vec<_> = sandbox.processes().iter().map(ToString::to_string).collect();
    assert!(!left.iter().any(|process| process.contains("sleep 300")), "{left:?}");
}

/// Each start is a start of its own, with its output; all of them are on record.
#[test]
fn failed_command_is_tried_again() {
    let script = "echo x >> tries; echo try $(wc -l < tries); test $(wc -l < tries) -ge 3";
    let sandbox = with_commands(&json!({"flaky": {"run": script, "retries": 4}}));
    let run = sandbox.burrow(["hook", "run", "postCreate"]).exits(0);
    assert_eq!(run.stdout(), "try 1\ntry 2\ntry 3\n");
    run.tells("started again, for the 3rd time");
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(0), @r"
    postCreate (burrow)  succeeded  run 3, after exit code 1
      flaky  succeeded  after exit code 1
    ");
    assert_eq!(sandbox.burrow(["hook", "log", "postCreate"]).exits(0).stdout(), "try 1\ntry 2\ntry 3\n");
    sandbox.burrow(["restart"]).exits(0);
    let logged: RunSummary = sandbox.burrow(["hook", "log", "postCreate", "--json"]).exits(0).parse();
    assert_eq!(logged.standings[0].attempts, ["exit code 1"; 2]);
}

/// A daemon that dies between two tries leaves a failure behind, and says what it did not do: the environment that a try
/// needs went with it.
#[test]
fn daemon_killed_between_two_tries() {
    let sandbox = with_commands(&json!({"flaky": {"run": "echo x >> tries; exit 9", "retries": 30}}));
    let client = sandbox.spawn(["hook", "run", "postCreate"]);
    // The pauses grow: after the third try there is time.
    let reason = || hook(&sandbox, HookName::PostCreate).commands[0].reason.clone().unwrap_or_default();
    eventually("a pause of four seconds", SOON, || match reason() {
        told if told == "starts again in 4 s, after exit code 9" => Ok(()),
        told => Err(told),
    });
    client.terminate();
    client.finish();
    sandbox.kill_daemon();
    let failed = wait_for_state(&sandbox, HookName::PostCreate, HookState::Failed);
    assert_eq!((failed.attempt, sandbox.read("tries").as_deref()), (3, Some("x\nx\nx\n")));
    assert_eq!(failed.commands[0].reason.as_deref(), Some("exit code 9, 28 retries were not made"));
}

/// A try in flight when the daemon dies is followed by the next one, which tries again in the same environment.
#[test]
fn daemon_killed_during_a_try() {
    let script = "echo $WORD >> tries; until [ -e go ]; do sleep 0.01; done; test $(wc -l < tries) -ge 2";
    let sandbox = with_commands(&json!({"flaky": {"run": script, "retries": 1}}));
    let mut command = sandbox.burrow_command(["hook", "run", "postCreate"]);
    command.env("WORD", "of-the-caller");
    let client = sandbox.start(command);
    wait_for_file(&sandbox, "tries");
    client.terminate();
    client.finish();
    sandbox.kill_daemon();
    wait_for_state(&sandbox, HookName::PostCreate, HookState::Running);
    sandbox.change("go", "");
    wait_for_state(&sandbox, HookName::PostCreate, HookState::Succeeded);
    assert_eq!(sandbox.read("tries").as_deref(), Some("of-the-caller\nof-the-caller\n"));
}

/// Whoever cancels a hook ends what runs of it and what was to come.
#[test]
fn cancelled_hook_is_cancelled_as_a_whole() {
    let sandbox = with_commands(&json!({
        "long": {"run": "touch running; while :; do sleep 0.01; done", "retries": 3},
        "after": {"run": "touch after", "needs": ["long"]}
    }));
    let client = sandbox.spawn(["hook", "run", "postCreate"]);
    wait_for_file(&sandbox, "running");
    sandbox.burrow(["hook", "cancel", "postCreate"]).exits(0);
    client.finish().exits(130);
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(3), @r"
    postCreate (burrow)  cancelled  cancelled
      long  cancelled  cancelled
      after  cancelled  cancelled, before it began
    ");
    assert_eq!(sandbox.read("after"), None);
    sandbox.burrow(["hook", "cancel", "postCreate"]).exits(1).tells("nothing of it runs or waits");
}

/// A mistake is told with its place, and the hook is refused instead of run by half.
#[test]
fn mistake_in_a_command_is_told_with_its_place() {
    let text = r#"{
  "postStartCommand": "echo x >> started",
  "customizations": {"burrow": {"hooks": {"postCreate": {"commands": {
    "a": {"run": "true", "needs": ["b"]},
    "b": {"run": "true", "needs": ["a"]},
    "c": {"run": "touch c"}
  }}}}}
}"#;
    let sandbox = sandbox().write(".devcontainer/devcontainer.json", text);
    let told = "devcontainer.json:4:35: `customizations.burrow.hooks.postCreate.commands.a.needs`: \
                these commands wait for each other: a -> b -> a";
    up(&sandbox).exits(3).tells(told);
    sandbox.burrow(["hook", "run", "postCreate"]).exits(1).tells(told).tells("BUR203");
    assert_eq!((sandbox.read("c"), sandbox.read("started")), (None, None));
    let sandbox = sandbox.write(".devcontainer/devcontainer.json", "{\"postCreateCommand\": }");
    sandbox.burrow(["hook", "run", "postCreate"]).exits(1).tells("devcontainer.json:1:2").tells("BUR202");
}

/// A retry without what the failed run had says what it lacks; values are nowhere on disk.
#[test]
fn retry_says_what_it_lacks() {
    let sandbox = sandbox().hook("postCreate", "test \"$GIT_ASKPASS\" = never");
    let mut command = sandbox.burrow_command(["hook", "run", "postCreate"]);
    command.env("GIT_ASKPASS", "correct-horse-battery");
    sandbox.run(command).exits(1);
    sandbox.burrow(["restart"]).exits(0);
    let lacks = "the run that failed had GIT_ASKPASS in its environment, and this call has not";
    sandbox.burrow(["hook", "retry", "postCreate"]).exits(3).tells(lacks);
    let reason = hook(&sandbox, HookName::PostCreate).reason.unwrap();
    assert_eq!(reason, "exit code 1, after exit code 1, without GIT_ASKPASS");
    let mut search = sandbox.command("grep");
    search.args(["-r", "correct-horse", sandbox.state_dir().as_str()]);
    assert_eq!(sandbox.run(search).code(), 1, "no value is kept");
}

/// What `await` answers: 0 well, 1 not in time, 3 somebody has to look.
#[test]
fn await_tells_by_its_exit_code() {
    let sandbox = sandbox().hook("onCreate", "true").hook("postCreate", "exit 1").hook("postStart", "true");
    sandbox.burrow(["hook", "await", "onCreate", "--timeout", "10ms"]).exits(1);
    up(&sandbox).exits(3);
    sandbox.burrow(["hook", "await", "onCreate"]).exits(0);
    sandbox.burrow(["hook", "await", "postCreate"]).exits(3);
    sandbox.burrow(["hook", "await", "postStart"]).exits(3).tells("postStart  blocked  by postCreate");
    sandbox.burrow(["hook", "await", "postStart", "--timeout", "soon"]).exits(2);
    // What cannot be read never ran: nobody who waits for it may go on.
    sandbox.change(".devcontainer/devcontainer.json", "{ broken");
    sandbox.burrow(["hook", "await", "onCreate"]).exits(1).tells("[BUR202");
}

/// A hook that cannot be understood has not been done: it holds back what comes after it until its mistake is mended.
#[test]
fn misunderstood_hook_holds_back_the_rest() {
    let circle = json!({"commands": {"a": {"run": "true", "needs": ["b"]}, "b": {"run": "true", "needs": ["a"]}}});
    let sandbox = sandbox().burrow_hook("postCreate", circle).hook("postStart", "echo x >> started");
    up(&sandbox).exits(3);
    assert_eq!(sandbox.read("started"), None);
    assert_snapshot!(sandbox.burrow(["hook", "list"]).exits(3), @"postStart  blocked  by postCreate");
    let sandbox = sandbox.burrow_hook("postCreate", "true");
    up(&sandbox);
    assert_eq!(sandbox.read("started").as_deref(), Some("x\n"));
}

/// Whoever cancels is heard while the user's shell is still asked for its environment: nothing begins.
#[test]
fn cancel_is_heard_before_the_start() {
    let sandbox = sandbox().property("userEnvProbe", "loginShell").env("SHELL", "/bin/sh");
    sandbox.change("../home/.profile", "echo x >> $HOME/asked; until [ -e $HOME/go ]; do sleep 0.01; done\n");
    let sandbox = sandbox.hook("postCreate", "echo x >> runs");
    let running = sandbox.spawn(["hook", "run", "postCreate"]);
    wait_for_file(&sandbox, "../home/asked");
    sandbox.burrow(["hook", "cancel", "postCreate"]).exits(0);
    running.finish();
    let cancelled = hook(&sandbox, HookName::PostCreate);
    assert_eq!(
        (cancelled.state, cancelled.reason.as_deref()),
        (HookState::Cancelled, Some("cancelled, before it began"))
    );
    assert_eq!(sandbox.read("runs"), None);
}
