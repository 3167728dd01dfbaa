// What a user of VS Code does about the Go tools.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";
import { BURROW, GO_FILES, openWindow } from "./window.js";

const SETTINGS = { "burrow.autoStart": "always", "burrow.path": BURROW };

test("a deleted gopls is mended from the palette", async (context) => {
  const window = await openWindow(context, { files: GO_FILES, settings: SETTINGS });
  await window.status("Burrow: dlv missing");
  window.useKeptTools();
  assert.equal((await window.burrow("up")).code, 0);
  await window.status(/^\s*Burrow\s*$/);
  const gopls = (await window.daemonStatus()).workspaces[0].tools.find(({ name }) => name === "gopls");

  await window.command("Burrow: Repair Go Toolchain");
  await window.notification("there is nothing to repair");

  rmSync(gopls.path);
  await window.command("Burrow: Repair Go Toolchain");
  const question = window.page.getByRole("dialog").filter({ hasText: "Repair the Go tools of hello?" });
  assert.match(await question.innerText(), /relink|verify|build/);
  await window.picture("repair-plan");
  await question.getByRole("button", { name: "Repair" }).click();
  await window.notification(/Go tools: .*gopls v\S+ verified/);
  await window.picture("repaired");
  await window.status(/^\s*Burrow\s*$/);
  assert.equal((await window.burrow("tools", "verify")).code, 0);
});
