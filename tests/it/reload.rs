//! `burrow dev`: programs that are built and started again, through the built binary, with the real go and the real git.
//!
//! Where it does not matter how something is built, a shell script stands for the program, so that a test waits for what
//! it tests and not for a compiler.

mod air;
mod debugging;
mod older_dlv;

use std::time::Duration;

use camino::Utf8PathBuf;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::sandbox::{Background, Sandbox, eventually};
use crate::wire::Peer;

/// How long an end may take to be complete.
const SOON: Duration = Duration::from_secs(30);

/// A Go program that says its version, then waits for TERM.
fn go_program(version: &str) -> String {
    format!(
        "package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n\t\"os/signal\"\n\t\"syscall\"\n)\n\nfunc main() {{\n\
         \tends := make(chan os.Signal, 1)\n\tsignal.Notify(ends, syscall.SIGTERM)\n\
         \tfmt.Println(\"version {version}\", os.Args[1:])\n\tfmt.Println(\"{version} told\", <-ends)\n}}\n"
    )
}

/// A script that says its version, then waits.
fn script(version: &str) -> String {
    format!("#!/bin/sh\necho version {version}\nsleep 600 &\nwait\n")
}

/// A workspace whose program is a script, built by copying it; `more` is added to `[build]`.
fn scripted(more: &str) -> Sandbox {
    let build = "mkdir -p tmp && echo build >> tmp/builds && cp app.sh tmp/main && chmod +x tmp/main";
    let air = format!("[build]\ncmd = \"{build}\"\nbin = \"./tmp/main\"\ninclude_ext = [\"sh\"]\ndelay = 20\n{more}");
    Sandbox::bare().write(".air.toml", &air).write("app.sh", &script("one"))
}

/// How often the script was built.
fn builds(sandbox: &Sandbox) -> usize {
    sandbox.read("tmp/builds").unwrap_or_default().lines().count()
}

/// Ends it as Ctrl-C does, and gives what it printed.
fn ended(dev: Background) -> crate::sandbox::Run {
    dev.interrupt();
    dev.finish().exits(0)
}

/// Soon the daemon has no child and no folder of a reload.
fn assert_nothing_left(sandbox: &Sandbox) {
    let daemon = sandbox.daemon_pid();
    eventually("nothing of the reload is left", SOON, || {
        let mut left: Vec<_> = sandbox.processes().into_iter().filter(|process| Some(process.pid) != daemon).collect();
        let folders = sandbox.state_dir().join("reload").read_dir_utf8().into_iter().flatten().flatten();
        let folders: Vec<_> = folders.map(|entry| entry.path().to_owned()).collect();
        if left.is_empty() && folders.is_empty() {
            return Ok(());
        }
        let processes: Vec<_> = left.drain(..).map(|process| process.to_string()).collect();
        Err(format!("{processes:?} {folders:?}"))
    });
}

/// A save replaces the program; what does not compile does not; Ctrl-C ends it.
#[test]
fn a_save_builds_and_starts_again() {
    let sandbox = Sandbox::new().write("main.go", &go_program("one")).limit(Duration::from_secs(300));
    let dev = sandbox.spawn(["dev", "--", "-v", "it's"]);
    dev.wait_for_stdout("version one [-v it's]");
    sandbox.change("main.go", &go_program("two"));
    dev.wait_for_stdout("version two");
    dev.wait_for_stdout("one told terminated");

    sandbox.change("main.go", "package main\n\nfunc main() { return 1 }\n");
    dev.wait_for_stderr("too many return values");
    dev.wait_for_stderr(". was not built: exit code 1");
    sandbox.change("other.go", "package main\n\nfunc other() { oops }\n");
    dev.wait_for_stderr("other.go changed: building .");
    sandbox.change("main.go", &go_program("three"));
    sandbox.change("other.go", "package main\n");
    dev.wait_for_stdout("version three");

    let run = ended(dev);
    let told: Vec<_> = run.stdout().lines().filter(|line| line.ends_with("told terminated")).collect();
    assert_eq!(told, ["one told terminated", "two told terminated", "three told terminated"], "{}", run.whole());
    let first_failure = run.stderr().find("was not built").expect("told");
    assert!(!run.stderr()[..first_failure].contains("two told"), "the old program goes on: {}", run.whole());
    assert_nothing_left(&sandbox);
    let names = sandbox.workspace().read_dir_utf8().expect("workspace").flatten();
    let mut names: Vec<_> = names.map(|entry| entry.file_name().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["go.mod", "main.go", "other.go"], "nothing is built into the workspace");
}

/// Of several programs, only those whose code changed are started again.
#[test]
fn several_programs_go_on_by_themselves() {
    let sandbox = Sandbox::new()
        .write("cmd/a/main.go", &go_program("a1"))
        .write("cmd/b/main.go", &go_program("b1"))
        .limit(Duration::from_secs(300));
    let dev = sandbox.spawn(["dev", "./cmd/a", "./cmd/b"]);
    dev.wait_for_stdout("[./cmd/a] version a1");
    dev.wait_for_stdout("[./cmd/b] version b1");
    sandbox.change("cmd/a/main.go", &go_program("a2"));
    dev.wait_for_stdout("[./cmd/a] version a2");
    dev.wait_for_stderr("./cmd/b is the same");
    let run = ended(dev);
    assert_eq!(run.stdout().matches("version b1").count(), 1, "{}", run.whole());
    assert_nothing_left(&sandbox);
    sandbox.burrow(["dev"]).exits(1).tells("./cmd/a").tells("./cmd/b");
    sandbox.burrow(["dev", "./cmd/a", "./cmd/b", "--", "-v"]).exits(2);
}

/// What is being built when a file changes is old: its build is ended, and it is never started.
#[test]
fn a_change_during_a_build_cancels_it() {
    let sandbox = scripted("pre_cmd = [\"if grep -q slow app.sh; then touch tmp/slow; sleep 600; fi\"]\n");
    let dev = sandbox.spawn(["dev"]);
    dev.wait_for_stdout("version one");
    sandbox.change("app.sh", &script("slow"));
    eventually("the slow build runs", SOON, || sandbox.read("tmp/slow").ok_or("no"));
    sandbox.change("app.sh", &script("two"));
    dev.wait_for_stdout("version two");
    let run = ended(dev);
    assert!(!run.stdout().contains("slow"), "{}", run.whole());
    assert!(!run.stderr().contains("was not built"), "a cancelled build is no failure: {}", run.whole());
    assert_eq!(builds(&sandbox), 2, "the slow one was not built to its end");
    assert_nothing_left(&sandbox);
}

/// A checkout of 500 files is one change, an editor's way of saving does not matter, and a new folder is seen.
#[test]
fn a_checkout_is_one_reload() {
    let sandbox = scripted("");
    for number in 0..500 {
        sandbox.change(&format!("lib/d{}/f{number}.sh", number % 50), &format!("# {number}\n"));
    }
    git(&sandbox, &["init", "-q", "-b", "one"]);
    commit(&sandbox);
    git(&sandbox, &["checkout", "-q", "-b", "two"]);
    sandbox.change("app.sh", &script("two"));
    for number in 0..500 {
        sandbox.change(&format!("lib/d{}/f{number}.sh", number % 50), &format!("# {number} again\n"));
    }
    commit(&sandbox);
    git(&sandbox, &["checkout", "-q", "one"]);

    let dev = sandbox.spawn(["dev"]);
    dev.wait_for_stdout("version one");
    git(&sandbox, &["checkout", "-q", "two"]);
    dev.wait_for_stdout("version two");
    // An editor's save: a new file is moved over the old one, from a name that does not count.
    sandbox.change("app.sh.tmp", &script("three"));
    let app = sandbox.workspace().join("app.sh");
    #[expect(clippy::disallowed_methods, reason = "a test saves as an editor does")]
    std::fs::rename(sandbox.workspace().join("app.sh.tmp"), &app).expect("rename");
    dev.wait_for_stdout("version three");
    sandbox.change("new/deep/x.sh", "# x\n");
    dev.wait_for_stderr("new/deep/x.sh changed: building");
    let run = ended(dev);
    assert_eq!(run.stdout().matches("version two").count(), 1, "{}", run.whole());
    let (builds, starts) = (builds(&sandbox), run.stderr().matches("runs, process").count());
    assert!(builds <= 4 && starts <= 4, "one for each of four changes: {}", run.whole());
    assert_nothing_left(&sandbox);
}

/// Files that a build writes do not make it go on for ever, whether they are the same each time or not.
#[test]
fn what_a_build_writes_does_not_loop() {
    let same = scripted("pre_cmd = [\"echo '# same' > gen.sh\"]\n");
    let dev = same.spawn(["dev"]);
    dev.wait_for_stdout("version one");
    same.change("app.sh", &script("two"));
    dev.wait_for_stdout("version two");
    same.change("app.sh", &script("three"));
    dev.wait_for_stdout("version three");
    ended(dev);
    assert!(builds(&same) <= 4, "{} builds: one more at most, for the file that is new", builds(&same));

    let other =
        scripted("pre_cmd = [\"date +%s%N > gen.sh; cat /proc/sys/kernel/random/uuid >> gen.sh; sleep 0.3\"]\n");
    let dev = other.spawn(["dev"]);
    dev.wait_for_stderr("gen.sh is written by each build: it does not count any more");
    dev.wait_for_stdout("version one");
    other.change("app.sh", &script("two"));
    dev.wait_for_stdout("version two");
    ended(dev);
    assert_nothing_left(&other);
}

/// What was built last without an error is what is started when the old program has ended, whatever is being built then;
/// what nobody will run any more is removed.
#[test]
fn a_program_that_takes_its_time_is_followed_by_the_last_good_one() {
    let slow = "#!/bin/sh\ntrap 'echo asked; while ! test -e release; do sleep 0.02; done; exit' TERM\n\
                echo version one\nwhile :; do sleep 0.02; done\n";
    let build = "if grep -q broken app.sh; then touch begun; while ! test -e fail; do sleep 0.02; done; exit 1; fi; \
                 cp app.sh $BURROW_OUTPUT && chmod +x $BURROW_OUTPUT";
    let sandbox = Sandbox::new()
        .write("main.go", &go_program("unused"))
        .write("app.sh", slow)
        .setting("reload", json!({ "build": build, "include": ["*.sh"], "delay": "10ms" }));
    let dev = sandbox.spawn(["dev"]);
    dev.wait_for_stdout("version one");
    sandbox.change("app.sh", &script("two"));
    dev.wait_for_stdout("asked");
    sandbox.change("app.sh", &script("broken"));
    eventually("the next build is under way", SOON, || sandbox.read("begun").ok_or("no"));
    sandbox.change("release", "");
    dev.wait_for_stdout("version two");
    sandbox.change("fail", "");
    dev.wait_for_stderr("was not built: exit code 1");
    sandbox.change("app.sh", &script("three"));
    dev.wait_for_stdout("version three");
    eventually("one program is left", SOON, || {
        let programs = programs(&sandbox);
        if programs.len() == 1 { Ok(()) } else { Err(format!("{programs:?}")) }
    });
    let run = ended(dev);
    assert!(!run.stderr().contains("was not started"), "{}", run.whole());
    assert_nothing_left(&sandbox);
}

/// The folders in which the sandbox's reloads keep programs.
fn programs(sandbox: &Sandbox) -> Vec<Utf8PathBuf> {
    let entries = |folder: Utf8PathBuf| folder.read_dir_utf8().into_iter().flatten().flatten();
    let reloads = entries(sandbox.state_dir().join("reload"));
    let inside = reloads.flat_map(|reload| entries(reload.path().to_owned()));
    inside.map(|entry| entry.path().to_owned()).filter(|path| path.as_str().contains("/bin-")).collect()
}

/// Saves that come while something is built count, however many builds in a row each of them ends.
#[test]
fn no_save_is_lost_during_builds() {
    let build = "cp app.sh $BURROW_OUTPUT; echo build >> builds; while test -e hold; do sleep 0.02; done; \
                 chmod +x $BURROW_OUTPUT";
    let sandbox = Sandbox::new()
        .write("main.go", &go_program("unused"))
        .write("app.sh", &script("0"))
        .setting("reload", json!({ "build": build, "include": ["*.sh"], "delay": "10ms" }));
    let begun = || sandbox.read("builds").unwrap_or_default().lines().count();
    let dev = sandbox.spawn(["dev"]);
    dev.wait_for_stdout("version 0");
    sandbox.change("hold", "");
    for save in 1..=4 {
        sandbox.change("app.sh", &script(&save.to_string()));
        eventually("its build begins", SOON, || if begun() > save { Ok(()) } else { Err(begun()) });
    }
    sandbox.change("app.sh", &script("last"));
    // By the time that another program has run, the daemon has heard of the save.
    sandbox.burrow(["status"]);
    std::fs::remove_file(sandbox.workspace().join("hold")).expect("remove");
    dev.wait_for_stdout("version last");
    let run = ended(dev);
    assert!(!run.stderr().contains("does not count"), "{}", run.whole());
    assert_nothing_left(&sandbox);
}

/// The program ends with whoever asked for it, however that goes.
#[test]
fn nothing_outlives_its_command_line() {
    let sandbox = scripted("");
    let dev = sandbox.spawn(["dev"]);
    dev.wait_for_stdout("version one");
    // SIGKILL.
    drop(dev);
    assert_nothing_left(&sandbox);

    let dev = sandbox.spawn(["dev"]);
    dev.wait_for_stdout("version one");
    dev.terminate();
    dev.finish().exits(0);
    assert_nothing_left(&sandbox);

    let dev = sandbox.spawn(["dev"]);
    dev.wait_for_stdout("version one");
    let stopped = sandbox.burrow(["stop"]).exits(0);
    assert!(stopped.took() < Duration::from_secs(15), "{:?}", stopped.took());
    assert_eq!(dev.finish().code(), 4, "there is no daemon any more");
    assert_nothing_left(&sandbox);
    sandbox.burrow(["start"]).exits(0);
}

/// A daemon that is killed takes the program with it, and the next one clears up.
#[test]
fn killed_daemon_leaves_nothing_to_the_next() {
    let sandbox = scripted("");
    let dev = sandbox.spawn(["dev"]);
    dev.wait_for_stdout("version one");
    sandbox.kill_daemon();
    assert_eq!(dev.finish().code(), 4);
    sandbox.burrow(["start"]).exits(0);
    assert_nothing_left(&sandbox);
}

/// TERM is asked first; what does not hear it is killed, with everything that it started, in other sessions too.
#[test]
fn the_whole_tree_is_ended() {
    let stubborn = "#!/bin/sh\ntrap '' TERM\nsetsid sh -c 'trap \"\" TERM; echo deep; sleep 600; sleep 600' &\n\
                    echo stubborn\nwait\nsleep 600\n";
    let sandbox = scripted("kill_delay = \"300ms\"\n").write("app.sh", stubborn);
    let dev = sandbox.spawn(["dev"]);
    dev.wait_for_stdout("stubborn");
    dev.wait_for_stdout("deep");
    sandbox.change("app.sh", &script("two"));
    dev.wait_for_stdout("version two");
    let sleeping = sandbox.processes().into_iter().filter(|process| process.to_string().contains("trap")).count();
    assert_eq!(sleeping, 0, "nothing of the old program is left");
    ended(dev);
    assert_nothing_left(&sandbox);
}

/// A program that ends by itself is told, and started again by the next change. So is one killed by a signal.
#[test]
fn a_program_that_ended_is_started_by_the_next_change() {
    let sandbox = scripted("").write("app.sh", "#!/bin/sh\necho going\nexit 3\n");
    let dev = sandbox.spawn(["dev"]);
    dev.wait_for_stderr("main has ended: exit code 3");
    sandbox.change("app.sh", &script("two"));
    dev.wait_for_stdout("version two");
    let program = sandbox.processes().into_iter().find(|process| process.to_string().contains("tmp/main"));
    let pid = i32::try_from(program.expect("the program").pid).expect("a pid");
    kill_process(Pid::from_raw(pid).expect("a pid"), Signal::KILL).expect("kill");
    dev.wait_for_stderr("main has ended: ");
    ended(dev);
    assert_nothing_left(&sandbox);
}

/// Nothing runs for a window that does not trust the folder.
#[test]
fn untrusted_windows_run_nothing() {
    let sandbox = scripted("");
    sandbox.burrow(["start"]).exits(0);
    let mut window = Peer::open_as(&sandbox.socket(), &[sandbox.workspace()], false).expect("connect");
    let config = sandbox.workspace().join(".air.toml");
    let params = json!({ "workspace": sandbox.workspace(), "programs": [], "config": config, "args": [] });
    let refused = window.request("burrow/reload/start", &params).expect("answer");
    assert!(refused["error"]["message"].as_str().expect("an error").contains("does not trust"), "{refused}");
    assert_eq!(builds(&sandbox), 0);
    let unknown = window.request("burrow/reload/follow", &json!({ "id": "reload-9", "waitMs": 0 })).expect("answer");
    assert_eq!(unknown["error"]["data"]["code"], "BUR602");
    assert_nothing_left(&sandbox);
}

/// The settings of devcontainer.json: an own build command, more files, fewer files.
#[test]
fn settings_of_the_workspace_count() {
    let build = "cp app.sh $BURROW_OUTPUT && chmod +x $BURROW_OUTPUT && basename $BURROW_PACKAGE";
    let settings = json!({ "build": build, "include": ["*.sh"], "exclude": ["ignored.sh"], "delay": "10ms" });
    let sandbox = Sandbox::new()
        .write("main.go", &go_program("unused"))
        .write("app.sh", &script("one"))
        .setting("reload", settings);
    let dev = sandbox.spawn(["dev", "--json"]);
    dev.wait_for_stdout("version one");
    sandbox.change("ignored.sh", "# x\n");
    sandbox.change("app.sh", &script("two"));
    dev.wait_for_stdout("version two");
    let run = ended(dev);
    let events: Vec<serde_json::Value> =
        run.stdout().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert!(events.iter().any(|event| event["output"] == "workspace\n"), "the build's words: {}", run.whole());
    let named: Vec<_> =
        events.iter().filter(|event| event["kind"] == "building").map(|event| &event["changed"]).collect();
    assert_eq!(named, [&json!([]), &json!(["app.sh"])], "{}", run.whole());
    assert_nothing_left(&sandbox);
}

fn git(sandbox: &Sandbox, args: &[&str]) {
    let mut command = sandbox.command("git");
    command.args(["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "gc.auto=0"]).args(args);
    sandbox.run(command).exits(0);
}

fn commit(sandbox: &Sandbox) {
    git(sandbox, &["add", "-A"]);
    git(sandbox, &["commit", "-q", "-m", "x"]);
}
