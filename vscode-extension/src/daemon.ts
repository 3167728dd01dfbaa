// The daemon of this window: found, started where that is allowed, and followed for as long as the window lives.
//
// One loop: find or start, connect, wait for the end, pause, again. Nothing polls: a pause ends by its time only after
// a failure and only a few times; else by an event (another daemon came, a setting changed, the user asked).

import { homedir } from "node:os";
import * as vscode from "vscode";
import type { WorkDoneProgressReport } from "vscode-languageclient/node";
import { Arrivals } from "./arrivals";
import { Connection } from "./connection";
import { describe, showError } from "./errors";
import type { Requests, ServerDetails, Status, ToolsSwitched, WorkspaceStatus } from "./generated/protocol";
import { findProgram, hasOwnProgram, mayStart, runProgram, windowEnvironment, type AutoStart, type ProgramResult } from "./program";
import { checkSocket, featureUser, isCode, readRendezvous, stateDirectory } from "./rendezvous";
import { ownWorkspaces } from "./summary";

/** How this window stands with its daemon. */
export type DaemonState =
  /** None runs, and none is to be started: say nothing. */
  | { kind: "absent" }
  /** The user stopped it. */
  | { kind: "stopped" }
  /** It is being found, or started. */
  | { kind: "starting" }
  /** It could not be started, or did not answer. */
  | { kind: "failed"; message: string }
  /** It answers. */
  | { kind: "connected"; details: ServerDetails; status: Status };

/** Pauses after a first failure, a second and so on, in milliseconds. After the last one only an event brings a try. */
const PAUSES = [250, 1000, 2000, 5000, 10_000];

/** A connection that ends sooner, in milliseconds, counts as a failure like one that did not come about. */
const LASTING = 10_000;

/** What is the matter where all pauses are over. */
const ENDS = "The daemon ends soon after each start. `Burrow: Show Daemon Log` shows why.";

/** What a folder with Go has. */
const MODULES = "**/{go.mod,go.work}";

/** Finds, starts and follows the daemon. To dispose it is to leave: the daemon goes on. */
export class Daemon implements vscode.Disposable {
  private readonly changes = new vscode.EventEmitter<DaemonState>();
  /** Fires with every new state. */
  readonly onDidChange = this.changes.event;
  private readonly switches = new vscode.EventEmitter<ToolsSwitched>();
  /** Fires when other Go tools are active. */
  readonly onDidSwitchTools = this.switches.event;
  /** The daemons, by process, whose version was compared with ours. */
  private readonly compared = new Set<number>();
  private readonly uid = process.getuid?.() ?? 0;
  private readonly arrivals = new Arrivals(() => this.directory, this.uid, (message) => { this.output.warn(message); });
  private current: DaemonState = { kind: "absent" };
  private opening: Promise<Connection | undefined> = Promise.resolve(undefined);
  private disposed = false;
  /** The user asked for the daemon, whatever is in the folder. */
  private isWanted = false;
  private readonly modules = vscode.workspace.createFileSystemWatcher(MODULES, false, true, true);
  private wake: () => void = () => undefined;
  private readonly subscriptions = [
    vscode.workspace.onDidGrantWorkspaceTrust(() => this.reconnect("the folder is trusted now")),
    this.modules,
    this.modules.onDidCreate(() => { this.wake(); }),
    vscode.workspace.onDidChangeWorkspaceFolders(() => this.reconnect("the folders changed")),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("burrow")) {
        this.wake();
      }
    }),
  ];

  constructor(
    private readonly extensionPath: string,
    /** The version of this extension and of the program in it. */
    private readonly version: string,
    private readonly output: vscode.LogOutputChannel,
  ) {}

  /** The state directory. A container that is just starting may make it later than the window looks for it. */
  get directory(): string {
    return stateDirectory(process.env, this.uid);
  }

  /** How it stands now. */
  get state(): DaemonState {
    return this.current;
  }

  /** Follows the daemon until disposed. Does not fail: what goes wrong is a state. */
  async follow(): Promise<void> {
    let failures = 0;
    while (!this.disposed) {
      const woken = this.nextWake();
      this.opening = this.open();
      const connection = await this.opening;
      if (connection !== undefined) {
        const since = Date.now();
        this.say(`connected to daemon ${connection.details.pid}, build ${connection.details.build}`);
        void this.askForTools(connection);
        await connection.closed;
        this.say("the connection is closed");
        failures = Date.now() - since < LASTING ? failures : 0;
        this.show(failures < PAUSES.length ? { kind: "starting" } : { kind: "failed", message: ENDS });
      }
      // A failure is tried again in a while. Where no daemon is wanted there is nothing to try.
      const retry = connection !== undefined || this.current.kind === "failed";
      await this.pause(retry ? PAUSES[failures++] : undefined, woken);
    }
  }

  /** The workspaces of this window; none while no daemon answers. */
  get workspaces(): readonly WorkspaceStatus[] {
    return this.current.kind === "connected" ? ownWorkspaces(this.current.details, this.current.status) : [];
  }

  /** The same for one who cannot do without: fails where there is none. */
  required(): readonly WorkspaceStatus[] {
    if (this.workspaces.length === 0) {
      throw new Error("No daemon has a folder of this window open. `Burrow: Restart Daemon` starts one.");
    }
    return this.workspaces;
  }

  /** Asks the daemon. Fails in its words, or where none answers. */
  async request<M extends keyof Requests>(method: M, params: Requests[M]["params"]): Promise<Requests[M]["result"]> {
    return (await this.connection()).request(method, params);
  }

  /** Tells how far queued work is, until disposed. */
  async onProgress(token: string, report: (progress: WorkDoneProgressReport) => void): Promise<vscode.Disposable> {
    return (await this.connection()).onProgress(token, report);
  }

  /** Runs a command of `burrow` that prints, and gives what it printed. */
  async print(...args: readonly string[]): Promise<string> {
    return (await this.burrow(...args)).stdout;
  }

  /** Resolves when a daemon answers; at once where one does. */
  async connected(): Promise<void> {
    const answers = new Promise<void>((resolve) => {
      const listening = this.onDidChange(({ kind }) => {
        if (kind === "connected") {
          listening.dispose();
          resolve();
        }
      });
    });
    // The state is told a moment after the connection is lost.
    if ((await this.opening)?.isOpen !== true) {
      await answers;
    }
  }

  /** Starts the daemon, or a new one in its place, whatever stopped it. Fails with what `burrow` said. */
  async restart(): Promise<void> {
    this.isWanted = true;
    await this.burrow(this.current.kind === "connected" ? "restart" : "start");
    this.wake();
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    this.wake();
    for (const subscription of this.subscriptions) {
      subscription.dispose();
    }
    this.changes.dispose();
    this.switches.dispose();
    await (await this.opening)?.close();
  }

  private async connection(): Promise<Connection> {
    const connection = await this.opening;
    if (connection?.isOpen !== true) {
      throw new Error("Burrow's daemon does not answer.");
    }
    return connection;
  }

  /** Begins again, with the folders and the trust of now. */
  private async reconnect(why: string): Promise<void> {
    this.say(`connecting again: ${why}`);
    await (await this.opening)?.close();
    this.wake();
  }

  /** A connection; or nothing, with the reason shown. */
  private async open(): Promise<Connection | undefined> {
    try {
      const cwd = workingDirectory();
      if (cwd === undefined) {
        this.show({ kind: "absent" });
        return undefined;
      }
      // A window that starts no daemon speaks with any that runs.
      const replaces = (await this.mayGiveWay()) && (await this.isToStart());
      const running = replaces ? undefined : await this.connect(cwd);
      if (running !== undefined) {
        return running;
      }
      if (!replaces && !(await this.isToStart())) {
        this.show({ kind: "absent" });
        return undefined;
      }
      this.show({ kind: "starting" });
      const { stopped, stdout } = await this.start();
      if (stopped) {
        this.show({ kind: "stopped" });
        return undefined;
      }
      const started = await this.connect(cwd);
      if (started === undefined) {
        throw new Error(this.whyNobodyAnswers());
      }
      if ((JSON.parse(stdout) as { outdated?: boolean }).outdated === true) {
        void this.offerNewer();
      }
      return started;
    } catch (error) {
      const message = describe(error);
      this.output.error(message);
      this.show({ kind: "failed", message });
      return undefined;
    }
  }

  /** Whether this window is to have a daemon, where none runs. */
  private async isToStart(): Promise<boolean> {
    if (!mayStart(setting("autoStart") as AutoStart, process.env)) {
      return false;
    }
    const isWanted = this.isWanted || (await hasGo());
    if (!isWanted) {
      this.say("there is no Go module in this window");
    }
    return isWanted;
  }

  /** Starts the daemon. One that failed to start is not worth another try for having written its daemon.json. */
  private async start(): Promise<ProgramResult> {
    try {
      return await this.burrow("start", "--unless-stopped", "--json");
    } catch (error) {
      await this.arrivals.noteCurrent();
      throw error;
    }
  }

  /**
   * Whether the daemon that runs is of another version than the program in this extension. That program then decides which
   * of the two is newer, once a daemon.
   */
  private async mayGiveWay(): Promise<boolean> {
    const running = await readRendezvous(this.directory, this.uid);
    if (running === undefined || running.version === this.version || this.compared.has(running.pid)) {
      return false;
    }
    this.compared.add(running.pid);
    return hasOwnProgram(setting("path") as string | null, this.extensionPath);
  }

  private whyNobodyAnswers(): string {
    const owner = this.uid === 0 ? featureUser() : undefined;
    return owner === undefined
      ? `\`burrow start\` ended well, but no daemon answers in ${this.directory}.`
      : `This window runs as root, and the daemon of this container is ${owner}'s. Attach as ${owner}: with "remoteUser": "${owner}" in devcontainer.json.`;
  }

  private async offerNewer(): Promise<void> {
    const message = `This extension has a newer Burrow, ${this.version}. The daemon that runs is older, and goes on while a debug session or a hook does.`;
    if ((await vscode.window.showInformationMessage(message, "Restart Daemon")) !== undefined) {
      await this.restart().catch((error: unknown) => showError(error, this.output));
    }
  }

  /** A connection to the daemon that runs, if one does. */
  private async connect(cwd: string): Promise<Connection | undefined> {
    const rendezvous = await readRendezvous(this.directory, this.uid);
    this.arrivals.note(rendezvous);
    if (rendezvous === undefined) {
      return undefined;
    }
    await checkSocket(rendezvous.socket, this.uid);
    const session = { environment: windowEnvironment(process.env), cwd };
    try {
      return await Connection.open(rendezvous.socket, session, this.output, {
        changed: (details, status) => { this.show({ kind: "connected", details, status }); },
        switched: (switched) => { this.switches.fire(switched); },
      });
    } catch (error) {
      if (isCode(error, "ENOENT") || isCode(error, "ECONNREFUSED")) {
        return undefined; // what a daemon left that was killed
      }
      throw error;
    }
  }

  private async burrow(...args: readonly string[]): Promise<ProgramResult> {
    const program = findProgram(setting("path") as string | null, this.extensionPath, process.env);
    this.say(`running ${program} ${args.join(" ")}`);
    return runProgram(program, args, windowEnvironment(process.env), homedir());
  }

  /**
   * Has the daemon look at the Go tools: it does so when somebody asks, since it runs `go` in that one's environment. What it
   * finds comes as a change of the status. An untrusted folder's `go` is not run.
   */
  private async askForTools(connection: Connection): Promise<void> {
    if (!vscode.workspace.isTrusted) {
      return;
    }
    for (const workspace of connection.details.workspaces) {
      try {
        await connection.request("burrow/toolchain/list", { workspace });
      } catch (error) {
        this.say(describe(error)); // stands in the status as well
      }
    }
  }

  private say(text: string): void {
    if (!this.disposed) {
      this.output.info(text);
    }
  }

  private show(state: DaemonState): void {
    this.current = state;
    if (!this.disposed) {
      this.changes.fire(state);
    }
  }

  /** Waits until another daemon comes or `woken` resolves, at most `milliseconds` where they are given. */
  private async pause(milliseconds: number | undefined, woken: Promise<void>): Promise<void> {
    this.say(milliseconds === undefined ? `waiting for a daemon in ${this.directory}` : `trying again in ${milliseconds / 1000} s`);
    const timer = milliseconds === undefined ? undefined : setTimeout(this.wake, milliseconds);
    const stopWatching = this.arrivals.watch(this.wake);
    await woken;
    stopWatching();
    clearTimeout(timer);
  }

  /** Resolves at the first reason from now on to try again. */
  private nextWake(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }
}

/** Whether a folder of this window has Go in it. */
async function hasGo(): Promise<boolean> {
  return (await vscode.workspace.findFiles(MODULES, "**/node_modules/**", 1)).length > 0;
}

/** A setting of this extension; package.json gives each its default. */
function setting(name: string): unknown {
  return vscode.workspace.getConfiguration("burrow").get(name);
}

/** The folder from which this window's relative paths count: the first that is on this machine. */
function workingDirectory(): string | undefined {
  return vscode.workspace.workspaceFolders?.find((folder) => folder.uri.scheme === "file")?.uri.fsPath;
}
