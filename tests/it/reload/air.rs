//! Projects that have a `.air.toml`.

use std::fs;
use std::time::Duration;

use camino::Utf8PathBuf;

use super::{assert_nothing_left, ended, go_program, script, scripted};
use crate::sandbox::{Sandbox, eventually, tool_cache};

/// The version whose file is read.
const AIR: &str = "github.com/air-verse/air@v1.67.4";

/// Everything of a `.air.toml` that says how to build, run, watch and end is heard; what is not known is told.
#[test]
fn air_toml_is_heard() {
    let program = "#!/bin/sh\ntrap 'echo told INT; exit' INT\ntrap 'echo told TERM; exit' TERM\n\
                   echo \"version one $GREETING $HOME_OF $*\"\nwhile :; do sleep 0.1; done\n";
    let air = r#"
root = "app"
tmp_dir = "out"
env_files = [".env", "none.env"]
colour = "red"
[build]
pre_cmd = ["echo pre >> out.log"]
cmd = "mkdir -p out && cp app.sh out/app && chmod +x out/app"
post_cmd = ["echo post >> out.log"]
entrypoint = ["./out/app", "a b"]
args_bin = ["c"]
include_ext = ["sh"]
include_file = ["conf/app.json"]
exclude_dir = ["skipped"]
exclude_file = ["no*.sh"]
exclude_regex = ["_gen\\.sh$"]
exclude_unchanged = true
delay = 10
kill_delay = "5s"
send_interrupt = true
stop_on_error = true
rerun = true
speed = 1
"#;
    let sandbox = Sandbox::bare()
        .write(".air.toml", air)
        .write("app/.env", "GREETING=hello\nHOME=/nowhere\n")
        .write("app/app.sh", &program.replace("$HOME_OF", "$(test $HOME = /nowhere || echo own-home)"))
        .write("app/conf/app.json", "{}");
    let dev = sandbox.spawn(["dev", "--", "last"]);
    dev.wait_for_stderr("`colour`: there is no such key");
    dev.wait_for_stderr("`build.speed`: there is no such key");
    dev.wait_for_stderr("`build.rerun` is not acted on");
    dev.wait_for_stdout("version one hello own-home a b c last");
    for ignored in ["app/skipped/x.sh", "app/nox.sh", "app/x_gen.sh", "app/out/x.sh", "app/conf/other.json", "x.sh"] {
        sandbox.change(ignored, "x");
    }
    sandbox.change("app/conf/app.json", "{ }");
    dev.wait_for_stderr("app/conf/app.json changed: building app");
    dev.wait_for_stdout("told INT");
    sandbox.change("app/app.sh", "");
    // The build still succeeds; the program is an empty script, and ends.
    dev.wait_for_stderr("app has ended: exit code 0");
    let run = ended(dev);
    for ignored in ["skipped", "nox", "x_gen", "out/x", "other.json"] {
        assert!(!run.stderr().contains(ignored), "{ignored}: {}", run.whole());
    }
    assert!(!run.stdout().contains("told TERM"), "{}", run.whole());
    let log = sandbox.read("app/out.log").expect("the commands' log");
    assert_eq!(log, "pre\npre\npre\npost\n");
    assert_nothing_left(&sandbox);
}

/// With `stop_on_error` a build that fails ends the old program; a file that is no TOML is told with its place.
#[test]
fn a_failed_build_may_end_the_program() {
    let sandbox = scripted("stop_on_error = true\npre_cmd = [\"! grep -q broken app.sh\"]\n");
    let dev = sandbox.spawn(["dev"]);
    dev.wait_for_stdout("version one");
    let program = || sandbox.processes().into_iter().find(|process| process.to_string().contains("tmp/main"));
    assert!(program().is_some());
    sandbox.change("app.sh", "# broken\n");
    dev.wait_for_stderr("main was not built: exit code 1");
    eventually("the program is ended", super::SOON, || program().map_or(Ok(()), |left| Err(left.to_string())));
    sandbox.change("app.sh", &script("two"));
    dev.wait_for_stdout("version two");
    ended(dev);

    sandbox.change(".air.toml", "[build]\ncmd = \"x\n");
    sandbox.burrow(["dev"]).exits(1).tells("BUR601").tells(".air.toml: 2:");
    sandbox.burrow(["dev", "--config", "none.toml"]).exits(1).tells("BUR601").tells("none.toml");
}

/// A tree that is polled is served all the same.
#[test]
fn polling_finds_a_save() {
    let sandbox = scripted("poll = true\n");
    let dev = sandbox.spawn(["dev"]);
    dev.wait_for_stderr("by polling");
    dev.wait_for_stdout("version one");
    sandbox.change("app.sh", &script("two"));
    dev.wait_for_stdout("version two");
    ended(dev);
    assert_nothing_left(&sandbox);
}

/// What the real Air writes as its default file is accepted without a word, and does what it says.
#[test]
fn the_file_that_air_writes_is_accepted() {
    let sandbox = Sandbox::new().write("main.go", &go_program("one")).limit(Duration::from_secs(600));
    let air = air(&sandbox);
    let mut init = sandbox.command(&air);
    init.arg("init");
    sandbox.run(init).exits(0);
    let dev = sandbox.spawn(["dev"]);
    dev.wait_for_stdout("version one");
    sandbox.change("main.go", &go_program("two"));
    dev.wait_for_stdout("version two");
    let run = ended(dev);
    assert!(!run.stderr().contains("settings:"), "{}", run.whole());
    assert!(sandbox.workspace().join("tmp/main").exists(), "it is built where that file says");
    assert_nothing_left(&sandbox);
}

/// The real Air, built once a machine.
fn air(sandbox: &Sandbox) -> Utf8PathBuf {
    let folder = tool_cache().join(AIR.replace(['/', '@'], "-"));
    let binary = folder.join("air");
    fs::create_dir_all(&folder).expect("folder");
    // Test processes that run at one time build it once; the lock falls with its file.
    let file = folder.join("lock");
    let lock = fs::OpenOptions::new().create(true).truncate(false).write(true).open(file).expect("lock file");
    lock.lock().expect("lock");
    if !binary.exists() {
        let mut install = sandbox.command("go");
        install.args(["install", AIR]).env("GOBIN", &folder).env("GOFLAGS", "-mod=mod");
        match std::env::var("GOPROXY") {
            Ok(proxy) => install.env("GOPROXY", proxy),
            Err(_) => install.env_remove("GOPROXY"),
        };
        sandbox.run(install).exits(0);
    }
    binary
}
