import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Arrivals } from "../src/arrivals";
import { readRendezvous } from "../src/rendezvous";

const uid = process.getuid?.() ?? 0;

function given(context: TestContext): { dir: string; arrivals: Arrivals; write: (pid: number) => void } {
  const root = mkdtempSync(join(tmpdir(), "burrow-arrivals-"));
  context.after(() => {
    rmSync(root, { recursive: true });
  });
  const dir = join(root, "state");
  const write = (pid: number): void => {
    mkdirSync(dir, { mode: 0o700, recursive: true });
    writeFileSync(join(dir, "new"), JSON.stringify({ pid, startedAt: "", socket: "/s" }));
    renameSync(join(dir, "new"), join(dir, "daemon.json"));
  };
  return { dir, arrivals: new Arrivals(() => dir, uid, (message) => assert.fail(message)), write };
}

/** Resolves when there was news. */
function news(context: TestContext, arrivals: Arrivals): Promise<void> {
  return new Promise((resolve) => {
    context.after(arrivals.watch(resolve));
  });
}

void test("a daemon that came before the watch is news, and so is the next one", async (context) => {
  const { dir, arrivals, write } = given(context);
  write(1);
  await news(context, arrivals);

  arrivals.note(await readRendezvous(dir, uid));
  const next = news(context, arrivals);
  write(2);
  await next;
});

void test("where there is no directory yet, its coming is news", async (context) => {
  const { arrivals, write } = given(context);
  const told = news(context, arrivals);
  write(1);
  await told;
});

void test("a daemon that the user stopped is news", async (context) => {
  const { dir, arrivals, write } = given(context);
  write(1);
  await arrivals.noteCurrent();
  const told = news(context, arrivals);
  writeFileSync(join(dir, "stopped"), "");
  await told;
});
