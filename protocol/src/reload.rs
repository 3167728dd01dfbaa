//! Hot reload: programs that are built and started again when their files change.

use crate::SafeInt;
use crate::hooks::LogStream;

wire! {
    /// Params of `burrow/reload/start`.
    pub struct StartReloadParams {
        /// The workspace's path.
        pub workspace: String,
        /// The programs; none: the one that the `.air.toml` names.
        pub programs: Vec<ReloadProgram>,
        /// The path of a `.air.toml`, where there is one.
        pub config: Option<String>,
        /// Arguments of the program.
        pub args: Vec<String>,
    }

    /// A Go program that is built and run.
    pub struct ReloadProgram {
        /// The package's folder as seen from the workspace, such as `./cmd/api`.
        pub name: String,
        /// Its absolute path.
        pub dir: String,
    }

    /// The answer of `burrow/reload/start`: the first build is under way. It ends with the session.
    pub struct StartedReload {
        /// Its name, such as `reload-3`.
        pub id: String,
        /// The programs' names.
        pub programs: Vec<String>,
        /// How many folders are watched.
        pub folders: u32,
        /// How many files in them count.
        pub files: u32,
        /// Why they are polled, where inotify cannot tell.
        pub polled: Option<String>,
        /// What is wrong with the settings, a sentence each.
        pub problems: Vec<String>,
    }

    /// Params of `burrow/reload/follow`.
    pub struct FollowReloadParams {
        /// The reload's name.
        pub id: String,
        /// How long to wait for something to happen.
        pub wait_ms: u32,
    }

    /// What happened since the last question. Each event is told once.
    pub struct ReloadPiece {
        /// What happened, in order.
        pub events: Vec<ReloadEvent>,
        /// Whether it is over, and nothing more will come.
        pub ended: bool,
    }

    /// Params of `burrow/reload/stop`.
    pub struct StopReloadParams {
        /// The reload's name.
        pub id: String,
    }

    /// Something that happened to a program.
    #[serde(tag = "kind", rename_all_fields = "camelCase")]
    pub enum ReloadEvent {
        /// It is being built.
        Building {
            /// The program's name.
            program: String,
            /// The files that changed, relative to the workspace; the first few. Empty for the first build.
            changed: Vec<String>,
            /// How many changed in all.
            count: u32,
        },
        /// It was built; it is started next.
        Built {
            /// The program's name.
            program: String,
            /// From the start of the first command to the end of the last.
            duration_ms: u32,
            /// What the build printed.
            output: String,
        },
        /// It was built and is what runs already: it goes on.
        Unchanged {
            /// The program's name.
            program: String,
        },
        /// It was not built; what runs goes on.
        BuildFailed {
            /// The program's name.
            program: String,
            /// How it ended: `exit code 1`.
            how: String,
            /// What the build printed.
            output: String,
        },
        /// It runs.
        Started {
            /// The program's name.
            program: String,
            /// Its process.
            pid: u32,
        },
        /// It could not be started.
        NotStarted {
            /// The program's name.
            program: String,
            /// Why.
            why: String,
        },
        /// It printed something.
        Output {
            /// The program's name.
            program: String,
            /// To which stream.
            stream: LogStream,
            /// What.
            text: String,
            /// Bytes before it that are not told: the reader was too slow.
            cut: SafeInt,
        },
        /// It ended by itself; it is started again with the next change.
        Ended {
            /// The program's name.
            program: String,
            /// How: `exit code 1`.
            how: String,
        },
        /// Something else that a person should know.
        Told {
            /// In a sentence.
            message: String,
        },
    }
}
