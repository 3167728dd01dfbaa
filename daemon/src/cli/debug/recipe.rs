//! `burrow debug ports --for ...`: what another tool needs to reach this container's debug ports, exactly as it takes it.
//!
//! Pure: the place in, text out. Data goes to standard output, as it may be pasted or substituted; what has to be done
//! besides is a note.

use serde_json::json;

/// A tool that reaches debug ports from outside, or an editor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Tool {
    /// Flags of `docker run`
    Docker,
    /// A command that forwards the ports of this pod
    Kubectl,
    /// A fragment of compose.yaml
    Compose,
    /// A launch.json
    Vscode,
    /// A run configuration, for .run/
    Goland,
    /// Lua for nvim-dap
    Nvim,
}

/// The place that a recipe is for.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The first debug port and the last.
    pub(super) ports: (u16, u16),
    /// The port that an editor is to use: a lease's, else the first.
    pub(super) port: u16,
    /// The workspace's path here.
    pub(super) workspace: String,
    /// The same on the host, where that is known.
    pub(super) workspace_outside: Option<String>,
    /// Where the host has published that port, where it has: address and port.
    pub(super) published_at: Option<(String, u16)>,
    /// The container's host name, which is the pod's name.
    pub(super) host: String,
    /// The pod's namespace, where there is one.
    pub(super) namespace: Option<String>,
    /// The service of compose.yaml.
    pub(super) service: String,
    /// Whether leased ports listen on all addresses.
    pub(super) everywhere: bool,
    /// Whether a process that dlv did not start can be traced here.
    pub(super) may_attach: bool,
}

/// What is printed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Recipe {
    /// For the tool.
    pub(super) text: String,
    /// What has to be done besides.
    pub(super) notes: Vec<String>,
}

/// The recipe for `tool` at `place`.
pub(super) fn recipe(tool: Tool, place: &Place) -> Recipe {
    let port = place.port;
    let leased = format!("lease the port first: `burrow debug lease --port {port}`");
    let (text, notes) = match tool {
        Tool::Docker => (docker(place), published(place)),
        Tool::Compose => (compose(place), published(place)),
        Tool::Kubectl => (kubectl(place), vec![leased]),
        Tool::Vscode => (
            vscode(place),
            vec![
                leased,
                format!(
                    "for \"attach\", a program for many clients: `burrow debug lease --port {port} --headless debug .`"
                ),
            ],
        ),
        Tool::Goland => (
            goland(place),
            vec![
                format!("GoLand speaks dlv's JSON-RPC: `burrow debug lease --port {port} --headless debug .`"),
                "save it as .run/burrow.run.xml; GoLand finds files by their place in the module".to_owned(),
            ],
        ),
        Tool::Nvim => (nvim(place), vec![leased]),
    };
    Recipe { text, notes: notes.into_iter().chain(outside(tool, place)).collect() }
}

/// What an editor on the host has to know besides.
fn outside(tool: Tool, place: &Place) -> Vec<String> {
    if !matches!(tool, Tool::Vscode | Tool::Goland | Tool::Nvim) {
        return Vec::new();
    }
    let path = place.workspace_outside.as_ref().map(|path| format!("on the host, this workspace is {path}"));
    let port = place.published_at.as_ref().filter(|(_, port)| *port != place.port);
    let port = port.map(|(address, port)| format!("on the host, port {} is {address}:{port}", place.port));
    path.into_iter().chain(port).collect()
}

/// A published port's connections come from the bridge's gateway.
fn published(place: &Place) -> Vec<String> {
    if place.everywhere {
        return Vec::new();
    }
    vec![
        "leased ports listen on the loopback interface only: set customizations.burrow.debug.bind to \"all\""
            .to_owned(),
        "DAP has no authentication: publish on 127.0.0.1 only".to_owned(),
    ]
}

fn range(place: &Place) -> String {
    let (first, last) = place.ports;
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

fn docker(place: &Place) -> String {
    let range = range(place);
    let mut flags = vec![
        format!("--publish=127.0.0.1:{range}:{range}"),
        // Else an outgoing connection may sit on one of them.
        format!("--sysctl=net.ipv4.ip_local_reserved_ports={range}"),
    ];
    if !place.may_attach {
        flags.push("--cap-add=SYS_PTRACE".to_owned());
    }
    flags.join("\n")
}

fn compose(place: &Place) -> String {
    let range = range(place);
    let mut lines = vec![
        "services:".to_owned(),
        format!("  {}:", place.service),
        "    ports:".to_owned(),
        format!("      - \"127.0.0.1:{range}:{range}\""),
        "    sysctls:".to_owned(),
        format!("      net.ipv4.ip_local_reserved_ports: \"{range}\""),
    ];
    if !place.may_attach {
        lines.extend(["    cap_add:".to_owned(), "      - SYS_PTRACE".to_owned()]);
    }
    lines.join("\n")
}

fn kubectl(place: &Place) -> String {
    let (first, last) = place.ports;
    let namespace = place.namespace.as_ref().map(|name| format!(" --namespace={}", quoted(name))).unwrap_or_default();
    let ports: Vec<_> = (first..=last).map(|port| format!("{port}:{port}")).collect();
    format!("kubectl port-forward{namespace} pod/{} {}", quoted(&place.host), ports.join(" "))
}

fn vscode(place: &Place) -> String {
    let Place { port, workspace, .. } = place;
    let paths = json!([{ "from": "${workspaceFolder}", "to": workspace }]);
    let configurations = json!({
        "version": "0.2.0",
        "configurations": [
            {
                "name": format!("Burrow: launch on port {port}"),
                "type": "go",
                "request": "launch",
                "mode": "debug",
                "program": workspace,
                "debugServer": port,
                "outputMode": "remote",
                "substitutePath": paths,
            },
            {
                "name": format!("Burrow: attach on port {port}"),
                "type": "go",
                "request": "attach",
                "mode": "remote",
                "host": "127.0.0.1",
                "port": port,
                "substitutePath": paths,
            },
        ],
    });
    format!("{configurations:#}")
}

fn goland(place: &Place) -> String {
    let port = place.port;
    format!(
        "<component name=\"ProjectRunConfigurationManager\">
  <configuration default=\"false\" name=\"Burrow {port}\" type=\"GoRemoteDebugConfigurationType\" factoryName=\"Go Remote\" port=\"{port}\">
    <option name=\"disconnectOption\" value=\"LEAVE\" />
    <disconnect value=\"LEAVE\" />
    <method v=\"2\" />
  </configuration>
</component>"
    )
}

fn nvim(place: &Place) -> String {
    let (port, workspace) = (place.port, lua(&place.workspace));
    // The folder in which the editor was started may be another one.
    let outside = place.workspace_outside.as_deref().map_or_else(|| "vim.fn.getcwd()".to_owned(), lua);
    format!(
        "local dap = require(\"dap\")
dap.adapters.burrow = {{ type = \"server\", host = \"127.0.0.1\", port = {port} }}
dap.configurations.go = dap.configurations.go or {{}}
table.insert(dap.configurations.go, {{
  type = \"burrow\",
  name = \"Burrow: launch on port {port}\",
  request = \"launch\",
  mode = \"debug\",
  program = {workspace},
  outputMode = \"remote\",
  substitutePath = {{ {{ from = {outside}, to = {workspace} }} }},
}})"
    )
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// A string for Lua, whose escapes for what cannot stand as it is are decimal.
fn lua(text: &str) -> String {
    let escaped = |letter: char| match letter {
        '"' | '\\' => format!("\\{letter}"),
        letter if letter.is_control() && letter.is_ascii() => format!("\\{:03}", u32::from(letter)),
        letter => letter.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::{Place, Tool, lua, quoted, recipe};

    fn place() -> Place {
        Place {
            ports: (40000, 40002),
            port: 40001,
            workspace: "/workspaces/shop".to_owned(),
            workspace_outside: None,
            published_at: None,
            host: "shop-7d9f".to_owned(),
            namespace: Some("dev".to_owned()),
            service: "app".to_owned(),
            everywhere: false,
            may_attach: true,
        }
    }

    #[test]
    fn flags_and_commands() {
        insta::assert_snapshot!(recipe(Tool::Docker, &place()).text, @r"
        --publish=127.0.0.1:40000-40002:40000-40002
        --sysctl=net.ipv4.ip_local_reserved_ports=40000-40002
        ");
        insta::assert_snapshot!(recipe(Tool::Kubectl, &place()).text, @"kubectl port-forward --namespace=dev pod/shop-7d9f 40000:40000 40001:40001 40002:40002");
        let locked = Place { may_attach: false, ports: (40000, 40000), ..place() };
        insta::assert_snapshot!(recipe(Tool::Compose, &locked).text, @r#"
        services:
          app:
            ports:
              - "127.0.0.1:40000:40000"
            sysctls:
              net.ipv4.ip_local_reserved_ports: "40000"
            cap_add:
              - SYS_PTRACE
        "#);
    }

    #[test]
    fn what_has_to_be_done_besides() {
        assert!(recipe(Tool::Docker, &place()).notes[0].contains("debug.bind"));
        assert_eq!(recipe(Tool::Docker, &Place { everywhere: true, ..place() }).notes, Vec::<String>::new());
        assert!(recipe(Tool::Goland, &place()).notes[0].contains("burrow debug lease --port 40001 --headless"));
    }

    #[test]
    fn an_editor_on_the_host_is_told_where_things_are_there() {
        let there = Place {
            workspace_outside: Some("/home/ann/shop".to_owned()),
            published_at: Some(("127.0.0.1".to_owned(), 50001)),
            ..place()
        };
        let recipe = recipe(Tool::Nvim, &there);
        assert!(recipe.text.contains("{ from = \"/home/ann/shop\", to = \"/workspaces/shop\" }"), "{}", recipe.text);
        let expected = ["on the host, this workspace is /home/ann/shop", "on the host, port 40001 is 127.0.0.1:50001"];
        assert_eq!(recipe.notes[1..], expected);
    }

    #[test]
    fn words_of_other_languages() {
        assert_eq!(quoted("a b's"), "'a b'\\''s'");
        assert_eq!(quoted("pod-1"), "pod-1");
        assert_eq!(lua("a\"b\\c\n"), "\"a\\\"b\\\\c\\010\"");
    }
}
