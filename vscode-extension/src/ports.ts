// The debug ports: an item in the status bar while one is leased, and the picker with all of them.

import * as vscode from "vscode";
import type { Daemon } from "./daemon";
import type { LeaseStatus, PortStatus } from "./generated/protocol";
import { copyPortForward } from "./forward";
import { dapLease } from "./lease";
import { pickWorkspace } from "./pick";
import { portLine } from "./summary";

/** What can be done with a port. */
type PortAction = "lease" | "copyAddress" | "copyForward" | "showSession" | "release" | "reclaim";

const ACTIONS: Record<PortAction, { label: string; icon: string }> = {
  lease: { label: "Lease", icon: "add" },
  copyAddress: { label: "Copy Address", icon: "copy" },
  copyForward: { label: "Copy Port Forward Command", icon: "export" },
  showSession: { label: "Go to Session", icon: "debug-alt" },
  release: { label: "Release", icon: "close" },
  reclaim: { label: "Reclaim", icon: "debug-disconnect" },
};

/** What a command about one port is called with. */
export interface PortTarget {
  port: number;
}

/** The status bar item of the debug ports. Without a lease there is nothing to see; the command shows the picker all the same. */
export class PortsItem implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("burrow.ports", vscode.StatusBarAlignment.Left, 9);

  constructor() {
    this.item.name = "Burrow: Debug Ports";
    this.item.command = "burrow.pickDebugPort";
  }

  dispose(): void {
    this.item.dispose();
  }

  /** Shows how many ports are in use. */
  show(daemon: Daemon): void {
    const ports = portsOf(daemon);
    const used = ports.filter(isLeased);
    if (used.length === 0) {
      this.item.hide();
      return;
    }
    this.item.text = `$(debug-alt) ${used.length}/${ports.length}`;
    this.item.tooltip = [`${used.length} of ${ports.length} debug ports in use`, ...used.map((port) => title(port))].join("\n");
    this.item.show();
  }
}

/** The commands about debug ports. */
export class Ports {
  constructor(private readonly daemon: Daemon) {}

  /** Shows all ports, as they change; the chosen one with what can be done with it. */
  pick(): Promise<void> {
    const picker = vscode.window.createQuickPick<vscode.QuickPickItem & { port: PortStatus }>();
    picker.title = "Burrow: Debug Ports";
    picker.placeholder = "Choose a port to see what can be done with it";
    picker.matchOnDescription = true;
    const fill = (): void => {
      picker.items = portsOf(this.daemon).map((port) => {
        const { icon, name, state } = portLine(port, Date.now());
        const buttons = this.actionsOf(port).map((action) => button(action));
        return { label: `$(${icon}) ${name}`, description: state, buttons, port };
      });
    };
    fill();
    const following = this.daemon.onDidChange(fill);
    return new Promise((resolve) => {
      picker.onDidTriggerItemButton(({ item, button: { tooltip } }) => {
        const action = this.actionsOf(item.port).find((candidate) => ACTIONS[candidate].label === tooltip);
        if (action !== undefined) {
          const acting = this.act(action, item.port);
          acting.catch(() => {
            resolve(acting); // who waits for the pick is told
            picker.hide();
          });
        }
      });
      picker.onDidAccept(() => {
        const [row] = picker.selectedItems;
        resolve(row === undefined ? undefined : this.choose(row.port));
        picker.hide();
      });
      picker.onDidHide(() => {
        following.dispose();
        picker.dispose();
        resolve();
      });
      picker.show();
    });
  }

  /** Ends the lease on a port. */
  async release(target: unknown): Promise<void> {
    const port = this.find(target);
    if (port !== undefined) {
      await this.act("release", port);
    }
  }

  /** Ends whatever of ours sits on a port. */
  async reclaim(target: unknown): Promise<void> {
    const port = this.find(target);
    if (port !== undefined) {
      await this.act("reclaim", port);
    }
  }

  private find(target: unknown): PortStatus | undefined {
    const isOne = typeof target === "object" && target !== null && "port" in target;
    return isOne ? portsOf(this.daemon).find(({ port }) => port === target.port) : undefined;
  }

  private async choose(port: PortStatus): Promise<void> {
    const rows = this.actionsOf(port).map((action) => {
      const { icon, label } = ACTIONS[action];
      return { label: `$(${icon}) ${label}`, action };
    });
    const chosen = await vscode.window.showQuickPick(rows, { title: `Burrow: Port ${port.port}`, placeHolder: title(port, Date.now()) });
    if (chosen !== undefined) {
      await this.act(chosen.action, port);
    }
  }

  private actionsOf(port: PortStatus): PortAction[] {
    switch (port.state) {
      case "free":
        return ["lease"];
      case "foreign":
        return ["reclaim"];
      case "leased":
        return ["copyAddress", "copyForward", this.endsBy(port)];
      case "connected":
        return ["showSession", "copyAddress", "copyForward", this.endsBy(port)];
    }
  }

  /** A lease of this window's folders is released; another's has to be taken away. */
  private endsBy(port: PortStatus): PortAction {
    const lease = this.leaseOn(port);
    return this.daemon.workspaces.some(({ path }) => path === lease?.workspace) ? "release" : "reclaim";
  }

  private leaseOn(port: PortStatus): LeaseStatus | undefined {
    const { state } = this.daemon;
    return state.kind === "connected" ? state.status.leases.find(({ id }) => id === port.leaseId) : undefined;
  }

  private async act(action: PortAction, { port, leaseId }: PortStatus): Promise<void> {
    switch (action) {
      case "lease":
        await this.lease(port);
        break;
      case "copyAddress":
        await vscode.env.clipboard.writeText(`127.0.0.1:${port}`);
        break;
      case "copyForward":
        await copyPortForward(this.daemon, port);
        break;
      case "showSession":
        await vscode.commands.executeCommand("workbench.view.debug");
        break;
      case "release":
        if (leaseId !== null) {
          await this.daemon.request("burrow/debug/release", { id: leaseId });
        }
        break;
      case "reclaim":
        await this.daemon.request("burrow/debug/reclaim", { port });
        break;
    }
  }

  private async lease(port: number): Promise<void> {
    const workspace = await pickWorkspace(this.daemon, "Burrow: Lease a Debug Port");
    if (workspace === undefined) {
      return;
    }
    await this.daemon.request("burrow/debug/lease", dapLease(workspace.path, { port }));
    const message = `Port ${port} is leased: one debug client can connect to 127.0.0.1:${port}, speaking DAP to dlv.`;
    const chosen = await vscode.window.showInformationMessage(message, "Copy Address", "Release");
    const leased = this.find({ port });
    if (chosen !== undefined && leased !== undefined) {
      await this.act(chosen === "Release" ? "release" : "copyAddress", leased);
    }
  }
}

function portsOf(daemon: Daemon): readonly PortStatus[] {
  return daemon.state.kind === "connected" ? daemon.state.status.ports : [];
}

function isLeased(port: PortStatus): boolean {
  return port.state === "leased" || port.state === "connected";
}

function title(port: PortStatus, now?: number): string {
  const { name, state } = portLine(port, now);
  return `${name}: ${state}`;
}

function button(action: PortAction): vscode.QuickInputButton {
  const { icon, label } = ACTIONS[action];
  return { iconPath: new vscode.ThemeIcon(icon), tooltip: label };
}
