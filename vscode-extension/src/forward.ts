// "Copy Port Forward Command": how a tool elsewhere reaches the debug ports. The text is the daemon's own recipe.

import * as vscode from "vscode";
import type { Daemon } from "./daemon";
import { pick, pickWorkspace } from "./pick";

const TITLE = "Burrow: Copy Port Forward Command";

/** For whom there is a recipe: `burrow debug ports --for TOOL`. */
const TOOLS = [
  { tool: "kubectl", label: "kubectl port-forward", description: "the command for this pod" },
  { tool: "docker", label: "docker run", description: "the flags that publish the ports" },
  { tool: "compose", label: "compose.yaml", description: "the lines that publish the ports" },
  { tool: "vscode", label: "VS Code elsewhere", description: "a launch.json" },
  { tool: "goland", label: "GoLand", description: "a run configuration" },
  { tool: "nvim", label: "Neovim", description: "Lua for nvim-dap" },
] as const;

/** What `burrow debug ports --for TOOL --json` prints. */
interface Recipe {
  text: string;
  notes: string[];
}

/** Copies what the tool of the user's choice needs, for one port or for all. */
export async function copyPortForward(daemon: Daemon, port?: number): Promise<void> {
  const workspace = await pickWorkspace(daemon, TITLE);
  if (workspace === undefined) {
    return;
  }
  const chosen = await pick(TITLE, TOOLS, ({ label, description }) => ({ label, description }));
  if (chosen === undefined) {
    return;
  }
  const one = port === undefined ? [] : ["--port", String(port)];
  const printed = await daemon.print("--json", "--workspace", workspace.path, "debug", "ports", "--for", chosen.tool, ...one);
  const { text, notes } = JSON.parse(printed) as Recipe;
  await vscode.env.clipboard.writeText(text);
  const message = [`Copied for ${chosen.label}.`, ...notes.map((note) => `Note: ${note}.`)].join(" ");
  void vscode.window.showInformationMessage(message);
}
