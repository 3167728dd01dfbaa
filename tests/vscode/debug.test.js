// What a user of VS Code sees of a debug session with Burrow's own type.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ALWAYS, READY, openWindow } from "./window.js";

const MAIN = `package main

import (
	"fmt"
	"os"
)

func main() {
	who := os.Getenv("WHO")
	greeting := "hello " + who
	fmt.Println(greeting)
	var answer string
	if n, _ := fmt.Scanln(&answer); n == 1 {
		fmt.Println("you said " + answer)
	}
}
`;
const TEST = `package main

import "testing"

func TestSum(t *testing.T) {
	sum := 40 + 2
	if sum != 42 {
		t.Fatal(sum)
	}
}
`;
/** The line of main.go that prints. */
const PRINTS = 11;

const LOOP = `package main

import (
	"fmt"
	"time"
)

func main() {
	for {
		answer := 1
		fmt.Println("answer", answer)
		time.Sleep(10 * time.Millisecond)
	}
}
`;
const LOOP_SETS = 10;
const LOOP_PRINTS = 11;

const launch = (configuration) => ({
  "go.mod": "module example.com/hello\n\ngo 1.26\n",
  "main.go": MAIN,
  "main_test.go": TEST,
  ".vscode/launch.json": JSON.stringify({ configurations: [{ name: "hello", type: "burrow", ...configuration }] }),
});

/** A window with the Go tools ready and `file` open. */
async function open(context, configuration, file) {
  const window = await openWindow(context, { files: launch(configuration), settings: ALWAYS });
  await window.status("dlv missing");
  await window.bringTools();
  await window.openFile(file);
  return window;
}

/** Debugs the file in the editor until it stands at its breakpoint in `line`. */
async function debugTo(window, line) {
  await window.breakpoint(line);
  await window.page.keyboard.press("F5");
  await window.stoppedAt(line);
}

/** A window with LOOP in the editor, debugged to where it prints; `whenStopped` says what a save does then. */
async function openLoop(context, whenStopped) {
  const configuration = { request: "launch", program: "${workspaceFolder}", reload: { whenStopped } };
  const window = await open(context, configuration, "main.go");
  // Replaced as a whole: a program that goes on until it is stopped.
  window.write("main.go", LOOP);
  await window.page.locator(".view-line").filter({ hasText: "answer := 1" }).waitFor();
  await debugTo(window, LOOP_PRINTS);
  await window.variable("answer", "1");
  return window;
}

/** Waits until nothing of a session is left. */
async function isOver(window) {
  await window.portsItem().waitFor({ state: "hidden" });
  const { leases, ports } = await window.daemonStatus();
  assert.deepEqual([leases, ports.filter(({ state }) => state !== "free")], [[], []]);
}

test("F5 stops at the breakpoint, shows a variable and the program's output", async (context) => {
  const window = await open(context, { request: "launch", program: "${workspaceFolder}", env: { WHO: "gopher" } }, "main.go");
  await debugTo(window, PRINTS);
  await window.variable("greeting", '"hello gopher"');
  await window.portsItem().filter({ hasText: "1/11" }).waitFor();
  await window.picture("debug-stopped");

  await window.command("Burrow: Pick Debug Port");
  assert.match((await window.rows("connected")).join("\n"), /connected, hello/);
  await window.picture("ports-connected");
  await window.page.keyboard.press("Escape");

  await window.page.keyboard.press("F5");
  await window.debugConsole("hello gopher");
  await window.picture("debug-console");
  await isOver(window);
});

test("a restart stops again and prints again, and a stop leaves nothing behind", async (context) => {
  const window = await open(context, { request: "launch", program: "${workspaceFolder}", env: { WHO: "gopher" } }, "main.go");
  // What is printed is printed after the restart alone.
  await debugTo(window, PRINTS - 1);
  await window.page.keyboard.press("F10");
  await window.stoppedAt(PRINTS);
  await window.page.keyboard.press("Control+Shift+F5");
  await window.stoppedAt(PRINTS - 1);
  await window.page.keyboard.press("F5");
  await window.debugConsole("hello gopher");
  await isOver(window);

  await window.page.keyboard.press("F5");
  await window.stoppedAt(PRINTS - 1);
  await window.page.keyboard.press("Shift+F5");
  await isOver(window);
});

test("a restart of the daemon asks first where it ends a debug session", async (context) => {
  const window = await open(context, { request: "launch", program: "${workspaceFolder}" }, "main.go");
  await debugTo(window, PRINTS);
  const { pid } = await window.daemonStatus();
  const dialog = window.page.locator(".monaco-dialog-box").filter({ hasText: "The debug session of hello ends with it." });

  await window.command("Burrow: Restart Daemon");
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await dialog.waitFor({ state: "detached" });
  const now = await window.daemonStatus();
  assert.deepEqual([now.pid, now.leases.map(({ state }) => state)], [pid, ["connected"]], "nothing has changed");

  await window.command("Burrow: Restart Daemon");
  await dialog.waitFor();
  await window.picture("debug-daemon-restart");
  await dialog.getByRole("button", { name: "Restart Daemon" }).click();
  await window.until("another daemon", async () => ![pid, undefined].includes((await window.daemonStatus()).pid));
  await window.status(READY);
  await isOver(window);
});

test("a save restarts the program in its session, and what does not compile is told", async (context) => {
  const window = await openLoop(context, "restart");
  const [lease] = (await window.daemonStatus()).leases;

  await save(window, "answer := 2");
  await window.variable("answer", "2");
  await window.stoppedAt(LOOP_PRINTS);
  await window.picture("debug-reloaded");

  await save(window, "answer := two");
  await window.debugConsole("undefined: two");
  await window.picture("debug-reload-failed");
  await window.variable("answer", "2");
  const leases = (await window.daemonStatus()).leases.map(({ id }) => id);
  assert.deepEqual(leases, [lease.id], "one session all the time");
  await window.page.keyboard.press("Shift+F5");
  await isOver(window);
});

test("with whenStopped ask a program that was built is restarted by a click", async (context) => {
  const window = await openLoop(context, "ask");

  await save(window, "answer := 2");
  const notice = await window.notification("hello was built again");
  await window.variable("answer", "1");
  await window.picture("debug-reload-asked");
  await notice.getByRole("button", { name: "Restart" }).click();
  await window.variable("answer", "2");
  await window.page.keyboard.press("Shift+F5");
  await isOver(window);
});

/** Types over the line of LOOP that sets the answer, and saves. */
async function save(window, line) {
  await window.goTo(LOOP_SETS);
  await window.page.keyboard.press("Home");
  await window.page.keyboard.press("Shift+End");
  await window.page.keyboard.type(line);
  await window.page.keyboard.press("Control+S");
}

test("the package in the editor is debugged without a launch.json, tests as tests", async (context) => {
  const window = await open(context, { request: "launch" }, "main_test.go");
  await window.breakpoint(7);
  await window.command("Burrow: Debug Package");
  await window.stoppedAt(7);
  await window.variable("sum", "42");
  await window.page.keyboard.press("F5");
  await window.debugConsole("PASS");
  await isOver(window);
});

test("a program in the terminal can be typed to", async (context) => {
  const window = await open(context, { request: "launch", program: "main.go", console: "integratedTerminal" }, "main.go");
  await debugTo(window, PRINTS);
  await window.page.keyboard.press("F5");
  await window.terminal("hello");
  await window.page.locator(".terminal-wrapper.active").click();
  await window.page.keyboard.type("gophers");
  await window.page.keyboard.press("Enter");
  // The session is over and the terminal stays.
  await window.terminal("Enter closes this terminal.");
  await window.page.keyboard.type("still here");
  await window.terminal("still here");
  assert.match(await window.terminalText(), /you said gophers/);
  await window.picture("debug-terminal");
  await window.page.keyboard.press("Enter");
  await window.page.locator(".terminal-wrapper.active").waitFor({ state: "detached" });
});

test("a folder that was opened through a link is debugged", async (context) => {
  const window = await open(context, { request: "launch", program: "${workspaceFolder}", env: { WHO: "gopher" } }, "main.go");
  symlinkSync(window.workspace, join(window.root, "linked"));
  const linked = await window.another("linked");
  await linked.openFile("main.go");
  await debugTo(linked, PRINTS);
  await linked.variable("greeting", '"hello gopher"');
  await linked.page.keyboard.press("Shift+F5");
  await isOver(linked);
});

test("a running Go program is picked and attached to", async (context) => {
  const window = await open(context, { request: "attach", mode: "local", processId: "${command:pickGoProcess}" }, "main.go");
  const loop = `package main\n\nimport "time"\n\nfunc main() {\n\tfor turns := 0; ; turns++ {\n\t\ttime.Sleep(time.Millisecond)\n\t}\n}\n`;
  window.write("loop/turner.go", loop);
  await window.run("go", "build", "-gcflags=all=-N -l", "-o", "turner", "./loop");
  const turner = spawn(`${window.workspace}/turner`);
  context.after(() => turner.kill());
  await window.openFile("loop/turner.go");
  await window.breakpoint(7);

  await window.page.keyboard.press("F5");
  await window.rows("turner");
  await window.picture("pick-process");
  await window.choose("turner");
  await window.stoppedAt(7);
  await window.page.keyboard.press("Shift+F5");
  await isOver(window);
  assert.equal(turner.exitCode, null, "the program goes on");
});

test("a window that reloads ends its session and leaves nothing behind", async (context) => {
  const window = await open(context, { request: "launch", program: "${workspaceFolder}" }, "main.go");
  await debugTo(window, PRINTS);

  await window.reload();
  await window.status(READY);
  await isOver(window);
});
