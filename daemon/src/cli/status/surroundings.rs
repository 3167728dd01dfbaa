//! The container in `burrow status`: which one it is, who reaches its debug ports, what is wrong with it.

use std::fmt::Write;

use burrow_protocol::model::{KnownBy, PublishedPort, Status, Surroundings};

use super::super::printer::Printer;
use super::{render_reasons, word_of};
use crate::container::to_host;

/// Nothing where there is no container.
pub(super) fn lines(printer: Printer, status: &Status) -> String {
    let around = &status.surroundings;
    let mut text = String::new();
    // Writing to a String does not fail.
    if around.known_by != KnownBy::Nobody {
        let id = around.engine_id.as_deref().map(|id| format!(" {}", &id[..id.len().min(12)])).unwrap_or_default();
        let name = around.name.as_deref().map(|name| format!("  {name}")).unwrap_or_default();
        let image = around.image.as_deref().map(|image| format!(" of {image}")).unwrap_or_default();
        let _ = writeln!(text, "{}{id}{name}{image}{}", word_of(&status.container.kind), published(status));
    }
    for workspace in &status.workspaces {
        if let Some(path) = to_host(&around.mounts, &workspace.path) {
            let _ = writeln!(text, "on the host, {} is {path}", workspace.path);
        }
    }
    text + &render_reasons(printer, &around.notes)
}

/// Which debug ports the host has published, where that is known.
fn published(status: &Status) -> String {
    let Surroundings { known_by: KnownBy::Engine, published, .. } = &status.surroundings else { return String::new() };
    // One port may be published on several addresses: mostly on those of IPv4 and of IPv6.
    let found: Vec<(u16, Vec<&PublishedPort>)> = status
        .ports
        .iter()
        .map(|own| (own.port, published.iter().filter(|port| port.port == own.port).collect::<Vec<_>>()))
        .filter(|(_, places)| !places.is_empty())
        .collect();
    let Some((_, first)) = found.first() else { return "  no debug port is published".to_owned() };
    let addresses = |places: &[&PublishedPort]| places.iter().map(|place| address(place)).collect::<Vec<_>>();
    let alike = found.len() == status.ports.len()
        && found.iter().all(|(port, places)| {
            places.iter().all(|place| place.host_port == *port) && addresses(places) == addresses(first)
        });
    if alike {
        return format!("  debug ports published on {}", addresses(first).join(" and "));
    }
    let each = |(port, places): &(u16, Vec<&PublishedPort>)| {
        let places: Vec<_> = places.iter().map(|place| format!("{}:{}", address(place), place.host_port)).collect();
        format!("{port} on {}", places.join(" and "))
    };
    format!("  published: {}", found.iter().map(each).collect::<Vec<_>>().join(", "))
}

/// As it stands before a port.
fn address(place: &PublishedPort) -> String {
    if place.host_address.contains(':') { format!("[{}]", place.host_address) } else { place.host_address.clone() }
}

#[cfg(test)]
mod tests {
    use burrow_protocol::debug::{PortState, PortStatus};
    use burrow_protocol::model::{ContainerKind, ContainerStatus, KnownBy, PublishedPort, Status, Surroundings};

    use super::published;

    #[test]
    fn who_reaches_the_debug_ports() {
        let port =
            |port, host_address: &str, host_port| PublishedPort { port, host_address: host_address.into(), host_port };
        for (known_by, ports, expected, why) in [
            (KnownBy::Proc, vec![], "", "/proc does not tell"),
            (KnownBy::Engine, vec![], "  no debug port is published", "none is"),
            (KnownBy::Engine, vec![port(8080, "", 80)], "  no debug port is published", "another one is none of ours"),
            (
                KnownBy::Engine,
                vec![port(40000, "127.0.0.1", 40000), port(40001, "127.0.0.1", 40001)],
                "  debug ports published on 127.0.0.1",
                "all, as they are",
            ),
            (
                KnownBy::Engine,
                vec![
                    port(40000, "0.0.0.0", 40000),
                    port(40000, "::", 40000),
                    port(40001, "0.0.0.0", 40001),
                    port(40001, "::", 40001),
                ],
                "  debug ports published on 0.0.0.0 and [::]",
                "as `-p 40000-40001:40000-40001` makes them",
            ),
            (
                KnownBy::Engine,
                vec![port(40000, "0.0.0.0", 40000), port(40001, "0.0.0.0", 40001), port(40001, "::1", 50001)],
                "  published: 40000 on 0.0.0.0:40000, 40001 on 0.0.0.0:40001 and [::1]:50001",
                "one of them elsewhere too",
            ),
            (
                KnownBy::Engine,
                vec![port(40001, "0.0.0.0", 50001)],
                "  published: 40001 on 0.0.0.0:50001",
                "one, elsewhere",
            ),
        ] {
            let free = |port| PortStatus::bare(port, PortState::Free);
            let status = Status {
                version: String::new(),
                protocol: 1,
                pid: 1,
                container: ContainerStatus { kind: ContainerKind::Docker, id: String::new(), start_id: String::new() },
                surroundings: Surroundings { known_by, published: ports, ..Surroundings::default() },
                ports: vec![free(40000), free(40001)],
                leases: vec![],
                workspaces: vec![],
            };
            assert_eq!(published(&status), expected, "{why}");
        }
    }
}
