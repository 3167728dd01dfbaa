// What a user of VS Code sees where the daemon and the program in the extension are of different versions.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { GO_FILES, openWindow } from "./window.js";

const SETTINGS = { "burrow.autoStart": "always" };

/** Starts a daemon that seems to be of another version. Gives its process. */
async function startOther(window, version) {
  assert.equal((await window.burrow("start")).code, 0);
  const path = join(window.root, "state/daemon.json");
  const rendezvous = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(`${path}.new`, JSON.stringify({ ...rendezvous, version, build: "another" }), { mode: 0o600 });
  renameSync(`${path}.new`, path);
  return rendezvous.pid;
}

test("a newer program in the extension takes over from an older daemon", async (context) => {
  let older;
  const prepare = async (window) => (older = await startOther(window, "0.0.1"));
  const window = await openWindow(context, { files: GO_FILES, settings: SETTINGS, bundled: true, prepare });
  await window.status("dlv missing");
  assert.notEqual((await window.daemonStatus()).pid, older);
});

test("a folder with hooks and no Go speaks with a daemon of another version", async (context) => {
  let older;
  const prepare = async (window) => (older = await startOther(window, "0.0.1"));
  const files = { ".devcontainer/devcontainer.json": JSON.stringify({ postCreateCommand: "true" }) };
  const window = await openWindow(context, { files, settings: SETTINGS, bundled: true, prepare });
  await window.output(`connected to daemon ${older}`);
  await window.command("Burrow: Run Due Hooks");
  await window.hookState("postCreate", "succeeded");
});

test("an older program in the extension leaves a newer daemon alone", async (context) => {
  let newer;
  const prepare = async (window) => (newer = await startOther(window, "99.0.0"));
  const window = await openWindow(context, { files: GO_FILES, settings: SETTINGS, bundled: true, prepare });
  await window.status("dlv missing");
  assert.equal((await window.daemonStatus()).pid, newer);
});

test("while a debug session runs, the newer program is offered", async (context) => {
  let older;
  const prepare = async (window) => {
    older = await startOther(window, "0.0.1");
    // A debug adapter that somebody else started; the lease is a session all the same.
    const path = join(window.root, "dlv.sock");
    const adapter = createServer().listen(path);
    context.after(() => adapter.close());
    await once(adapter, "listening");
    assert.equal((await window.burrow("debug", "lease", "--to", `unix:${path}`)).code, 0);
  };
  const window = await openWindow(context, { files: GO_FILES, settings: SETTINGS, bundled: true, prepare });
  const notice = await window.notification("This extension has a newer Burrow");
  await window.portsItem().filter({ hasText: "1/11" }).waitFor();
  assert.equal((await window.daemonStatus()).pid, older);
  await window.picture("newer-offered");

  await notice.getByRole("button", { name: "Restart Daemon" }).click();
  await window.portsItem().waitFor({ state: "hidden" });
  await window.until("another daemon", async () => ![older, undefined].includes((await window.daemonStatus().catch(() => ({}))).pid));
});
