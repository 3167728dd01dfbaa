import assert from "node:assert/strict";
import { test } from "node:test";
import { Follower } from "../src/follow";
import type { ModelChanged, Snapshot, WorkspaceStatus } from "../src/generated/protocol";

const workspace = (path: string, state: WorkspaceStatus["state"]): WorkspaceStatus => {
  return { path, state, reasons: [], problems: [], generation: null, hooks: [], tools: [] };
};

const snapshot = (seq: number, ...workspaces: WorkspaceStatus[]): Snapshot => {
  const container = { kind: "host", id: "c", startId: "s" } as const;
  const unknown = { engineId: null, name: null, image: null, published: [], mounts: [], labels: {}, notes: [] };
  const surroundings = { knownBy: "nobody", ...unknown } as const;
  const status = { version: "0", protocol: 1, pid: 1, container, surroundings, ports: [], leases: [], workspaces };
  return { seq, status };
};

const changed = (seq: number, value: WorkspaceStatus): ModelChanged => {
  return { seq, change: { kind: "workspace", workspace: value } };
};

const states = (follower: Follower): string[] | undefined =>
  follower.status?.workspaces.map(({ path, state }) => `${path} ${state}`);

void test("changes follow their snapshot in order", () => {
  const follower = new Follower();
  assert.equal(follower.begin(snapshot(4, workspace("/b", "ready"))), true);
  assert.equal(follower.follow(changed(5, workspace("/a", "working"))), true);
  assert.equal(follower.follow(changed(6, workspace("/b", "attention"))), true);
  assert.deepEqual(states(follower), ["/a working", "/b attention"]);
});

void test("a change that the snapshot has already is not applied again", () => {
  const follower = new Follower();
  follower.begin(snapshot(4, workspace("/a", "ready")));
  assert.equal(follower.follow(changed(4, workspace("/a", "attention"))), true);
  assert.deepEqual(states(follower), ["/a ready"]);
});

void test("a change that comes before the snapshot's answer is kept", () => {
  const follower = new Follower();
  assert.equal(follower.follow(changed(4, workspace("/a", "working"))), true);
  assert.equal(follower.follow(changed(5, workspace("/a", "ready"))), true);
  assert.equal(follower.begin(snapshot(4, workspace("/a", "working"))), true);
  assert.deepEqual(states(follower), ["/a ready"]);
});

void test("a gap asks for a new snapshot, and the old status is shown until it comes", () => {
  const follower = new Follower();
  follower.begin(snapshot(4, workspace("/a", "ready")));
  assert.equal(follower.follow(changed(6, workspace("/a", "attention"))), false);
  assert.deepEqual(states(follower), ["/a ready"]);
  assert.equal(follower.follow(changed(8, workspace("/a", "working"))), true);
  assert.equal(follower.begin(snapshot(7, workspace("/a", "attention"))), true);
  assert.deepEqual(states(follower), ["/a working"]);
});

void test("a gap among the early changes asks again", () => {
  const follower = new Follower();
  follower.follow(changed(6, workspace("/a", "attention")));
  assert.equal(follower.begin(snapshot(4, workspace("/a", "ready"))), false);
});

void test("ports and leases are replaced as a whole", () => {
  const follower = new Follower();
  follower.begin(snapshot(0));
  const port = { port: 40000, state: "free", leaseId: null, holder: null, kind: null, purpose: null, pid: null, since: null } as const;
  follower.follow({ seq: 1, change: { kind: "debug", ports: [port], leases: [] } });
  assert.deepEqual(follower.status?.ports, [port]);
});
