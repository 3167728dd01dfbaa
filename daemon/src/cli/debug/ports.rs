//! `burrow debug ports`: the debug ports and who has them, and how other tools reach them.

use std::fmt::Write;

use anyhow::{Context as _, Result};
use burrow_protocol::debug::{LeaseKind, PortState, PortStatus};
use burrow_protocol::methods::{ModelStatus, NoParams};
use burrow_protocol::model::Status;
use burrow_protocol::settings::DebugBind;

use super::recipe::{Place, Tool, recipe};
use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;
use crate::container;
use crate::debug::Tracing;
use crate::workspace::files::devcontainer;

/// Mounted into every pod's containers.
const POD_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print what TOOL needs to reach the ports of this container: flags, a command or a configuration
    #[arg(long = "for", value_name = "TOOL")]
    tool: Option<Tool>,
    /// Only this port [default: all; an editor gets the one that is leased, else the first]
    #[arg(long, requires = "tool", value_name = "PORT")]
    port: Option<u16>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let client = context.connect_unbound(Start::Never).await?;
    let status = client.call::<ModelStatus>(NoParams {}).await?;
    if let Some(tool) = args.tool {
        let recipe = recipe(tool, &place(&status, args.port, context)?);
        if context.printer.is_json() {
            context.printer.json(&recipe);
        } else {
            context.printer.data(&recipe.text);
            for note in &recipe.notes {
                context.printer.note(&format!("note: {note}"));
            }
        }
    } else if context.printer.is_json() {
        context.printer.json(&status.ports);
    } else {
        context.printer.data(render(&status.ports).trim_end());
    }
    Ok(ExitStatus::Success)
}

fn place(status: &Status, wanted: Option<u16>, context: &Context) -> Result<Place> {
    let settings = devcontainer::read(context.workspace());
    let first = status.ports.first().context("the daemon has no debug ports")?.port;
    let last = status.ports.last().map_or(first, |port| port.port);
    // The one that waits for an editor, where one does.
    let leased = status.ports.iter().find(|port| port.state == PortState::Leased).map(|port| port.port);
    let line = |path: &str| fs_err::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let port = wanted.or(leased).unwrap_or(first);
    let around = &status.surroundings;
    let published = around.published.iter().find(|published| published.port == port);
    Ok(Place {
        ports: wanted.map_or((first, last), |port| (port, port)),
        port,
        workspace: context.workspace().to_string(),
        workspace_outside: container::to_host(&around.mounts, context.workspace().as_str()),
        published_at: published.map(|published| (published.host_address.clone(), published.host_port)),
        host: line("/proc/sys/kernel/hostname").context("read the host name")?,
        namespace: line(POD_NAMESPACE),
        service: settings.devcontainer.service.unwrap_or_else(|| "app".to_owned()),
        everywhere: settings.burrow.debug.bind == DebugBind::All,
        may_attach: Tracing::of(None).may_attach(),
    })
}

fn render(ports: &[PortStatus]) -> String {
    let mut text = String::new();
    for port in ports {
        let state = match port.state {
            PortState::Free => "free",
            PortState::Leased => "leased",
            PortState::Connected => "connected",
            PortState::Foreign => "foreign",
        };
        // Writing to a String does not fail.
        let _ = write!(text, "{:<6} {state:<9}", port.port);
        for value in [&port.lease_id, &port.holder].into_iter().flatten() {
            let _ = write!(text, "  {value}");
        }
        match port.kind {
            Some(LeaseKind::Headless) => text.push_str("  headless"),
            Some(LeaseKind::Adopt) => text.push_str("  adopted"),
            Some(LeaseKind::Dap) | None => {}
        }
        if let Some(purpose) = &port.purpose {
            let _ = write!(text, "  for {purpose}");
        }
        if let Some(pid) = port.pid {
            let _ = write!(text, "  pid {pid}");
        }
        if let Some(since) = &port.since {
            let _ = write!(text, "  since {since}");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use burrow_protocol::debug::{LeaseKind, PortState, PortStatus};

    use super::render;

    #[test]
    fn listing() {
        let free = PortStatus::bare(40000, PortState::Free);
        let leased = PortStatus {
            lease_id: Some("lease-3".to_owned()),
            holder: Some("./cmd/api".to_owned()),
            kind: Some(LeaseKind::Headless),
            purpose: Some("a demo".to_owned()),
            pid: Some(77),
            since: Some("2026-01-02T03:04:05Z".to_owned()),
            ..PortStatus::bare(40001, PortState::Connected)
        };
        let foreign = PortStatus {
            holder: Some("curl, connected to 192.0.2.1:443".to_owned()),
            ..PortStatus::bare(40002, PortState::Foreign)
        };
        insta::assert_snapshot!(render(&[free, leased, foreign]), @r"
        40000  free
        40001  connected  lease-3  ./cmd/api  headless  for a demo  pid 77  since 2026-01-02T03:04:05Z
        40002  foreign    curl, connected to 192.0.2.1:443
        ");
    }
}
