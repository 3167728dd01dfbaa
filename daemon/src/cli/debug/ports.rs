//! `burrow debug ports`: the debug ports and who has them.

use std::fmt::Write;

use anyhow::Result;
use burrow_protocol::debug::{PortState, PortStatus};
use burrow_protocol::methods::{ModelStatus, NoParams};

use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, context: &Context) -> Result<ExitStatus> {
    let client = context.connect_unbound(Start::Never).await?;
    let status = client.call::<ModelStatus>(NoParams {}).await?;
    if context.printer.is_json() {
        context.printer.json(&status.ports);
    } else {
        context.printer.data(render(&status.ports).trim_end());
    }
    Ok(ExitStatus::Success)
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
    use burrow_protocol::debug::{PortState, PortStatus};

    use super::render;

    #[test]
    fn listing() {
        let free =
            PortStatus { port: 40000, state: PortState::Free, lease_id: None, holder: None, pid: None, since: None };
        let leased = PortStatus {
            port: 40001,
            state: PortState::Connected,
            lease_id: Some("lease-3".to_owned()),
            holder: Some("./cmd/api".to_owned()),
            pid: Some(77),
            since: Some("2026-01-02T03:04:05Z".to_owned()),
        };
        let foreign = PortStatus {
            port: 40002,
            state: PortState::Foreign,
            holder: Some("curl, connected to 192.0.2.1:443".to_owned()),
            ..free.clone()
        };
        insta::assert_snapshot!(render(&[free, leased, foreign]), @r"
        40000  free
        40001  connected  lease-3  ./cmd/api  pid 77  since 2026-01-02T03:04:05Z
        40002  foreign    curl, connected to 192.0.2.1:443
        ");
    }
}
