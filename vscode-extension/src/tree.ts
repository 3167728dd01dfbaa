// The view "Burrow" in the Explorer: hooks, Go tools and debug ports, with what can be done about each. It shows the
// status and nothing else; its commands are those of the palette.

import { basename } from "node:path";
import * as vscode from "vscode";
import type { Daemon } from "./daemon";
import type { CommandStatus, HookStatus, PortStatus, ToolStatus, WorkspaceStatus } from "./generated/protocol";
import { hookTarget, type HookTarget } from "./hooks";
import { commandLine, hasFailed, headline, hookLine, isWanting, portLine, toolLine, type Line } from "./summary";

/** The view's id; package.json shows it while `burrow.connected` is set. */
const VIEW = "burrow.view";
const CONNECTED = "burrow.connected";

/** A row. Commands are called with it, so that it holds what they are for. */
type Node =
  | { kind: "workspace"; status: WorkspaceStatus }
  | { kind: "section"; title: string; context: string; workspace: string; nodes: readonly Node[]; summary: string }
  | ({ kind: "hook"; status: HookStatus } & HookTarget)
  | ({ kind: "command"; status: CommandStatus } & HookTarget)
  | { kind: "tool"; workspace: string; status: ToolStatus }
  | { kind: "port"; port: number; status: PortStatus };

/** The view. */
export class Tree implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  private readonly changes = new vscode.EventEmitter<undefined>();
  readonly onDidChangeTreeData = this.changes.event;
  private readonly view = vscode.window.createTreeView(VIEW, { treeDataProvider: this });

  constructor(private readonly daemon: Daemon) {}

  dispose(): void {
    this.view.dispose();
    this.changes.dispose();
  }

  /** Shows the status of now. */
  refresh(): void {
    void vscode.commands.executeCommand("setContext", CONNECTED, this.daemon.state.kind === "connected");
    this.changes.fire(undefined);
  }

  getChildren(node?: Node): Node[] {
    switch (node?.kind) {
      case undefined: {
        const { workspaces } = this.daemon;
        const [only] = workspaces;
        const folders = workspaces.map((status) => ({ kind: "workspace" as const, status }));
        return [...(only !== undefined && workspaces.length === 1 ? sections(only) : folders), ...this.ports()];
      }
      case "workspace":
        return sections(node.status);
      case "section":
        return [...node.nodes];
      case "hook":
        return node.status.commands.length < 2 ? [] : node.status.commands.map((status) => commandNode(node, status));
      case "command":
      case "tool":
      case "port":
        return [];
    }
  }

  getTreeItem(node: Node): vscode.TreeItem {
    switch (node.kind) {
      case "workspace": {
        const item = new vscode.TreeItem(basename(node.status.path), vscode.TreeItemCollapsibleState.Expanded);
        item.description = headline(node.status);
        item.iconPath = new vscode.ThemeIcon("folder");
        return item;
      }
      case "section": {
        const item = new vscode.TreeItem(node.title, vscode.TreeItemCollapsibleState.Collapsed);
        item.id = `${node.workspace}/${node.context}`;
        item.description = node.summary;
        item.contextValue = node.context;
        return item;
      }
      case "hook":
        return hookItem(node, hookLine(node.status), node.status.commands.length > 1);
      case "command":
        return hookItem(node, commandLine(node.status), false);
      case "tool": {
        const line = toolLine(node.status);
        const item = row(line);
        item.contextValue = "tool";
        item.tooltip = [wholeLine(line), node.status.path ?? ""].join("\n").trim();
        return item;
      }
      case "port": {
        const item = row(portLine(node.status));
        item.contextValue = `port.${node.status.state}`;
        return item;
      }
    }
  }

  private ports(): Node[] {
    if (this.daemon.state.kind !== "connected") {
      return [];
    }
    const { ports } = this.daemon.state.status;
    const nodes = ports.map((status): Node => ({ kind: "port", port: status.port, status }));
    const summary = `${ports.filter(({ state }) => state === "free").length} of ${ports.length} free`;
    return [{ kind: "section", title: "Debug ports", context: "ports", workspace: "", nodes, summary }];
  }
}

function sections(status: WorkspaceStatus): Node[] {
  const workspace = status.path;
  const hooks = status.hooks.map((hook): Node => ({ kind: "hook", status: hook, ...hookTarget(status, hook) }));
  const tools = status.tools.map((tool): Node => ({ kind: "tool", workspace, status: tool }));
  const failed = status.hooks.filter(hasFailed).length;
  const wanting = status.tools.filter(isWanting).length;
  const all: Node[] = [
    { kind: "section", title: "Hooks", context: "hooks", workspace, nodes: hooks, summary: count(failed, "failed") },
    { kind: "section", title: "Go tools", context: "tools", workspace, nodes: tools, summary: count(wanting, "to repair") },
  ];
  return all.filter((section) => section.kind === "section" && section.nodes.length > 0);
}

function count(number: number, what: string): string {
  return number === 0 ? "" : `${number} ${what}`;
}

function commandNode({ workspace, hook }: HookTarget, status: CommandStatus): Node {
  return { kind: "command", workspace, hook, command: status.name, runId: status.runId, status };
}

function hookItem(target: HookTarget & { status: HookStatus | CommandStatus }, line: Line, hasCommands: boolean): vscode.TreeItem {
  const item = row(line);
  item.collapsibleState = hasCommands ? vscode.TreeItemCollapsibleState.Collapsed : vscode.TreeItemCollapsibleState.None;
  const { state, runId, canRetry, canSkip } = target.status;
  // What package.json gives the row its buttons by.
  item.contextValue = ["hook", state === "running" && "cancel", canRetry && "retry", canSkip && "skip"].filter(Boolean).join(".");
  if (runId !== null && !hasCommands) {
    const { workspace, hook } = target;
    item.command = { command: "burrow.showHookLog", title: "Show Log", arguments: [{ workspace, hook, runId }] };
  }
  return item;
}

function wholeLine({ name, state }: Line): string {
  return `${name}: ${state}`;
}

function row(line: Line): vscode.TreeItem {
  const { icon, name, state } = line;
  const item = new vscode.TreeItem(name);
  item.description = state;
  // All of it, where the view is narrow.
  item.tooltip = wholeLine(line);
  item.iconPath = new vscode.ThemeIcon(icon);
  return item;
}
