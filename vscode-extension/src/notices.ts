// One notification for each run of a hook that failed. What was told stays told when the window reloads.

import * as vscode from "vscode";
import type { Daemon } from "./daemon";
import { hookTarget } from "./hooks";
import { hasFailed, hookLine } from "./summary";

/** Where the runs that were told are remembered, for this folder. */
const TOLD = "burrow.told";

/** So many are remembered: more than the daemon keeps runs. */
const REMEMBERED = 200;

/** What a notification offers: its button, and the command behind it. */
const OFFERS = { "Show Log": "burrow.showHookLog", Retry: "burrow.retryHooks", Skip: "burrow.skipHook" } as const;

/** Tells of the hooks that have failed and were not told yet. */
export function tellFailures(daemon: Daemon, memory: vscode.Memento): void {
  if (daemon.state.kind !== "connected" || setting() === "off") {
    return;
  }
  // Runs are numbered anew in a new container.
  const container = daemon.state.status.container.id;
  for (const workspace of daemon.workspaces) {
    for (const hook of workspace.hooks.filter(hasFailed)) {
      const key = JSON.stringify([container, workspace.path, hook.runId]);
      if (hook.runId !== null && remember(memory, key)) {
        void offer(`${hook.name} ${hookLine(hook).state}`, hookTarget(workspace, hook));
      }
    }
  }
}

/** Whether it is new. */
function remember(memory: vscode.Memento, key: string): boolean {
  const told = memory.get<readonly string[]>(TOLD, []);
  if (told.includes(key)) {
    return false;
  }
  void memory.update(TOLD, [...told, key].slice(-REMEMBERED));
  return true;
}

async function offer(message: string, target: unknown): Promise<void> {
  const labels = Object.keys(OFFERS) as (keyof typeof OFFERS)[];
  const chosen = await vscode.window.showErrorMessage(`Burrow: ${message}`, ...labels);
  if (chosen !== undefined) {
    await vscode.commands.executeCommand(OFFERS[chosen], target);
  }
}

function setting(): unknown {
  return vscode.workspace.getConfiguration("burrow").get("notifications");
}
