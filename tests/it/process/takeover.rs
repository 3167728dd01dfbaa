//! Shims that are silent, out of reach or dead, and what the next daemon makes of them.

use burrow::process::{End, Found, ShimSpec};
use rustix::process::{Pid, Signal, kill_process};

use super::*;

const WAITS: &str = "echo up > up; until test -e go; do sleep 0.01; done";

/// A shim that is stopped is no dead one: it is followed, and ends its command when it can.
#[test]
fn silent_shim_is_not_given_up() {
    let stage = Stage::new();
    let (mut shim, _) = start_unfollowed(&stage.script(WAITS));
    stage.wait_for("up");
    let pid = Pid::from_child(&shim);
    kill_process(pid, Signal::STOP).unwrap();
    block_on(async {
        let Found::Alive(mut found) = find(stage.folder().dir()).await.unwrap() else { panic!("it lives") };
        found.cancel().await.unwrap();
        kill_process(pid, Signal::CONT).unwrap();
        assert_eq!(outcome(&mut found).await.end, End::Cancelled);
    });
    shim.wait().unwrap();
}

/// A shim that cannot be connected to is cancelled by a signal.
#[test]
fn shim_without_its_socket_is_cancelled() {
    let stage = Stage::new();
    let (mut shim, _) = start_unfollowed(&stage.script(WAITS));
    stage.wait_for("up");
    std::fs::remove_file(stage.path("command/ctl.sock")).unwrap();
    block_on(async {
        let Found::Alive(mut found) = find(stage.folder().dir()).await.unwrap() else { panic!("it lives") };
        found.cancel().await.unwrap();
        assert_eq!(outcome(&mut found).await.end, End::Cancelled);
    });
    shim.wait().unwrap();
}

/// An outcome that cannot be read just now is read a little later.
#[test]
fn outcome_that_cannot_be_read_is_tried_again() {
    let stage = Stage::new();
    let expected = stage.run(stage.script("exit 3"));
    let (outcome, aside) = (stage.path("command/outcome.json"), stage.path("aside"));
    move_file(&outcome, &aside);
    // Reading it fails, as it does where there are no descriptors left.
    std::fs::create_dir(&outcome).unwrap();
    block_on(async {
        let folder = stage.folder();
        let mut finding = std::pin::pin!(find(folder.dir()));
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut finding).await.is_err(), "it goes on trying");
        std::fs::remove_dir(&outcome).unwrap();
        move_file(&aside, &outcome);
        let found = finding.await.unwrap();
        assert!(matches!(&found, Found::Ended(outcome) if *outcome == expected), "{found:?}");
    });
}

#[expect(clippy::disallowed_methods, reason = "a test's own file")]
fn move_file(from: &Utf8PathBuf, to: &Utf8PathBuf) {
    std::fs::rename(from, to).unwrap();
}

/// What somebody else follows can be ended, also where it takes no notice of TERM.
#[test]
fn command_is_ended_whoever_follows_it() {
    let stage = Stage::new();
    block_on(async {
        let stubborn = "trap : TERM; echo up > up; while :; do sleep 0.01; done";
        let mut shim = begin(stage.script(stubborn)).await.unwrap();
        stage.wait_for("up");
        let Found::Alive(other) = find(stage.folder().dir()).await.unwrap() else { panic!("it runs") };
        for _ in 0..2 {
            other.cancel().await.unwrap();
        }
        assert_eq!(outcome(&mut shim).await.end, End::Cancelled);
    });
    stage.nothing_is_left();
}

/// The kernel kills what takes too much memory: the program itself, or a child of it. Both are told.
#[test]
fn want_of_memory_is_told() {
    for (argv, code, killed) in
        [(&["tail", "/dev/zero"][..], None, 1), (&["sh", "-c", "tail /dev/zero; exit 3"], Some(3), 1)]
    {
        let stage = Stage::new();
        let group = MemoryGroup::new(&stage.run, 64 << 20);
        let argv = argv.iter().map(|&argument| argument.to_owned()).collect();
        let enter = format!("echo $$ > {} && exec \"$0\" shim", group.path.join("cgroup.procs"));
        let (mut shim, word) = start_by("sh", &["-c", &enter, BURROW], &ShimSpec { argv, ..stage.script("") });
        assert!(word.starts_with("ready "), "{word}");
        shim.wait().unwrap();
        let outcome = stage.folder().outcome().unwrap().unwrap();
        let expected = code.map_or(End::Signaled { signal: 9, out_of_memory: true }, |code| End::Exited { code });
        assert_eq!((outcome.end, outcome.memory_kills), (expected, killed));
        stage.nothing_is_left();
    }
}

/// A control group with a limit on memory. Needs root, and version 1 or 2 of control groups, mounted to be written.
struct MemoryGroup {
    path: Utf8PathBuf,
}

impl MemoryGroup {
    #[expect(clippy::disallowed_methods, reason = "files of the kernel")]
    fn new(name: &str, bytes: u64) -> Self {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let version_1 = own.lines().find_map(|line| line.split_once(":memory:")).map(|(_, path)| path);
        let (root, limit) = match version_1 {
            Some(path) => (format!("/sys/fs/cgroup/memory{path}"), "memory.limit_in_bytes"),
            None => {
                // Only where the parent gives its children the controller; a container's root group does.
                let _ = std::fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
                ("/sys/fs/cgroup".to_owned(), "memory.max")
            }
        };
        let path = Utf8PathBuf::from(root).join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join(limit), bytes.to_string()).unwrap();
        Self { path }
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let remove = || std::fs::remove_dir(&self.path).map_err(|error| error.to_string());
        eventually("the control group is empty", SOON, remove);
    }
}
