// Several windows, several folders, and folders that are not trusted.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ALWAYS, GO_FILES, openWindow } from "./window.js";
const FAILING = { ".devcontainer/devcontainer.json": JSON.stringify({ postCreateCommand: "false" }) };

/** The same files in another folder. */
const below = (folder, files) => Object.fromEntries(Object.entries(files).map(([path, text]) => [`${folder}/${path}`, text]));

test("two windows share one daemon, and each shows its own folder", async (context) => {
  const files = { ...GO_FILES, ...FAILING, ...below("../other", GO_FILES) };
  const window = await openWindow(context, { files, settings: ALWAYS });
  await window.status("dlv missing");
  const other = await window.another("other");
  await other.status("dlv missing");
  const { pid, workspaces } = await window.daemonStatus();
  assert.deepEqual(workspaces.map(({ path }) => path.split("/").at(-1)), ["hello", "other"]);

  await window.command("Burrow: Run Due Hooks");
  await window.status("postCreate failed");
  await window.notification("postCreate failed");
  await window.picture("two-windows-first");
  assert.match(await other.statusItem().innerText(), /dlv missing/, "the other window's folder has no such hook");
  await other.picture("two-windows-second");

  // The one that goes takes nothing along.
  await other.page.close();
  await window.command("Burrow: Retry Failed Hooks");
  await window.until("a second try", async () => {
    const hooks = (await window.daemonStatus()).workspaces.find(({ path }) => path === window.workspace).hooks;
    return hooks[0].attempt === 2;
  });
  assert.equal((await window.daemonStatus()).pid, pid);
});

test("a window with two folders shows both, and the worse one in the status bar", async (context) => {
  const files = {
    ...below("api", { ...GO_FILES, ...FAILING }),
    ...below("web", GO_FILES),
    "both.code-workspace": JSON.stringify({ folders: [{ path: "api" }, { path: "web" }] }),
  };
  const window = await openWindow(context, { files, settings: ALWAYS, workspaceFile: "both.code-workspace" });
  await window.status("missing");
  await window.command("Burrow: Run Due Hooks");
  await window.status("postCreate failed");
  await window.command("Burrow: Show Status");
  const rows = (await window.rows("postCreate failed")).join("\n");
  assert.match(rows, /api\s*postCreate failed[^]*web\s*dlv missing/);
  await window.picture("two-folders");
});

test("in a folder that is not trusted nothing can be run", async (context) => {
  const window = await openWindow(context, { files: { ...GO_FILES, ...FAILING }, settings: ALWAYS, trusted: false });
  await window.status("Burrow");
  await window.page.keyboard.press("F1");
  await window.page.locator(".quick-input-widget input[type=text]").fill(">Burrow: ");
  const offered = (await window.rows("Burrow: Show Status")).join("\n");
  assert.match(offered, /Show Hook Log/);
  assert.doesNotMatch(offered, /Repair Go Toolchain|Run Due Hooks|Retry Failed Hooks|Debug Package/);
  await window.picture("untrusted");
  const [workspace] = (await window.daemonStatus()).workspaces;
  assert.deepEqual([workspace.hooks[0].state, workspace.tools], ["pending", []], "nothing of the folder ran");
});
