// Generated from protocol/ by `make generate`. Do not edit.

/** The protocol that these types describe. */
export const PROTOCOL_VERSION = 1;
/** The oldest protocol that a daemon of this build serves. */
export const OLDEST_PROTOCOL_VERSION = 1;

/** What an action takes. */
export type ActionCost =
  /** Links and small files: milliseconds. */
  | "links"
  /** The reading of whole binaries: up to seconds. */
  | "reading"
  /** Downloads: as long as the network takes. */
  | "network"
  /** A compiler: up to minutes, with all processors. */
  | "building";

/** Params of `burrow/hooks/await`: answers when the hook (or every queued one) no longer waits or runs. */
export type AwaitHooksParams = {
  /** The workspace's path. */
  workspace: string;
  /** Which hook, else all that are queued or running. */
  hook: HookName | null;
  /** Answer after this long all the same. */
  timeoutMs: number | null;
};

/** Params of `burrow/toolchain/await`, which answers when the operation ended, and `cancel`. */
export type AwaitOperationParams = {
  /** The workspace's path. */
  workspace: string;
  /** The operation's name. */
  operation: string;
};

/** Params of `burrow/hooks/cancel`. */
export type CancelRunParams = {
  /** The workspace's path. */
  workspace: string;
  /** Which run. */
  runId: string;
  /** One command of it, else all. */
  command: string | null;
};

/** What kind of client a session has. */
export type ClientKind =
  /** The command line. */
  | "cli"
  /** An editor's window. */
  | "window";

/** `initializationOptions` of `initialize`. */
export type ClientOptions = {
  /** The newest protocol that the client speaks. */
  protocol: number;
  /** What kind of client this is. */
  kind: ClientKind;
  /** Whether the user trusts the workspace folders of this session. */
  trusted: boolean;
  /** Whether somebody sits in front of it: the command line has a terminal on its standard input. */
  terminal: boolean;
  /** The environment in which work of this session runs. Kept in memory only. */
  environment: Record<string, string>;
  /** The folder from which relative paths of this session count. */
  cwd: string;
};

/** How one command of a run stands or ended. */
export type CommandStanding = {
  /** Its name. */
  name: string;
  /** Its state; `pending` where it was not started. */
  state: HookState;
  /** Why it is in this state, in a few words. */
  reason: string | null;
  /** How its earlier starts within the run ended, oldest first. */
  attempts: Array<string>;
};

/** One command of a hook. A hook that is no object has one command, with an empty name. */
export type CommandStatus = {
  /** Its key in the object form; empty otherwise. */
  name: string;
  /** Its state. */
  state: HookState;
  /** The run that `state` speaks of. */
  runId: string | null;
  /** When it began, RFC 3339. */
  startedAt: string | null;
  /** How long it took, once it ended. */
  durationMs: number | null;
  /** The exit code, where it exited by itself. */
  exitCode: number | null;
  /** The signal that ended it. */
  signal: number | null;
  /** Why it is in this state, in a few words. */
  reason: string | null;
  /** What holds it back: `HOOK` or `HOOK/COMMAND`. */
  blockedBy: string | null;
  /** Whether the command is another one than the one that ran. */
  changed: boolean;
  /** How often it was started for this container or this start. */
  attempt: number;
  /** Whether `burrow/hooks/retry` would run it again now. */
  canRetry: boolean;
  /** Whether `burrow/hooks/skip` would pass over it now. */
  canSkip: boolean;
  /** Whether its failure holds nothing back. */
  optional: boolean;
  /** Whether it is a service: one that is `ready` counts as done while it runs. */
  background: boolean;
  /** Whether a service is ready. */
  ready: boolean;
};

/** What kind of machine the daemon runs on. */
export type ContainerKind =
  /** A Docker container. */
  | "docker"
  /** A Podman container. */
  | "podman"
  /** A pod's container. */
  | "kubernetes"
  /** A container of an engine that is not known. */
  | "container"
  /** No container. */
  | "host";

/** Where the daemon runs. */
export type ContainerStatus = {
  /** What kind of machine this is. */
  kind: ContainerKind;
  /** Stays the same for the life of the container, and differs in a copy of it. */
  id: string;
  /** Stays the same for one start of the container. */
  startId: string;
};

/** The answer of a request that only says that it was done. */
export type Done = Record<symbol, never>;

/** `error.data` of a JSON-RPC error, and what `--json` prints for a failure. */
export type ErrorData = {
  /** The registry's code: `BUR101`. */
  code: string;
  /** The code in words. */
  slug: string;
  /** What failed and why. */
  message: string;
  /** What to do next. */
  hint: string | null;
};

/** Params of `burrow/hooks/exec`: records `argv` as a run of a hook. */
export type ExecHookParams = {
  /** The workspace's path. */
  workspace: string;
  /** Which hook. */
  hook: HookName;
  /** The name of the command, else the hook's only one. */
  command: string | null;
  /** Program and arguments. */
  argv: Array<string>;
  /** Where it runs; else the workspace folder. */
  cwd: string | null;
};

/** A mistake in a file. */
export type FileProblem = {
  /** The file's absolute path. */
  path: string;
  /** The line, from 1. */
  line: number;
  /** The character in the line, from 1. */
  column: number;
  /** The registry's code, such as `BUR203`. */
  code: string;
  /** What is wrong. */
  message: string;
  /** What to do next. */
  hint: string | null;
};

/** Params of `burrow/reload/follow`. */
export type FollowReloadParams = {
  /** The reload's name. */
  id: string;
  /** How long to wait for something to happen. */
  waitMs: number;
};

/** A running Go program. */
export type GoProcess = {
  /** Its process. */
  pid: number;
  /** The name of its file. */
  name: string;
  /** Its command line, its words apart by a space. */
  commandLine: string;
  /** The Go that built it, such as `go1.26.8`. */
  go: string;
};

/** Running Go programs, the newest first. */
export type GoProcesses = {
  /** The programs of the daemon's user. */
  processes: Array<GoProcess>;
};

/** How a program under `dlv --headless` comes about. */
export type HeadlessMode =
  /** Built from a package. */
  | "debug"
  /** A package's tests. */
  | "test"
  /** A binary that is there. */
  | "exec"
  /** A process that runs; it goes on when the lease ends. */
  | "attach"
  /** A binary with the core that it left. */
  | "core";

/** What `dlv --headless` debugs. */
export type HeadlessTarget = {
  /** How the program comes about. */
  mode: HeadlessMode;
  /** The package, the binary, or the process id. */
  target: string;
  /** The core file, for `core`. */
  core: string | null;
  /** The program's arguments. */
  args: Array<string>;
  /** Flags of `go build`, such as `-tags=integration`. */
  buildFlags: string | null;
  /** Whether the program runs at once; else it waits for a client. */
  running: boolean;
};

/** A lifecycle hook. `initializeCommand` runs outside the container and is not among them. */
export type HookName =
  /** `onCreateCommand`: once a container. */
  | "onCreate"
  /** `updateContentCommand`: once a container. */
  | "updateContent"
  /** `postCreateCommand`: once a container. */
  | "postCreate"
  /** `postStartCommand`: each start of the container. */
  | "postStart"
  /** `postAttachCommand`: each time a tool attaches. */
  | "postAttach"
  /** A trusted window connected. */
  | "onStartup";

/** Where a hook was written. */
export type HookOrigin =
  /** `customizations.burrow.hooks` in devcontainer.json. */
  | "burrow"
  /** devcontainer.json's own property. */
  | "devcontainer"
  /** A command line that was recorded by `burrow hook exec`. */
  | "exec";

/** The state of a hook, or of one of its commands. */
export type HookState =
  /** Due, not started. */
  | "pending"
  /** Due, held back by what `blockedBy` names. */
  | "blocked"
  /** A shim has it, or it is about to be started anew. */
  | "running"
  /** Exit code 0. */
  | "succeeded"
  /** Another exit code, a signal, or it could not be started. */
  | "failed"
  /** Ended because its `timeout` had passed. */
  | "timedOut"
  /** Ended on request. */
  | "cancelled"
  /** Its shim died before the outcome was on disk: how it ended is not known. */
  | "interrupted"
  /** A Dev Containers tool runs it; its result is unknown here. */
  | "external"
  /** Passed over by hand. */
  | "skipped";

/** One hook of a workspace. */
export type HookStatus = {
  /** Which hook. */
  name: HookName;
  /** Where it was written. */
  origin: HookOrigin;
  /** The state of the whole. */
  state: HookState;
  /** The run that `state` speaks of, such as `12-postCreate`. */
  runId: string | null;
  /** When that run began, RFC 3339. */
  startedAt: string | null;
  /** How long it took, once it ended. */
  durationMs: number | null;
  /** The exit code, where it exited by itself. */
  exitCode: number | null;
  /** The signal that ended it. */
  signal: number | null;
  /** Why it is in this state, in a few words. */
  reason: string | null;
  /** What holds it back: `HOOK` or `HOOK/COMMAND`. */
  blockedBy: string | null;
  /** Whether the command is another one than the one that ran. */
  changed: boolean;
  /** How often it was started for this container or this start. */
  attempt: number;
  /** Whether `burrow/hooks/retry` would run any of it again now. */
  canRetry: boolean;
  /** Whether `burrow/hooks/skip` would pass over any of it now. */
  canSkip: boolean;
  /** Its commands, in the order of the file. */
  commands: Array<CommandStatus>;
};

/** The hooks as they stand. */
export type HooksReport = {
  /** Every hook of the workspace. */
  hooks: Array<HookStatus>;
  /** Whether the time ran out before they were at rest. */
  timedOut: boolean;
};

/** What a program answered to an HTTP request. */
export type HttpResponse = {
  /** The status line. */
  status: string;
  /** The body. */
  body: string;
};

/** Params of `burrow/hooks/input`. */
export type InputParams = {
  /** The workspace's path. */
  workspace: string;
  /** Which run. */
  runId: string;
  /** Which of its commands; it must have `"tty": true`. */
  command: string;
  /** What is typed. */
  text: string;
};

/** Who told what is around the container. */
export type KnownBy =
  /** Nobody yet. */
  | "nobody"
  /** The container's own /proc. */
  | "proc"
  /** Its engine. */
  | "engine";

/** Where a debug client connects. */
export type LeaseEndpoint = {
  /** Its number. */
  port: number;
} | {
  /** Its path. */
  socket: string;
};

/** The answer of `burrow/debug/lease`: the port listens. */
export type LeaseGranted = {
  /** The new lease. */
  lease: LeaseStatus;
};

/** What a lease serves. */
export type LeaseKind =
  /** One `dlv dap` for one client. */
  | "dap"
  /** One program under `dlv --headless`, for many clients, one after another or at once. */
  | "headless"
  /** A debug adapter that somebody else started: relayed and listed, not ended with the lease. */
  | "adopt";

/** Params of `burrow/debug/lease`. */
export type LeaseParams = {
  /** The workspace's path, or one in it: the innermost of the session's workspaces around it is meant. Links are followed. */
  workspace: string;
  /** What it serves. */
  kind: LeaseKind;
  /** The port wanted; else the first free one. */
  port: number | null;
  /** Take another port where `port` is taken. */
  anyPort: boolean;
  /** Where no port is free, wait in turn until one is. Closing the connection gives the place up. */
  wait: boolean;
  /** The program, for the listing. */
  program: string | null;
  /** What it is for, for the listing. */
  purpose: string | null;
  /** The debug adapter's folder; else the workspace's. */
  cwd: string | null;
  /** Environment on top of the session's. */
  env: Record<string, string>;
  /** What to debug, for `headless`. */
  headless: HeadlessTarget | null;
  /** Where the debug adapter listens, for `adopt`: `unix:PATH` or `HOST:PORT`. */
  to: string | null;
  /** For `dap`: where the client attaches by name (`waitFor`), attach again each time a program of that name starts. */
  follow: boolean;
  /**
   * For `dap`: whether a launched program is built and restarted when its files change, where its launch has no
   * `reload` attribute; else as the settings say. That attribute of DAP's `launch`, `true`, `false` or
   * `{ "whenStopped": "wait" | "ask" | "restart" }`, comes before both. With `ask`, a program that was built while
   * the old one stands at a breakpoint is told by the DAP event `burrow/reload/built`; the client answers with
   * `restart` to run it, or with `continue` to go on in the old one.
   */
  reload: boolean | null;
  /** The absolute path of another dlv than the workspace's. */
  dlv: string | null;
  /** Flags of dlv besides those that say where it listens, such as `--check-go-version=false`. */
  flags: Array<string>;
};

/** The state of a lease. */
export type LeaseState =
  /** It listens, nobody connected. */
  | "leased"
  /** A debug client is connected. */
  | "connected"
  /** It is over. */
  | "ended";

/** One lease. */
export type LeaseStatus = {
  /** Its name, such as `lease-3`. */
  id: string;
  /** What it serves. */
  kind: LeaseKind;
  /** Its state. */
  state: LeaseState;
  /** Where a debug client connects. */
  endpoint: LeaseEndpoint;
  /** The workspace it belongs to. */
  workspace: string;
  /** The program being debugged, as the client named it. */
  program: string | null;
  /** What it is for, as its owner said: an editor's window, a script. */
  purpose: string | null;
  /** The debug adapter's process; for `adopt`, that of the process that listens there, where it is known. */
  pid: number | null;
  /** Where an adopted debug adapter listens. */
  to: string | null;
  /** Debug clients that are connected. */
  clients: number;
  /** Addresses beyond the loopback interface whose clients may connect: `debug.bind` and `debug.allow`. */
  openTo: Array<string>;
  /** Since when it is in its state, RFC 3339. */
  since: string;
  /** Why it ended. */
  reason: string | null;
};

/** Params of `burrow/hooks/runs`. */
export type ListRunsParams = {
  /** The workspace's path. */
  workspace: string;
  /** Only runs of this hook. */
  hook: HookName | null;
};

/** A tool of the lock file before and after an update. */
export type LockChange = {
  /** The tool. */
  tool: string;
  /** The locked version before; none where it is new. */
  before: string | null;
  /** The locked version now; none where nobody asks for the tool any more. */
  after: string | null;
  /** The platforms whose binaries were added. */
  platforms: Array<string>;
};

/** A piece of a log. */
export type LogPiece = {
  /** Reads in the order in which they were made. */
  reads: Array<LogRead>;
  /** The offset to ask for next. */
  next: SafeInt;
  /** Bytes between `offset` and the first read that the cap has cut out. */
  cut: SafeInt;
  /** Whether the command has ended and nothing follows. */
  ended: boolean;
  /** The start of the command to ask for next: a later one where this one has ended and been read. */
  attempt: number;
};

/** The bytes of one read. */
export type LogRead = {
  /** When they were read, RFC 3339. */
  time: string;
  /** Which stream they came from. */
  stream: LogStream;
  /** The offset of the first. */
  offset: SafeInt;
  /** The bytes as text; what is no UTF-8 is replaced. */
  text: string;
};

/** An output stream. */
export type LogStream =
  /** Standard output. */
  | "stdout"
  /** Standard error. */
  | "stderr";

/** One part of the status, whole. */
export type ModelChange = {
  "kind": "workspace";
  /** Its new value. */
  workspace: WorkspaceStatus;
} | {
  "kind": "surroundings";
  /** All of it. */
  surroundings: Surroundings;
} | {
  "kind": "debug";
  /** All ports. */
  ports: Array<PortStatus>;
  /** All leases. */
  leases: Array<LeaseStatus>;
};

/** The payload of `burrow/model/changed`: one part of the status has a new value. */
export type ModelChanged = {
  /** Grows by one with each change; a gap means that the client must subscribe again. */
  seq: number;
  /** The part that changed. */
  change: ModelChange;
};

/** What is mounted. */
export type MountKind =
  /** A folder or file of the host. */
  | "bind"
  /** A volume of the engine. */
  | "volume";

/** Something of the host that is mounted here. */
export type MountStatus = {
  /** The path here. */
  target: string;
  /** Whether it is a folder of the host's or a volume of the engine's. */
  kind: MountKind;
  /** The path on the host. */
  hostPath: string;
  /**
   * Whether that is the whole path; else it begins at the root of the host's file system, which may be mounted
   * anywhere there.
   */
  exact: boolean;
};

/** Params of a request that needs none. */
export type NoParams = Record<symbol, never>;

/** How an operation ended. An error is the request's error instead. */
export type OperationResult = {
  /** What was done, in order. */
  done: Array<RepairAction>;
  /** The tools afterwards. */
  report: ToolsReport;
  /** Things worth telling, such as a lock file that was written. */
  notes: Array<string>;
  /** What an update did to the lock file, by tool. */
  changes: Array<LockChange>;
  /** What still needs somebody's attention, such as a download that failed while an older set serves. */
  reasons: Array<Reason>;
};

/** The state of a debug port. */
export type PortState =
  /** Held by the daemon, ready to be leased. */
  | "free"
  /** Leased, nobody connected. */
  | "leased"
  /** A debug client is connected. */
  | "connected"
  /** Another process has it; tried again. */
  | "foreign";

/** One of the debug ports. */
export type PortStatus = {
  /** The port's number. */
  port: number;
  /** Its state. */
  state: PortState;
  /** The lease on it. */
  leaseId: string | null;
  /** Who has it: a workspace's program, or a foreign process by name. */
  holder: string | null;
  /** What the lease on it serves. */
  kind: LeaseKind | null;
  /** What the lease on it is for, as its owner said. */
  purpose: string | null;
  /** The holder's process, where it is known. */
  pid: number | null;
  /** Since when, RFC 3339. */
  since: string | null;
};

/** A port of the container that the host has published. */
export type PublishedPort = {
  /** The port here. */
  port: number;
  /** The address of the host that it listens on. */
  hostAddress: string;
  /** The port there. */
  hostPort: number;
};

/** Params of `burrow/debug/readLog`. */
export type ReadDebugLogParams = {
  /** The lease's name. */
  id: string;
  /** The first byte wanted. */
  offset: SafeInt;
  /**
   * Which start of the debug adapter within the lease, from 1 (so is 0); `offset` counts within it. There is more
   * than one where a program without a debugger is reloaded.
   */
  attempt: number;
  /** How long to wait for output where there is none yet, in milliseconds; a minute at most. */
  waitMs: number;
};

/** Params of `burrow/hooks/readLog`. */
export type ReadLogParams = {
  /** The workspace's path. */
  workspace: string;
  /** Which run. */
  runId: string;
  /** Which of its commands. */
  command: string;
  /** The first byte wanted, counted from the start of the command's output. */
  offset: SafeInt;
  /** Where there is nothing at `offset` yet: wait this long for it. */
  waitMs: number;
  /** Which start of the command within the run, from 1; `offset` counts within it. 0: the first that is kept. */
  attempt: number;
  /** A service that is ready counts as ended. */
  untilReady: boolean;
};

/** Why a workspace is not ready. */
export type Reason = {
  /** The registry's code, such as `BUR201`, where it is an error. */
  code: string | null;
  /** One sentence: what is the matter. */
  message: string;
  /** What to do next. */
  hint: string | null;
};

/** Params of `burrow/debug/reclaim`: end whatever of ours sits on a port, with all its processes. */
export type ReclaimParams = {
  /** The port's number. */
  port: number;
};

/** Params of `burrow/debug/release`. */
export type ReleaseParams = {
  /** The lease's name. */
  id: string;
};

/** What a release or reclaim ended. */
export type Released = {
  /** The lease, where there was one. */
  lease: LeaseStatus | null;
};

/** Something that happened to a program. */
export type ReloadEvent = {
  "kind": "building";
  /** The program's name. */
  program: string;
  /** The files that changed, relative to the workspace; the first few. Empty for the first build. */
  changed: Array<string>;
  /** How many changed in all. */
  count: number;
} | {
  "kind": "built";
  /** The program's name. */
  program: string;
  /** From the start of the first command to the end of the last. */
  durationMs: number;
  /** What the build printed. */
  output: string;
} | {
  "kind": "unchanged";
  /** The program's name. */
  program: string;
} | {
  "kind": "buildFailed";
  /** The program's name. */
  program: string;
  /** How it ended: `exit code 1`. */
  how: string;
  /** What the build printed. */
  output: string;
} | {
  "kind": "started";
  /** The program's name. */
  program: string;
  /** Its process. */
  pid: number;
} | {
  "kind": "notStarted";
  /** The program's name. */
  program: string;
  /** Why. */
  why: string;
} | {
  "kind": "output";
  /** The program's name. */
  program: string;
  /** To which stream. */
  stream: LogStream;
  /** What. */
  text: string;
  /** Bytes before it that are not told: the reader was too slow. */
  cut: SafeInt;
} | {
  "kind": "ended";
  /** The program's name. */
  program: string;
  /** How: `exit code 1`. */
  how: string;
} | {
  "kind": "told";
  /** In a sentence. */
  message: string;
};

/** What happened since the last question. Each event is told once. */
export type ReloadPiece = {
  /** What happened, in order. */
  events: Array<ReloadEvent>;
  /** Whether it is over, and nothing more will come. */
  ended: boolean;
};

/** A Go program that is built and run. */
export type ReloadProgram = {
  /** The package's folder as seen from the workspace, such as `./cmd/api`. */
  name: string;
  /** Its absolute path. */
  dir: string;
};

/** `daemon.json` in the state directory: how a client finds the running daemon. */
export type Rendezvous = {
  /** The format's version: 1. */
  schema: number;
  /** The daemon's process. */
  pid: number;
  /** When it started, RFC 3339. */
  startedAt: string;
  /** Its version. */
  version: string;
  /** Its build: two builds of one version differ here. */
  build: string;
  /** The newest protocol that it speaks. */
  protocol: number;
  /** The absolute path of its socket. */
  socket: string;
};

/** One action of a repair. */
export type RepairAction = {
  /** What is done. */
  verb: RepairVerb;
  /** The tool, where it concerns one. */
  tool: string | null;
  /** The version, where it concerns one. */
  version: string | null;
  /** Why it is needed. */
  why: string;
  /** What it takes. */
  cost: ActionCost;
};

/** Params of `burrow/toolchain/repair`. */
export type RepairParams = {
  /** The workspace's path. */
  workspace: string;
  /** Fail rather than install anything that the lock file does not name. */
  locked: boolean;
  /** Leave the tools at the set that somebody rolled back to, as long as it is whole. */
  keepRollback: boolean;
};

/** What a repair will do, or has done. */
export type RepairPlan = {
  /** The actions in order. Empty: nothing to do. */
  actions: Array<RepairAction>;
};

/** What an action of a repair does. */
export type RepairVerb =
  /** Download a module and check its sum. */
  | "fetch"
  /** Build a binary. */
  | "build"
  /** Check a binary. */
  | "verify"
  /** Make a new generation the active one. */
  | "activate"
  /** Go back to an older generation. */
  | "rollback"
  /** Mend the links of the active generation from the store. */
  | "relink"
  /** Remove generations that are no longer kept. */
  | "prune";

/** Params of `burrow/hooks/resize`. */
export type ResizeParams = {
  /** The workspace's path. */
  workspace: string;
  /** Which run. */
  runId: string;
  /** Which of its commands; it must have `"tty": true`. */
  command: string;
  /** The terminal's height in characters. */
  rows: number;
  /** The terminal's width in characters. */
  cols: number;
};

/** Params of `burrow/hooks/retry`: run again what did not succeed. */
export type RetryHookParams = {
  /** The workspace's path. */
  workspace: string;
  /** Which hook; else every one that did not succeed. */
  hook: HookName | null;
  /** One command of it, else all that did not succeed. */
  command: string | null;
};

/** Params of `burrow/hooks/run`. */
export type RunHookParams = {
  /** The workspace's path. */
  workspace: string;
  /** Which hook. */
  hook: HookName;
  /** One command of it, else all. */
  command: string | null;
  /** Run it whatever the ledger says. */
  again: boolean;
  /** Only what stands here, else every origin. */
  origin: HookOrigin | null;
};

/** Runs on record, newest first. */
export type RunList = {
  /** The runs. */
  runs: Array<RunSummary>;
};

/** One run on record. */
export type RunSummary = {
  /** `NUMBER-HOOK`. */
  runId: string;
  /** Which hook. */
  hook: HookName;
  /** Where it was written. */
  origin: HookOrigin;
  /** When it began, RFC 3339; none while it waits for its turn. */
  startedAt: string | null;
  /** How it stands. */
  state: HookState;
  /** Its commands' names, in order. */
  commands: Array<string>;
  /** How each of them stands, in the same order. */
  standings: Array<CommandStanding>;
};

/** A byte offset or count: at most 2^53 - 1, so that a JavaScript number holds it exactly. */
export type SafeInt = number;

/** `result.capabilities.experimental` of `initialize`. */
export type ServerDetails = {
  /** The protocol that both sides use from here on. */
  protocol: number;
  /** The build of the daemon: two builds of one version differ here. */
  build: string;
  /** The daemon's process. */
  pid: number;
  /** The workspaces that this session is bound to: the absolute paths of its roots. */
  workspaces: Array<string>;
};

/** Params of `burrow/hooks/skip`: count a hook as done without running it. */
export type SkipHookParams = {
  /** The workspace's path. */
  workspace: string;
  /** Which hook. */
  hook: HookName;
  /** One command of it, else all that did not succeed. */
  command: string | null;
  /** Why, for the record. */
  reason: string | null;
};

/** The answer of `burrow/model/subscribe`. */
export type Snapshot = {
  /** The number of the last change that is part of `status`. */
  seq: number;
  /** Everything, as of `seq`. */
  status: Status;
};

/** Params of `burrow/reload/start`. */
export type StartReloadParams = {
  /** The workspace's path. */
  workspace: string;
  /** The programs; none: the one that the `.air.toml` names. */
  programs: Array<ReloadProgram>;
  /** The path of a `.air.toml`, where there is one. */
  config: string | null;
  /** Arguments of the program. */
  args: Array<string>;
};

/** What a request to run hooks started. The work goes on in the daemon. */
export type StartedHooks = {
  /**
   * The runs that were started or queued, in their order. Empty: nothing was due, or nothing that the caller may
   * wait for.
   */
  runs: Array<string>;
  /** What the caller should know of them. */
  notes: Array<string>;
};

/** An operation was queued. Its `$/progress` carries `operation` as the token. */
export type StartedOperation = {
  /** The operation's name. */
  operation: string;
};

/** The answer of `burrow/reload/start`: the first build is under way. It ends with the session. */
export type StartedReload = {
  /** Its name, such as `reload-3`. */
  id: string;
  /** The programs' names. */
  programs: Array<string>;
  /** How many folders are watched. */
  folders: number;
  /** How many files in them count. */
  files: number;
  /** Why they are polled, where inotify cannot tell. */
  polled: string | null;
  /** What is wrong with the settings, a sentence each. */
  problems: Array<string>;
};

/** The whole of what the daemon shows. */
export type Status = {
  /** The daemon's version. */
  version: string;
  /** The protocol it speaks. */
  protocol: number;
  /** Its process. */
  pid: number;
  /** Where it runs. */
  container: ContainerStatus;
  /** What is around it, as far as that is known; it may come a moment after the start. */
  surroundings: Surroundings;
  /** The debug ports, in order. */
  ports: Array<PortStatus>;
  /** The leases that have not ended, oldest first. */
  leases: Array<LeaseStatus>;
  /** The open workspaces, by path. */
  workspaces: Array<WorkspaceStatus>;
};

/** Where a program stopped. */
export type Stop = {
  /** The function. */
  function: string;
  /** The file. */
  file: string;
  /** The line, from 1. */
  line: number;
  /** What stands there. */
  source: string | null;
  /** The local variables, arguments among them. */
  variables: Array<Variable>;
};

/** Params of `burrow/daemon/stop`. */
export type StopParams = {
  /** Cancel the hooks in flight as well. */
  hooks: boolean;
  /** Hand hooks over to the next daemon, which the caller starts: no mark "stopped by the user" is left. */
  restart: boolean;
};

/** Params of `burrow/reload/stop`. */
export type StopReloadParams = {
  /** The reload's name. */
  id: string;
};

/** What is around the container: from its engine where that can be asked, else from /proc. */
export type Surroundings = {
  /** Who told. */
  knownBy: KnownBy;
  /** The container's id in its engine; none where only /proc told. */
  engineId: string | null;
  /** Its name there. */
  name: string | null;
  /** The image that it was made of. */
  image: string | null;
  /** Ports of the container that the host has published; empty where only /proc told. */
  published: Array<PublishedPort>;
  /** What of the host is mounted, by the path here. */
  mounts: Array<MountStatus>;
  /** The container's labels; empty where only /proc told. */
  labels: Record<string, string>;
  /** What is wrong with the container, or not known of it. */
  notes: Array<Reason>;
};

/** The state of a tool. */
export type ToolState =
  /** Installed, and what the lock and the compatibility table say. */
  | "verified"
  /** Not installed. */
  | "missing"
  /** Installed, but not what the pin or the lock asks for, or changed since. */
  | "drifted"
  /** Being installed. */
  | "installing"
  /** The last try to install it failed. */
  | "failed"
  /** Installed, with nothing to compare it with. */
  | "unverified";

/** One Go tool of a workspace. */
export type ToolStatus = {
  /** The tool's name: `gopls`. */
  name: string;
  /** The version, such as `v0.23.0`: the installed one, else the wanted one. */
  version: string;
  /** Why this version: the pin, the lock or the compatibility table. */
  why: string;
  /** Its state. */
  state: ToolState;
  /** What `verified` rests on. */
  by: VerifiedBy | null;
  /** Where the binary is, once installed. */
  path: string | null;
  /** The Go that built it, such as `go1.26.8`, once installed. */
  builtWith: string | null;
  /** The version that is asked for, where somebody rolled back from it: that holds until the next repair or update. */
  rolledBackFrom: string | null;
};

/** Params of `burrow/toolchain/list`, `rebuild` and `rollback`. */
export type ToolsParams = {
  /** The workspace's path. */
  workspace: string;
};

/** The tools as they stand. */
export type ToolsReport = {
  /** The tools, by name. */
  tools: Array<ToolStatus>;
  /** The active generation, if any. */
  generation: number | null;
  /** The folder with the active generation's binaries. */
  bin: string | null;
  /** The Go that the workspace uses, such as `go1.26.8`. */
  go: string | null;
};

/** Params of `burrow/toolchain/switched`. */
export type ToolsSwitched = {
  /** The workspace's path. */
  workspace: string;
  /** The generation that is active now. */
  generation: number;
  /** The tools whose binaries are others than before, or were not to be found, by name. */
  tools: Array<string>;
};

/** What `burrow debug try --json` prints. */
export type TrialReport = {
  /** The program's folder, from the workspace. */
  program: string;
  /** Where it was to stop. */
  target: string;
  /** The lease that it ran through. */
  lease: LeaseStatus;
  /** Where it stopped, in order. */
  stops: Array<Stop>;
  /** What the program answered, where it was asked. */
  response: HttpResponse | null;
  /** What was done, and how long it took. */
  steps: Array<TrialStep>;
};

/** A step of the self-test. */
export type TrialStep = {
  /** What was done. */
  name: string;
  /** How long it took. */
  durationMs: number;
};

/** Params of `burrow/hooks/up`: run what is due of onCreate, updateContent, postCreate and postStart. */
export type UpHooksParams = {
  /** The workspace's path. */
  workspace: string;
};

/** Params of `burrow/toolchain/update`: move to the newest versions that the pins allow. */
export type UpdateToolsParams = {
  /** The workspace's path. */
  workspace: string;
  /** One tool, else all. */
  name: string | null;
  /** Whether a `.devcontainer` folder may be made for the lock file where the repository has none. */
  createFolder: boolean;
};

/** One variable. */
export type Variable = {
  /** Its name. */
  name: string;
  /** Its type. */
  type: string;
  /** Its value, as dlv prints it. */
  value: string;
};

/** What a verification rests on. */
export type VerifiedBy =
  /** The lock file's row for this Go, platform and build settings. */
  | "sha256"
  /** The module's checksum, from the compatibility table or the checksum database. */
  | "h1";

/** Params of `burrow/toolchain/verify`. */
export type VerifyParams = {
  /** The workspace's path. */
  workspace: string;
  /** Read every byte again, instead of comparing size and times. */
  full: boolean;
};

/** The state of a workspace as a whole. */
export type WorkspaceState =
  /** Nothing is due, nothing is wrong. */
  | "ready"
  /** Work is under way. */
  | "working"
  /** Somebody has to look. */
  | "attention";

/** One open folder. */
export type WorkspaceStatus = {
  /** Its absolute path. */
  path: string;
  /** The state of the whole. */
  state: WorkspaceState;
  /** Why it is not `ready`; empty otherwise. */
  reasons: Array<Reason>;
  /** What is wrong with the files that the daemon reads, each at its place. */
  problems: Array<FileProblem>;
  /** The generation of tools that is active, if any. */
  generation: number | null;
  /** Its lifecycle hooks, in the order in which they run. */
  hooks: Array<HookStatus>;
  /** Its Go tools, by name. */
  tools: Array<ToolStatus>;
};

/** Every request: what it takes and what it answers. */
export interface Requests {
  /** Ends the daemon: debug sessions end, hooks in flight go on under their shims. */
  "burrow/daemon/stop": { params: StopParams; result: Done };
  /** The status of everything, once. */
  "burrow/model/status": { params: NoParams; result: Status };
  /** The status of everything with its sequence number; changes follow as `burrow/model/changed`. */
  "burrow/model/subscribe": { params: NoParams; result: Snapshot };
  /** Queues every due hook of onCreate, updateContent, postCreate and postStart. */
  "burrow/hooks/up": { params: UpHooksParams; result: StartedHooks };
  /** Queues one hook, where it is due. */
  "burrow/hooks/run": { params: RunHookParams; result: StartedHooks };
  /** Runs a command and records it as a hook's run. */
  "burrow/hooks/exec": { params: ExecHookParams; result: StartedHooks };
  /** Runs again what did not succeed. */
  "burrow/hooks/retry": { params: RetryHookParams; result: StartedHooks };
  /** Counts a hook as done without running it. */
  "burrow/hooks/skip": { params: SkipHookParams; result: HooksReport };
  /** Ends a run: TERM, then KILL after its grace. */
  "burrow/hooks/cancel": { params: CancelRunParams; result: Done };
  /** Types into the terminal of a command that runs. */
  "burrow/hooks/input": { params: InputParams; result: Done };
  /** Tells a command that runs the size of its terminal. */
  "burrow/hooks/resize": { params: ResizeParams; result: Done };
  /** Answers when hooks are at rest. */
  "burrow/hooks/await": { params: AwaitHooksParams; result: HooksReport };
  /** The runs on record. */
  "burrow/hooks/runs": { params: ListRunsParams; result: RunList };
  /** A piece of a command's output. */
  "burrow/hooks/readLog": { params: ReadLogParams; result: LogPiece };
  /** The tools, with why each has its version. */
  "burrow/toolchain/list": { params: ToolsParams; result: ToolsReport };
  /** What a repair would do. */
  "burrow/toolchain/plan": { params: RepairParams; result: RepairPlan };
  /** Queues a repair. */
  "burrow/toolchain/repair": { params: RepairParams; result: StartedOperation };
  /** Queues an update of the locked versions. */
  "burrow/toolchain/update": { params: UpdateToolsParams; result: StartedOperation };
  /** Answers when a queued operation ended. */
  "burrow/toolchain/await": { params: AwaitOperationParams; result: OperationResult };
  /** Ends a queued operation; what is installed stays as it is. */
  "burrow/toolchain/cancel": { params: AwaitOperationParams; result: Done };
  /** Queues a build of the installed tools in empty caches, which must give the same binaries. */
  "burrow/toolchain/rebuild": { params: ToolsParams; result: StartedOperation };
  /** Queues a question to the checksum database about the installed tools that the compatibility table does not know. */
  "burrow/toolchain/checkSums": { params: ToolsParams; result: StartedOperation };
  /** Checks the installed tools. */
  "burrow/toolchain/verify": { params: VerifyParams; result: ToolsReport };
  /** Makes the generation before the active one active. */
  "burrow/toolchain/rollback": { params: ToolsParams; result: ToolsReport };
  /** Leases a debug port; it listens when the answer comes. */
  "burrow/debug/lease": { params: LeaseParams; result: LeaseGranted };
  /** Ends a lease and all of its processes. */
  "burrow/debug/release": { params: ReleaseParams; result: Released };
  /** Ends whatever of ours sits on a port. */
  "burrow/debug/reclaim": { params: ReclaimParams; result: Released };
  /** The Go programs that run, for one who wants to attach to one. */
  "burrow/debug/processes": { params: NoParams; result: GoProcesses };
  /** The output of a lease's debug adapter and program. */
  "burrow/debug/readLog": { params: ReadDebugLogParams; result: LogPiece };
  /** Builds and runs programs, and does so again whenever their files change, until the session ends. */
  "burrow/reload/start": { params: StartReloadParams; result: StartedReload };
  /** Answers when something has happened to them. */
  "burrow/reload/follow": { params: FollowReloadParams; result: ReloadPiece };
  /** Ends them. */
  "burrow/reload/stop": { params: StopReloadParams; result: Done };
}

/** Every notification of the daemon. */
export interface Notifications {
  /** One part of the status has a new value. */
  "burrow/model/changed": ModelChanged;
  /** Another generation of tools is active: what runs an old binary goes on, and is to be restarted. */
  "burrow/toolchain/switched": ToolsSwitched;
}

/** What can go wrong: `error.data.code`, and the code in words. */
export const ERROR_CODES = {
  /** No daemon answers. */
  BUR101: "daemon-unreachable",
  /** The daemon could not be started. */
  BUR102: "daemon-start",
  /** Another daemon has this state directory. */
  BUR103: "daemon-running",
  /** The state directory cannot be written. */
  BUR104: "state-unwritable",
  /** The state directory is not safe to use: a link, another owner, or open to others. */
  BUR105: "state-unsafe",
  /** A process setting has a value that makes no sense. */
  BUR106: "bad-setting",
  /** The socket's path is too long. */
  BUR107: "socket-path",
  /** Client and daemon have no protocol version in common. */
  BUR108: "protocol-version",
  /** The peer is not allowed to speak to this daemon. */
  BUR109: "peer-refused",
  /** The user stopped the daemon, and it stays stopped. */
  BUR110: "stopped-by-user",
  /** The request makes no sense. */
  BUR111: "bad-request",
  /** An unexpected failure inside Burrow. */
  BUR199: "internal",
  /** The folder does not exist or is no folder. */
  BUR201: "no-folder",
  /** devcontainer.json is no valid JSON with comments. */
  BUR202: "config-syntax",
  /** devcontainer.json has a value that makes no sense. */
  BUR203: "config-value",
  /** The session has not opened this workspace. */
  BUR204: "workspace-unknown",
  /** A file that Burrow writes is a link out of the workspace. */
  BUR205: "link-outside",
  /** There is no Go module in the workspace. */
  BUR206: "no-module",
  /** go.mod or go.work cannot be read. */
  BUR207: "go-mod-syntax",
  /** Hooks run as another user than devcontainer.json says. */
  BUR208: "other-user",
  /** The user's shell does not say what it sets. */
  BUR209: "environment-probe",
  /** vendor/ does not agree with go.mod. */
  BUR210: "vendor-disagrees",
  /** The hook failed. */
  BUR301: "hook-failed",
  /** The hook is not configured. */
  BUR302: "hook-unknown",
  /** The hook is running already. */
  BUR303: "hook-running",
  /** There is no such run, or its log is gone. */
  BUR304: "run-unknown",
  /** The run could not be recorded, so it was not started. */
  BUR305: "run-not-recorded",
  /** The process could not be started. */
  BUR306: "spawn-failed",
  /** How the run ended is not known: its shim died. */
  BUR307: "run-interrupted",
  /** A command of a hook would wait for its own end. */
  BUR308: "waits-for-itself",
  /** The command has no terminal to type into, or has ended. */
  BUR320: "no-terminal",
  /** There is no Go on PATH. */
  BUR401: "no-go",
  /** The Go at hand is older than the workspace asks for. */
  BUR402: "go-too-old",
  /** No version of the tool fits this Go. */
  BUR403: "no-version-fits",
  /** The pinned version cannot work with this Go. */
  BUR404: "pin-cannot-work",
  /** The module could not be downloaded. */
  BUR405: "download-failed",
  /** A checksum is not the expected one. */
  BUR406: "checksum-mismatch",
  /** The tool could not be built. */
  BUR407: "build-failed",
  /** The tools are not what the lock file says. */
  BUR408: "drifted",
  /** The lock file is not valid. */
  BUR409: "lock-invalid",
  /** The store cannot be written. */
  BUR410: "store-unwritable",
  /** There is no generation to go back to. */
  BUR411: "no-generation",
  /** The disk is full. */
  BUR412: "disk-full",
  /** The tool is not known by that name. */
  BUR413: "tool-unknown",
  /** Pins of one tool exclude each other. */
  BUR414: "pins-conflict",
  /** The operation on the tools was cancelled. */
  BUR415: "tools-cancelled",
  /** A file that pins tools cannot be read. */
  BUR416: "pin-file",
  /** A build of the same sources gave another binary. */
  BUR417: "not-reproduced",
  /** Nobody agreed to write into this repository. */
  BUR418: "consent-needed",
  /** All debug ports are taken. */
  BUR501: "ports-taken",
  /** The port is held by another process. */
  BUR502: "port-foreign",
  /** The port is leased already. */
  BUR503: "port-leased",
  /** There is no such lease. */
  BUR504: "lease-unknown",
  /** dlv is not installed for this workspace. */
  BUR505: "no-dlv",
  /** dlv did not start. */
  BUR506: "dlv-start",
  /** The program could not be debugged. */
  BUR507: "debug-failed",
  /** The program could not be built. */
  BUR508: "program-build-failed",
  /** The port is not one of the debug ports. */
  BUR509: "port-outside",
  /** Nobody listens where the debug adapter should be. */
  BUR510: "no-adapter",
  /** The settings of a reload make no sense. */
  BUR601: "reload-settings",
  /** There is no such reload. */
  BUR602: "reload-unknown",
  /** One of Burrow's own folders does not belong to the user as whom it runs. */
  BUR701: "owner-wrong",
  /** The container's engine has a socket here, and cannot be asked. */
  BUR702: "engine-unreachable",
  /** The Feature does not tell whose daemon the container has. */
  BUR703: "remote-user-unknown",
  /** The container's entrypoint has not made the user's state directory. */
  BUR704: "state-not-made",
} as const;

/** A code of the registry. */
export type ErrorCode = keyof typeof ERROR_CODES;
