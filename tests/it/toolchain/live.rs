//! A switch while a tool runs: the running one goes on, the next start is the new one, and editors are told.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use burrow_protocol::methods::TOOLCHAIN_SWITCHED;
use burrow_protocol::toolchain::ToolsSwitched;
use serde_json::{Value, json};

use super::proxy::{Proxy, binary};
use crate::sandbox::Sandbox;
use crate::wire::Peer;

#[test]
fn switch_while_gopls_runs() {
    let proxy = Proxy::with(&["v1.0.0"]);
    let sandbox = Sandbox::new().with_tools().limit(Duration::from_secs(400));
    sandbox.burrow(["tools", "repair"]).exits(0);
    let link = sandbox.state_dir().join("current/gopls");
    let real = binary(&sandbox, "gopls");
    let mut gopls = Gopls::start(sandbox.command(&link), sandbox.workspace().as_str());
    let mut window = Peer::open(&sandbox.socket(), &[sandbox.workspace()]).unwrap();

    // gopls comes from another module from here on.
    let package = super::proxy::tools("v1.0.0")["gopls"].clone();
    let sandbox = sandbox.setting("tools", json!({ "gopls": package }));
    let sandbox = sandbox.env("GOPROXY", proxy.url()).env("GOSUMDB", "off");
    sandbox.burrow(["tools", "update", "gopls"]).exits(0);
    let told = switched(&mut window);
    assert_eq!((told.generation, told.tools), (2, vec!["gopls".to_owned()]), "the others are the same as before");
    assert_eq!(told.workspace, sandbox.workspace().as_str());
    assert_ne!(binary(&sandbox, "gopls"), real, "who starts it now has the new one");
    assert_eq!(gopls.symbols()["error"], Value::Null, "who runs the old one goes on");

    sandbox.burrow(["tools", "rollback"]).exits(0);
    let told = switched(&mut window);
    assert_eq!((told.generation, told.tools), (1, vec!["gopls".to_owned()]));
    assert_eq!(binary(&sandbox, "gopls"), real);
    assert_eq!(gopls.symbols()["error"], Value::Null);
    drop(gopls);

    // An editor that looked for it meanwhile found none.
    std::fs::remove_file(sandbox.state_dir().join("current").canonicalize_utf8().unwrap().join("gopls")).unwrap();
    sandbox.burrow(["up"]).exits(0);
    let told = switched(&mut window);
    assert_eq!((told.generation, told.tools), (1, vec!["gopls".to_owned()]));
}

/// The next switch that `window` is told.
fn switched(window: &mut Peer) -> ToolsSwitched {
    loop {
        let mut message = window.receive().unwrap();
        if message["method"] == TOOLCHAIN_SWITCHED {
            return serde_json::from_value(message["params"].take()).unwrap();
        }
    }
}

/// A gopls as an editor runs it.
struct Gopls {
    child: Child,
    stdout: BufReader<ChildStdout>,
    last_id: u32,
}

impl Gopls {
    fn start(mut command: Command, folder: &str) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut gopls = Self { child, stdout, last_id: 0 };
        let folders = json!([{ "uri": format!("file://{folder}"), "name": "w" }]);
        let params = json!({ "processId": null, "capabilities": {}, "workspaceFolders": folders, "rootUri": null });
        let answer = gopls.request("initialize", &params);
        assert_eq!(answer["error"], Value::Null, "{answer}");
        gopls.send(&json!({ "jsonrpc": "2.0", "method": "initialized", "params": {} }));
        gopls
    }

    fn symbols(&mut self) -> Value {
        self.request("workspace/symbol", &json!({ "query": "x" }))
    }

    fn request(&mut self, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.receive();
            if message["id"] == id && message.get("method").is_none() {
                return message;
            }
        }
    }

    fn send(&mut self, message: &Value) {
        let body = message.to_string();
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    }

    fn receive(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(self.stdout.read_line(&mut line).unwrap() > 0, "gopls has ended");
            match line.trim_end() {
                "" => break,
                line => {
                    if let Some(value) = line.strip_prefix("Content-Length: ") {
                        length = value.parse().unwrap();
                    }
                }
            }
        }
        let mut body = vec![0; length];
        self.stdout.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }
}

impl Drop for Gopls {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
