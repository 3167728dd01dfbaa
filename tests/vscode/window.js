// A real VS Code window for a test: code-server with the extension in it, a browser on it, and a Burrow of its own.
//
// Everything lies in one temporary folder. The end of the test ends every process and removes the folder.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { chromium } from "playwright-core";

const REPOSITORY = join(import.meta.dirname, "../..");
const EXTENSION = join(REPOSITORY, "vscode-extension");
const SCREENS = join(REPOSITORY, "target/vscode-screens");
const CACHE = process.env.BURROW_TEST_CACHE ?? join(homedir(), ".cache/burrow-tests");
/** Which VS Code: the oldest one that the extension is for, or a newer one, which brings the Node that it needs. */
const NEWER = process.env.BURROW_TEST_VSCODE === "newer";
const CODE_SERVER_FOLDER = join(CACHE, NEWER ? "code-server-4.139.1" : "code-server-4.99.4");
const CODE_SERVER = join(CODE_SERVER_FOLDER, "node_modules/code-server/out/node/entry.js");
const NODE = NEWER ? join(CODE_SERVER_FOLDER, "bin/node") : process.execPath;
/** Made by tests/container/setup. */
const IMAGE = "debian:bookworm-local";
const CHROMIUM = "/usr/bin/chromium";
const CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"];

/** How long anything may take to appear; a cold and busy machine included. */
const DEADLINE = 120_000;

/** The `burrow` under test. */
export const BURROW = process.env.BURROW_BIN ?? "";

/** Settings of a machine where the window starts the daemon; the default would say no where there is no container. */
export const ALWAYS = { "burrow.autoStart": "always", "burrow.path": BURROW };

/** A Go program that does nothing. */
export const GO_FILES = {
  "go.mod": "module example.com/hello\n\ngo 1.26\n",
  "main.go": "package main\n\nfunc main() {}\n",
};

/** What the status bar says where nothing is to be done. */
export const READY = /^\s*Burrow\s*$/;

/** How long a command may take: `burrow up` may have to build the Go tools. */
const LONG_DEADLINE = 600_000;

/**
 * Opens a window on a new folder with `files` (path -> text), with `settings` of the machine; on `workspaceFile` where one
 * of the files is to be opened as a workspace. With `bundled` the program is in the extension, as in a package. What is to
 * be there before the window is done by `prepare`. With `container` the editor's server runs in a container of its own.
 */
export async function openWindow(test, { files, settings, trusted = true, workspaceFile, bundled = false, prepare, container }) {
  requireParts();
  const window = new Window(test.name, settings, trusted);
  window.container = container;
  if (bundled) {
    cpSync(BURROW, join(window.root, "extensions/burrow-dev.burrow-0.1.0/bin/burrow"));
  }
  test.after(() => window.close());
  for (const [path, text] of Object.entries(files)) {
    window.write(path, text);
  }
  await prepare?.(window);
  await window.open(workspaceFile);
  return window;
}

// A run that is broken off leaves no code-server, whose extension would start the daemon again.
const servers = new Set();
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => process.exit(1));
}
process.once("exit", () => servers.forEach((pid) => process.kill(-pid, "SIGKILL")));

/** One window and what belongs to it. */
class Window {
  constructor(name, settings, trusted) {
    this.name = name;
    this.trusted = trusted;
    this.firstPort = firstPort();
    this.root = mkdtempSync(join(tmpdir(), "burrow-vscode-"));
    this.workspace = join(this.root, "hello");
    this.env = {
      ...process.env,
      HOME: join(this.root, "home"),
      BURROW_STATE_DIR: join(this.root, "state"),
      BURROW_PORTS: `${this.firstPort}-${this.firstPort + 10}`,
      // A first build of Go's own library takes most of a minute.
      GOCACHE: join(CACHE, "go-build"),
      // Else VS Code takes PATH from a login shell, whose profile may know no Go.
      VSCODE_CLI: "1",
    };
    for (const folder of ["home", "hello", "data/User", "data/Machine"]) {
      mkdirSync(join(this.root, folder), { recursive: true });
    }
    const user = {
      "workbench.startupEditor": "none",
      "workbench.colorTheme": "Default Dark Modern",
      "security.workspace.trust.startupPrompt": "never",
      // The text of a terminal can only be read where it is not painted by a graphics card.
      "terminal.integrated.gpuAcceleration": "off",
    };
    writeFileSync(join(this.root, "data/User/settings.json"), JSON.stringify(user));
    writeFileSync(join(this.root, "data/Machine/settings.json"), JSON.stringify(settings));
    const extension = join(this.root, "extensions/burrow-dev.burrow-0.1.0");
    for (const part of ["package.json", "icon.png", "out/main.js", "out/devcontainer.schema.json"]) {
      cpSync(join(EXTENSION, part), join(extension, part));
    }
  }

  /** Writes a file of the workspace. */
  write(path, text) {
    const file = join(this.workspace, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  /**
   * Gives the workspace the real Go tools that the Rust tests keep on this machine, with their lock file. Where there
   * are none, `burrow up` builds them, which takes minutes.
   */
  useKeptTools() {
    const kept = readdirSync(CACHE)
      .map((name) => join(CACHE, name))
      .filter((folder) => existsSync(join(folder, "burrow-lock.json")))
      .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0];
    if (kept !== undefined) {
      cpSync(join(kept, "store"), join(this.root, "state/store"), { recursive: true, preserveTimestamps: true });
      this.write(".devcontainer/burrow-lock.json", readFileSync(join(kept, "burrow-lock.json")));
    }
  }

  /** Brings the Go tools and runs what else is due, as the user does; a window that shows the folder then says that all is well. */
  async bringTools() {
    this.useKeptTools();
    assert.equal((await this.burrow("up")).code, 0);
    await this.status(READY);
  }

  /** Runs a program in the workspace. Fails where it does. */
  run(program, ...args) {
    return promisify(execFile)(program, args, { cwd: this.workspace, env: this.env, timeout: LONG_DEADLINE });
  }

  /** Runs `burrow` in the workspace. Gives its exit code and output; does not fail. */
  async burrow(...args) {
    try {
      return { code: 0, ...(await this.run(BURROW, ...args)) };
    } catch (error) {
      return { code: error.code, stdout: error.stdout, stderr: error.stderr };
    }
  }

  /** Starts code-server, then a browser on it. */
  async open(workspaceFile) {
    const folder = (name) => join(this.root, name);
    const args = ["--auth", "none", "--bind-addr", "127.0.0.1:0", "--user-data-dir", folder("data")];
    args.push("--extensions-dir", folder("extensions"), "--disable-telemetry", "--disable-update-check");
    args.push(...(this.trusted ? ["--disable-workspace-trust"] : []), this.workspace);
    const [program, ...around] = this.container === undefined ? [NODE] : this.containerCommand();
    // Its own process group, so that one signal ends it with its extension hosts.
    this.server = spawn(program, [...around, CODE_SERVER, ...args], { env: this.env, detached: true });
    servers.add(this.server.pid);
    this.address = await listening(this.server);
    this.browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_FLAGS });
    await this.show(workspaceFile === undefined ? { folder: this.workspace } : { workspace: join(this.workspace, workspaceFile) });
  }

  /**
   * What runs Node in a new container: with this machine's programs and this window's folder, on this machine's network, so
   * that the browser reaches it, and with nothing of the tests' own environment.
   */
  containerCommand() {
    const mounts = [`${this.root}:${this.root}`, "/usr:/usr:ro", `${CODE_SERVER_FOLDER}:${CODE_SERVER_FOLDER}:ro`];
    const env = [`HOME=${this.env.HOME}`, `BURROW_PORTS=${this.env.BURROW_PORTS}`, "VSCODE_CLI=1"];
    const flags = [...mounts.flatMap((mount) => ["--volume", mount]), ...env.flatMap((entry) => ["--env", entry])];
    const user = `${process.getuid()}:${process.getgid()}`;
    return ["docker", "run", "--rm", "--name", this.container, "--network", "host", "--user", user, ...flags, IMAGE, NODE];
  }

  /** Another window beside this one, on the folder `name` next to this one's. It ends with this one. */
  async another(name) {
    const other = Object.assign(Object.create(Window.prototype), this, { workspace: join(this.root, name) });
    await other.show({ folder: other.workspace });
    return other;
  }

  /** Opens a page of the browser on a folder or a workspace. */
  async show(opened) {
    const permissions = ["clipboard-read", "clipboard-write"];
    this.page = await this.browser.newPage({ viewport: { width: 1280, height: 800 }, permissions });
    this.page.setDefaultTimeout(DEADLINE);
    await this.page.goto(`${this.address}/?${new URLSearchParams(opened)}`);
    await this.page.locator(".monaco-workbench").waitFor();
  }

  /** The extension's status bar item, there or not. */
  statusItem() {
    return this.page.locator(".statusbar-item[id='burrow-dev.burrow.burrow.status']");
  }

  /** The status bar item of the debug ports, there or not. */
  portsItem() {
    return this.page.locator(".statusbar-item[id='burrow-dev.burrow.burrow.ports']");
  }

  /** The status bar item, once it says `text`. */
  async status(text) {
    const item = this.statusItem().filter({ hasText: text });
    await item.waitFor();
    return item;
  }

  /** Reloads the window as a user does: the browser's own reload may come before VS Code has kept what it keeps. */
  async reload() {
    const loaded = this.page.waitForEvent("load");
    await this.command("Developer: Reload Window");
    await loaded;
    await this.page.locator(".monaco-workbench").waitFor();
  }

  /** The terminal in front, once it shows `text`. */
  async terminal(text) {
    await this.until(`the terminal to show ${text}`, async () => (await this.terminalText()).includes(text));
  }

  /** What the terminal in front shows. */
  async terminalText() {
    const rows = await this.page.locator(".xterm-rows:visible > div").allInnerTexts();
    return rows.map((row) => row.replaceAll("\u00a0", " ").trimEnd()).join("\n");
  }

  /** Opens a file of the workspace in the editor. */
  async openFile(path) {
    await this.page.keyboard.press("Control+P");
    await this.page.locator(".quick-input-widget input[type=text]").fill(path);
    await this.page.locator(".quick-input-list .monaco-list-row").filter({ hasText: path.split("/").at(-1) }).first().waitFor();
    await this.page.keyboard.press("Enter");
    await this.page.getByRole("tab", { name: path.split("/").at(-1), exact: false }).waitFor();
    await this.page.locator(".monaco-editor .view-line").first().waitFor();
  }

  /** Puts the cursor of the editor at LINE or LINE:COLUMN. */
  async goTo(place) {
    await this.page.keyboard.press("Control+G");
    await this.page.locator(".quick-input-widget input[type=text]").fill(`:${place}`);
    await this.page.keyboard.press("Enter");
    await this.page.locator(".quick-input-widget").waitFor({ state: "hidden" });
  }

  /** Sets a breakpoint on a line of the file in the editor. */
  async breakpoint(line) {
    await this.goTo(line);
    await this.page.keyboard.press("F9");
    await this.page.locator(".codicon-debug-breakpoint, .codicon-debug-breakpoint-unverified").first().waitFor();
  }

  /** Waits until the debugger has stopped at a line of the file in the editor. */
  async stoppedAt(line) {
    const arrow = this.page.locator(".codicon-debug-stackframe").first();
    await this.until(`a stop at line ${line}`, async () => {
      const top = (await arrow.boundingBox({ timeout: 1000 }).catch(() => null))?.y;
      const number = this.page.locator(".margin-view-overlays .line-numbers", { hasText: new RegExp(`^${line}$`) });
      const lineTop = (await number.first().boundingBox({ timeout: 1000 }).catch(() => null))?.y;
      return top !== undefined && lineTop !== undefined && Math.abs(top - lineTop) < 12;
    });
  }

  /** Waits until the variables' view shows a variable with its value. */
  async variable(name, value) {
    const rows = this.page.locator(".debug-variables .monaco-list-row");
    const closed = rows.and(this.page.locator("[aria-expanded=false]")).filter({ hasText: /^Locals$/ });
    await this.until(`${name} to be ${value}`, async () => {
      if ((await rows.filter({ hasText: name }).filter({ hasText: value }).count()) > 0) {
        return true;
      }
      // VS Code opens the scope itself, but for a stop whose scopes it fetched twice at once.
      await closed.click({ timeout: 1000 }).catch(() => undefined);
      return false;
    });
  }

  /** Waits until the debug console holds `text`. */
  async debugConsole(text) {
    await this.page.locator(".repl .monaco-list-row").filter({ hasText: text }).first().waitFor();
  }

  /** The notification that holds `text`, once it is there. */
  async notification(text) {
    const notice = this.page.locator(".notification-toast").filter({ hasText: text });
    await notice.waitFor();
    return notice;
  }

  /** The row of a tree view that holds `text`. */
  treeRow(text) {
    return this.page.locator(".pane-body .monaco-list-row").filter({ hasText: text }).first();
  }

  /** Types `text` into the input box that is open. */
  async answer(text) {
    await this.page.locator(".quick-input-widget input[type=text]").fill(text);
    await this.page.keyboard.press("Enter");
  }

  /** Waits until the daemon shows a hook in `state`. */
  async hookState(name, state) {
    await this.until(`${name} to be ${state}`, async () => {
      const hooks = (await this.daemonStatus()).workspaces.flatMap((workspace) => workspace.hooks);
      return hooks.some((hook) => hook.name === name && hook.state === state);
    });
  }

  /** Asks until `holds` says yes. */
  async until(what, holds) {
    const deadline = Date.now() + DEADLINE;
    while (!(await holds())) {
      assert.ok(Date.now() < deadline, `waited for ${what}`);
      await setTimeout(100);
    }
  }

  /** The text of the clipboard. */
  async clipboard() {
    return this.page.evaluate(() => globalThis.navigator.clipboard.readText());
  }

  /** What stands in the hover over `item`. */
  async hover(item) {
    await item.hover();
    const hover = this.page.locator(".monaco-hover:visible").last();
    await hover.waitFor();
    return hover.innerText();
  }

  /** Runs a command of the palette by its full title. */
  async command(title) {
    await this.page.keyboard.press("F1");
    await this.page.locator(".quick-input-widget input[type=text]").fill(`>${title}`);
    await this.choose(title);
  }

  /** Chooses the row of the quick pick that holds `text`. */
  async choose(text) {
    await this.page.locator(".quick-input-list .monaco-list-row").filter({ hasText: text }).first().click();
  }

  /** The rows of the quick pick that is open, once one holds `text`. */
  async rows(text) {
    const rows = this.page.locator(".quick-input-list .monaco-list-row");
    await rows.filter({ hasText: text }).first().waitFor();
    return rows.allInnerTexts();
  }

  /** Waits until the extension's output holds `text`. VS Code keeps it as a file, so the window stays as it is. */
  async output(text) {
    const deadline = Date.now() + DEADLINE;
    const holds = (said) => (typeof text === "string" ? said.includes(text) : text.test(said));
    for (let said = ""; !holds(said); said = this.outputSoFar()) {
      assert.ok(Date.now() < deadline, `the output never held ${text}:\n${said}`);
      await setTimeout(50);
    }
  }

  /** The extension's output since the window was first opened; each reload begins another file. */
  outputSoFar() {
    const logs = join(this.root, "data/logs");
    const files = existsSync(logs) ? readdirSync(logs, { recursive: true }) : [];
    const ours = files.filter((path) => path.endsWith("burrow-dev.burrow/Burrow.log")).sort();
    return ours.map((path) => readFileSync(join(logs, path), "utf8")).join("");
  }

  /** What `burrow status --json` prints. */
  async daemonStatus() {
    return JSON.parse((await this.burrow("status", "--json")).stdout);
  }

  /** Keeps a picture of the window. */
  async picture(name) {
    // Notifications slide in; with their ends alone, one picture is like another.
    await this.page.screenshot({ path: this.kept(name, "png"), animations: "disabled" });
  }

  /** A file under target/vscode-screens. */
  kept(name, kind) {
    mkdirSync(SCREENS, { recursive: true });
    return join(SCREENS, `${name.replaceAll(/\W+/g, "-")}.${kind}`);
  }

  /** Ends everything. */
  async close() {
    if (this.page !== undefined) {
      await this.picture(`end of ${this.name}`);
      writeFileSync(this.kept(`end of ${this.name}`, "log"), this.outputSoFar());
      await this.browser.close();
    }
    if (this.server !== undefined) {
      const ended = new Promise((resolve) => this.server.once("exit", resolve));
      process.kill(-this.server.pid, "SIGKILL");
      servers.delete(this.server.pid);
      await ended;
    }
    if (this.container !== undefined) {
      await this.run("docker", "rm", "--force", this.container);
    }
    await this.burrow("stop");
    rmSync(this.root, { recursive: true, maxRetries: 10 });
  }
}

/** The address that code-server says it listens on. */
function listening(server) {
  return new Promise((resolve, reject) => {
    let said = "";
    const take = (bytes) => {
      said += bytes;
      const address = /listening on (http:\/\/\S+?)\/?\s/.exec(said)?.[1];
      if (address !== undefined) {
        resolve(address);
      }
    };
    server.stdout.on("data", take);
    server.stderr.on("data", take);
    server.once("exit", (code) => reject(new Error(`code-server ended with ${code}: ${said}`)));
  });
}

/** The first of eleven ports that no other test of this machine uses at the same time. */
function firstPort() {
  return 20_000 + (process.pid % 900) * 11;
}

/** Fails by the name of what is missing. */
function requireParts() {
  for (const [part, remedy] of [
    [CODE_SERVER, NEWER ? "tests/vscode/setup newer" : "tests/setup"],
    [CHROMIUM, "tests/setup"],
    [join(EXTENSION, "out/main.js"), "tests/vscode/run"],
    [BURROW, "tests/vscode/run"],
  ]) {
    assert.ok(existsSync(part), `the tests in VS Code need ${part || "BURROW_BIN"}: run ${remedy}`);
  }
}
