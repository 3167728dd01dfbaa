//! A module proxy that wants to know who asks: how credentials reach it, and that they are seen nowhere else.

use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use camino::Utf8PathBuf;

use super::proxy::{HOST, LOCK, Proxy, tools, workspace};
use super::write;
use crate::sandbox::{Run, Sandbox};

const LONG: Duration = Duration::from_secs(600);
const USER: &str = "ann-of-the-test";
const PASSWORD: &str = "letmein-of-the-test";

/// Go sends credentials over TLS only. The server is Go's own, with the certificate of its package for tests.
const SERVER: &str = r#"package main

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
)

func main() {
	files := http.FileServer(http.Dir(os.Args[1]))
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != os.Args[3] || password != os.Args[4] {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		files.ServeHTTP(w, r)
	}))
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(os.Args[2], certificate, 0o644); err != nil {
		panic(err)
	}
	fmt.Println(server.Listener.Addr())
	io.Copy(io.Discard, os.Stdin)
}
"#;

/// The proxy of a test behind a log-in, for as long as it lives.
struct Guarded {
    process: std::process::Child,
    /// `127.0.0.1:PORT`.
    address: String,
    certificate: Utf8PathBuf,
}

impl Guarded {
    fn of(proxy: &Proxy, sandbox: &Sandbox) -> Self {
        let (source, binary) = (sandbox.root().join("guarded/main.go"), sandbox.root().join("guarded/server"));
        write(&source, SERVER);
        let mut build = sandbox.command("go");
        build.args(["build", "-o", binary.as_str(), source.as_str()]).env("GOTOOLCHAIN", "local");
        sandbox.run(build).exits(0);
        let certificate = sandbox.root().join("guarded/certificate.pem");
        let mut server = sandbox.command(&binary);
        server.args([proxy.path().as_str(), certificate.as_str(), USER, PASSWORD]);
        // Its end is the end of its input.
        server.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut process = server.spawn().unwrap();
        let mut address = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { process, address: address.trim().to_owned(), certificate }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(mut stdin) = self.process.stdin.take() {
            let _ = stdin.flush();
        }
        let _ = self.process.wait();
    }
}

/// Nobody can read who logs in: not on the terminal, not in the status, not in the daemon's log.
#[track_caller]
fn says_nothing_of_the_login(sandbox: &Sandbox, run: &Run) {
    let log = std::fs::read_to_string(sandbox.state_dir().join("daemon.log")).unwrap();
    let status = sandbox.burrow(["status", "--json"]).whole();
    for (place, text) in [("what was printed", run.whole()), ("the status", status), ("the log", log)] {
        for secret in [USER, PASSWORD, "wrong-of-the-test"] {
            assert!(!text.contains(secret), "{secret} is in {place}: {text}");
        }
    }
}

#[test]
fn credentials_reach_the_proxy_and_nobody_else() {
    let proxy = Proxy::with(&["v1.0.0"]);
    let sandbox = workspace(&proxy, "v1.0.0").limit(LONG);
    let guarded = Guarded::of(&proxy, &sandbox);
    let netrc = sandbox.root().join("netrc");
    // Go before 1.24 looks for the host, newer ones for host and port.
    let entry = |machine: &str| format!("machine {machine} login {USER} password {PASSWORD}\n");
    write(&netrc, &(entry("127.0.0.1") + &entry(&guarded.address)));
    let plain = format!("https://{}", guarded.address);
    let sandbox = sandbox.env("SSL_CERT_FILE", guarded.certificate.as_str()).env("GOPROXY", &plain);
    let run = sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR405 download-failed]").tells("401");
    says_nothing_of_the_login(&sandbox, &run);

    // A name or a password that is refused is in what Go says; both may be a token.
    for login in [format!("{USER}:wrong-of-the-test"), "wrong-of-the-test".to_owned()] {
        let sandbox = &sandbox;
        let mut repair = sandbox.burrow_command(["tools", "repair"]);
        repair.env("GOPROXY", format!("https://{login}@{}", guarded.address));
        let run = sandbox.run(repair).exits(1).tells("[BUR405 download-failed]").tells("401");
        says_nothing_of_the_login(sandbox, &run);
    }

    // GOAUTH says that no netrc counts; a setting of `go env -w` is one as well.
    let sandbox = sandbox.env("NETRC", netrc.as_str());
    let settings = sandbox.root().join("home/.config/go/env");
    write(&settings, "GOAUTH=off\n");
    sandbox.burrow(["tools", "repair"]).exits(1).tells("401");
    std::fs::remove_file(&settings).unwrap();
    let run = sandbox.burrow(["tools", "repair"]).exits(0);
    says_nothing_of_the_login(&sandbox, &run);

    // In the URL itself.
    std::fs::remove_dir_all(sandbox.store_dir().join("tools")).unwrap();
    let login = format!("https://{USER}:{PASSWORD}@{}", guarded.address);
    let sandbox = sandbox.without_env("NETRC").env("GOPROXY", login);
    let run = sandbox.burrow(["tools", "repair"]).exits(0);
    says_nothing_of_the_login(&sandbox, &run);
    // Before the sandbox, which leaves no process.
    drop(guarded);
}

/// What is private is not asked of the checksum database, and comes from where the user's settings say.
#[test]
fn private_modules_are_as_private_as_for_go() {
    let proxy = Proxy::with(&["v1.0.0"]);
    // A database that answers nobody.
    let sandbox = Sandbox::new().setting("tools", tools("v1.0.0")).env("GOPROXY", proxy.url()).limit(LONG);
    let sandbox = sandbox.env("GOSUMDB", "sum.golang.org http://127.0.0.1:9");
    sandbox.burrow(["tools", "repair"]).exits(1).tells("[BUR405 download-failed]").tells("127.0.0.1:9");
    assert_eq!(sandbox.read(LOCK), None);
    // Private is also fetched past the proxy, unless that is said otherwise.
    let private = sandbox.env("GOPRIVATE", "*.example.test");
    private.burrow(["tools", "repair"]).exits(1).tells("[BUR405 download-failed]").tells(HOST);
    let private = private.env("GONOPROXY", "none");
    private.burrow(["tools", "repair"]).exits(0).says("gopls      v1.0.0  unverified");
    let without = private.without_env("GOPRIVATE").without_env("GONOPROXY").env("GONOSUMDB", HOST);
    std::fs::remove_dir_all(without.store_dir().join("tools")).unwrap();
    without.burrow(["tools", "repair"]).exits(0).says("gopls      v1.0.0  unverified");
}
