//! What the Features' install scripts leave in an image, and what root does with it at a start of the container: both by
//! hand, in a container without any tool.

use std::time::Duration;

use serde_json::Value;

use super::image::Image;
use super::plain::PlainContainer;
use crate::sandbox::{BURROW, Run, Sandbox, eventually};

const SOON: Duration = Duration::from_secs(60);
const FEATURE: &str = "/etc/burrow/feature.json";
const TOOLS: &str = "/usr/local/share/burrow/tools";
/// The volumes of `burrow-caches`.
const CACHES: [&str; 4] = ["--volume", "/var/cache/burrow/mod", "--volume", "/var/cache/burrow/build"];

/// Runs `line` as root to its end, and returns what it prints.
fn root(container: &PlainContainer, line: &str) -> String {
    container.exec_as("root", ["sh", "-ec", line]).exits(0).stdout().trim().to_owned()
}

/// What a start of the container does.
fn begin(container: &PlainContainer) -> Run {
    container.exec_as("root", ["/usr/local/share/burrow/entrypoint"]).exits(0)
}

/// Gives `vscode` another uid, as `updateRemoteUserUID` does.
fn change_uid(container: &PlainContainer, uid: u32) {
    root(container, &format!("sed -i 's/^vscode:x:[0-9]*:/vscode:x:{uid}:/' /etc/passwd; chown -R {uid} /home/vscode"));
}

/// Whose daemons run.
fn daemons(container: &PlainContainer) -> String {
    // Written so that it does not find itself.
    let line = r"for process in /proc/[0-9]*; do
        case $(tr '\0' ' ' 2>/dev/null <$process/cmdline) in *burrow\ daemon\ *) stat -c %U $process ;; esac
    done";
    root(container, line)
}

/// The engines take a name or a uid, with or without a group; so does remoteUser.
#[test]
fn a_remote_user_may_be_a_number() {
    let container = PlainContainer::with_features(Sandbox::new(), &[]);
    for (told, expected) in [("1000", "vscode"), ("1000:1000", "vscode"), ("vscode:users", "vscode"), ("4321", "4321")]
    {
        container.install(told, &[]).exits(0);
        let file: Value = serde_json::from_str(&root(&container, &format!("cat {FEATURE}"))).unwrap();
        assert_eq!(file["remoteUser"], expected, "{told}");
    }
    assert_eq!(root(&container, "stat -c '%u %g' /var/lib/burrow/4321 /var/cache/burrow/mod"), "4321 0\n4321 0");
    container.install("nobody-here", &[]).exits(1).tells("there is no user nobody-here in this image");

    // As an older install script left it.
    container.install("vscode", &[]).exits(0);
    root(&container, &format!("echo '{{\"remoteUser\": \"1000:1000\"}}' >{FEATURE}"));
    begin(&container);
    assert_eq!(daemons(&container), "vscode");
    container.exec(["burrow", "status"]).exits(0);
}

/// The `id` and the shell of Alpine.
#[test]
fn busybox_can_install() {
    let sandbox = Sandbox::new();
    let features = sandbox.root().join("features");
    let package = Sandbox::repository().join(".devcontainer/features/package");
    sandbox.run_program(package, [features.as_str(), BURROW]).exits(0);
    let line = "busybox --install -s /bin && mkdir -p /etc /var && printf root:x:0:0::/:/bin/sh >/etc/passwd && \
                for script in burrow-caches burrow; do sh /features/$script/install.sh || exit; done; cat /etc/burrow/feature.json";
    for user in ["0", "0:0", "root"] {
        let (mount, user) = (format!("{features}:/features:ro"), format!("_REMOTE_USER={user}"));
        let options = ["--entrypoint", "/bin/busybox", "--volume", &mount, "--env", &user];
        Image::of_musl().run(&options, ["sh", "-ec", line]).exits(0).says(r#""remoteUser": "root""#);
    }
}

/// Somebody is meant, and nobody is found: nothing becomes root's.
#[test]
fn root_takes_nothing_for_a_user_that_is_not_there() {
    let container = PlainContainer::with_features(Sandbox::new(), &CACHES);
    container.install("vscode", &[]).exits(0);
    root(&container, "chown 77 /var/cache/burrow/mod");
    let good = root(&container, &format!("cat {FEATURE}"));
    for (damage, why) in [
        ("echo '{ \"remoteUser\": \"gone\" }'", "find the user `gone`"),
        ("echo '{ \"remoteUser\":'", "it is damaged"),
        ("echo '{}'", "it is damaged"),
    ] {
        root(&container, &format!("{damage} >{FEATURE}"));
        begin(&container).tells("BUR703").tells(why).tells("hint: ");
        container.exec_as("root", ["burrow", "up"]).exits(1).tells("BUR703");
    }
    // Whoever may write it could say whom root becomes.
    root(&container, &format!("echo '{good}' >{FEATURE}; chmod 666 {FEATURE}"));
    begin(&container).tells("BUR703").tells("it is not root's alone");
    assert_eq!(daemons(&container), "");
    let left = "stat -c %u /var/cache/burrow/mod /var/lib/burrow/1000; ls /var/lib/burrow /var/tmp; readlink ";
    let expected = "77\n1000\n/var/lib/burrow:\n1000\n\n/var/tmp:\n/var/lib/burrow/1000/current";
    assert_eq!(root(&container, &format!("{left} {TOOLS}")), expected, "all as it was");

    root(&container, &format!("chmod 644 {FEATURE}"));
    begin(&container);
    assert_eq!(daemons(&container), "vscode", "mended by the hint");
}

/// The tool says "started" before the Features' entrypoints run, one after another. What it starts then is not a second daemon.
#[test]
fn a_hook_before_the_entrypoint_waits_for_the_state_directory() {
    let container = PlainContainer::with_features(Sandbox::new(), &[]);
    container.install("vscode", &[]).exits(0);
    change_uid(&container, 4321);
    let hook = container.start_as("vscode", ["burrow", "hook", "exec", "postCreate", "--", "true"]);
    hook.wait_for_stderr("waiting for the container's entrypoint to make /var/lib/burrow/4321");
    begin(&container);
    hook.finish().exits(0);
    assert_eq!(daemons(&container), "vscode");
    assert_eq!(
        root(&container, "ls /var/tmp; ls /var/lib/burrow; stat -c %u /var/lib/burrow/4321"),
        "1000\n4321\n4321"
    );
    container.exec(["burrow", "hook", "list"]).says("postCreate").says("succeeded");
    container.exec(["burrow", "stop"]).exits(0);

    // Root waits for nobody.
    change_uid(&container, 4322);
    container.exec_as("root", ["burrow", "start"]).exits(0);
    assert_eq!(root(&container, "ls /var/tmp; stat -c '%u %a' /var/lib/burrow/4322"), "4322 700");
    assert_eq!(daemons(&container), "vscode");
}

/// A container whose entrypoint was replaced has nobody who makes the folder.
#[test]
#[ignore = "slow: part of `make test-all`"]
fn an_entrypoint_that_never_comes_is_told() {
    let container = PlainContainer::with_features(Sandbox::new(), &[]);
    container.install("vscode", &[]).exits(0);
    change_uid(&container, 4321);
    container.exec(["burrow", "up"]).exits(1).tells("BUR704").tells("as root: burrow entrypoint");
    container.exec_as("root", ["burrow", "entrypoint"]).exits(0);
    container.exec(["burrow", "status"]).exits(0);
}

/// `go build` by a bare `docker exec` leaves root's folders in the caches.
#[test]
fn what_root_left_in_a_cache_is_the_users_again() {
    let container = PlainContainer::with_features(Sandbox::new(), &CACHES);
    container.install("vscode", &[]).exits(0);
    // An empty volume got its owner from the folder below it, before that was made.
    let left = "cd /var/cache/burrow; chown vscode mod build store; mkdir -p build/a0 mod/cache/download/example.com/module/@v \
                mod/example.com/module@v1.0.0/internal store/tools; chown vscode mod/cache mod/cache/download; \
                touch mod/cache/lock mod/cache/download/example.com/module/@v/list build/a0/entry store/tools/file";
    root(&container, left);
    begin(&container);
    eventually("the volumes are mended", SOON, || {
        let others = root(&container, "find /var/cache/burrow/mod /var/cache/burrow/build ! -user vscode");
        if others.is_empty() { Ok(()) } else { Err(others) }
    });
    // No volume: somebody may have moved into it what was root's on purpose. It is told.
    assert_eq!(root(&container, "stat -c %U /var/cache/burrow/store/tools"), "root");
    let told = "/var/cache/burrow/store/tools belongs to uid 0";
    let status = || container.exec(["burrow", "status"]).stdout().to_owned();
    eventually("the status tells", SOON, || if status().contains(told) { Ok(()) } else { Err(status()) });
    root(&container, "chown -R vscode /var/cache/burrow/store");
    eventually("the status forgets", SOON, || if status().contains(told) { Err(status()) } else { Ok(()) });
}

/// The state lies elsewhere: the caches and the tools' fixed path are the Feature's all the same.
#[test]
fn a_state_directory_that_the_container_chose() {
    let options = ["--env", "BURROW_STATE_DIR=/state/mine", "--tmpfs", "/state:mode=1777"];
    let container = PlainContainer::with_features(Sandbox::new(), &[options.as_slice(), &CACHES].concat());
    container.install("vscode", &[]).exits(0);
    root(&container, "chown 77 /var/cache/burrow/mod /var/cache/burrow/build");
    begin(&container);
    container.exec(["burrow", "status"]).exits(0);
    assert_eq!(root(&container, &format!("readlink {TOOLS}; stat -c %U /state/mine")), "/state/mine/current\nvscode");
    eventually("the caches are mended", SOON, || {
        let owners = root(&container, "stat -c %U /var/cache/burrow/mod /var/cache/burrow/build");
        if owners == "vscode\nvscode" { Ok(()) } else { Err(owners) }
    });
    let told = eventually("nothing is wrong", SOON, || {
        let status = container.exec(["burrow", "status"]).stdout().to_owned();
        if status.contains("belongs to uid") { Err(status) } else { Ok(status) }
    });
    assert!(!told.contains("leads to another user's tools"), "{told}");
}

/// Root without the rights to become somebody else is told which.
#[test]
fn a_container_without_capabilities() {
    let container = PlainContainer::with_features(Sandbox::new(), &["--cap-drop", "SETUID", "--cap-drop", "SETGID"]);
    container.install("vscode", &[]).exits(0);
    begin(&container).tells("become vscode").tells("capabilities SETUID and SETGID");
    container.exec(["burrow", "up"]);
    assert_eq!(daemons(&container), "vscode", "the user's own command needs none");
}

#[test]
fn what_install_leaves() {
    let container = PlainContainer::with_features(Sandbox::new(), &[]);
    let metadata = root(&container, "cat /features/burrow/devcontainer-feature.json");
    let metadata: Value = serde_json::from_str(&metadata).unwrap();

    // The image below may have been made with other options.
    container.install("vscode", &["TOOLS=false"]).exits(0);
    root(&container, "test -e /etc/burrow/no-tools");
    container.install("vscode", &["TOOLS=true"]).exits(0);
    root(&container, "test ! -e /etc/burrow/no-tools");
    let create = metadata["onCreateCommand"].as_str().unwrap();
    assert!(create.starts_with("[ -e /etc/burrow/no-tools ] || burrow up"), "{create}");

    for path in [&metadata["customizations"]["vscode"]["extensions"][0], &metadata["entrypoint"]] {
        root(&container, &format!("test -s {}", path.as_str().unwrap()));
    }

    let fake = "mkdir /fake && printf '#!/bin/sh\necho riscv64\n' >/fake/uname && chmod 755 /fake/uname";
    root(&container, fake);
    let refused = container.install("vscode", &["PATH=/fake:/usr/local/bin:/usr/bin:/bin"]).exits(1);
    assert!(refused.stderr().contains("no binary for riscv64, only: burrow-"), "{}", refused.whole());
}
