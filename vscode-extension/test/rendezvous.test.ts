import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { checkSocket, featureUser, readRendezvous, stateDirectory, UnsafeStateDirectory } from "../src/rendezvous";

const uid = process.getuid?.() ?? 0;
const file = JSON.stringify({ schema: 1, pid: 7, startedAt: "", version: "0", build: "b", protocol: 1, socket: "/s" });

function directory(context: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "burrow-rendezvous-"));
  context.after(() => {
    rmSync(dir, { recursive: true });
  });
  const state = join(dir, "state");
  mkdirSync(state, { mode: 0o700 });
  writeFileSync(join(state, "daemon.json"), file);
  return state;
}

void test("the environment names the state directory, else there is one for each user", () => {
  assert.equal(stateDirectory({ BURROW_STATE_DIR: "/x" }, 12345), "/x");
  assert.equal(stateDirectory({ BURROW_STATE_DIR: "" }, 12345), "/var/tmp/burrow-12345");
  assert.equal(stateDirectory({}, 12345), "/var/tmp/burrow-12345");
});

void test("daemon.json names the socket", async (context) => {
  assert.equal((await readRendezvous(directory(context), uid))?.socket, "/s");
});

void test("no directory and no file are no daemon", async (context) => {
  const dir = directory(context);
  assert.equal(await readRendezvous(join(dir, "missing"), uid), undefined);
  rmSync(join(dir, "daemon.json"));
  assert.equal(await readRendezvous(dir, uid), undefined);
});

void test("a file of another format is no daemon", async (context) => {
  const dir = directory(context);
  for (const text of ["null", "{}", '{"socket": 1}', '{"socket": "relative"}']) {
    writeFileSync(join(dir, "daemon.json"), text);
    assert.equal(await readRendezvous(dir, uid), undefined, text);
  }
});

void test("a directory that others may write is refused", async (context) => {
  const dir = directory(context);
  chmodSync(dir, 0o770);
  await assert.rejects(readRendezvous(dir, uid), { name: "UnsafeStateDirectory", message: /its mode is 770/ });
});

void test("a directory of another user is refused", async (context) => {
  await assert.rejects(readRendezvous(directory(context), uid + 1), /belongs to user/);
});

void test("a link to a directory is refused", async (context) => {
  const dir = directory(context);
  const link = `${dir}-link`;
  symlinkSync(dir, link);
  await assert.rejects(readRendezvous(link, uid), UnsafeStateDirectory);
});

void test("a socket that others could have put there is refused", async (context) => {
  const dir = directory(context);
  const socket = join(dir, "socket");
  await checkSocket(socket, uid); // nobody listens
  const server = createServer().listen(socket);
  context.after(() => server.close());
  await once(server, "listening");
  chmodSync(socket, 0o600);
  await checkSocket(socket, uid);
  await assert.rejects(checkSocket(socket, uid + 1), /no socket of user/);
  chmodSync(dir, 0o770);
  await assert.rejects(checkSocket(socket, uid), /others may replace it/);
  chmodSync(dir, 0o1777);
  await checkSocket(socket, uid);
  chmodSync(socket, 0o660);
  await assert.rejects(checkSocket(socket, uid), /no socket of user/);
  await assert.rejects(checkSocket(join(dir, "daemon.json"), uid), /no socket of user/);
});

void test("the Feature says whose daemon a container has", (context) => {
  const path = join(directory(context), "feature.json");
  for (const [text, expected] of [
    [`{"remoteUser": "vscode"}`, "vscode"],
    [`{"remoteUser": "root"}`, undefined],
    ["{}", undefined],
    ["no JSON", undefined],
  ] as const) {
    writeFileSync(path, text);
    assert.equal(featureUser(path), expected, text);
  }
  assert.equal(featureUser(`${path}.none`), undefined);
});
