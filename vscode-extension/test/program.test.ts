import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { findProgram, mayStart, runProgram, windowEnvironment } from "../src/program";

/** A folder with an executable `burrow` in each of `folders`. */
function programs(context: TestContext, ...folders: string[]): string {
  const dir = mkdtempSync(join(tmpdir(), "burrow-program-"));
  context.after(() => {
    rmSync(dir, { recursive: true });
  });
  for (const folder of folders) {
    mkdirSync(join(dir, folder), { recursive: true });
    writeFileSync(join(dir, folder, "burrow"), "#!/bin/sh\necho \"error: $1 $HOME\" >&2\nexit 4\n");
    chmodSync(join(dir, folder, "burrow"), 0o755);
  }
  return dir;
}

void test("the daemon starts by itself where the setting and the machine say so", () => {
  const nowhere = (): boolean => false;
  const docker = (path: string): boolean => path === "/.dockerenv";
  const podman = (path: string): boolean => path === "/run/.containerenv";
  assert.equal(mayStart("never", { CODESPACES: "true" }, docker), false, "never is never");
  assert.equal(mayStart("always", {}, nowhere), true, "always is anywhere");
  assert.equal(mayStart("inContainer", {}, nowhere), false, "a plain machine is no container");
  assert.equal(mayStart("inContainer", {}, docker), true, "Docker's mark");
  assert.equal(mayStart("inContainer", {}, podman), true, "Podman's mark");
  assert.equal(mayStart("inContainer", { REMOTE_CONTAINERS: "true" }, nowhere), true, "VS Code's mark");
  assert.equal(mayStart("inContainer", { CODESPACES: "true" }, nowhere), true, "the mark of Codespaces");
});

void test("the setting comes before the extension, the extension before PATH", (context) => {
  const dir = programs(context, "set", "extension/bin", "path");
  const env = { PATH: join(dir, "path") };
  const extension = join(dir, "extension");
  assert.equal(findProgram(join(dir, "set/burrow"), extension, env), join(dir, "set/burrow"));
  assert.equal(findProgram(null, extension, env), join(extension, "bin/burrow"));
  assert.equal(findProgram(null, join(dir, "other"), env), join(dir, "path/burrow"));
});

void test("a relative path is never looked up: it would lie in the workspace", (context) => {
  const dir = programs(context, "path");
  context.after(((old) => () => { process.chdir(old); })(process.cwd()));
  process.chdir(dir);
  assert.throws(() => findProgram("path/burrow", dir, {}), /burrow.path/);
  assert.throws(() => findProgram(null, dir, { PATH: "path" }), /no burrow program/);
});

void test("a setting that names nothing is an error, not a reason to look elsewhere", (context) => {
  const dir = programs(context, "path");
  assert.throws(() => findProgram("/nowhere/burrow", dir, { PATH: join(dir, "path") }), /nowhere/);
});

void test("work gets the window's environment without the editor's own variables", () => {
  const env = { HOME: "/h", VSCODE_CWD: "/", ELECTRON_RUN_AS_NODE: "1", REMOTE_CONTAINERS: "true", GONE: undefined };
  assert.deepEqual(windowEnvironment(env), { HOME: "/h", REMOTE_CONTAINERS: "true" });
});

void test("a command that fails is told in its own words", async (context) => {
  const program = join(programs(context, "bin"), "bin/burrow");
  await assert.rejects(runProgram(program, ["start"], { HOME: "/h" }, "/"), {
    message: "`burrow start` failed: error: start /h",
  });
});
