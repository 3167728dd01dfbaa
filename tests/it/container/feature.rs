//! The Features in a dev container: who starts the daemon and when, whose things are whose.

use std::time::Duration;

use serde_json::Value;

use super::devcontainer::DevContainer;
use super::engine::docker_prints;
use crate::sandbox::{Sandbox, eventually};

const SOON: Duration = Duration::from_secs(60);
/// An account of the machine that the image does not know.
const OTHER_UID: u32 = 4321;

/// The status, from a daemon that nobody but the container itself has started.
fn status(container: &DevContainer) -> Value {
    eventually("the daemon is there", SOON, || {
        let run = container.exec(["burrow", "status", "--json"]);
        if matches!(run.code(), 0 | 3) { Ok(run.json()) } else { Err(run.whole()) }
    })
}

/// The tool runs no hook at a bare restart; the container's own entrypoint runs at each start.
#[test]
fn the_daemon_is_there_before_any_hook_and_after_a_bare_restart() {
    // The first hook of all says who was there.
    let sandbox = Sandbox::new().with_tools().hook("onCreate", "burrow status >first-hook");
    let mut container = DevContainer::new(sandbox);
    container.up().exits(0);
    let before = status(&container);
    let format = "{{.HostConfig.Init}} {{.HostConfig.CapAdd}} {{.Config.Entrypoint}} {{.Config.Cmd}}";
    let made = docker_prints(["inspect", "--format", format, container.id()]);
    for set in ["true", "SYS_PTRACE", "/usr/local/share/burrow/entrypoint"] {
        assert!(made.contains(set), "the Feature's {set} reaches the container: {made}");
    }
    let log = container.exec(["cat", "/var/lib/burrow/1000/daemon.log"]).stdout().to_owned();
    assert_eq!(log.matches("ready").count(), 1, "one daemon, from the entrypoint on:\n{log}");
    let owner = container.exec_as("root", ["stat", "-c", "%U", &format!("/proc/{}", before["pid"])]);
    assert_eq!(owner.stdout().trim(), "vscode", "it gave root's rights away");

    container.restart();
    let after = status(&container);
    assert_eq!(before["container"]["id"], after["container"]["id"]);
    assert_ne!(before["container"]["startId"], after["container"]["startId"]);

    // `burrow stop` counts until the container starts again.
    container.exec(["burrow", "stop"]).exits(0);
    container.exec(["burrow", "status"]).exits(4);
    container.restart();
    let pid = status(&container)["pid"].to_string();

    // A killed daemon comes back with the next one who needs it.
    container.exec_as("root", ["sh", "-c", &format!("kill -9 {pid}")]).exits(0);
    container.exec(["burrow", "up"]).exits(0);
    assert_ne!(status(&container)["pid"].to_string(), pid);
}

/// `updateRemoteUserUID` changes the uid after the image was built; what the image made for the old one is the new one's.
#[test]
#[ignore = "slow: part of `make test-all`"]
fn a_uid_that_changed_has_its_state_and_its_caches() {
    let mut container = DevContainer::with_caches(Sandbox::new(), Some(OTHER_UID));
    container.up().exits(0);
    assert_eq!(container.exec(["id", "-u"]).stdout().trim(), OTHER_UID.to_string(), "the tool changed it");
    status(&container);
    let state = format!("/var/lib/burrow/{OTHER_UID}");
    let paths = [&state, "/var/cache/burrow/mod", "/var/cache/burrow/build", "/var/cache/burrow/store"];
    for path in paths {
        let owner = container.exec(["stat", "-c", "%u %a", path]).stdout().trim().to_owned();
        assert!(owner.starts_with(&format!("{OTHER_UID} ")), "{path}: {owner}");
    }
    let tools = container.exec(["readlink", "/usr/local/share/burrow/tools"]);
    assert_eq!(tools.stdout().trim(), format!("{state}/current"), "editors find the tools of this uid");
}

/// A volume outlives the container that filled it, and the uid that it had then.
#[test]
#[ignore = "slow: part of `make test-all`"]
fn a_volume_that_another_uid_filled_is_mended_and_nothing_else() {
    let mut container = DevContainer::with_caches(Sandbox::new(), None);
    container.up().exits(0);
    let plant = "set -e; cd /var/cache/burrow/mod; mkdir -p -m 755 a/b; echo x >a/b/file; chmod 555 a/b; \
                 ln -s /etc/shadow link; ln -s /etc out; echo secret >/root/other; cd ..; chown -R 77:77 mod";
    container.exec_as("root", ["sh", "-c", plant]).exits(0);
    let shadow = container.exec_as("root", ["stat", "-c", "%u %g", "/etc/shadow"]).stdout().to_owned();
    container.rebuild().exits(0);
    let found = container.exec(["sh", "-c", "cd /var/cache/burrow/mod; stat -c '%n %u' . a a/b a/b/file link out"]);
    assert_eq!(found.stdout().trim(), ". 1000\na 1000\na/b 1000\na/b/file 1000\nlink 1000\nout 1000", "what was kept");
    let after = container.exec_as("root", ["stat", "-c", "%u %g", "/etc/shadow", "/etc"]).stdout().to_owned();
    assert_eq!(after, format!("{shadow}0 0\n"), "links lead root nowhere");
}

/// An image whose user is not root has nobody who could mend anything; it says so.
#[test]
#[ignore = "slow: part of `make test-all`"]
fn a_container_that_starts_as_somebody_else_has_its_daemon_too() {
    let sandbox = Sandbox::new().property("containerUser", "vscode");
    let mut container = DevContainer::with_caches(sandbox, None);
    container.up().exits(0);
    status(&container);
    container.exec_as("root", ["chown", "77:77", "/var/cache/burrow/build"]).exits(0);
    container.restart();
    status(&container);
    let told = container.exec(["burrow", "status"]).stdout().to_owned();
    assert!(told.contains("/var/cache/burrow/build belongs to uid 77") && told.contains("starts as vscode"), "{told}");
}

/// Root needs no second account.
#[test]
#[ignore = "slow: part of `make test-all`"]
fn a_root_container_has_one_daemon() {
    let mut container =
        DevContainer::of("root", Sandbox::new().with_tools().burrow_hook("postStart", "echo x >>started"));
    container.up().exits(0);
    status(&container);
    container.exec(["gopls", "version"]).exits(0);
    assert_eq!(container.sandbox().read("started").as_deref(), Some("x\n"));
    let id = container.id().to_owned();
    docker_prints(["stop", "--time", "5", &id]);
    container.up().exits(0);
    assert_eq!(container.sandbox().read("started").as_deref(), Some("x\nx\n"), "once each start");
}

/// The tool's markers lie in the home and outlive the container there. What was done for that container was not for this one.
#[test]
#[ignore = "slow: part of `make test-all`"]
fn a_home_on_a_volume_makes_no_new_container_old() {
    let hooks = ["postCreate", "postStart"];
    let sandbox = hooks
        .into_iter()
        .fold(Sandbox::new().with_tools(), |sandbox, hook| sandbox.burrow_hook(hook, format!("echo x >>{hook}")));
    let name = sandbox.root().file_name().unwrap().to_owned();
    let home = format!("type=volume,source={name},target=/home/vscode");
    let mut container = DevContainer::new(sandbox).with_mount(&home);
    let counts = |container: &DevContainer| {
        hooks.map(|hook| container.sandbox().read(hook).map_or(0, |text| text.lines().count()))
    };
    container.up().exits(0);
    container.exec(["touch", "/home/vscode/kept"]).exits(0);
    assert_eq!(counts(&container), [1, 1], "a new container");
    docker_prints(["stop", "--time", "5", container.id()]);
    container.up().exits(0);
    assert_eq!(counts(&container), [1, 2], "another start of it");
    container.rebuild().exits(0);
    container.exec(["ls", "/home/vscode/kept"]).exits(0);
    container.exec(["gopls", "version"]).exits(0);
    assert_eq!(counts(&container), [2, 3], "another container with the same home");
}
