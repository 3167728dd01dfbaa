//! What the container's engine says of it, over its socket where that is mounted. The only module that knows bollard.
//!
//! Invariant: what is said of another container is not taken for this one's. `/etc/hostname` names the container whose
//! network this one shares, and the socket may lead to an engine that runs inside this container.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerSummary, MountPoint, PortMap};
use bollard::query_parameters::{ContainerArchiveInfoOptionsBuilder, ListContainersOptionsBuilder};
use burrow_protocol::error::ErrorCode;
use burrow_protocol::model::{KnownBy, MountKind, MountStatus, PublishedPort, Surroundings};
use camino::Utf8PathBuf;

use super::host_paths::of_desktop;
use super::mountinfo::layer;
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

/// By what this container is told from others.
#[derive(Clone, Debug)]
pub(super) struct Own {
    /// The id of the container whose network this one has: its own, or another's.
    pub(super) network_id: String,
    /// Its writable layer, as [`layer`] has it.
    pub(super) layer: Option<String>,
    /// A file in that layer which every start of a daemon writes anew.
    pub(super) file: Utf8PathBuf,
}

/// What the engine knows of this container; `None` where it has no socket here, and where the one that has knows nothing
/// of it.
///
/// # Errors
/// [`EngineError`] where it cannot be asked.
pub(super) async fn ask(own: &Own) -> Result<Option<Surroundings>, EngineError> {
    let Some(socket) = SOCKETS.into_iter().find(|socket| Path::new(socket).exists()) else { return Ok(None) };
    ask_at(socket, own).await.map_err(|source| EngineError { socket, source })
}

async fn ask_at(socket: &str, own: &Own) -> Result<Option<Surroundings>, Error> {
    // Engines refuse versions that they are too old or too new for.
    let docker = Docker::connect_with_unix(socket, DEADLINE, bollard::API_DEFAULT_VERSION)?.negotiate_version().await?;
    let of_network = match docker.inspect_container(&own.network_id, None).await {
        // Another engine: the one that runs inside of this container.
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
        told => told?,
    };
    let is_own = own.has_layer_of(&of_network);
    let sharing = if is_own == Some(true) { Vec::new() } else { sharing_network(&docker, &own.network_id).await? };
    let is_alone = is_own != Some(false) && sharing.is_empty();
    if is_alone || (is_own.is_none() && sees_file(&docker, own, &own.network_id).await) {
        return Ok(Some(surroundings(of_network, None)));
    }
    for id in sharing {
        if sees_file(&docker, own, &id).await {
            let told = docker.inspect_container(&id, None).await?;
            return Ok(Some(surroundings(told, Some(of_network))));
        }
    }
    Ok(None)
}

impl Own {
    /// Whether the container `told` has this one's layer; `None` where one of the two is not known, as containerd's storage
    /// does not tell it.
    fn has_layer_of(&self, told: &ContainerInspectResponse) -> Option<bool> {
        let theirs = layer(told.graph_driver.as_ref()?.data.get("UpperDir")?)?;
        Some(theirs == *self.layer.as_ref()?)
    }
}

/// The ids of the containers that have no network but that of the container `id`. The engine calls a container running a
/// moment after its first process is: all of them count.
async fn sharing_network(docker: &Docker, id: &str) -> Result<Vec<String>, Error> {
    let mode = format!("container:{id}");
    let all = docker.list_containers(Some(ListContainersOptionsBuilder::default().all(true).build())).await?;
    let is_in_it = |one: &ContainerSummary| {
        one.host_config.as_ref().is_some_and(|host| host.network_mode.as_deref() == Some(mode.as_str()))
    };
    Ok(all.into_iter().filter(is_in_it).filter_map(|one| one.id).collect())
}

/// Whether the engine sees our file in the container `id`: of that very moment, and not a copy of it.
async fn sees_file(docker: &Docker, own: &Own, id: &str) -> bool {
    let options = ContainerArchiveInfoOptionsBuilder::default().path(own.file.as_str()).build();
    let Ok(seen) = docker.get_container_archive_info(id, Some(options)).await else { return false };
    let Ok(metadata) = own.file.metadata() else { return false };
    let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    seen.modification_time
        .and_then(|time| time.parse::<jiff::Timestamp>().ok())
        .is_some_and(|time| time.as_nanosecond() == modified)
}

/// Of the container `told`, whose ports are those of the container `of_network` where it is in that one's network.
fn surroundings(told: ContainerInspectResponse, of_network: Option<ContainerInspectResponse>) -> Surroundings {
    let config = told.config.unwrap_or_default();
    let network = of_network.map_or(told.network_settings, |other| other.network_settings);
    Surroundings {
        known_by: KnownBy::Engine,
        engine_id: told.id,
        name: told.name.map(|name| name.trim_start_matches('/').to_owned()),
        image: config.image,
        published: published(network.and_then(|network| network.ports).unwrap_or_default()),
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
                // Podman names no address for all of them.
                let host_ip = binding.host_ip.filter(|address| !address.is_empty());
                let host_address = host_ip.unwrap_or_else(|| "0.0.0.0".to_owned());
                published.push(PublishedPort { port, host_address, host_port });
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
    use std::os::unix::fs::MetadataExt;

    use burrow_protocol::model::{KnownBy, MountKind, MountStatus, PublishedPort};
    use camino::Utf8PathBuf;
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixListener, UnixStream};

    use super::{Own, ask_at, surroundings};
    use crate::durable;

    /// The containers of an engine that speaks from a script, each with what it says of our file there.
    type Containers = Vec<(Value, Option<&'static str>)>;

    /// When our file was written, in nanoseconds.
    const WRITTEN: i128 = 1_767_323_045_000_000_678;
    /// `{"name":"f","size":1,"mode":420,"mtime":"2026-01-02T03:04:05.000000678Z","linkTarget":""}`, as the header has it.
    const NOW: &str = "eyJuYW1lIjoiZiIsInNpemUiOjEsIm1vZGUiOjQyMCwibXRpbWUiOiIyMDI2LTAxLTAyVDAzOjA0OjA1LjAwMDAwMDY3OFoiLCJsaW5rVGFyZ2V0IjoiIn0=";
    /// The same, a nanosecond before.
    const EARLIER: &str = "eyJuYW1lIjoiZiIsInNpemUiOjEsIm1vZGUiOjQyMCwibXRpbWUiOiIyMDI2LTAxLTAyVDAzOjA0OjA1LjAwMDAwMDY3N1oiLCJsaW5rVGFyZ2V0IjoiIn0=";

    fn container(id: &str, mode: &str, upper_dir: Option<&str>) -> Value {
        json!({
            "Id": id,
            "HostConfig": { "NetworkMode": mode },
            "GraphDriver": { "Name": "overlay", "Data": upper_dir.map(|path| json!({ "UpperDir": path })) },
            "NetworkSettings": { "Ports": { "40000/tcp": [{ "HostIp": "", "HostPort": id.len().to_string() }] } },
        })
    }

    async fn serve(listener: UnixListener, containers: Containers) {
        while let Ok((stream, _)) = listener.accept().await {
            answer(stream, &containers).await;
        }
    }

    /// Answers one request, and closes.
    async fn answer(mut stream: UnixStream, containers: &Containers) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let request = String::from_utf8(request).unwrap();
        let path = request.split(' ').nth(1).unwrap().split('?').next().unwrap();
        let of = |id: &str| containers.iter().find(|(container, _)| container["Id"] == id);
        let (status, header, body) = match path.split('/').skip(1).collect::<Vec<_>>().as_slice() {
            ["version"] => (200, String::new(), json!({ "ApiVersion": "1.41" })),
            ["containers", "json"] => {
                (200, String::new(), containers.iter().map(|(container, _)| container.clone()).collect())
            }
            ["containers", id, "json"] if of(id).is_some() => (200, String::new(), of(id).unwrap().0.clone()),
            ["containers", id, "archive"] if of(id).is_some_and(|(_, written)| written.is_some()) => {
                let told = of(id).unwrap().1.unwrap();
                (200, format!("X-Docker-Container-Path-Stat: {told}\r\n"), Value::Null)
            }
            _ => (404, String::new(), json!({ "message": "no such container" })),
        };
        let body = if request.starts_with("HEAD") { String::new() } else { body.to_string() };
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {length}\r\n{header}\r\n{body}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn which_of_the_engines_containers_this_is() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        let file = folder.join("daemon.json");
        let written = jiff::Timestamp::from_nanosecond(WRITTEN).unwrap();
        durable::replace(&file, b"{}").unwrap();
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(written.into()).unwrap();
        assert_eq!(file.metadata().unwrap().mtime_nsec(), 678, "this file system keeps nanoseconds");

        let known = |id: &str, upper_dir: &str| container(id, "bridge", Some(upper_dir));
        let bridge = |id: &str| container(id, "bridge", None);
        let within = |id: &str| container(id, "container:db", None);
        let cases = [
            (Containers::new(), None, "another engine: it has no such container"),
            (vec![(known("db", "/o/own/diff"), None)], Some(("db", 2)), "it has our layer"),
            (
                vec![(known("db", "/o/other/diff"), Some(EARLIER))],
                None,
                "it has another layer, and nobody is in its network",
            ),
            (vec![(bridge("db"), None)], Some(("db", 2)), "whose storage tells nothing, and nobody is in its network"),
            (
                vec![
                    (known("db", "/o/other/diff"), Some(EARLIER)),
                    (within("copy"), Some(EARLIER)),
                    (within("app"), Some(NOW)),
                ],
                Some(("app", 2)),
                "the one in its network that has our file, and the ports of the network's own",
            ),
            (
                vec![(bridge("db"), None), (bridge("other"), Some(NOW)), (within("app"), Some(NOW))],
                Some(("app", 2)),
                "the same where no storage tells anything",
            ),
            (vec![(bridge("db"), Some(NOW)), (within("app"), Some(EARLIER))], Some(("db", 2)), "the network's own one"),
            (vec![(bridge("db"), None), (within("app"), None)], None, "nobody has our file"),
            (vec![(bridge("db"), Some(EARLIER)), (within("app"), Some(EARLIER))], None, "all have another's"),
        ];
        for (number, (containers, expected, why)) in cases.into_iter().enumerate() {
            let socket = folder.join(format!("engine-{number}"));
            let engine = tokio::spawn(serve(UnixListener::bind(&socket).unwrap(), containers));
            let own = Own { network_id: "db".into(), layer: Some("own/diff".into()), file: file.clone() };
            let told = ask_at(socket.as_str(), &own).await.unwrap();
            engine.abort();
            let told = told.map(|told| (told.engine_id.unwrap(), told.published[0].clone()));
            let expected = expected.map(|(id, host_port)| {
                (id.to_owned(), PublishedPort { port: 40000, host_address: "0.0.0.0".into(), host_port })
            });
            assert_eq!(told, expected, "{why}");
        }
    }

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
        let found = surroundings(told, None);
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
