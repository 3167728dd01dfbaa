// What a user of VS Code sees of the work that `burrow up` does.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ALWAYS, GO_FILES, READY, openWindow } from "./window.js";

const FILES = {
  ...GO_FILES,
  // Waits for the test, and fails once.
  ".devcontainer/devcontainer.json": JSON.stringify({
    postCreateCommand: "until test -e released; do sleep 0.1; done; test -e repaired",
  }),
};

test("a hook is seen to run, to fail, and to be mended", async (context) => {
  const window = await openWindow(context, { files: FILES, settings: ALWAYS });
  await window.status("Burrow: dlv missing");
  await window.picture("tools-missing");

  window.useKeptTools();
  const up = window.burrow("up");
  await window.status(/Burrow: postCreate\s*$/);
  await window.picture("hook-running");

  window.write("released", "");
  assert.equal((await up).code, 3);
  const item = await window.status("Burrow: postCreate failed");
  assert.match(await window.hover(item), /burrow hook retry.*postCreate: failed, exit code 1.*gopls .*verified/s);
  await window.picture("hook-failed");
  await item.click();
  assert.match((await window.rows("exit code 1")).join("\n"), /postCreate\s*failed, exit code 1/);
  await window.picture("hook-failed-list");
  await window.page.keyboard.press("Escape");

  window.write("repaired", "");
  assert.equal((await window.burrow("hook", "retry", "postCreate")).code, 0);
  await window.status(READY);
  await window.picture("ready");
});
