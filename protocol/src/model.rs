//! The status contract: what `burrow status --json` prints and what a subscribed client follows.

use std::collections::BTreeMap;

use crate::debug::{LeaseStatus, PortStatus};
use crate::hooks::HookStatus;
use crate::toolchain::ToolStatus;

wire! {
    /// The whole of what the daemon shows.
    pub struct Status {
        /// The daemon's version.
        pub version: String,
        /// The protocol it speaks.
        pub protocol: u32,
        /// Its process.
        pub pid: u32,
        /// Where it runs.
        pub container: ContainerStatus,
        /// What is around it, as far as that is known; it may come a moment after the start.
        #[serde(default)]
        pub surroundings: Surroundings,
        /// The debug ports, in order.
        pub ports: Vec<PortStatus>,
        /// The leases that have not ended, oldest first.
        pub leases: Vec<LeaseStatus>,
        /// The open workspaces, by path.
        pub workspaces: Vec<WorkspaceStatus>,
    }

    /// Where the daemon runs.
    pub struct ContainerStatus {
        /// What kind of machine this is.
        pub kind: ContainerKind,
        /// Stays the same for the life of the container, and differs in a copy of it.
        pub id: String,
        /// Stays the same for one start of the container.
        pub start_id: String,
    }

    /// What is around the container: from its engine where that can be asked, else from /proc.
    #[derive(Default)]
    pub struct Surroundings {
        /// Who told.
        pub known_by: KnownBy,
        /// The container's id in its engine; none where only /proc told.
        pub engine_id: Option<String>,
        /// Its name there.
        pub name: Option<String>,
        /// The image that it was made of.
        pub image: Option<String>,
        /// Ports of the container that the host has published; empty where only /proc told.
        pub published: Vec<PublishedPort>,
        /// What of the host is mounted, by the path here.
        pub mounts: Vec<MountStatus>,
        /// The container's labels; empty where only /proc told.
        pub labels: BTreeMap<String, String>,
        /// What is wrong with the container, or not known of it.
        pub notes: Vec<Reason>,
    }

    /// Who told what is around the container.
    #[derive(Copy, Default)]
    pub enum KnownBy {
        /// Nobody yet.
        #[default]
        Nobody,
        /// The container's own /proc.
        Proc,
        /// Its engine.
        Engine,
    }

    /// A port of the container that the host has published.
    pub struct PublishedPort {
        /// The port here.
        pub port: u16,
        /// The address of the host that it listens on.
        pub host_address: String,
        /// The port there.
        pub host_port: u16,
    }

    /// Something of the host that is mounted here.
    pub struct MountStatus {
        /// The path here.
        pub target: String,
        /// Whether it is a folder of the host's or a volume of the engine's.
        pub kind: MountKind,
        /// The path on the host.
        pub host_path: String,
        /// Whether that is the whole path; else it begins at the root of the host's file system, which may be mounted
        /// anywhere there.
        pub exact: bool,
    }

    /// What is mounted.
    #[derive(Copy)]
    pub enum MountKind {
        /// A folder or file of the host.
        Bind,
        /// A volume of the engine.
        Volume,
    }

    /// What kind of machine the daemon runs on.
    #[derive(Copy)]
    pub enum ContainerKind {
        /// A Docker container.
        Docker,
        /// A Podman container.
        Podman,
        /// A pod's container.
        Kubernetes,
        /// A container of an engine that is not known.
        Container,
        /// No container.
        Host,
    }

    /// One open folder.
    pub struct WorkspaceStatus {
        /// Its absolute path.
        pub path: String,
        /// The state of the whole.
        pub state: WorkspaceState,
        /// Why it is not `ready`; empty otherwise.
        pub reasons: Vec<Reason>,
        /// What is wrong with the files that the daemon reads, each at its place.
        #[serde(default)]
        pub problems: Vec<FileProblem>,
        /// The generation of tools that is active, if any.
        pub generation: Option<u32>,
        /// Its lifecycle hooks, in the order in which they run.
        pub hooks: Vec<HookStatus>,
        /// Its Go tools, by name.
        pub tools: Vec<ToolStatus>,
    }

    /// The state of a workspace as a whole.
    #[derive(Copy)]
    pub enum WorkspaceState {
        /// Nothing is due, nothing is wrong.
        Ready,
        /// Work is under way.
        Working,
        /// Somebody has to look.
        Attention,
    }

    /// A mistake in a file.
    pub struct FileProblem {
        /// The file's absolute path.
        pub path: String,
        /// The line, from 1.
        pub line: u32,
        /// The character in the line, from 1.
        pub column: u32,
        /// The registry's code, such as `BUR203`.
        pub code: String,
        /// What is wrong.
        pub message: String,
        /// What to do next.
        pub hint: Option<String>,
    }

    /// Why a workspace is not ready.
    pub struct Reason {
        /// The registry's code, such as `BUR201`, where it is an error.
        pub code: Option<String>,
        /// One sentence: what is the matter.
        pub message: String,
        /// What to do next.
        pub hint: Option<String>,
    }

    /// The answer of `burrow/model/subscribe`.
    pub struct Snapshot {
        /// The number of the last change that is part of `status`.
        pub seq: u32,
        /// Everything, as of `seq`.
        pub status: Status,
    }

    /// The payload of `burrow/model/changed`: one part of the status has a new value.
    pub struct ModelChanged {
        /// Grows by one with each change; a gap means that the client must subscribe again.
        pub seq: u32,
        /// The part that changed.
        pub change: ModelChange,
    }

    /// One part of the status, whole.
    #[serde(tag = "kind")]
    pub enum ModelChange {
        /// A workspace is new or changed.
        Workspace {
            /// Its new value.
            workspace: WorkspaceStatus,
        },
        /// More is known of what is around the container.
        Surroundings {
            /// All of it.
            surroundings: Surroundings,
        },
        /// Ports or leases changed.
        Debug {
            /// All ports.
            ports: Vec<PortStatus>,
            /// All leases.
            leases: Vec<LeaseStatus>,
        },
    }
}
