//! `burrow debug ports --for ...`: what is printed is taken by the very tool that it is for. GoLand is in no package: its
//! file is only compared (`cli/debug/recipe.rs`).

use std::io::Write;

use serde_json::{Value, json};

use super::editor::Editor;
use super::{address, assert_nothing_left, debuggable, lease, line_of};
use crate::container::engine;
use crate::sandbox::{Run, Sandbox};

/// Where a person's editor has the folder, which is not where the container has it.
const ELSEWHERE: &str = "/home/ann/shop";

fn recipe(sandbox: &Sandbox, tool: &str) -> Run {
    sandbox.burrow(["debug", "ports", "--for", tool]).exits(0)
}

/// A machine with a daemon.
fn machine() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.burrow(["start"]).exits(0);
    sandbox
}

/// Launches as `configuration` says, with a breakpoint by the editor's own path; it stops there.
fn stops_by_the_editors_path(sandbox: &Sandbox, port: u16, configuration: &Value) {
    let line = line_of(sandbox, "server := &http.Server");
    let file = format!("{ELSEWHERE}/main.go");
    let mut editor = Editor::connect(([127, 0, 0, 1], port).into());
    editor.launch(configuration.clone());
    let breakpoints = json!({ "source": { "path": file }, "breakpoints": [{ "line": line }] });
    let set = editor.call::<super::editor::FileBreakpoints>(&breakpoints).expect("breakpoints");
    assert!(set.breakpoints[0].verified, "{}", set.breakpoints[0].message);
    editor.run_to(&[]);
    let stopped = editor.stopped();
    assert_eq!(editor.frame(&stopped).source.path, file, "dlv's path comes back as the editor's");
    editor.disconnect(true);
    assert_nothing_left(sandbox);
}

/// The launch configuration is a DAP client's: VS Code hands it on as it is, its variables resolved.
#[test]
fn vscode_configuration_launches() {
    let sandbox = debuggable();
    let lease = lease(&sandbox);
    let printed = recipe(&sandbox, "vscode").json();
    let launch = &printed["configurations"][0];
    let text = launch.to_string().replace("${workspaceFolder}", ELSEWHERE);
    let port = u16::try_from(launch["debugServer"].as_u64().expect("a port")).expect("a port");
    assert_eq!(port, address(&lease).port(), "the port that is leased");
    stops_by_the_editors_path(&sandbox, port, &serde_json::from_str(&text).expect("JSON"));
}

/// The other configuration attaches to what a headless lease runs. VS Code dials its port, and hands the rest on.
#[test]
fn vscode_configuration_attaches() {
    let sandbox = debuggable();
    let lease = super::kinds::lease_as(&sandbox, &["--headless", "debug", "."]);
    let attach = recipe(&sandbox, "vscode").json()["configurations"][1].take();
    let text = attach.to_string().replace("${workspaceFolder}", ELSEWHERE);
    let attach: Value = serde_json::from_str(&text).expect("JSON");
    let port = u16::try_from(attach["port"].as_u64().expect("a port")).expect("a port");
    assert_eq!(port, address(&lease).port(), "the port that is leased");
    let line = line_of(&sandbox, "server := &http.Server");
    let file = format!("{ELSEWHERE}/main.go");
    let mut editor = Editor::connect(([127, 0, 0, 1], port).into());
    editor.send::<super::editor::Attach>(&attach);
    editor.is_initialized();
    let breakpoints = json!({ "source": { "path": file }, "breakpoints": [{ "line": line }] });
    let set = editor.call::<super::editor::FileBreakpoints>(&breakpoints).expect("breakpoints");
    assert!(set.breakpoints[0].verified, "{}", set.breakpoints[0].message);
    editor.run_to(&[]);
    let stopped = editor.stopped();
    assert_eq!(editor.frame(&stopped).source.path, file, "dlv's path comes back as the editor's");
    editor.disconnect(false);
    sandbox.burrow(["debug", "release", &lease.id]).exits(0);
    assert_nothing_left(&sandbox);
}

/// The Lua for nvim-dap runs in a Lua, which gives it a `dap` and says what came into it.
#[test]
fn nvim_configuration_launches() {
    let sandbox = debuggable();
    lease(&sandbox);
    sandbox.change("recipe.lua", recipe(&sandbox, "nvim").stdout());
    let run = format!(
        "local dap = {{ adapters = {{}}, configurations = {{}} }}
         package.preload.dap = function() return dap end
         vim = {{ fn = {{ getcwd = function() return '{ELSEWHERE}' end }} }}
         dofile('recipe.lua')
         local adapter, go = dap.adapters.burrow, dap.configurations.go[1]
         assert(adapter.type == 'server' and adapter.host == '127.0.0.1' and go.type == 'burrow')
         local path = go.substitutePath[1]
         print(string.format('{{\"port\":%d,\"request\":%q,\"mode\":%q,\"program\":%q,\"substitutePath\":[{{\"from\":%q,\"to\":%q}}]}}',
             adapter.port, go.request, go.mode, go.program, path.from, path.to))"
    );
    let mut lua = sandbox.command("lua5.4");
    lua.args(["-e", &run]);
    let configuration = sandbox.run(lua).exits(0).json();
    let port = u16::try_from(configuration["port"].as_u64().expect("a port")).expect("a port");
    stops_by_the_editors_path(&sandbox, port, &configuration);
}

/// Docker takes the flags: the ports are published, and kept from outgoing connections.
#[test]
fn docker_takes_the_flags() {
    let sandbox = machine();
    let flags = recipe(&sandbox, "docker");
    let flags: Vec<&str> = flags.stdout().lines().collect();
    let (first, last) = (*sandbox.ports().start(), *sandbox.ports().end());
    // The ports are this daemon's on this machine.
    sandbox.burrow(["stop"]).exits(0);
    let reserved = ["cat", "/proc/sys/net/ipv4/ip_local_reserved_ports"];
    let words = ["run", "--rm"].into_iter().chain(flags).chain([engine::IMAGE]).chain(reserved);
    assert_eq!(engine::docker_prints(words), format!("{first}-{last}"));
}

/// Compose takes the fragment, for the service that devcontainer.json names.
#[test]
fn compose_takes_the_fragment() {
    let sandbox = machine().property("service", "web");
    let fragment = recipe(&sandbox, "compose");
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile_in(sandbox.root()).expect("file");
    write!(file, "version: \"3.7\"\n{}", fragment.stdout().replace("  web:\n", "  web:\n    image: none\n"))
        .expect("write");
    let mut compose = sandbox.command("docker-compose");
    compose.arg("-f").arg(file.path()).arg("config");
    let taken = sandbox.run(compose).exits(0);
    assert!(taken.stdout().contains("  web:"), "{}", taken.whole());
    for port in sandbox.ports() {
        assert!(taken.stdout().contains(&format!("127.0.0.1:{port}:{port}/tcp")), "{port}: {}", taken.whole());
    }
}

/// kubectl understands the command: what it misses is a cluster.
#[test]
fn kubectl_takes_the_command() {
    let sandbox = machine();
    let command = recipe(&sandbox, "kubectl");
    let mut words = command.stdout().split_whitespace();
    assert_eq!(words.next(), Some("kubectl"));
    let mut kubectl = sandbox.command("kubectl");
    // Nobody answers there: the discard port of this machine.
    kubectl.args(words).args(["--server=http://127.0.0.1:9", "--request-timeout=5s"]);
    let run = sandbox.run(kubectl).exits(1);
    assert!(run.stderr().contains("refused"), "{}", run.whole());
}
