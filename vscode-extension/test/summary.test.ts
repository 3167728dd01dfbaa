import assert from "node:assert/strict";
import { test } from "node:test";
import type { ActionCost, HookState, HookStatus, RepairAction, RepairVerb, ToolState, ToolStatus, WorkspaceStatus } from "../src/generated/protocol";
import { commandLine, duration, hasFailed, headline, hookLine, isOfInterest, markdown, ownWorkspaces, planLines, portLine, runLine, sentences, toolLine, worstOf } from "../src/summary";

const hook = (state: HookState, more: Partial<HookStatus> = {}): HookStatus => ({
  name: "postCreate",
  origin: "devcontainer",
  state,
  runId: null,
  startedAt: null,
  durationMs: null,
  exitCode: null,
  signal: null,
  reason: null,
  blockedBy: null,
  changed: false,
  attempt: 1,
  canRetry: false,
  canSkip: false,
  commands: [],
  ...more,
});

const tool = (state: ToolState): ToolStatus => {
  const installed = { by: null, path: null, builtWith: null, rolledBackFrom: null };
  return { name: "gopls", version: "v0.23.0", why: "compat table", state, ...installed };
};

const workspace = (path: string, state: WorkspaceStatus["state"], more: Partial<WorkspaceStatus> = {}): WorkspaceStatus => {
  return { path, state, reasons: [], problems: [], generation: null, hooks: [], tools: [], ...more };
};

void test("the headline names what a workspace is at, or what is the matter", () => {
  for (const [given, expected] of [
    [workspace("/a", "ready", { hooks: [hook("succeeded")] }), "ready"],
    [workspace("/a", "working", { hooks: [hook("running")] }), "postCreate"],
    [workspace("/a", "working", { tools: [tool("installing")] }), "installing gopls"],
    [workspace("/a", "working", { tools: [tool("verified")] }), "Go tools"],
    [workspace("/a", "working"), "working"],
    [workspace("/a", "attention", { hooks: [hook("failed")], tools: [tool("missing")] }), "postCreate failed"],
    [workspace("/a", "attention", { hooks: [hook("succeeded")], tools: [tool("drifted")] }), "gopls drifted"],
    [workspace("/a", "attention"), "needs attention"],
  ] as const) {
    assert.equal(headline(given), expected);
  }
});

void test("a folder without Go is left in peace, unless there is something else to tell of it", () => {
  const noModule = { code: "BUR206" as const, message: "find a Go module", hint: null };
  const cases: [Partial<WorkspaceStatus>, boolean][] = [
    [{ reasons: [noModule] }, false],
    [{ reasons: [noModule], hooks: [hook("pending")] }, true],
    [{ reasons: [noModule, { code: "BUR202" as const, message: "", hint: null }] }, true],
    [{}, true],
  ];
  for (const [more, expected] of cases) {
    assert.equal(isOfInterest(workspace("/a", "attention", more)), expected, JSON.stringify(more));
  }
});

void test("a hook is told with what ended it, how long it took and where it was written", () => {
  for (const [given, expected] of [
    [hook("succeeded", { exitCode: 0, durationMs: 340 }), "postCreate: succeeded, 340 ms"],
    [hook("failed", { exitCode: 7, durationMs: 1200 }), "postCreate: failed, exit code 7, 1.2 s"],
    [hook("failed", { signal: 9 }), "postCreate: failed, signal 9"],
    [hook("blocked", { blockedBy: "onCreate" }), "postCreate: held back, by onCreate"],
    [hook("failed", { exitCode: 1, reason: "out of memory" }), "postCreate: failed, out of memory"],
    [hook("pending", { origin: "burrow" }), "postCreate (burrow): due"],
  ] as const) {
    const { name, state } = hookLine(given);
    assert.equal(`${name}: ${state}`, expected);
  }
});

void test("a repair is told in a line a tool, with what takes longest", () => {
  const action = (verb: RepairVerb, tool: string | null, why: string, cost: ActionCost): RepairAction => {
    return { verb, tool, version: tool === null ? null : "v1.0.0", why, cost };
  };
  const actions = [
    action("fetch", "dlv", "it is not installed", "network"),
    action("build", "dlv", "it is not installed", "building"),
    action("verify", "dlv", "a binary is compared", "reading"),
    action("relink", "gopls", "its link is gone", "links"),
    action("activate", null, "as a whole", "links"),
  ];
  assert.deepEqual(planLines(actions), [
    "fetch, build, verify dlv v1.0.0: it is not installed (minutes, with all processors)",
    "relink gopls v1.0.0: its link is gone (at once)",
    "activate: as a whole (at once)",
  ]);
});

void test("an error is told in sentences, with its code and what to do", () => {
  for (const [message, data, expected] of [
    ["go back: there is none", { code: "BUR411", hint: "run `burrow tools repair`" }, "Go back: there is none (BUR411). Run `burrow tools repair`."],
    ["it ended.", { code: "BUR301", hint: null }, "It ended (BUR301)."],
    ["Why?", undefined, "Why?"],
  ] as const) {
    assert.equal(sentences(message, data), expected);
  }
});

void test("a tool is told with why it has its version", () => {
  assert.deepEqual(toolLine(tool("verified")), { icon: "verified", name: "gopls v0.23.0", state: "verified, compat table" });
});

void test("the worst of several folders is shown, and other windows' folders are not", () => {
  const workspaces = [workspace("/a", "ready"), workspace("/b", "attention"), workspace("/c", "working")];
  assert.equal(worstOf(workspaces)?.path, "/b");
  assert.equal(worstOf([]), undefined);
  const details = { protocol: 1, build: "b", pid: 1, workspaces: ["/a", "/c"] };
  const container = { kind: "host", id: "", startId: "" } as const;
  const unknown = { engineId: null, name: null, image: null, published: [], mounts: [], labels: {}, notes: [] };
  const surroundings = { knownBy: "nobody", ...unknown } as const;
  const status = { version: "0", protocol: 1, pid: 1, container, surroundings, ports: [], leases: [], workspaces };
  assert.deepEqual(ownWorkspaces(details, status).map(({ path }) => path), ["/a", "/c"]);
});

void test("durations are told as people do", () => {
  assert.deepEqual([999, 1000, 59_940, 125_000].map(duration), ["999 ms", "1.0 s", "59.9 s", "2 min 5 s"]);
});

void test("the daemon's words become no link, picture or icon; its code stays code", () => {
  for (const [given, expected] of [
    ["see `burrow hook log`, then", "see `burrow hook log`\\, then"],
    ["[a](command:b) $(zap) <b>", "\\[a\\]\\(command\\:b\\) \\$\\(zap\\) \\<b\\>"],
    ["one ` alone\nand *this*", "one \\` alone and \\*this\\*"],
  ] as const) {
    assert.equal(markdown(given), expected);
  }
});

void test("a port is told with who has it and for how long", () => {
  const port = { port: 40000, leaseId: null, holder: null, kind: null, purpose: null, pid: null, since: null };
  const since = "2026-01-02T03:04:05Z";
  const now = Date.parse(since) + 65_000;
  for (const [given, expected] of [
    [{ ...port, state: "free" }, "free"],
    [{ ...port, state: "connected", holder: "api", pid: 7, since }, "connected, api, for 1 min 5 s"],
    [{ ...port, state: "foreign", holder: "node", pid: 7 }, "taken by another process, node, process 7"],
  ] as const) {
    assert.deepEqual(portLine(given, now).state, expected);
  }
  assert.equal(portLine({ ...port, state: "connected", holder: "api", since }).state, "connected, api", "an age that nobody renews");
});

void test("what ended by itself without success has failed", () => {
  const states: HookState[] = ["failed", "timedOut", "interrupted", "cancelled", "skipped", "external", "running"];
  assert.deepEqual(states.filter((state) => hasFailed({ state })), ["failed", "timedOut", "interrupted"]);
});

void test("runs and commands are told like hooks", () => {
  const { name, state } = commandLine({ ...hook("failed", { exitCode: 2, durationMs: 5 }), name: "db", optional: false, background: false, ready: false });
  assert.equal(`${name}: ${state}`, "db: failed, exit code 2, 5 ms");
  const run = { runId: "3-onCreate", hook: "onCreate", origin: "burrow", startedAt: "2026-01-02T03:04:05.123Z", state: "running" } as const;
  assert.equal(runLine({ ...run, commands: [], standings: [] }).state, "running, 2026-01-02 03:04:05");
});
