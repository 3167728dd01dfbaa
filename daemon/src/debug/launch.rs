//! What a debug client asks dlv to debug: read from its `launch` or `attach` as that passes, before dlv sees it.
//!
//! It names the program for the listing, and says where dlv will leave a binary if it is killed: a client may choose
//! both dlv's folder (`dlvCwd`) and the binary's path (`output`).
//! A process that is to be attached to by name is looked for here: dlv looks at each process once, and misses one that it
//! saw before its exec.
//! Invariants: all other bytes reach dlv as they came, but for `outputMode`; what is no DAP is passed on unread, and dlv says what it thinks of it.

use std::collections::HashSet;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio_util::bytes::BytesMut;

use super::dap::codec;
use super::follow;
use super::reload::{Held, Reloads};

/// What a client asked dlv to debug.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Launched {
    /// In words: a package, a binary, `process 7`.
    pub(super) program: Option<String>,
    /// The folder that dlv changes to, where that is asked of it.
    pub(super) dlv_cwd: Option<Utf8PathBuf>,
    /// The binary that dlv builds, where the client named it.
    pub(super) output: Option<Utf8PathBuf>,
    /// What the command line of the process that is to be attached to begins with.
    pub(super) waits_for: Option<String>,
}

/// What a relay tells its session of what passes.
#[derive(Debug)]
pub(super) enum Passing {
    /// A launch or an attach, on its way to dlv.
    Asked(Launched),
    /// dlv's word that it has built, and started or found, what it is to debug.
    Ready,
}

/// Tells the session; what passes goes on when it has noted what dlv may leave.
pub(super) type Launches = mpsc::Sender<(Passing, oneshot::Sender<()>)>;

/// Tells the session, and waits until that has heard.
pub(super) async fn tell(launches: &Launches, passing: Passing) {
    let (noted, heard) = oneshot::channel();
    // A session that is ending notes nothing, and ends dlv.
    if launches.send((passing, noted)).await.is_ok() {
        let _ = heard.await;
    }
}

/// The parts of a request that count here. Clients send more, and everything may be missing.
#[derive(Debug, Default, Deserialize)]
struct Request {
    #[serde(default)]
    command: String,
    #[serde(default)]
    arguments: serde_json::Value,
}

impl Launched {
    /// What the message in `frame` asks; `None` where it is neither `launch` nor `attach`. `cwd` is dlv's folder.
    pub(super) fn in_frame(frame: &[u8], cwd: &Utf8Path) -> Option<Self> {
        let request: Request = serde_json::from_slice(frame).ok()?;
        let text = |name: &str| {
            let value = request.arguments.get(name)?.as_str()?;
            (!value.is_empty()).then(|| value.to_owned())
        };
        match request.command.as_str() {
            "launch" => {
                let dlv_cwd = text("dlvCwd").map(|folder| cwd.join(folder));
                // The other modes build nothing: what `output` names then is not dlv's.
                let builds = matches!(text("mode").as_deref(), None | Some("debug" | "test"));
                let output = text("output").filter(|_| builds);
                let output = output.map(|output| dlv_cwd.as_deref().unwrap_or(cwd).join(output));
                Some(Self { program: text("program"), dlv_cwd, output, waits_for: None })
            }
            "attach" => {
                let process = request.arguments.get("processId").and_then(serde_json::Value::as_i64);
                let process = process.filter(|pid| *pid > 0).map(|pid| format!("process {pid}"));
                let waits_for = text("waitFor");
                Some(Self { program: waits_for.clone().or(process), waits_for, ..Self::default() })
            }
            _ => None,
        }
    }
}

/// Passes whole messages on until one of them was a launch or an attach, and the session has heard of it. A launch that is
/// to reload is not passed on, but given back.
pub(super) async fn pass_launch(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    opening: &[u8],
    cwd: &Utf8Path,
    launches: &Launches,
    reloads: Option<&Reloads>,
) -> io::Result<Option<Held>> {
    let mut buffer = BytesMut::from(opening);
    loop {
        while let Ok(Some(frame)) = codec::take_frame(&mut buffer) {
            let held = reloads.and_then(|reloads| reloads.hold(frame.body(), cwd));
            let launched = Launched::in_frame(frame.body(), cwd);
            // What is held back is built here, not by dlv.
            let launched = launched.map(|launched| match held {
                Some(_) => Launched { output: None, ..launched },
                None => launched,
            });
            if let Some(launched) = &launched {
                tell(launches, Passing::Asked(launched.clone())).await;
            }
            if let Some(held) = held {
                return Ok(Some(held.followed_by(buffer)));
            }
            match launched {
                Some(Launched { waits_for: Some(name), .. }) => {
                    let process = tokio::select! {
                        process = follow::find(name, HashSet::new()) => process,
                        left = leaves(from, &mut buffer) => return left.map(|()| None),
                    };
                    to.write_all(&by_number(frame.body(), process.0)?).await?;
                    return to.write_all(&buffer).await.map(|()| None);
                }
                Some(_) => {
                    match with_local_output(frame.body())? {
                        Some(changed) => to.write_all(&changed).await?,
                        None => to.write_all(frame.whole()).await?,
                    }
                    return to.write_all(&buffer).await.map(|()| None);
                }
                None => to.write_all(frame.whole()).await?,
            }
        }
        if codec::is_broken(&buffer) || from.read_buf(&mut buffer).await? == 0 {
            return to.write_all(&buffer).await.map(|()| None);
        }
    }
}

/// The launch in `frame` without the wish that dlv itself sends the program's output, as a message; `None` where it has no
/// such wish. What dlv's output gets comes to the client all the same (`printed`).
fn with_local_output(frame: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut launch: serde_json::Value = serde_json::from_slice(frame)?;
    if !forget_remote_output(&mut launch["arguments"]) {
        return Ok(None);
    }
    codec::encode(&launch).map(Some).map_err(io::Error::other)
}

/// Removes that wish from a launch's arguments; whether it was there.
pub(super) fn forget_remote_output(arguments: &mut serde_json::Value) -> bool {
    let Some(arguments) = arguments.as_object_mut() else { return false };
    let wished = arguments.get("outputMode").is_some_and(|mode| mode == "remote");
    if wished {
        arguments.shift_remove("outputMode");
    }
    wished
}

/// The attach in `frame` with a process in the place of a name, as a message.
pub(super) fn by_number(frame: &[u8], pid: u32) -> io::Result<Vec<u8>> {
    let mut attach: serde_json::Value = serde_json::from_slice(frame)?;
    if let Some(arguments) = attach["arguments"].as_object_mut() {
        arguments.shift_remove("waitFor");
        arguments.insert("processId".to_owned(), pid.into());
    }
    codec::encode(&attach).map_err(io::Error::other)
}

/// Returns when the client goes or says goodbye; what else it says meanwhile is kept in `buffer`, and bounded.
async fn leaves(from: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> io::Result<()> {
    const MOST: usize = 1 << 20;
    let gone = || Err(io::ErrorKind::ConnectionAborted.into());
    loop {
        let mut said = buffer.clone();
        while let Ok(Some(frame)) = codec::take_frame(&mut said) {
            let request: Request = serde_json::from_slice(frame.body()).unwrap_or_default();
            if matches!(request.command.as_str(), "disconnect" | "terminate") {
                return gone();
            }
        }
        if buffer.len() > MOST || from.read_buf(buffer).await? == 0 {
            return gone();
        }
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;
    use serde_json::json;
    use tokio::io::AsyncReadExt;
    use tokio::sync::mpsc;

    use super::{Launched, pass_launch, with_local_output};
    use crate::debug::dap::codec;

    #[test]
    fn dlv_sends_no_output_itself() {
        let launch = |arguments: serde_json::Value| json!({ "command": "launch", "arguments": arguments }).to_string();
        let told = with_local_output(launch(json!({ "outputMode": "remote", "program": "." })).as_bytes());
        let told = told.expect("a message").expect("it is changed");
        assert!(told.ends_with(launch(json!({ "program": "." })).as_bytes()), "{}", String::from_utf8_lossy(&told));
        for (arguments, why) in [
            (json!({ "program": "." }), "nothing to change"),
            (json!({ "outputMode": "loud" }), "dlv says what it thinks of it"),
            (json!(null), "no arguments"),
        ] {
            assert_eq!(with_local_output(launch(arguments).as_bytes()).expect("a message"), None, "{why}");
        }
    }

    #[test]
    fn what_is_asked() {
        let cwd = Utf8Path::new("/w");
        let launched = |program: Option<&str>, dlv_cwd: Option<&str>, output: Option<&str>| {
            let path = |path: Option<&str>| path.map(Into::into);
            let program = program.map(str::to_owned);
            Some(Launched { program, dlv_cwd: path(dlv_cwd), output: path(output), waits_for: None })
        };
        for (command, arguments, expected, why) in [
            ("initialize", json!({}), None, "nothing is launched"),
            ("launch", json!({ "program": "./cmd/api" }), launched(Some("./cmd/api"), None, None), "the usual form"),
            (
                "launch",
                json!({ "mode": "debug", "program": ".", "dlvCwd": "sub", "output": "bin/x" }),
                launched(Some("."), Some("/w/sub"), Some("/w/sub/bin/x")),
                "the output counts from dlv's folder",
            ),
            (
                "launch",
                json!({ "mode": "test", "program": ".", "output": "/tmp/x" }),
                launched(Some("."), None, Some("/tmp/x")),
                "tests are built, too",
            ),
            (
                "launch",
                json!({ "mode": "exec", "program": "./x", "output": "./x" }),
                launched(Some("./x"), None, None),
                "what dlv did not build is not removed",
            ),
            ("attach", json!({ "processId": 7 }), launched(Some("process 7"), None, None), "by number"),
            (
                "attach",
                json!({ "waitFor": "./tmp/main" }),
                launched(Some("./tmp/main"), None, None)
                    .map(|launched| Launched { waits_for: Some("./tmp/main".to_owned()), ..launched }),
                "by name",
            ),
            ("launch", json!("nonsense"), launched(None, None, None), "nothing that we understand"),
        ] {
            let message = json!({ "seq": 1, "type": "request", "command": command, "arguments": arguments });
            assert_eq!(Launched::in_frame(message.to_string().as_bytes(), cwd), expected, "{why}");
        }
        assert_eq!(Launched::in_frame(b"[}", cwd), None);
    }

    #[tokio::test]
    async fn name_becomes_a_number_and_a_goodbye_ends_the_wait() {
        let message = |command: &str, arguments: serde_json::Value| {
            codec::encode(&json!({ "seq": 1, "command": command, "arguments": arguments })).expect("frame")
        };
        // However it was called: it is the command line that is looked at.
        let own = std::env::args().next().expect("a name");
        let nobody = "no process begins like this";
        for (name, then, expected, why) in [
            (own.as_str(), vec![], true, "this very process"),
            (nobody, message("disconnect", json!({})), false, "the client says goodbye"),
            (nobody, vec![], false, "the client goes"),
        ] {
            let (launches, mut heard) = mpsc::channel(1);
            tokio::spawn(async move { while heard.recv().await.is_some() {} });
            let all = [message("attach", json!({ "waitFor": name, "mode": "local" })), then].concat();
            let (mut passed, mut rest) = (Vec::new(), &all[..]);
            // A reader that ends would be a client that goes: the process is there at once.
            let done = if expected {
                let mut open = rest.chain(Forever);
                pass_launch(&mut open, &mut passed, b"", "/w".into(), &launches, None).await
            } else {
                pass_launch(&mut rest, &mut passed, b"", "/w".into(), &launches, None).await
            };
            assert_eq!(done.is_ok(), expected, "{why}: {done:?}");
            let text = String::from_utf8(passed).expect("text");
            assert_eq!(text.contains("\"processId\":"), expected, "{why}: {text}");
            assert!(!text.contains("waitFor"), "{why}: {text}");
        }
    }

    /// A stream that says nothing and stays open.
    struct Forever;

    impl tokio::io::AsyncRead for Forever {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Pending
        }
    }

    #[tokio::test]
    async fn bytes_pass_as_they_came() {
        let message = |command: &str| codec::encode(&json!({ "command": command, "arguments": {} })).expect("frame");
        let whole = [message("initialize"), message("launch"), message("threads")].concat();
        for (bytes, tells, why) in [
            (whole.clone(), 1, "three messages"),
            (b"Content-Length: 2\r\n\r\n[}".to_vec(), 0, "no DAP"),
            (b"Content-Length: x\r\n\r\n{}".to_vec(), 0, "a broken header"),
            (whole[..whole.len() - 10].to_vec(), 1, "cut off"),
        ] {
            let (launches, mut heard) = mpsc::channel(1);
            let session = tokio::spawn(async move {
                let mut count = 0;
                while let Some((_, noted)) = heard.recv().await {
                    count += 1;
                    drop(noted);
                }
                count
            });
            let (opening, mut rest) = bytes.split_at(10);
            let mut passed = Vec::new();
            pass_launch(&mut rest, &mut passed, opening, "/w".into(), &launches, None).await.expect("passed");
            passed.extend_from_slice(rest);
            drop(launches);
            assert_eq!(passed, bytes, "{why}");
            assert_eq!(session.await.expect("session"), tells, "{why}");
        }
    }
}
