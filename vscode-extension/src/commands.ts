// The palette: one table, and the commands that concern the daemon itself. No command decides anything that the daemon could.

import { basename, join } from "node:path";
import * as vscode from "vscode";
import type { Daemon, DaemonState } from "./daemon";
import { debugPackage, type Debugging } from "./debug";
import { showError } from "./errors";
import { copyPortForward } from "./forward";
import type { WorkspaceStatus } from "./generated/protocol";
import { hookTarget, type Hooks } from "./hooks";
import type { Ports } from "./ports";
import { headline, hookLine, isWanting, ownWorkspaces, toolLine, type Line } from "./summary";
import type { Toolchain } from "./toolchain";

/** What the commands work with. */
export interface Parts {
  daemon: Daemon;
  output: vscode.LogOutputChannel;
  hooks: Hooks;
  toolchain: Toolchain;
  ports: Ports;
  debug: Debugging;
}

/** A command. Links, notifications and the tree call it with what it is for; the palette without. Most answer nothing. */
type Command = (target: unknown) => Promise<unknown>;

/** Registers every command. */
export function registerCommands(parts: Parts): vscode.Disposable {
  const { daemon, output, hooks, toolchain, ports, debug } = parts;
  const commands: Record<string, Command> = {
    "burrow.showStatus": () => showStatus(parts),
    "burrow.restartDaemon": () => confirmRestart(daemon),
    "burrow.showDaemonLog": () => showDaemonLog(daemon),
    "burrow.showHookLog": (target) => hooks.showLog(target),
    "burrow.retryHooks": (target) => hooks.retry(target),
    "burrow.skipHook": (target) => hooks.skip(target),
    "burrow.runDueHooks": () => hooks.runDue(),
    "burrow.cancelHook": (target) => hooks.cancel(target),
    "burrow.repairTools": (target) => toolchain.repair(target),
    "burrow.updateTools": (target) => toolchain.update(target),
    "burrow.rollBackTools": (target) => toolchain.rollBack(target),
    "burrow.pickDebugPort": () => ports.pick(),
    "burrow.copyPortForward": () => copyPortForward(daemon),
    "burrow.debugPackage": (target) => debugPackage(target),
    // A launch configuration has it as a variable, which is text.
    "burrow.pickGoProcess": async () => (await debug.pickProcess())?.toString(),
    "burrow.releasePort": (target) => ports.release(target),
    "burrow.reclaimPort": (target) => ports.reclaim(target),
  };
  const registered = Object.entries(commands).map(([name, run]) =>
    vscode.commands.registerCommand(name, (target?: unknown) => run(target).catch((error: unknown) => showError(error, output))),
  );
  return vscode.Disposable.from(...registered);
}

/** Restarts the daemon; asks first where that ends a debug session. */
async function confirmRestart(daemon: Daemon): Promise<void> {
  const leases = daemon.state.kind === "connected" ? daemon.state.status.leases : [];
  const sessions = leases.filter(({ state }) => state === "connected");
  const names = sessions.map(({ program, id }) => program ?? id).join(", ");
  const detail = "Hooks that run go on.";
  const question = `Restart the daemon? The debug session of ${names} ends with it.`;
  if (sessions.length === 0 || (await vscode.window.showWarningMessage(question, { modal: true, detail }, "Restart Daemon")) !== undefined) {
    await restartDaemon(daemon);
  }
}

async function restartDaemon(daemon: Daemon): Promise<void> {
  const progress = { location: vscode.ProgressLocation.Window, title: "Burrow: restarting the daemon" };
  await vscode.window.withProgress(progress, () => daemon.restart());
}

async function showDaemonLog(daemon: Daemon): Promise<void> {
  const log = await vscode.workspace.openTextDocument(vscode.Uri.file(join(daemon.directory, "daemon.log")));
  const { end } = log.lineAt(log.lineCount - 1).range;
  await vscode.window.showTextDocument(log, { selection: new vscode.Range(end, end) });
}

/** A line of "Show Status"; some can be chosen. */
type Row = vscode.QuickPickItem & { run?: () => Promise<void> };

async function showStatus(parts: Parts): Promise<void> {
  const { daemon, output } = parts;
  const log: Row = { label: "$(output) Show Daemon Log", run: () => showDaemonLog(daemon) };
  const restart = (label: string): Row => ({ label: `$(debug-restart) ${label}`, run: () => confirmRestart(daemon) });
  const rows = statusRows(daemon.state, parts);
  switch (daemon.state.kind) {
    case "connected":
      rows.push(separator("Daemon"), restart("Restart Daemon"), log);
      break;
    case "failed":
      rows.push(restart("Try Again"), {
        label: "$(output) Show Output",
        run: () => {
          output.show();
          return Promise.resolve();
        },
      });
      break;
    case "absent":
    case "stopped":
      rows.push(restart("Start Daemon"));
      break;
    case "starting":
      break;
  }
  const chosen = await vscode.window.showQuickPick(rows, { title: "Burrow: Status", matchOnDescription: true });
  await chosen?.run?.();
}

function statusRows(state: DaemonState, parts: Parts): Row[] {
  switch (state.kind) {
    case "absent":
      return [{ label: "$(circle-slash) No daemon runs", detail: "The setting burrow.autoStart says when to start one." }];
    case "stopped":
      return [{ label: "$(circle-slash) You stopped the daemon" }];
    case "starting":
      return [{ label: "$(loading~spin) The daemon is starting" }];
    case "failed":
      return [{ label: "$(error) The daemon does not answer", detail: state.message }];
    case "connected":
      return ownWorkspaces(state.details, state.status).flatMap((workspace) => workspaceRows(workspace, parts));
  }
}

function workspaceRows(workspace: WorkspaceStatus, { hooks, toolchain }: Parts): Row[] {
  const rows: Row[] = [
    { label: `$(folder) ${basename(workspace.path)}`, description: headline(workspace), detail: workspace.path },
    ...workspace.reasons.map(({ message, hint }): Row => {
      return hint === null ? { label: `$(info) ${message}` } : { label: `$(info) ${message}`, detail: hint };
    }),
    ...workspace.hooks.map((hook) => ({ ...row(hookLine(hook)), run: () => hooks.showLog(hookTarget(workspace, hook)) })),
  ];
  if (workspace.hooks.some(({ state }) => state === "pending")) {
    rows.push({ label: "$(run-all) Run Due Hooks", run: () => hooks.runDue() });
  }
  rows.push(...workspace.tools.map(toolLine).map(row));
  if (workspace.tools.some(isWanting)) {
    rows.push({ label: "$(tools) Repair Go Toolchain", run: () => toolchain.repair({ workspace: workspace.path }) });
  }
  return rows;
}

function row(line: Line): Row {
  return { label: `$(${line.icon}) ${line.name}`, description: line.state };
}

function separator(label: string): Row {
  return { label, kind: vscode.QuickPickItemKind.Separator };
}
