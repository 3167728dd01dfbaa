//! What the container's engine says of it, over its socket where that is mounted. The only module that knows bollard.

use std::collections::BTreeMap;
use std::path::Path;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, MountPoint, PortMap};
use burrow_protocol::error::ErrorCode;
use burrow_protocol::model::{KnownBy, MountKind, MountStatus, PublishedPort, Surroundings};

use super::host_paths::of_desktop;
use crate::coded::Coded;

/// Where a container finds its engine, if it was given to it.
const SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/run/podman/podman.sock"];
/// Seconds. An engine that is busy with an image answers late.
const DEADLINE: u64 = 10;

/// Why the engine said nothing.
#[derive(Debug, thiserror::Error)]
#[error("ask the container's engine at {socket}")]
pub(super) struct EngineError {
    /// Its socket.
    pub(super) socket: &'static str,
    /// Why.
    pub(super) source: Error,
}

impl Coded for EngineError {
    fn code(&self) -> ErrorCode {
        ErrorCode::EngineUnreachable
    }

    fn hint(&self) -> Option<String> {
        Some(format!("give this user access to {}, or do not mount it: ports and labels stay unknown", self.socket))
    }
}

/// What the engine knows of the container `id`; `None` where it has no socket here.
pub(super) async fn ask(id: &str) -> Option<Result<Surroundings, EngineError>> {
    let socket = SOCKETS.into_iter().find(|socket| Path::new(socket).exists())?;
    Some(inspect(socket, id).await.map(surroundings).map_err(|source| EngineError { socket, source }))
}

async fn inspect(socket: &str, id: &str) -> Result<ContainerInspectResponse, Error> {
    // Engines refuse versions that they are too old or too new for.
    let docker = Docker::connect_with_unix(socket, DEADLINE, bollard::API_DEFAULT_VERSION)?.negotiate_version().await?;
    docker.inspect_container(id, None).await
}

fn surroundings(told: ContainerInspectResponse) -> Surroundings {
    let config = told.config.unwrap_or_default();
    Surroundings {
        known_by: KnownBy::Engine,
        engine_id: told.id,
        name: told.name.map(|name| name.trim_start_matches('/').to_owned()),
        image: config.image,
        published: published(told.network_settings.and_then(|network| network.ports).unwrap_or_default()),
        mounts: told.mounts.unwrap_or_default().into_iter().filter_map(mount).collect(),
        labels: config.labels.unwrap_or_default().into_iter().collect::<BTreeMap<_, _>>(),
        notes: Vec::new(),
    }
}

/// TCP alone, in order.
fn published(ports: PortMap) -> Vec<PublishedPort> {
    let mut published = Vec::new();
    for (name, bindings) in ports {
        let Some(port) = name.strip_suffix("/tcp").and_then(|port| port.parse().ok()) else { continue };
        for binding in bindings.unwrap_or_default() {
            if let Some(host_port) = binding.host_port.and_then(|port| port.parse().ok()) {
                published.push(PublishedPort { port, host_address: binding.host_ip.unwrap_or_default(), host_port });
            }
        }
    }
    published.sort_by(|one, other| (one.port, &one.host_address).cmp(&(other.port, &other.host_address)));
    published
}

fn mount(point: MountPoint) -> Option<MountStatus> {
    let kind = match point.typ?.as_str() {
        "bind" => MountKind::Bind,
        "volume" => MountKind::Volume,
        _ => return None,
    };
    let host_path = of_desktop(&point.source?);
    Some(MountStatus { target: point.destination?, kind, host_path, exact: true })
}

#[cfg(test)]
mod tests {
    use bollard::models::ContainerInspectResponse;
    use burrow_protocol::model::{KnownBy, MountKind, MountStatus, PublishedPort};
    use serde_json::json;

    use super::surroundings;

    #[test]
    fn what_an_engine_says() {
        let told = json!({
            "Id": "f".repeat(64),
            "Name": "/shop",
            "Config": { "Image": "golang:1.26", "Labels": { "devcontainer.local_folder": "/home/ann/shop" }, "ExposedPorts": { "40000/tcp": {} } },
            "Mounts": [
                { "Type": "bind", "Source": "/host_mnt/Users/ann/shop", "Destination": "/workspaces/shop" },
                { "Type": "volume", "Name": "go-mod", "Source": "/var/lib/docker/volumes/go-mod/_data", "Destination": "/go/pkg/mod" },
                { "Type": "tmpfs", "Destination": "/tmp" },
            ],
            "NetworkSettings": { "Ports": {
                "40001/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "50001" }],
                "40000/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "40000" }],
                "53/udp": [{ "HostIp": "0.0.0.0", "HostPort": "53" }],
                "8080/tcp": null,
            } },
        });
        let told: ContainerInspectResponse = serde_json::from_value(told).unwrap();
        let found = surroundings(told);
        assert_eq!(
            (found.known_by, found.name.as_deref(), found.image.as_deref()),
            (KnownBy::Engine, Some("shop"), Some("golang:1.26"))
        );
        let port = |port, address: &str, host_port| PublishedPort { port, host_address: address.into(), host_port };
        assert_eq!(found.published, [port(40000, "0.0.0.0", 40000), port(40001, "127.0.0.1", 50001)], "published TCP");
        let mount = |target: &str, kind, host_path: &str| MountStatus {
            target: target.into(),
            kind,
            host_path: host_path.into(),
            exact: true,
        };
        let expected = [
            mount("/workspaces/shop", MountKind::Bind, "/Users/ann/shop"),
            mount("/go/pkg/mod", MountKind::Volume, "/var/lib/docker/volumes/go-mod/_data"),
        ];
        assert_eq!(found.mounts, expected, "what has a side on the host");
        assert_eq!(found.labels["devcontainer.local_folder"], "/home/ann/shop");
    }
}
