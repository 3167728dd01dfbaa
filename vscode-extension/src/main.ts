// The extension begins and ends here. What it does is in daemon.ts, what it shows in status.ts, what it offers in
// commands.ts. Invariant: nothing is decided here that the daemon could decide.

import * as vscode from "vscode";
import { registerCommands } from "./commands";
import { Daemon } from "./daemon";
import { StatusItem } from "./status";

let daemon: Daemon | undefined;

/** Called by VS Code when its window is up; returns at once, the rest follows by events. */
export function activate(context: vscode.ExtensionContext): void {
  const output = vscode.window.createOutputChannel("Burrow", { log: true });
  const following = new Daemon(context.extensionPath, output);
  const status = new StatusItem();
  context.subscriptions.push(
    output,
    status,
    following.onDidChange((state) => { status.show(state); }),
    registerCommands(following, output),
  );
  daemon = following;
  void following.follow();
}

/** Called by VS Code when the window closes or reloads. The daemon and its work go on. */
export async function deactivate(): Promise<void> {
  await daemon?.dispose();
}
