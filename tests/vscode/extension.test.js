// What a user of VS Code sees of Burrow's daemon.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ALWAYS, BURROW, GO_FILES, READY, openWindow } from "./window.js";

const FILES = GO_FILES;
/** What the status bar says of these files: nobody ran `burrow up`, so there are no Go tools. */
const SEEN = "Burrow: dlv missing";
const NEVER = { "burrow.autoStart": "never", "burrow.path": BURROW };

test("the window starts the daemon where none runs, and shows its state", async (context) => {
  const window = await openWindow(context, { files: FILES, settings: ALWAYS });
  await window.status(SEEN);

  const status = await window.daemonStatus();
  assert.deepEqual(status.workspaces.map(({ path }) => path), [window.workspace]);
  await window.command("Burrow: Show Status");
  assert.match((await window.rows("hello"))[0], new RegExp(`dlv missing.*${window.workspace}`, "s"));
  await window.picture("show-status");
});

test("a window that may not start the daemon is silent until somebody else does", async (context) => {
  const window = await openWindow(context, { files: FILES, settings: NEVER });
  await window.output("waiting for a daemon");
  assert.equal(await window.statusItem().count(), 0, "no status bar item without a daemon");

  assert.equal((await window.burrow("start")).code, 0);
  await window.status(SEEN);
});

test("a folder without Go is left alone until it has some", async (context) => {
  const window = await openWindow(context, { files: { "package.json": "{}" }, settings: ALWAYS });
  await window.output("there is no Go module in this window");
  assert.equal(await window.statusItem().count(), 0, "nothing is said of it");
  assert.equal((await window.burrow("status")).code, 4, "no daemon was started");

  // One that runs already has nothing to say of such a folder either.
  assert.equal((await window.burrow("start")).code, 0);
  await window.output("connected to daemon");
  // Until it has looked, nobody knows that there is no Go.
  await window.output("BUR206");
  await window.until("nothing to be said of it", async () => (await window.statusItem().count()) === 0);

  window.write("go.mod", GO_FILES["go.mod"]);
  await window.status(SEEN);
});

test("a daemon that was killed is started again", async (context) => {
  const window = await openWindow(context, { files: FILES, settings: ALWAYS });
  await window.status(SEEN);
  const { pid } = await window.daemonStatus();

  process.kill(pid, "SIGKILL");

  await window.output("trying again in 0.25 s");
  await window.output(/connected[^]*connected/);
  await window.status(SEEN);
  assert.notEqual((await window.daemonStatus()).pid, pid);
});

test("a daemon that the user stopped stays stopped until the user starts it", async (context) => {
  const window = await openWindow(context, { files: FILES, settings: ALWAYS });
  await window.status(SEEN);

  assert.equal((await window.burrow("stop")).code, 0);
  const item = await window.status("Burrow: stopped");
  await window.picture("stopped");
  assert.equal((await window.burrow("status")).code, 4);

  await item.click();
  await window.choose("Start Daemon");
  await window.status(SEEN);
});

test("the palette restarts the daemon and shows its log", async (context) => {
  const window = await openWindow(context, { files: FILES, settings: ALWAYS });
  await window.status(SEEN);
  const { pid } = await window.daemonStatus();

  await window.command("Burrow: Restart Daemon");
  await window.output(/connected[^]*connected/);
  assert.notEqual((await window.daemonStatus()).pid, pid);

  await window.command("Burrow: Show Daemon Log");
  await window.page.getByRole("tab", { name: "daemon.log" }).waitFor();
  await window.picture("daemon-log");
});

test("a program that cannot be found is told, with a way on", async (context) => {
  const settings = { "burrow.autoStart": "always", "burrow.path": "/nowhere/burrow" };
  const window = await openWindow(context, { files: FILES, settings });
  const item = await window.status("Burrow: no daemon");
  await item.click();
  assert.match((await window.rows("The daemon does not answer")).join("\n"), /\/nowhere\/burrow/);
  await window.picture("no-daemon");
});

test("a daemon that never answers is tried less and less often", async (context) => {
  const prepare = (window) => {
    const [program, state] = [join(window.root, "burrow"), join(window.root, "state")];
    const rendezvous = `{"schema":1,"pid":%d,"startedAt":"","version":"0","build":"b","protocol":1,"socket":"${state}/none"}`;
    const start = `mkdir -p -m 700 ${state}; printf '${rendezvous}' $$ >${state}/new; mv ${state}/new ${state}/daemon.json; echo {}`;
    writeFileSync(program, `#!/bin/sh\n${start}\n`, { mode: 0o755 });
    const settings = { "burrow.autoStart": "always", "burrow.path": program };
    writeFileSync(join(window.root, "data/Machine/settings.json"), JSON.stringify(settings));
  };
  const window = await openWindow(context, { files: FILES, settings: {}, prepare });
  await window.output(/trying again in 1 s[^]*running[^]*trying again in 2 s/);

  const lines = window.outputSoFar().split("\n");
  const time = (line) => Date.parse(line.slice(0, 23));
  for (const seconds of [0.25, 1]) {
    const paused = lines.findIndex((line) => line.endsWith(`trying again in ${seconds} s`));
    const tried = lines.findIndex((line, at) => at > paused && line.includes("running "));
    const gap = time(lines[tried]) - time(lines[paused]);
    assert.ok(gap >= seconds * 1000 - 20, `tried again after ${gap} ms instead of ${seconds} s`);
  }
});

test("a window that reloads finds the same daemon", async (context) => {
  const window = await openWindow(context, { files: FILES, settings: ALWAYS });
  await window.status(SEEN);
  const { pid } = await window.daemonStatus();

  await window.reload();
  await window.status(SEEN);
  assert.equal((await window.daemonStatus()).pid, pid);
});

test("a folder that is not trusted shows the state, and trust is told to the daemon", async (context) => {
  const window = await openWindow(context, { files: FILES, settings: ALWAYS, trusted: false });
  await window.page.locator(".statusbar-item").filter({ hasText: "Restricted Mode" }).waitFor();
  // The daemon is there, but no `go` ran in this folder.
  await window.status(READY);

  await window.command("Workspaces: Manage Workspace Trust");
  await window.page.getByRole("button", { name: "Trust", exact: true }).click();
  await window.output(/connected[^]*connecting again: the folder is trusted now[^]*connected/);
  await window.status(SEEN);
});
