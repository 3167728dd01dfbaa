// What a user of the Go extension sees. In its place stands one that does what matters here: it has the debug type `go`,
// connects where a configuration says, and can start gopls anew.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ALWAYS, READY, openWindow } from "./window.js";

const FILES = {
  "go.mod": "module example.com/hello\n\ngo 1.26\n",
  "main.go": `package main

import "fmt"

func main() {
	greeting := "hello"
	fmt.Println(greeting)
}
`,
};
/** The line of main.go that prints. */
const PRINTS = 7;

const MANIFEST = {
  name: "go",
  publisher: "stand-in",
  version: "0.0.1",
  engines: { vscode: "^1.99.0" },
  main: "./main.js",
  activationEvents: ["onStartupFinished", "onDebugResolve:go"],
  contributes: {
    debuggers: [{ type: "go", label: "Go" }],
    configuration: { properties: { "go.alternateTools": { type: "object", default: {} } } },
  },
};

/** Like the real one it puts its own dlv into every configuration. Its debug adapters seem to be of a dlv without restart. */
const MAIN = `const { appendFileSync } = require("node:fs");
const { join } = require("node:path");
const vscode = require("vscode");
exports.activate = () => {
  const restarted = join(vscode.workspace.workspaceFolders[0].uri.fsPath, "gopls-restarted");
  vscode.commands.registerCommand("go.languageserver.restart", () => appendFileSync(restarted, "x"));
  vscode.debug.registerDebugConfigurationProvider("go", {
    resolveDebugConfiguration: (_folder, config) => ({ ...config, mode: "debug", debugAdapter: "dlv-dap", dlvToolPath: "/nowhere/dlv" }),
  });
  vscode.debug.registerDebugAdapterDescriptorFactory("go", {
    createDebugAdapterDescriptor: ({ configuration }) => new vscode.DebugAdapterServer(configuration.port, configuration.host),
  });
  vscode.debug.registerDebugAdapterTrackerFactory("go", {
    createDebugAdapterTracker: () => ({
      onDidSendMessage: ({ command, body }) => {
        if (command === "initialize" && body !== undefined) {
          body.supportsRestartRequest = false;
        }
      },
    }),
  });
};
`;

/** A window with the stand-in and the Go tools ready. */
async function open(context, files = {}) {
  const prepare = (window) => {
    const folder = join(window.root, "extensions/stand-in.go-0.0.1");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), JSON.stringify(MANIFEST));
    writeFileSync(join(folder, "main.js"), MAIN);
  };
  const window = await openWindow(context, { files: { ...FILES, ...files }, settings: ALWAYS, prepare });
  await window.status("dlv missing");
  await window.bringTools();
  return window;
}

test("a session of the Go extension has a lent port and the workspace's dlv, also after a restart", async (context) => {
  const configurations = [{ name: "hello", type: "go", request: "launch", program: "${workspaceFolder}" }];
  const window = await open(context, { ".vscode/launch.json": JSON.stringify({ configurations }) });
  await window.openFile("main.go");
  await window.breakpoint(PRINTS);
  await window.page.keyboard.press("F5");
  await window.stoppedAt(PRINTS);
  await window.variable("greeting", '"hello"');
  await window.portsItem().filter({ hasText: "1/11" }).waitFor();
  const [lent] = (await window.daemonStatus()).leases;
  assert.match(readlinkSync(`/proc/${lent.pid}/exe`), /\/state\/store\//);
  await window.picture("debug-lent");

  await window.page.keyboard.press("Control+Shift+F5");
  await window.until("another lease on the same port", async () => {
    const [again] = (await window.daemonStatus()).leases;
    return again?.state === "connected" && again.id !== lent.id && again.endpoint.port === lent.endpoint.port;
  });
  await window.stoppedAt(PRINTS);
  await window.page.keyboard.press("F5");
  await window.debugConsole("hello");
  await window.portsItem().waitFor({ state: "hidden" });
  assert.deepEqual((await window.daemonStatus()).leases, []);
});

test("where another gopls is active after a repair, the Go extension starts it anew", async (context) => {
  const window = await open(context);
  const restarts = () => readFileSync(join(window.workspace, "gopls-restarted"), { encoding: "utf8", flag: "a+" }).length;
  await window.until("a first gopls", () => restarts() === 1);
  const gopls = (await window.daemonStatus()).workspaces[0].tools.find(({ name }) => name === "gopls");

  rmSync(gopls.path);
  assert.equal((await window.burrow("tools", "repair")).code, 0);
  await window.until("gopls to be started anew", () => restarts() === 2);
});

test("an update of the Go tools shows how far it is, and is given up by a click", async (context) => {
  const window = await open(context);
  const { tools } = (await window.daemonStatus()).workspaces[0];
  await window.command("Burrow: Update Go Tools");
  const progress = await window.notification("Updating the Go tools");
  await progress.getByRole("button", { name: "Cancel" }).click();
  await window.notification("Cancelled. The Go tools are as they were.");
  await window.status(READY);
  const left = (await window.daemonStatus()).workspaces[0].tools;
  assert.deepEqual(left.map(({ path }) => path), tools.map(({ path }) => path));
});

test("the configurations of the type burrow are offered where there is no launch.json", async (context) => {
  const window = await open(context);
  await window.openFile("main.go");
  await window.breakpoint(PRINTS);
  await window.command("Debug: Select and Start Debugging");
  await window.choose("Go (Burrow)");
  await window.rows("Attach to Go Process");
  await window.choose("Debug Package");
  await window.stoppedAt(PRINTS);
  await window.page.keyboard.press("Shift+F5");
  await window.portsItem().waitFor({ state: "hidden" });
});
