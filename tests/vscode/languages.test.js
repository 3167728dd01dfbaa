// What a user of VS Code is told while writing devcontainer.json.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ALWAYS, GO_FILES, openWindow } from "./window.js";

const FILE = ".devcontainer/devcontainer.json";

const DEVCONTAINER_SCHEMA = "https://raw.githubusercontent.com/devcontainers/spec/main/schemas/devContainer.schema.json";

/** The row of the problems' view that holds `text`. */
const problemOf = (window, text) => window.page.locator(".markers-panel .monaco-list-row").filter({ hasText: text });

test("a mistake in devcontainer.json is shown at its line, and goes when it is mended", async (context) => {
  const wrong = '{\n  "postCreateCommand": 7\n}\n';
  const window = await openWindow(context, { files: { ...GO_FILES, [FILE]: wrong }, settings: ALWAYS });
  await window.status("Burrow");
  await window.openFile("devcontainer.json");
  await window.command("Problems: Focus on Problems View");
  const problem = problemOf(window, "postCreateCommand");
  await problem.filter({ hasText: "Ln 2, Col 24" }).filter({ hasText: "BUR203" }).waitFor();
  await window.picture("devcontainer-problem");

  window.write(FILE, '{\n  "postCreateCommand": "true"\n}\n');
  await problem.waitFor({ state: "hidden" });
});

test("a wrong key of ours is marked by the schema, and what is right is explained", async (context) => {
  const wrong = '{\n  "customizations": {\n    "burrow": {\n      "hoooks": {},\n      "reload": {}\n    }\n  }\n}\n';
  // VS Code's own schema for these files would be downloaded; until it is there nothing is validated.
  const known = { "json.schemas": [{ fileMatch: ["devcontainer.json"], url: DEVCONTAINER_SCHEMA, schema: { type: "object" } }] };
  const files = { ...GO_FILES, [FILE]: wrong, ".vscode/settings.json": JSON.stringify(known) };
  const window = await openWindow(context, { files, settings: ALWAYS });
  await window.status("Burrow");
  await window.openFile("devcontainer.json");
  await window.command("Problems: Focus on Problems View");
  // VS Code's own words: the daemon's have a code.
  await problemOf(window, "Property hoooks is not allowed").filter({ hasText: "Ln 4" }).waitFor();
  await window.picture("devcontainer-schema");
  const key = window.page.locator(".view-line span").filter({ hasText: /^"reload"$/ }).last();
  assert.match(await window.hover(key), /built and started again when their files change/);
});

test("a lock file that does not fit the settings is told at its row", async (context) => {
  const window = await openWindow(context, { files: GO_FILES, settings: ALWAYS });
  await window.status("dlv missing");
  await window.bringTools();
  await window.command("Problems: Focus on Problems View");

  window.write(FILE, '{ "customizations": { "burrow": { "tools": { "dlv": "v1.26.0" } } } }\n');
  // The row of dlv is the first, below `tools`.
  const problem = problemOf(window, "use dlv as locked").filter({ hasText: "Ln 4, Col 5" });
  await problem.waitFor();
  await window.picture("lock-problem");

  window.write(FILE, "{}\n");
  await problem.waitFor({ state: "hidden" });
});
