// Choosing one of several. Nothing is asked where there is no choice.

import { basename } from "node:path";
import * as vscode from "vscode";
import type { Daemon } from "./daemon";
import type { WorkspaceStatus } from "./generated/protocol";
import { headline } from "./summary";

/** Lets the user pick one of `values`; none of none. */
export async function pick<T>(title: string, values: readonly T[], show: (value: T) => vscode.QuickPickItem): Promise<T | undefined> {
  if (values.length === 0) {
    return undefined;
  }
  const rows = values.map((value) => ({ ...show(value), value }));
  return (await vscode.window.showQuickPick(rows, { title, matchOnDescription: true }))?.value;
}

/** The workspace that a command of the palette is for. Fails where no daemon answers. */
export async function pickWorkspace(daemon: Daemon, title: string): Promise<WorkspaceStatus | undefined> {
  const workspaces = daemon.required();
  return workspaces.length === 1
    ? workspaces[0]
    : pick(title, workspaces, (workspace) => {
        return { label: `$(folder) ${basename(workspace.path)}`, description: headline(workspace), detail: workspace.path };
      });
}
