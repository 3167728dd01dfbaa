//! A hook's output under many clients: late ones, and one that does not read.

use burrow_protocol::framing;
use serde_json::json;

use crate::sandbox::{Sandbox, eventually};
use crate::wire::Peer;

/// Prints so many lines that no pipe and no piece of a log holds them, in three parts.
const LINES: &str = "part() { i=0; while [ $i -lt 20000 ]; do echo \"$1 $i\"; i=$((i + 1)); done; }; \
                     part one; touch one; until [ -e go-two ]; do sleep 0.01; done; \
                     part two; touch two; until [ -e go-three ]; do sleep 0.01; done; part three";

fn wait_for_file(sandbox: &Sandbox, path: &str) {
    let limit = std::time::Duration::from_secs(60);
    eventually(&format!("{path} is there"), limit, || sandbox.read(path).map(drop).ok_or("it is not"));
}

/// Whenever a client begins to follow, it gets every line once, in order.
#[test]
fn every_follower_gets_every_line_once() {
    let sandbox = Sandbox::bare().hook("postCreate", LINES);
    let running = sandbox.spawn(["hook", "run", "postCreate"]);
    let follow = || sandbox.spawn(["hook", "log", "postCreate", "-f"]);
    wait_for_file(&sandbox, "one");
    let mut followers = vec![follow(), follow()];
    sandbox.change("go-two", "");
    // Somewhere within the second part.
    followers.push(follow());
    wait_for_file(&sandbox, "two");
    sandbox.change("go-three", "");
    followers.push(follow());
    running.finish().exits(0);
    followers.push(follow());

    let line = |part: &str, number: u32| format!("{part} {number}\n");
    let lines = ["one", "two", "three"].into_iter().flat_map(|part| (0..20_000).map(move |number| line(part, number)));
    let expected: String = lines.collect();
    for (number, follower) in followers.into_iter().enumerate() {
        let followed = follower.finish().exits(0);
        let same = followed.stdout() == expected;
        assert!(same, "follower {number} got {} of {} bytes", followed.stdout().len(), expected.len());
    }
}

/// Whoever follows a command that writes nothing only waits: the daemon has nothing to do for it.
#[test]
fn followers_of_a_quiet_command_keep_nobody_busy() {
    let sandbox = Sandbox::bare().hook("postCreate", "touch one; until [ -e go ]; do sleep 0.01; done");
    let running = sandbox.spawn(["hook", "run", "postCreate"]);
    wait_for_file(&sandbox, "one");
    let followers = [(); 2].map(|()| sandbox.spawn(["hook", "log", "postCreate", "-f"]));
    let before = processor_ticks(&sandbox);
    sandbox.burrow(["hook", "exec", "postStart", "--", "sleep", "2"]).exits(0);
    let spent = processor_ticks(&sandbox) - before;
    sandbox.change("go", "");
    running.finish().exits(0);
    for follower in followers {
        follower.finish().exits(0);
    }
    assert!(spent < 40, "of two seconds the daemon worked for {spent} hundredths");
}

/// The processor's time that the daemon has used, in hundredths of a second.
fn processor_ticks(sandbox: &Sandbox) -> u64 {
    let pid = sandbox.daemon_pid().expect("a daemon");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // After the name in parentheses: the state is field 3, utime 14, stime 15.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// A command with a terminal can be typed into, and what has none says so.
#[test]
fn command_with_a_terminal_is_typed_into() {
    let asks = json!({ "run": "echo sure?; touch asked; read answer; echo \"$answer it is\"", "tty": true });
    let waits = json!({ "run": "until [ -e go ]; do sleep 0.01; done" });
    let sandbox = Sandbox::bare().burrow_hook("postCreate", json!({ "commands": { "asks": asks, "waits": waits } }));
    let running = sandbox.spawn(["hook", "run", "postCreate"]);
    wait_for_file(&sandbox, "asked");
    let workspace = sandbox.workspace();
    let mut peer = Peer::open(&sandbox.socket(), &[workspace]).unwrap();
    let mut input = |command: &str, text: &str| {
        let params = json!({ "workspace": workspace, "runId": "1-postCreate", "command": command, "text": text });
        peer.request("burrow/hooks/input", &params).unwrap()
    };
    assert_eq!(input("waits", "x")["error"]["data"]["code"], "BUR320", "it has no terminal");
    assert!(input("asks", "yes\n").get("error").is_none());
    sandbox.change("go", "");
    running.finish().exits(0);
    assert_eq!(input("asks", "x")["error"]["data"]["code"], "BUR320", "it has ended");
    let log = sandbox.burrow(["hook", "log", "postCreate/asks"]).exits(0);
    assert!(log.stdout().contains("yes it is"), "{}", log.whole());
}

/// A terminal changes the ends of lines: a secret of several lines is masked all the same.
#[test]
fn secret_of_several_lines_is_masked_in_a_terminal() {
    let prints = json!({ "run": "printf '%s\\n' \"$DEPLOY_KEY\"; echo done", "tty": true });
    let sandbox = Sandbox::bare()
        .setting("secrets", json!(["DEPLOY_KEY"]))
        .burrow_hook("postCreate", json!({ "commands": { "prints": prints } }))
        .env("DEPLOY_KEY", "-----BEGIN\nfirst-half\nsecond-half\nEND-----");
    sandbox.burrow(["hook", "run", "postCreate"]).exits(0);
    let log = sandbox.burrow(["hook", "log", "postCreate/prints"]).exits(0);
    assert!(log.stdout().contains("done") && !log.stdout().contains("half"), "{}", log.whole());
}

/// A client that asks for everything and reads nothing holds up neither the hook nor anybody else.
#[test]
fn client_that_does_not_read_slows_no_hook() {
    const FIRST_ID: u32 = 1000;
    let sandbox = Sandbox::bare().hook("postCreate", format!("{LINES}; touch all"));
    let running = sandbox.spawn(["hook", "run", "postCreate"]);
    wait_for_file(&sandbox, "one");
    let workspace = sandbox.workspace();
    let mut slow = Peer::open(&sandbox.socket(), &[workspace]).unwrap();
    slow.request("burrow/model/subscribe", &json!({})).unwrap();
    // Far more answers than its socket holds.
    for id in FIRST_ID..FIRST_ID + 100 {
        let params = json!({
            "workspace": workspace, "runId": "1-postCreate", "command": "", "offset": 0, "waitMs": 0,
        });
        let body =
            json!({ "jsonrpc": "2.0", "id": id, "method": "burrow/hooks/readLog", "params": params }).to_string();
        slow.send_raw(format!("{}{body}", framing::header(body.len())).as_bytes()).unwrap();
    }
    sandbox.change("go-two", "");
    wait_for_file(&sandbox, "two");
    sandbox.change("go-three", "");
    wait_for_file(&sandbox, "all");
    running.finish().exits(0);
    // It gets its answers once it reads; this one comes after all of them.
    assert_eq!(slow.status().unwrap().workspaces.len(), 1);
}
