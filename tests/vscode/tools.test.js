// What a user of VS Code does about the Go tools.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";
import { ALWAYS, GO_FILES, READY, openWindow } from "./window.js";

test("where no tools are installed, what needs them says so and offers the repair", async (context) => {
  const window = await openWindow(context, { files: GO_FILES, settings: ALWAYS });
  await window.status("Burrow: dlv missing");

  await window.command("Burrow: Roll Back Go Tools");
  await window.notification("there is none that is whole (BUR411). Run");
  await window.command("Burrow: Show Status");
  assert.match((await window.rows("gopls")).join("\n"), /gopls v\S+\s*missing/, "no repair has failed");
  await window.page.keyboard.press("Escape");

  await window.command("Burrow: Pick Debug Port");
  await window.choose("free");
  await window.choose("Lease");
  const refused = await window.notification("no tools are installed (BUR505)");
  await refused.getByRole("button", { name: "Repair Go Toolchain" }).waitFor();

  await window.openFile("main.go");
  await window.command("Burrow: Debug Package");
  const offered = await window.notification("There is no dlv yet for hello");
  await window.picture("debug-no-tools");
  await offered.getByRole("button", { name: "Repair Go Toolchain" }).click();
  const question = window.page.getByRole("dialog").filter({ hasText: "Repair the Go tools of hello?" });
  assert.match(await question.innerText(), /build.* dlv v/);
  await question.getByRole("button", { name: "Cancel" }).click();
});

test("a deleted gopls is mended from the palette", async (context) => {
  const window = await openWindow(context, { files: GO_FILES, settings: ALWAYS });
  await window.status("Burrow: dlv missing");
  await window.bringTools();
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
  await window.status(READY);
  assert.equal((await window.burrow("tools", "verify")).code, 0);
});
