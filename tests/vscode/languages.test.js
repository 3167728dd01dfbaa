// What a user of VS Code is told while writing devcontainer.json.

import { test } from "node:test";
import { BURROW, GO_FILES, openWindow } from "./window.js";

const FILE = ".devcontainer/devcontainer.json";
const SETTINGS = { "burrow.autoStart": "always", "burrow.path": BURROW };

test("a mistake in devcontainer.json is shown at its line, and goes when it is mended", async (context) => {
  const wrong = '{\n  "postCreateCommand": 7\n}\n';
  const window = await openWindow(context, { files: { ...GO_FILES, [FILE]: wrong }, settings: SETTINGS });
  await window.status("Burrow");
  await window.openFile("devcontainer.json");
  await window.command("Problems: Focus on Problems View");
  const problem = window.page.locator(".markers-panel .monaco-list-row").filter({ hasText: "postCreateCommand" });
  await problem.filter({ hasText: "Ln 2, Col 24" }).filter({ hasText: "BUR203" }).waitFor();
  await window.picture("devcontainer-problem");

  window.write(FILE, '{\n  "postCreateCommand": "true"\n}\n');
  await problem.waitFor({ state: "hidden" });
});
