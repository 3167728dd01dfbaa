// What a user of VS Code does about the debug ports.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { ALWAYS, GO_FILES, openWindow } from "./window.js";

test("the picker leases, shows, releases and reclaims, and names who has a foreign port", async (context) => {
  const window = await openWindow(context, { files: GO_FILES, settings: { ...ALWAYS, "burrow.autoStart": "never" } });
  const [first, second] = [window.firstPort, window.firstPort + 1];
  // Somebody else is first.
  const foreign = createServer().listen(second, "127.0.0.1");
  context.after(() => foreign.close());
  await once(foreign, "listening");
  assert.equal((await window.burrow("start")).code, 0);
  await window.bringTools();
  assert.equal(await window.portsItem().count(), 0, "no item while no port is leased");

  await window.command("Burrow: Pick Debug Port");
  assert.match((await window.rows(String(second))).join("\n"), new RegExp(`${second}\\s*taken by another process, node`));
  await window.picture("ports-foreign");
  await window.choose(String(first));
  await window.choose("Lease");
  await window.notification(`Port ${first} is leased`);
  await window.portsItem().filter({ hasText: "1/11" }).click();
  assert.match((await window.rows(String(first))).join("\n"), new RegExp(`${first}\\s*leased, nobody connected`));
  await window.picture("ports-leased");

  await window.choose(String(first));
  await window.choose("Copy Port Forward Command");
  await window.choose("kubectl port-forward");
  await window.notification("Copied for kubectl port-forward");
  const one = await window.clipboard();
  assert.match(one, new RegExp(`^kubectl port-forward .*pod/\\S+ ${first}:${first}$`), "for this port alone");
  await window.picture("port-forward-copied");

  await window.command("Burrow: Copy Port Forward Command");
  await window.choose("docker run");
  await window.notification("Copied for docker run");
  assert.match(await window.clipboard(), new RegExp(`^--publish=127.0.0.1:${first}-${first + 10}:`), "from the palette for all");

  await window.command("Burrow: Pick Debug Port");
  await window.choose(String(first));
  await window.choose("Release");
  await window.portsItem().waitFor({ state: "hidden" });

  // A lease that the command line asked for shows up too.
  assert.equal((await window.burrow("debug", "lease", "--port", String(first))).code, 0);
  await window.portsItem().filter({ hasText: "1/11" }).waitFor();
  await window.command("Burrow: Pick Debug Port");
  const row = window.page.locator(".quick-input-list .monaco-list-row").filter({ hasText: String(first) });
  await row.hover();
  await row.getByRole("button", { name: "Release" }).click();
  await row.filter({ hasText: "free" }).waitFor();

  await window.choose(String(second));
  // Only now: the daemon looks by itself as well, and a free port needs no reclaiming.
  foreign.close();
  await window.choose("Reclaim");
  await window.until("the port to be free", async () => {
    return (await window.daemonStatus()).ports.find(({ port }) => port === second).state === "free";
  });
});
