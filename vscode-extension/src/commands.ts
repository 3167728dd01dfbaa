// The palette: one table, and what each command does. No command decides anything that the daemon could.

import { basename, join } from "node:path";
import * as vscode from "vscode";
import type { Daemon, DaemonState } from "./daemon";
import { headline, hookLine, ownWorkspaces, toolLine, type Line } from "./summary";

/** Registers every command. */
export function registerCommands(daemon: Daemon, output: vscode.OutputChannel): vscode.Disposable {
  const commands: Record<string, () => Promise<void>> = {
    "burrow.showStatus": () => showStatus(daemon, output),
    "burrow.restartDaemon": () => restartDaemon(daemon),
    "burrow.showDaemonLog": () => showDaemonLog(daemon),
  };
  const registered = Object.entries(commands).map(([name, run]) =>
    vscode.commands.registerCommand(name, () => run().catch((error: unknown) => showError(error, output))),
  );
  return vscode.Disposable.from(...registered);
}

/** An error in front of the user, with the way to more. */
async function showError(error: unknown, output: vscode.OutputChannel): Promise<void> {
  const message = error instanceof Error ? error.message : String(error);
  if ((await vscode.window.showErrorMessage(message, "Show Output")) !== undefined) {
    output.show();
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

function showOutput(output: vscode.OutputChannel): Promise<void> {
  output.show();
  return Promise.resolve();
}

/** A line of "Show Status"; some can be chosen. */
type Row = vscode.QuickPickItem & { run?: () => Promise<void> };

async function showStatus(daemon: Daemon, output: vscode.OutputChannel): Promise<void> {
  const log: Row = { label: "$(output) Show Daemon Log", run: () => showDaemonLog(daemon) };
  const restart = (label: string): Row => ({ label: `$(debug-restart) ${label}`, run: () => restartDaemon(daemon) });
  const rows = statusRows(daemon.state);
  switch (daemon.state.kind) {
    case "connected":
      rows.push(separator("Daemon"), restart("Restart Daemon"), log);
      break;
    case "failed":
      rows.push(restart("Try Again"), { label: "$(output) Show Output", run: () => showOutput(output) });
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

function statusRows(state: DaemonState): Row[] {
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
      return ownWorkspaces(state.details, state.status).flatMap((workspace) => [
        { label: `$(folder) ${basename(workspace.path)}`, description: headline(workspace), detail: workspace.path },
        ...workspace.reasons.map(({ message, hint }): Row => {
          return hint === null ? { label: `$(info) ${message}` } : { label: `$(info) ${message}`, detail: hint };
        }),
        ...workspace.hooks.map(hookLine).map(row),
        ...workspace.tools.map(toolLine).map(row),
      ]);
  }
}

function row(line: Line): Row {
  return { label: `$(${line.icon}) ${line.name}`, description: line.state };
}

function separator(label: string): Row {
  return { label, kind: vscode.QuickPickItemKind.Separator };
}
