// The extension begins and ends here. The daemon is daemon.ts's; what is shown is in status.ts, tree.ts, ports.ts and
// notices.ts; what is offered in commands.ts. Invariant: nothing is decided here that the daemon could decide.

import { delimiter, dirname } from "node:path";
import * as vscode from "vscode";
import { registerCommands } from "./commands";
import { Daemon } from "./daemon";
import { Debugging } from "./debug";
import { Diagnostics } from "./diagnostics";
import { showError } from "./errors";
import { HookLogs } from "./hookLog";
import { Hooks } from "./hooks";
import { tellFailures } from "./notices";
import { Ports, PortsItem } from "./ports";
import { hasOwnProgram, ownProgram } from "./program";
import { StatusItem } from "./status";
import { restartGopls, Toolchain } from "./toolchain";
import { Tree } from "./tree";

let daemon: Daemon | undefined;

/** Called by VS Code when its window is up; returns at once, the rest follows by events. */
export function activate(context: vscode.ExtensionContext): void {
  const began = performance.now();
  const output = vscode.window.createOutputChannel("Burrow", { log: true });
  const following = new Daemon(context.extensionPath, (context.extension.packageJSON as { version: string }).version, output);
  const status = new StatusItem();
  const portsItem = new PortsItem();
  const tree = new Tree(following);
  const diagnostics = new Diagnostics();
  const logs = new HookLogs(following);
  const parts = {
    daemon: following,
    output,
    hooks: new Hooks(following, logs),
    toolchain: new Toolchain(following),
    ports: new Ports(following),
    debug: new Debugging(following, output, context.workspaceState),
  };
  const shown = following.onDidChange((state) => {
    status.show(state);
    portsItem.show(following);
    tree.refresh();
    diagnostics.show(following.workspaces);
    tellFailures(following, context.workspaceState);
  });
  const switched = following.onDidSwitchTools((tools) => {
    restartGopls(tools, output).catch((error: unknown) => showError(error, output));
  });
  context.subscriptions.push(output, status, portsItem, tree, diagnostics, logs, shown, switched, registerCommands(parts), parts.debug.register());
  offerInTerminals(context);
  daemon = following;
  void following.follow();
  output.info(`activated in ${(performance.now() - began).toFixed(1)} ms`);
}

/** What is shown names commands such as `burrow up`: terminals know them, after whatever `burrow` they have already. */
function offerInTerminals({ environmentVariableCollection, extensionPath }: vscode.ExtensionContext): void {
  environmentVariableCollection.clear();
  if (hasOwnProgram(null, extensionPath)) {
    environmentVariableCollection.description = "The command `burrow`";
    environmentVariableCollection.append("PATH", `${delimiter}${dirname(ownProgram(extensionPath))}`);
  }
}

/** Called by VS Code when the window closes or reloads. The daemon and its work go on. */
export async function deactivate(): Promise<void> {
  await daemon?.dispose();
}
