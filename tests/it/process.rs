//! The shim, by itself: no daemon, one command folder a test.

mod faults;
mod output;
mod takeover;
mod terminal;

use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use burrow::process::{
    End, Ended, Folder, Found, LogReader, Outcome, ProcessError, SCHEMA, Shim, ShimSpec, Stream, Survivors, find,
    note_boot, start_with, sweep,
};
use camino::Utf8PathBuf;
use tempfile::TempDir;

use crate::sandbox::{BURROW, eventually};

/// Longer than anything here takes, shorter than the watchdog of a whole run.
const SOON: Duration = Duration::from_secs(30);

/// One command's folder and the mark of its processes. Nothing marked is left when it is dropped.
struct Stage {
    dir: TempDir,
    run: String,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("burrow-shim-").tempdir_in("/tmp").unwrap();
        let run = dir.path().file_name().unwrap().to_str().unwrap().to_owned();
        let stage = Self { dir, run };
        note_boot(stage.folder().dir().parent().unwrap()).unwrap();
        stage.folder().prepare().unwrap();
        stage
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.dir.path().join(name)).unwrap()
    }

    fn folder(&self) -> Folder {
        Folder::new(self.path("command"))
    }

    /// A shell script in the stage's directory. Timeout, grace and leak are long: what ends sooner did not wait for them.
    fn script(&self, script: &str) -> ShimSpec {
        ShimSpec {
            schema: SCHEMA,
            run: self.run.clone(),
            folder: self.path("command"),
            argv: ["sh", "-c", script].map(str::to_owned).into(),
            env: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
            cwd: self.path(""),
            timeout_ms: Some(20_000),
            grace_ms: 20_000,
            leak_ms: 20_000,
            secrets: Vec::new(),
            survivors: Survivors::KeepOnSuccess,
            lifeline: false,
            tty: None,
            interrupt: false,
        }
    }

    /// Runs a command to its end.
    fn run(&self, spec: ShimSpec) -> Outcome {
        block_on(async {
            let mut shim = begin(spec).await.unwrap();
            outcome(&mut shim).await
        })
    }

    fn output(&self, stream: Stream) -> String {
        let reader = LogReader::open(self.folder().dir()).unwrap();
        let chunk = reader.read(0, 1 << 20).unwrap();
        let reads = chunk.reads.into_iter().filter(|read| read.stream == stream);
        String::from_utf8(reads.flat_map(|read| read.bytes).collect()).unwrap()
    }

    /// The names of the living processes of the command, without its shim.
    fn processes(&self) -> Vec<String> {
        let marked = sweep::find(|run| run == self.run);
        marked.into_iter().map(|process| process.name).filter(|name| name != "burrow-shim").collect()
    }

    /// Makes an empty file that the command waits for.
    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    fn touch(&self, name: &str) {
        std::fs::write(self.path(name), "").unwrap();
    }

    /// Waits until the command has made `name`, and returns what is in it.
    fn wait_for(&self, name: &str) -> String {
        eventually(&format!("the command writes {name}"), SOON, || {
            let text = std::fs::read_to_string(self.path(name)).map_err(|error| error.to_string())?;
            if text.ends_with('\n') { Ok(text) } else { Err(text) }
        })
    }

    fn nothing_is_left(&self) {
        eventually("no process of the command is left", SOON, || {
            let left = sweep::find(|run| run == self.run);
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let run = self.run.clone();
        let left = block_on(sweep::end(move |mark| mark == run, Duration::from_secs(5)));
        if !std::thread::panicking() {
            assert_eq!(left, [], "processes of the test are left");
        }
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn begin(spec: ShimSpec) -> Result<Shim, ProcessError> {
    start_with(BURROW.into(), spec).await
}

async fn outcome(shim: &mut Shim) -> Outcome {
    match tokio::time::timeout(SOON, shim.ended()).await.expect("it ends").unwrap() {
        Ended::Outcome(outcome) => outcome,
        Ended::Lost => panic!("the shim died"),
    }
}

/// Starts a shim as a daemon does, without following it; returns once it has said its first word.
fn start_unfollowed(spec: &ShimSpec) -> (Child, String) {
    start_by(BURROW, &["shim"], spec)
}

fn start_by(program: &str, args: &[&str], spec: &ShimSpec) -> (Child, String) {
    let mut shim = shim_process(program, args);
    let mut stdin = shim.stdin.take().unwrap();
    let body = serde_json::to_vec(spec).unwrap();
    let frame = [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat();
    stdin.write_all(&frame).unwrap();
    let mut word = String::new();
    BufReader::new(shim.stdout.take().unwrap()).read_line(&mut word).unwrap();
    (shim, word)
}

#[expect(clippy::disallowed_methods, reason = "the test takes the daemon's place")]
fn shim_process(program: &str, args: &[&str]) -> Child {
    Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// How a program ends is told as the kernel tells it.
#[test]
fn ends_are_told() {
    for (script, expected) in [
        ("true", End::Exited { code: 0 }),
        ("exit 42", End::Exited { code: 42 }),
        ("kill -SEGV $$", End::Signaled { signal: 11, out_of_memory: false }),
        ("kill -KILL $$", End::Signaled { signal: 9, out_of_memory: false }),
    ] {
        let stage = Stage::new();
        let outcome = stage.run(stage.script(script));
        assert_eq!(outcome.end, expected, "{script}");
        assert_eq!((outcome.survivors, outcome.stdout_left_open), (vec![], false), "{script}");
        stage.nothing_is_left();
    }
}

/// A program gets its own group and environment, nothing on standard input, and signals at their defaults.
#[test]
fn program_starts_clean() {
    let stage = Stage::new();
    // glibc itself leaves the signals 32 and 33, which it needs for threads, ignored in what it spawns.
    let script = "echo $BURROW_RUN; pwd; wc -c; grep -cE '^Sig(Blk|Ign):\t0{7}[01][08]0{7}$' /proc/self/status; cat /proc/self/oom_score_adj; \
                  test $(ps -o pgid= -p $$) -eq $$ && test $(ps -o sid= -p $$) -eq $PPID && echo alone; env | grep -c .";
    // As a daemon has it that was started in the background of a shell.
    let (mut shim, _) =
        start_by("sh", &["-c", "trap '' INT QUIT HUP; exec \"$0\" shim", BURROW], &stage.script(script));
    shim.wait().unwrap();
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    let score: i32 = own.trim().parse().unwrap();
    // PATH, BURROW_RUN and what the shell itself adds: PWD.
    let expected = format!(
        "{}\n{}\n0\n2\n{}\nalone\n3\n",
        stage.run,
        stage.path("").as_str().trim_end_matches('/'),
        (score + 200).min(1000),
    );
    assert_eq!(stage.output(Stream::Stdout), expected);
}

/// A program that cannot be started is told with the reason, and the outcome says so as well.
#[test]
fn what_cannot_be_started_is_told() {
    for (argv, cwd, expected) in [
        (&["no-such-program"][..], "/", "No such file or directory (os error 2)"),
        (&["/etc/passwd"], "/", "Permission denied (os error 13)"),
        (&["true"], "/no/such/folder", "its folder /no/such/folder is not there"),
    ] {
        let stage = Stage::new();
        let argv = argv.iter().map(|&argument| argument.to_owned()).collect();
        let spec = ShimSpec { argv, cwd: cwd.into(), ..stage.script("") };
        match block_on(begin(spec)) {
            Err(ProcessError::NotStarted { message, .. }) => assert_eq!(message, expected),
            other => panic!("{other:?}"),
        }
        let outcome = stage.folder().outcome().unwrap().unwrap();
        assert_eq!(outcome.end, End::SpawnFailed { message: expected.to_owned() });
    }
}

/// Of many shims for one folder one runs the command, and the others say why not.
#[test]
fn command_is_started_once() {
    let stage = Stage::new();
    let spec = stage.script("echo ran >> ran; until test -e go; do sleep 0.01; done");
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let spec = spec.clone();
            std::thread::spawn(move || start_unfollowed(&spec))
        })
        .collect();
    let shims: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let ready = shims.iter().filter(|(_, word)| word.starts_with("ready ")).count();
    let refused = shims.iter().filter(|(_, word)| word == "failed {\"kind\":\"claimed\"}\n").count();
    assert_eq!((ready, refused), (1, 7));
    assert!(matches!(block_on(begin(spec)), Err(ProcessError::Claimed { .. })));
    stage.touch("go");
    for (mut shim, _) in shims {
        shim.wait().unwrap();
    }
    assert_eq!(std::fs::read_to_string(stage.path("ran")).unwrap(), "ran\n");
}

/// A shim that is told only half of what to run runs nothing, and a command that a daemon has given up never runs.
#[test]
fn abandoned_command_never_runs() {
    let stage = Stage::new();
    let mut shim = shim_process(BURROW, &["shim"]);
    shim.stdin.take().unwrap().write_all(&[0, 0, 1, 0, b'{']).unwrap();
    assert!(!shim.wait().unwrap().success(), "the daemon died while it wrote");

    let found = block_on(find(stage.folder().dir())).unwrap();
    assert!(matches!(found, Found::Abandoned), "{found:?}");
    let (mut late, word) = start_unfollowed(&stage.script("touch ran"));
    late.wait().unwrap();
    assert_eq!(word, "failed {\"kind\":\"claimed\"}\n");
    assert!(!stage.path("ran").exists());
    let found = block_on(find(stage.folder().dir())).unwrap();
    assert!(matches!(found, Found::Abandoned), "it stays given up: {found:?}");
}

/// A timeout sends TERM, and KILL only when the grace has passed.
#[test]
fn timeout_sends_term_then_kill() {
    let stage = Stage::new();
    let polite = "trap 'echo term; exit 0' TERM; echo up; while :; do sleep 0.01; done";
    let outcome = stage.run(ShimSpec { timeout_ms: Some(300), ..stage.script(polite) });
    assert_eq!(outcome.end, End::TimedOut, "whatever its exit code");
    assert_eq!(stage.output(Stream::Stdout), "up\nterm\n");

    let stage = Stage::new();
    let stubborn = "trap 'echo term' TERM; echo up; while :; do sleep 0.01; done";
    let outcome = stage.run(ShimSpec { timeout_ms: Some(300), grace_ms: 300, ..stage.script(stubborn) });
    assert_eq!(outcome.end, End::TimedOut);
    assert_eq!(stage.output(Stream::Stdout), "up\nterm\n");
    assert!((600..10_000).contains(&outcome.duration_ms), "{}", outcome.duration_ms);
    stage.nothing_is_left();
}

/// What failed, took too long or was cancelled leaves nothing behind, not even a process in a session of its own that
/// ignores TERM.
#[test]
fn bad_end_ends_every_descendant() {
    let child = "setsid sh -c 'trap : TERM; echo up > up; exec >/dev/null 2>&1; while :; do sleep 0.01; done' & \
                 until test -e up; do sleep 0.01; done;";
    for (then, timeout_ms, expected) in [
        ("exit 7", None, End::Exited { code: 7 }),
        ("sleep 600", Some(1000), End::TimedOut),
        ("sleep 600", None, End::Cancelled),
    ] {
        let stage = Stage::new();
        let spec = ShimSpec { grace_ms: 200, timeout_ms, ..stage.script(&format!("{child} {then}")) };
        let outcome = block_on(async {
            let mut shim = begin(spec).await.unwrap();
            stage.wait_for("up");
            if expected == End::Cancelled {
                shim.cancel().await.unwrap();
            }
            outcome(&mut shim).await
        });
        assert_eq!((outcome.end, outcome.survivors), (expected, vec![]));
        assert_eq!(stage.processes(), [""; 0]);
    }
}

/// A success keeps its background processes, whichever group they are in, and names them.
#[test]
fn success_keeps_background_processes() {
    let stage = Stage::new();
    let script = "setsid sleep 600 >/dev/null 2>&1 & until test $(ps -o comm= -p $!) = sleep; do sleep 0.01; done";
    let outcome = stage.run(stage.script(script));
    assert_eq!((outcome.end, outcome.stdout_left_open), (End::Exited { code: 0 }, false));
    let names: Vec<_> = outcome.survivors.iter().map(|survivor| survivor.name.as_str()).collect();
    assert_eq!(names, ["sleep"]);
    assert_eq!(stage.processes(), ["sleep"]);
}

/// Where nothing may be left, a success ends its background processes too and stays a success.
#[test]
fn success_can_end_background_processes() {
    let stage = Stage::new();
    let spec = ShimSpec { survivors: Survivors::EndAlways, ..stage.script("sleep 600 & setsid sleep 600 &") };
    let outcome = stage.run(spec);
    assert_eq!((outcome.end, outcome.survivors), (End::Exited { code: 0 }, vec![]));
    assert_eq!(stage.processes(), [""; 0]);
}

/// A background process that keeps the output open does not hang its command; it is told, and it can go on writing.
#[test]
fn output_left_open_is_told() {
    let stage = Stage::new();
    let script = "echo first; (until test -e go; do sleep 0.01; done; echo late && echo wrote > wrote; \
                  until test -e stop; do sleep 0.01; done) &";
    let outcome = stage.run(ShimSpec { leak_ms: 100, ..stage.script(script) });
    assert_eq!((&outcome.end, outcome.stdout_left_open), (&End::Exited { code: 0 }, true));
    assert_eq!(outcome.survivors[0].name, "sh");
    stage.touch("go");
    stage.wait_for("wrote");
    assert_eq!(stage.output(Stream::Stdout), "first\n", "the log is complete when the outcome is there");
    stage.touch("stop");
    stage.nothing_is_left();
}

/// Cancelling sends TERM to all; cancelling again does not wait for the grace.
#[test]
fn cancel_ends_and_a_second_one_kills() {
    let stage = Stage::new();
    block_on(async {
        let mut shim = begin(stage.script("trap 'echo term > term' TERM; echo up > up; while :; do sleep 0.01; done"))
            .await
            .unwrap();
        stage.wait_for("up");
        shim.cancel().await.unwrap();
        stage.wait_for("term");
        shim.cancel().await.unwrap();
        assert_eq!(outcome(&mut shim).await.end, End::Cancelled);
        shim.cancel().await.expect("nothing is left to cancel");
    });
    stage.nothing_is_left();
}

/// A command with a lifeline ends with its daemon; one without does not notice.
#[test]
fn lifeline_decides_who_dies_with_the_daemon() {
    let script = "echo up > up; until test -e go; do sleep 0.01; done";
    let stage = Stage::new();
    let (mut shim, word) = start_unfollowed(&ShimSpec { lifeline: true, ..stage.script(script) });
    assert!(word.starts_with("ready "), "{word}");
    // The daemon's end of the pipe was dropped with the word.
    shim.wait().unwrap();
    assert_eq!(stage.folder().outcome().unwrap().unwrap().end, End::Cancelled);
    stage.nothing_is_left();

    let stage = Stage::new();
    let (mut shim, _) = start_unfollowed(&stage.script(script));
    stage.wait_for("up");
    stage.touch("go");
    shim.wait().unwrap();
    assert_eq!(stage.folder().outcome().unwrap().unwrap().end, End::Exited { code: 0 });

    let stage = Stage::new();
    block_on(async {
        let shim = begin(ShimSpec { lifeline: true, ..stage.script(script) }).await.unwrap();
        stage.wait_for("up");
        drop(shim);
    });
    stage.nothing_is_left();
}

/// A command is taken over by the next daemon with its output complete, and is found again when it has ended.
#[test]
fn command_is_taken_over() {
    let stage = Stage::new();
    let script = "echo one; echo up > up; until test -e go; do sleep 0.01; done; echo two; exit 3";
    let (mut shim, word) = start_unfollowed(&stage.script(script));
    stage.wait_for("up");
    block_on(async {
        let Found::Alive(mut taken) = find(stage.folder().dir()).await.unwrap() else { panic!("it lives") };
        assert_eq!(format!("ready {}\n", taken.pid()), word);
        let mut output = taken.output();
        output.wait_for(|bytes| *bytes == 4).await.expect("what was written before is told");
        stage.touch("go");
        assert_eq!(outcome(&mut taken).await.end, End::Exited { code: 3 });
        assert_eq!(*output.borrow(), 8);
        let found = find(stage.folder().dir()).await.unwrap();
        assert!(matches!(found, Found::Ended(Outcome { end: End::Exited { code: 3 }, .. })), "{found:?}");
    });
    shim.wait().unwrap();
    assert_eq!(stage.output(Stream::Stdout), "one\ntwo\n");
}

/// How a command ended whose shim was killed is not known, and its processes can be found and ended.
#[test]
fn killed_shim_is_lost() {
    let stage = Stage::new();
    block_on(async {
        let mut shim = begin(stage.script("echo up > up; sleep 600")).await.unwrap();
        stage.wait_for("up");
        for process in sweep::find(|run| run == stage.run) {
            if process.name == "burrow-shim" {
                let pid = rustix::process::Pid::from_raw(process.pid.cast_signed()).unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            }
        }
        let ended = tokio::time::timeout(SOON, shim.ended()).await.unwrap().unwrap();
        assert_eq!(ended, Ended::Lost);
        let found = find(stage.folder().dir()).await.unwrap();
        assert!(matches!(found, Found::Lost), "{found:?}");
        assert_eq!(stage.processes().len(), 2, "the shell and its child live");
        let run = stage.run.clone();
        assert_eq!(sweep::end(move |mark| mark == run, SOON).await, []);
    });
    stage.nothing_is_left();
}

/// TERM to the shim is a cancel: the outcome is written.
#[test]
fn term_to_the_shim_cancels() {
    let stage = Stage::new();
    let (mut shim, _) = start_unfollowed(&stage.script("sleep 600"));
    let pid = rustix::process::Pid::from_child(&shim);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(shim.wait().unwrap().signal(), None);
    assert_eq!(stage.folder().outcome().unwrap().unwrap().end, End::Cancelled);
}
