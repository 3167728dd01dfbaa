//! Burrow in a real container: the real Docker engine, the real Dev Containers CLI, our own Feature.

pub(crate) mod devcontainer;
pub(crate) mod engine;
mod entrypoint;
mod feature;
mod image;
mod install;
mod plain;
mod starts;
mod surroundings;

use devcontainer::DevContainer;
use plain::PlainContainer;

use crate::sandbox::Sandbox;

/// The reference stops at the first hook that fails, and marks it as done all the same. Burrow's own hooks stop nobody.
#[test]
fn a_failing_hook_of_burrow_is_kept_and_stops_nobody_elses() {
    let sandbox = Sandbox::new()
        .with_tools()
        .burrow_hook("postCreate", "echo no database >&2; exit 7")
        .burrow_hook("postStart", "echo started >> burrow-started")
        .hook("onCreate", "echo x >> created")
        .hook("postCreate", "echo x >> post-created")
        .hook("postStart", "echo x >> started");
    let mut container = DevContainer::new(sandbox);
    container.up().exits(0);
    for file in ["created", "post-created", "started"] {
        assert_eq!(container.sandbox().read(file).as_deref(), Some("x\n"), "{file}: the tool ran it, and once");
    }
    assert_eq!(container.state("postCreate", "burrow"), "failed");
    assert_eq!(container.state("postStart", "burrow"), "blocked");
    assert_eq!(container.sandbox().read("burrow-started"), None);
    for hook in ["onCreate", "postCreate", "postStart"] {
        assert_eq!(container.state(hook, "devcontainer"), "external", "nobody but the tool knows how {hook} ended");
    }

    let status = container.exec(["burrow", "status", "--json"]).json();
    assert_eq!(status["workspaces"][0]["state"], "attention", "{status:#}");
    container.exec(["burrow", "hook", "run", "postCreate", "--again"]).exits(7).tells("no database");
    container.exec(["burrow", "up"]).exits(3);
    for file in ["created", "post-created", "started"] {
        assert_eq!(container.sandbox().read(file).as_deref(), Some("x\n"), "{file}: Burrow doubles nothing");
    }

    container.exec(["burrow", "hook", "skip", "postCreate"]).exits(0);
    container.exec(["burrow", "hook", "run", "postStart"]).exits(0);
    assert_eq!(container.sandbox().read("burrow-started").as_deref(), Some("started\n"));
}

#[test]
fn what_a_tool_runs_can_be_recorded_by_prefixing_it() {
    let sandbox = Sandbox::new()
        .hook("postCreate", "burrow hook exec postCreate -- sh -c 'echo mine; exit 5'")
        .hook("postAttach", "echo x >> attached")
        .burrow_hook("postAttach", "echo x >> burrow-attached");
    let mut container = DevContainer::new(sandbox);
    let up = container.up();
    assert!(up.stderr().contains("exit code 5"), "the tool sees the command's own code: {}", up.whole());
    assert_eq!(container.state("postCreate", "exec"), "failed");
    container.exec(["burrow", "hook", "log", "postCreate"]).exits(0).says("mine");
    container.exec(["burrow", "hook", "retry"]).exits(1).tells("call `burrow hook exec postCreate -- ...` again");
}

/// `docker exec` without a user is root: it joins the remote user's daemon.
#[test]
fn root_and_the_remote_user_speak_to_one_daemon() {
    let mut container = DevContainer::new(Sandbox::new().with_tools());
    container.up().exits(0);
    let pid = |run: crate::sandbox::Run| run.json()["pid"].as_u64().unwrap();
    let theirs = pid(container.exec(["burrow", "status", "--json"]));
    let roots = pid(container.exec_as("root", ["burrow", "status", "--json"]));
    assert_eq!(theirs, roots);
    // Where nothing says whose daemon the container has, root has its own, and is told what that means.
    container.exec_as("root", ["mv", "/etc/burrow/feature.json", "/tmp"]).exits(0);
    container.exec_as("root", ["burrow", "hook", "exec", "postStart", "--", "true"]).exits(0);
    container.exec_as("root", ["burrow", "status"]).says("hooks run as root, and devcontainer.json says vscode");
    let owner = container.exec(["stat", "-c", "%U %a", "/var/lib/burrow/1000"]).stdout().trim().to_owned();
    assert_eq!(owner, "vscode 700");
    for tool in ["gopls", "dlv", "goimports"] {
        let found = container.exec(["sh", "-c", &format!("command -v {tool}")]).exits(0).stdout().trim().to_owned();
        assert_eq!(found, format!("/usr/local/share/burrow/tools/{tool}"), "editors are given this very path");
    }
    container.exec(["gopls", "version"]).exits(0).says("golang.org/x/tools/gopls");
}

/// The reference's own table: create runs all, a start again runs postStart, an attach alone runs nothing else.
#[test]
fn hooks_of_burrow_run_when_the_reference_runs_its_own() {
    let count =
        |container: &DevContainer, file: &str| container.sandbox().read(file).map_or(0, |text| text.lines().count());
    let hooks = ["onCreate", "updateContent", "postCreate", "postStart", "postAttach"];
    let sandbox = hooks.iter().fold(Sandbox::new().with_tools(), |sandbox, hook| {
        sandbox.hook(hook, format!("echo x >> {hook}")).burrow_hook(hook, format!("echo x >> burrow-{hook}"))
    });
    let mut container = DevContainer::new(sandbox);
    let counts = |container: &DevContainer| {
        hooks.map(|hook| (count(container, hook), count(container, &format!("burrow-{hook}"))))
    };
    container.up().exits(0);
    assert_eq!(counts(&container), [(1, 1); 5], "a new container");
    container.up().exits(0);
    assert_eq!(counts(&container), [(1, 1), (1, 1), (1, 1), (1, 1), (2, 2)], "an attach to one that runs");
    container.restart();
    container.up().exits(0);
    assert_eq!(counts(&container), [(1, 1), (1, 1), (1, 1), (2, 2), (3, 3)], "a new start");
}

/// A tool leaves a mark in the home directory before each hook. A home on a volume outlives the container that it was made
/// in, so what counts is which of the two is older.
#[test]
fn marks_of_a_tool_are_held_against_the_containers_age() {
    let cases = [
        (None, "succeeded", Some("x\n"), "no tool was here: Burrow runs the hooks"),
        (Some("now"), "external", None, "a tool runs them"),
        (Some("2001-01-01"), "external", None, "another container's mark: nobody can tell, so they are left alone"),
    ];
    for (mark, expected, ran, why) in cases {
        let container = PlainContainer::start(Sandbox::bare().hook("postCreate", "echo x >> ran"));
        if let Some(date) = mark {
            let line = format!("mkdir ~/.devcontainer && touch -d {date} ~/.devcontainer/.postCreateCommandMarker");
            container.exec(["sh", "-c", &line]).exits(0);
        }
        container.exec(["burrow", "up"]);
        let hooks = container.exec(["burrow", "hook", "list", "--json"]).json();
        assert_eq!(hooks[0]["state"], expected, "{why}: {hooks:#}");
        assert_eq!(container.sandbox().read("ran").as_deref(), ran, "{why}");
        let told = container.exec(["burrow", "status"]).stdout().contains("is unclear");
        assert_eq!(told, mark == Some("2001-01-01"), "{why}");
    }
}
