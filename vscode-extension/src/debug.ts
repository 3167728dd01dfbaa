// Debugging with the type `burrow`. Which port, which dlv and their end are the daemon's; here a launch configuration is
// completed and VS Code is told where to connect.

import { readFileSync, realpathSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname } from "node:path";
import * as vscode from "vscode";
import type { Daemon } from "./daemon";
import { describe, offerRepair, showError } from "./errors";
import type { LeaseParams, LeaseStatus, WorkspaceStatus } from "./generated/protocol";
import {
  buildFolder,
  complete,
  dlvFlags,
  leaseEnvironment,
  reloads,
  unheard,
  type Configuration,
  type GoSettings,
} from "./launch";
import { dapLease, HOST, LEASE, portOf } from "./lease";
import { Lending } from "./lending";
import { parseEnvFile } from "./settings";
import { Terminals } from "./terminal";

/** Our debug type. */
const OURS = "burrow";

/** What the relay says where a program that stands at a breakpoint was built again and the user is to decide. */
const BUILT = "burrow/reload/built";

/** Where it is kept what was said. */
const SAID = "debug.said";

/** What is offered in a folder with no launch.json, and while one is written. */
const CONFIGURATIONS: readonly vscode.DebugConfiguration[] = [
  { name: "Debug Package", type: OURS, request: "launch", mode: "auto", program: "${fileDirname}" },
  { name: "Debug Tests of Package", type: OURS, request: "launch", mode: "test", program: "${fileDirname}" },
  { name: "Attach to Go Process", type: OURS, request: "attach", mode: "local", processId: "${command:pickGoProcess}" },
];

/** Debugs the package of a file or folder: of the one that the command was called for, else of the one in the editor. */
export async function debugPackage(target: unknown): Promise<void> {
  const uri = target instanceof vscode.Uri ? target : vscode.window.activeTextEditor?.document.uri;
  if (uri?.scheme !== "file") {
    void vscode.window.showInformationMessage("Open a Go file of the package that is to be debugged.");
    return;
  }
  const { fsPath } = uri;
  const program = fsPath.endsWith(".go") ? dirname(fsPath) : fsPath;
  const mode = fsPath.endsWith("_test.go") ? "test" : "debug";
  const name = `${mode === "test" ? "Tests of " : ""}${basename(program)}`;
  await vscode.debug.startDebugging(vscode.workspace.getWorkspaceFolder(uri), { name, type: OURS, request: "launch", mode, program });
}

/** Completes launch configurations, leases ports for them, and says where to connect. */
export class Debugging {
  private readonly terminals = new Terminals();
  private readonly lending: Lending;

  constructor(
    private readonly daemon: Daemon,
    private readonly output: vscode.LogOutputChannel,
    /** What was said, so that it is said once. */
    private readonly said: vscode.Memento,
  ) {
    this.lending = new Lending(
      daemon,
      output,
      (config, folder, more) => this.lease(config, folder, more),
      (config, folder) => (this.workspaceOf(config, this.root(folder))?.generation ?? null) !== null,
      (message) => this.sayOnce(message),
    );
  }

  /** Registers all that VS Code calls. */
  register(): vscode.Disposable {
    const offered = { provideDebugConfigurations: () => [...CONFIGURATIONS] };
    const dynamic = vscode.DebugConfigurationProviderTriggerKind.Dynamic;
    return vscode.Disposable.from(
      vscode.debug.registerDebugConfigurationProvider(OURS, {
        ...offered,
        resolveDebugConfiguration: (_folder, config) => fill(config),
        resolveDebugConfigurationWithSubstitutedVariables: (folder, config) => this.complete(folder, config),
      }),
      vscode.debug.registerDebugConfigurationProvider(OURS, offered, dynamic),
      vscode.debug.registerDebugAdapterDescriptorFactory(OURS, {
        createDebugAdapterDescriptor: (session) => this.start(session),
      }),
      this.lending.register(),
      vscode.debug.onDidReceiveDebugSessionCustomEvent(({ session, event }) => {
        if (event === BUILT) {
          this.askToRestart(session).catch((error: unknown) => showError(error, this.output));
        }
      }),
      vscode.debug.onDidTerminateDebugSession((session) => void this.release(session)),
    );
  }

  /** What dlv gets. */
  async complete(folder: vscode.WorkspaceFolder | undefined, config: vscode.DebugConfiguration): Promise<vscode.DebugConfiguration | undefined> {
    const root = this.root(folder);
    const completed = complete(config, {
      folder: root,
      file: vscode.window.activeTextEditor?.document.uri.fsPath,
      home: homedir(),
      env: process.env,
      go: goSettings(folder),
      readEnvFile: (path) => parseEnvFile(readFileSync(path, "utf8")),
      warn: (message) => { this.output.warn(message); },
    });
    for (const what of unheard(completed)) {
      await this.sayOnce(`"${config.name}": ${what}.`);
    }
    if (!this.hasDlv(completed, root)) {
      return undefined;
    }
    if (completed.request === "attach" && completed.mode === "local") {
      const processId = await this.processOf(completed.processId);
      return processId === undefined ? undefined : { ...config, ...completed, processId };
    }
    return { ...config, ...completed };
  }

  /** Where VS Code connects. */
  async start(session: vscode.DebugSession): Promise<vscode.DebugAdapterDescriptor> {
    const config = session.configuration as vscode.DebugConfiguration & Configuration;
    if (config.mode === "remote") {
      return new vscode.DebugAdapterServer(Number(config.port), typeof config.host === "string" ? config.host : HOST);
    }
    const root = this.root(session.workspaceFolder);
    if (config.console === "integratedTerminal") {
      return this.terminals.start(session, config, this.dlvFor(config, root), workingFolder(config, root));
    }
    const dlv = typeof config.dlvToolPath === "string" ? config.dlvToolPath : null;
    const lease = await this.lease(config, session.workspaceFolder, { dlv });
    config[LEASE] = lease.id;
    return new vscode.DebugAdapterServer(portOf(lease), HOST);
  }

  /** A lease ends with its session; here only one that no debug client ever reached. */
  private async release(session: vscode.DebugSession): Promise<void> {
    const id: unknown = session.configuration[LEASE];
    if (typeof id === "string") {
      // It may have ended by itself.
      await this.daemon.request("burrow/debug/release", { id: this.lending.current(id) }).catch(() => undefined);
    }
  }

  /** Where a configuration says `reload: { whenStopped: "ask" }`. To close the question is to go on in the old program. */
  private async askToRestart(session: vscode.DebugSession): Promise<void> {
    const message = `${session.name} was built again. Restart it now?`;
    if ((await vscode.window.showInformationMessage(message, "Restart")) !== undefined) {
      await session.customRequest("restart");
    }
  }

  private async lease(config: Configuration, folder: vscode.WorkspaceFolder | undefined, more: Partial<LeaseParams>): Promise<LeaseStatus> {
    const root = this.root(folder);
    const cwd = workingFolder(config, root);
    const params = dapLease(this.workspaceOf(config, root)?.path ?? root, {
      program: config.name,
      cwd,
      env: leaseEnvironment(config),
      flags: dlvFlags(config),
      reload: reloads(config, vscode.workspace.getConfiguration("burrow", folder).get<boolean | null>("reload.onSave", null)),
      ...more,
    });
    try {
      return (await this.daemon.request("burrow/debug/lease", params)).lease;
    } catch (error) {
      throw new Error(describe(error), { cause: error });
    }
  }

  /**
   * Whether a session can have a dlv; where it cannot, offers the repair. Asked before VS Code starts one: of what fails later
   * it makes a dialog that leads to launch.json.
   */
  private hasDlv(config: Configuration, root: string): boolean {
    const workspace = this.workspaceOf(config, root);
    if (workspace?.generation !== null || config.mode === "remote" || typeof config.dlvToolPath === "string") {
      return true;
    }
    const { path } = workspace;
    const message = `There is no dlv yet for ${basename(path)}: its Go tools are not installed.`;
    offerRepair(message, path).catch((error: unknown) => showError(error, this.output));
    return false;
  }

  /** The dlv of a session that does not go through a lease. */
  private dlvFor(config: Configuration, root: string): string {
    const own = this.workspaceOf(config, root)?.tools.find(({ name }) => name === "dlv")?.path;
    const dlv = typeof config.dlvToolPath === "string" ? config.dlvToolPath : own;
    if (dlv === undefined || dlv === null) {
      throw new Error("There is no dlv for this folder. `Burrow: Repair Go Toolchain` installs it.");
    }
    return dlv;
  }

  /** The process to attach to: by number, by name, else picked. */
  private async processOf(given: unknown): Promise<number | undefined> {
    const number = Number(given);
    if (Number.isInteger(number) && number > 0) {
      return number;
    }
    return this.pickProcess(typeof given === "string" && given !== "" ? given : undefined);
  }

  /** Lets the user pick a Go process; of those called `name`, where there are any. */
  async pickProcess(name?: string): Promise<number | undefined> {
    const { processes } = await this.daemon.request("burrow/debug/processes", {});
    const named = processes.filter((process) => process.name === name);
    if (named.length === 1) {
      return named[0]?.pid;
    }
    const rows = (named.length > 0 ? named : processes).map(({ pid, name: label, commandLine, go }) => {
      return { label, description: `${pid}  ${go}`, detail: commandLine, pid };
    });
    if (rows.length === 0) {
      throw new Error("No Go program of yours runs here.");
    }
    const title = "Burrow: Attach to a Go Process";
    return (await vscode.window.showQuickPick(rows, { title, matchOnDescription: true, matchOnDetail: true }))?.pid;
  }

  /** The folder of a session: its own, else the first of the window. */
  private root(folder: vscode.WorkspaceFolder | undefined): string {
    const root = (folder ?? vscode.workspace.workspaceFolders?.[0])?.uri.fsPath ?? this.daemon.workspaces[0]?.path;
    if (root === undefined) {
      throw new Error("Open a folder: Burrow debugs the programs of one.");
    }
    return root;
  }

  /** The workspace whose dlv and Go are used: the innermost around what is built. The daemon knows folders by their real paths. */
  private workspaceOf(config: Configuration, root: string): WorkspaceStatus | undefined {
    const folder = realPath(workingFolder(config, root));
    const around = this.daemon.workspaces.filter(({ path }) => `${folder}/`.startsWith(`${path}/`));
    return around.sort((a, b) => b.path.length - a.path.length)[0];
  }

  /** Says it once in this workspace; the output has it every time. */
  private async sayOnce(message: string): Promise<void> {
    this.output.info(message);
    const said = this.said.get<string[]>(SAID, []);
    if (!said.includes(message)) {
      await this.said.update(SAID, [...said, message]);
      void vscode.window.showInformationMessage(message);
    }
  }
}

/** Where dlv works. */
function workingFolder(config: Configuration, root: string): string {
  return config.request === "attach" ? root : buildFolder(config, root);
}

/** Who starts with nothing gets the package in the editor. */
function fill(config: vscode.DebugConfiguration): vscode.DebugConfiguration {
  // VS Code gives an empty object where there is no launch.json.
  return Reflect.has(config, "request") ? config : { name: "Debug Package", type: OURS, request: "launch" };
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path; // what does not exist is dlv's to tell
  }
}

/** The Go extension's settings; each has its default where that extension is not there. */
function goSettings(folder: vscode.WorkspaceFolder | undefined): GoSettings {
  const settings = vscode.workspace.getConfiguration("go", folder);
  return {
    delveConfig: settings.get("delveConfig", {}),
    buildTags: settings.get("buildTags", ""),
    toolsEnvVars: settings.get("toolsEnvVars", {}),
    testEnvVars: settings.get("testEnvVars", {}),
    testEnvFile: settings.get<string | null>("testEnvFile", null),
  };
}
