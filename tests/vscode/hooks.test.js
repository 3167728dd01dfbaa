// What a user of VS Code does about hooks.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ALWAYS, GO_FILES, openWindow } from "./window.js";

/** A window on a Go program with `hooks` in its devcontainer.json, which were started from the palette. */
async function openAndRun(context, hooks) {
  const files = { ...GO_FILES, ".devcontainer/devcontainer.json": JSON.stringify(hooks) };
  const window = await openWindow(context, { files, settings: ALWAYS });
  await window.status("dlv missing");
  await window.command("Burrow: Run Due Hooks");
  return window;
}

test("a hook that failed is told once, its log opens, and a retry mends it", async (context) => {
  const command = String.raw`printf 'looking for \033[31mrepaired\033[0m\n'; until test -e released; do sleep 0.1; done; test -e repaired`;
  const window = await openAndRun(context, { postCreateCommand: command });
  await window.status(/postCreate\s*$/);
  // Live, while it runs.
  await window.command("Burrow: Show Hook Log");
  await window.choose("postCreate");
  await window.terminal("looking for repaired");
  await window.picture("hook-log-live");

  window.write("released", "");
  await window.terminal("1-postCreate: failed, exit code 1");
  const notice = await window.notification("postCreate failed, exit code 1");
  await window.picture("hook-failed-notification");

  // The same run is not told again by a window that reloads.
  await window.reload();
  await window.status("Burrow: postCreate failed");
  // A notification that comes after the one that must not.
  await window.command("Burrow: Roll Back Go Tools");
  await window.notification("BUR411");
  assert.equal(await notice.count(), 0, "a run that was told is not told again");

  window.write("repaired", "");
  await window.command("Burrow: Retry Failed Hooks");
  await window.hookState("postCreate", "succeeded");
});

test("the notification opens the log, retries, and each new failure is told", async (context) => {
  const window = await openAndRun(context, { postCreateCommand: "echo attempt; test -e repaired" });

  await (await window.notification("postCreate failed")).getByRole("button", { name: "Show Log" }).click();
  await window.terminal("attempt");
  await window.terminal("1-postCreate: failed");

  await window.command("Burrow: Retry Failed Hooks");
  const again = await window.notification("postCreate failed");
  window.write("repaired", "");
  await again.getByRole("button", { name: "Retry" }).click();
  await window.hookState("postCreate", "succeeded");
});

test("a hook is passed over with its reason, and what waited for it runs", async (context) => {
  const window = await openAndRun(context, { onCreateCommand: "false", postCreateCommand: "true" });
  await (await window.notification("onCreate failed")).getByRole("button", { name: "Skip" }).click();
  await window.answer("not needed here");
  await window.hookState("onCreate", "skipped");
  await window.command("Burrow: Run Due Hooks");
  await window.hookState("postCreate", "succeeded");
});

test("the tree shows hooks, tools and ports, and acts on a row", async (context) => {
  const window = await openAndRun(context, { postCreateCommand: { api: "echo api is ready; false", db: "echo db is ready" } });
  await window.status("Burrow: postCreate failed");

  await window.page.locator(".pane-header").filter({ hasText: "Burrow" }).click();
  await window.treeRow("Hooks").click();
  await window.treeRow("Debug ports").click();
  await window.treeRow("11 of 11 free").waitFor();
  const hook = window.treeRow("postCreate");
  await hook.click();
  await window.treeRow("api").filter({ hasText: "failed, exit code 1" }).waitFor();
  await window.treeRow("db").filter({ hasText: "succeeded" }).waitFor();
  await window.picture("tree");

  await hook.hover();
  await hook.getByRole("button", { name: "Show Hook Log" }).click();
  await window.terminal("[api] api is ready");
  await window.terminal("[db] db is ready");
  await window.picture("tree-and-log");

  await hook.hover();
  await hook.getByRole("button", { name: "Retry Failed Hooks" }).click();
  await window.until("a second run", async () => {
    const [workspace] = (await window.daemonStatus()).workspaces;
    return workspace.hooks[0].attempt === 2 && workspace.hooks[0].state === "failed";
  });
});

test("a command is cancelled alone in the tree, and what was cancelled is retried", async (context) => {
  const until = (file) => `until test -e ${file}; do sleep 0.1; done`;
  const window = await openAndRun(context, { postCreateCommand: { api: until("api-done"), db: until("db-done") } });
  const commands = async () => Object.fromEntries((await window.daemonStatus()).workspaces[0].hooks[0].commands.map((command) => [command.name, command]));
  const states = async () => Object.values(await commands()).map(({ name, state, attempt }) => `${name} ${state} ${attempt}`).join(", ");
  const reach = (expected) => window.until(expected, async () => (await states()) === expected);
  const press = async (row, button) => {
    await row.hover();
    await row.getByRole("button", { name: button }).click();
  };
  await reach("api running 1, db running 1");
  await window.page.locator(".pane-header").filter({ hasText: "Burrow" }).click();
  await window.treeRow("Hooks").click();
  const [hook, db] = [window.treeRow("postCreate"), window.treeRow(/^db/)];
  await hook.click();

  await press(db, "Cancel Hook");
  await reach("api running 1, db cancelled 1");
  assert.equal(await db.getByRole("button", { name: "Retry" }).count(), 0, "not while its hook runs");
  window.write("api-done", "");
  await reach("api succeeded 1, db cancelled 1");
  await db.filter({ hasText: "cancelled" }).waitFor();
  await press(db, "Retry Failed Hooks");
  await reach("api succeeded 1, db running 2");

  await press(hook, "Cancel Hook");
  await reach("api succeeded 1, db cancelled 2");
  await window.status("Burrow: postCreate cancelled");
  assert.equal(await window.page.locator(".notification-toast").count(), 0, "who cancels need not be told");
  window.write("db-done", "");
  await window.command("Burrow: Retry Failed Hooks");
  await reach("api succeeded 1, db succeeded 3");
});

test("a reading of the log goes on where it was when the window and the daemon go", async (context) => {
  const command = "echo the start; until test -e released; do sleep 0.1; done; echo the end";
  const window = await openAndRun(context, { postCreateCommand: command });
  await window.status(/postCreate\s*$/);

  await window.reload();
  await window.status(/postCreate\s*$/);
  await window.command("Burrow: Show Hook Log");
  await window.choose("postCreate");
  await window.terminal("the start");
  process.kill((await window.daemonStatus()).pid, "SIGKILL");
  await window.output("the connection is closed");
  window.write("released", "");
  await window.terminal("the end");
  await window.terminal("1-postCreate: succeeded");
  assert.equal((await window.terminalText()).match(/the start/g).length, 1, "no byte is shown twice");
  await window.hookState("postCreate", "succeeded");
});
