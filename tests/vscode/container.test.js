// What a user of VS Code finds in a container, with no setting made and no Burrow but the one in the extension.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { GO_FILES, openWindow } from "./window.js";

test("in a container the daemon starts by itself", async (context) => {
  const container = `burrow-vscode-${process.pid}`;
  const devcontainer = { ".devcontainer/devcontainer.json": JSON.stringify({ postCreateCommand: "echo done" }) };
  const window = await openWindow(context, { files: { ...GO_FILES, ...devcontainer }, settings: {}, bundled: true, container });
  await window.status("Burrow: dlv missing");
  await window.picture("container-first-open");

  const burrow = join(window.root, "extensions/burrow-dev.burrow-0.1.0/bin/burrow");
  // It exits with 3 where something needs attention.
  const { stdout } = await window.run("docker", "exec", container, burrow, "status", "--json").catch((error) => error);
  const status = JSON.parse(stdout);
  assert.equal(status.container.kind, "docker");
  assert.deepEqual(status.workspaces.map(({ path }) => path), [window.workspace]);
  assert.equal(status.workspaces[0].hooks[0].state, "pending", "it runs nothing by itself");

  // What the status names as the next step can be typed.
  await window.command("Terminal: Create New Terminal");
  // The prompt of root, or of somebody else, names the folder.
  await window.terminal("/hello");
  await window.page.keyboard.type("burrow hook run postCreate; echo code=$?\n");
  await window.terminal("code=0");
});
