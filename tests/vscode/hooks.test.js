// What a user of VS Code sees of the lifecycle hooks.

import assert from "node:assert/strict";
import { test } from "node:test";
import { BURROW, openWindow } from "./window.js";

const FILES = { ".devcontainer/devcontainer.json": '{ "postCreateCommand": "test -e repaired" }\n' };
const SETTINGS = { "burrow.autoStart": "always", "burrow.path": BURROW };

test("a hook that fails is seen, and seen to be mended", async (context) => {
  const window = await openWindow(context, { files: FILES, settings: SETTINGS });
  await window.status("Burrow");

  assert.equal((await window.burrow("hook", "run", "postCreate")).code, 1);
  const item = await window.status("Burrow: postCreate failed");
  assert.match(await window.hover(item), /burrow hook retry.*postCreate: failed, exit code 1/s);
  await window.picture("hook-failed");

  await item.click();
  assert.match((await window.rows("exit code 1")).join("\n"), /postCreate\s*failed, exit code 1/);
  await window.picture("hook-failed-list");
  await window.page.keyboard.press("Escape");

  window.write("repaired", "");
  assert.equal((await window.burrow("hook", "retry", "postCreate")).code, 0);
  await window.status(/^\s*Burrow$/);
  await window.picture("hook-mended");
});
