// Debug ports lent to sessions of the Go extension's type `go`: its adapter is told where to connect.

import * as vscode from "vscode";
import type { Daemon } from "./daemon";
import { describe, showError } from "./errors";
import type { LeaseParams, LeaseStatus } from "./generated/protocol";
import { ownDlv, standsAside, type Configuration } from "./launch";
import { HOST, LEASE, portOf } from "./lease";

/** The Go extension's debug type. */
const THEIRS = "go";

/** How a lease is asked for; `more` says what is special about it. */
export type AskLease = (config: Configuration, folder: vscode.WorkspaceFolder | undefined, more: Partial<LeaseParams>) => Promise<LeaseStatus>;

/** Lends ports. */
export class Lending {
  /** The leases whose debug adapter was started once: another start of it is a restart. */
  private readonly begun = new Set<string>();
  /** The lease that took the place of the one in a configuration. */
  private readonly renewed = new Map<string, string>();

  constructor(
    private readonly daemon: Daemon,
    private readonly output: vscode.LogOutputChannel,
    private readonly ask: AskLease,
    /** Whether the workspace of a configuration has a dlv of its own. */
    private readonly hasDlv: (config: Configuration, folder: vscode.WorkspaceFolder | undefined) => boolean,
    private readonly sayOnce: (message: string) => Promise<void>,
  ) {}

  /** Registers all that VS Code calls. */
  register(): vscode.Disposable {
    return vscode.Disposable.from(
      vscode.debug.registerDebugConfigurationProvider(THEIRS, {
        resolveDebugConfigurationWithSubstitutedVariables: (folder, config) => this.lend(folder, config),
      }),
      vscode.debug.registerDebugAdapterTrackerFactory(THEIRS, {
        createDebugAdapterTracker: async (session) => {
          await this.renew(session).catch((error: unknown) => showError(error, this.output));
          return undefined;
        },
      }),
    );
  }

  /** The lease that a session has now. */
  current(lease: string): string {
    return this.renewed.get(lease) ?? lease;
  }

  /** Completes a configuration. Whatever is in the way: the Go extension then does as it does without Burrow. */
  private async lend(folder: vscode.WorkspaceFolder | undefined, config: vscode.DebugConfiguration): Promise<vscode.DebugConfiguration> {
    if (vscode.workspace.getConfiguration("burrow", folder).get("debug.lendPorts") !== true || this.daemon.workspaces.length === 0) {
      return config;
    }
    const why = standsAside(config);
    if (why !== undefined) {
      await this.sayOnce(`Burrow lends no debug port to "${config.name}": ${why}.`);
      return config;
    }
    try {
      const lease = await this.ask(config, folder, { dlv: this.dlvOf(config, folder) });
      this.begun.delete(lease.id); // the daemon that gave that name before is another one
      this.renewed.delete(lease.id);
      // Without `outputMode` the program's output would not reach the debug console.
      return { outputMode: "remote", ...config, host: HOST, port: portOf(lease), [LEASE]: lease.id };
    } catch (error) {
      await this.sayOnce(`Burrow could lend no debug port: ${describe(error)}`);
      return config;
    }
  }

  /**
   * Leases the port of a session again that is restarted. Of a dlv without a restart of its own VS Code ends the session and
   * begins it anew with the configuration that it has, asking nobody; the lease has ended with the first connection.
   */
  private async renew({ configuration: config, workspaceFolder }: vscode.DebugSession): Promise<void> {
    const id: unknown = config[LEASE];
    if (typeof id !== "string") {
      return;
    }
    if (!this.begun.has(id)) {
      this.begun.add(id);
      return;
    }
    // The old lease may still be clearing up after its program.
    const more = { dlv: this.dlvOf(config, workspaceFolder), port: Number(config.port), wait: true };
    const lease = await this.ask(config, workspaceFolder, more);
    this.renewed.set(id, lease.id);
  }

  /**
   * The dlv of a session where it is not the workspace's: one that the user chose, else what the Go extension found where the
   * workspace has none. That extension puts its own into every configuration, so what is in there is nobody's choice.
   */
  private dlvOf(config: vscode.DebugConfiguration, folder: vscode.WorkspaceFolder | undefined): string | null {
    const written = vscode.workspace.getConfiguration("launch", folder).get<vscode.DebugConfiguration[]>("configurations", []);
    const alternate = vscode.workspace.getConfiguration("go", folder).get<Record<string, string>>("alternateTools", {}).dlv;
    const chosen = ownDlv({ written, alternate, config });
    const found = typeof config.dlvToolPath === "string" ? config.dlvToolPath : null;
    return chosen ?? (this.hasDlv(config, folder) ? null : found);
  }
}
