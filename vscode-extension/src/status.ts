// The status bar item: the state of this window's folders in a few words, and all of it on hover.

import * as vscode from "vscode";
import type { DaemonState } from "./daemon";
import type { WorkspaceStatus } from "./generated/protocol";
import { hookTarget } from "./hooks";
import { headline, hookLine, isOfInterest, isWanting, markdown, ownWorkspaces, toolLine, worstOf, type Line } from "./summary";

/** What the hover's links may call. */
const LINKED = ["burrow.showHookLog", "burrow.retryHooks", "burrow.skipHook", "burrow.runDueHooks", "burrow.repairTools"] as const;

/** The status bar item of this window. */
export class StatusItem implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("burrow.status", vscode.StatusBarAlignment.Left, 10);

  constructor() {
    this.item.name = "Burrow";
    this.item.command = "burrow.showStatus";
  }

  dispose(): void {
    this.item.dispose();
  }

  /** Shows `state`. */
  show(state: DaemonState): void {
    switch (state.kind) {
      case "absent":
        this.item.hide();
        break;
      case "starting":
        this.set("$(loading~spin) Burrow: starting", "Burrow is starting.");
        break;
      case "stopped":
        this.set("$(circle-slash) Burrow: stopped", "You stopped Burrow. Click to start it.");
        break;
      case "failed":
        this.warn("$(error) Burrow: no daemon", "Burrow's daemon does not answer. Click to see why.");
        break;
      case "connected":
        this.showWorkspaces(ownWorkspaces(state.details, state.status).filter(isOfInterest));
        break;
    }
  }

  private showWorkspaces(workspaces: readonly WorkspaceStatus[]): void {
    const worst = worstOf(workspaces);
    switch (worst?.state) {
      case undefined:
        this.item.hide();
        break;
      case "ready":
        this.set("$(check) Burrow", hover(workspaces));
        break;
      case "working":
        this.set(`$(sync~spin) Burrow: ${headline(worst)}`, hover(workspaces));
        break;
      case "attention":
        this.warn(`$(warning) Burrow: ${headline(worst)}`, hover(workspaces));
        break;
    }
  }

  private set(text: string, tooltip: string | vscode.MarkdownString): void {
    this.item.text = text;
    this.item.tooltip = tooltip;
    this.item.backgroundColor = undefined;
    this.item.show();
  }

  private warn(text: string, tooltip: string | vscode.MarkdownString): void {
    this.set(text, tooltip);
    this.item.backgroundColor = new vscode.ThemeColor("statusBarItem.warningBackground");
  }
}

/** The whole status, for reading, with what can be done about it. */
function hover(workspaces: readonly WorkspaceStatus[]): vscode.MarkdownString {
  const paragraphs = workspaces.flatMap((workspace) => [
    `**Burrow** ${markdown(workspace.path)}`,
    ...workspace.reasons.map(({ message, hint }) => {
      return `$(info) ${markdown(message)}${hint === null ? "" : `  \n${markdown(hint)}`}`;
    }),
    ...hooks(workspace),
    ...tools(workspace),
  ]);
  const text = new vscode.MarkdownString(paragraphs.join("\n\n"), true);
  text.isTrusted = { enabledCommands: LINKED };
  return text;
}

function hooks(workspace: WorkspaceStatus): string[] {
  const rows = workspace.hooks.map((hook) => {
    const target = hookTarget(workspace, hook);
    const log = hook.runId === null ? [] : [link("Show Log", "burrow.showHookLog", target)];
    const retry = hook.canRetry ? [link("Retry", "burrow.retryHooks", target)] : [];
    const skip = hook.canSkip ? [link("Skip", "burrow.skipHook", target)] : [];
    return [line(hookLine(hook)), ...log, ...retry, ...skip].join(" \u00a0 ");
  });
  const due = workspace.hooks.some(({ state }) => state === "pending");
  return section("Hooks", rows, due ? [link("Run Due Hooks", "burrow.runDueHooks", {})] : []);
}

function tools(workspace: WorkspaceStatus): string[] {
  const mend = workspace.tools.some(isWanting) ? [link("Repair Go Toolchain", "burrow.repairTools", { workspace: workspace.path })] : [];
  return section("Go tools", workspace.tools.map(toolLine).map(line), mend);
}

function section(title: string, rows: readonly string[], links: readonly string[]): string[] {
  return rows.length === 0 ? [] : ["---", [title, ...links].join(" \u00a0 "), ...rows];
}

function line({ icon, name, state }: Line): string {
  return `$(${icon}) ${markdown(`${name}: ${state}`)}`;
}

function link(label: string, command: (typeof LINKED)[number], target: unknown): string {
  return `[${label}](command:${command}?${encodeURIComponent(JSON.stringify([target]))})`;
}
