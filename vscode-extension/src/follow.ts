// The daemon's status as this window knows it: a snapshot and the changes after it. Knows nothing of VS Code.

import type { ModelChange, ModelChanged, Snapshot, Status } from "./generated/protocol";

/** Follows the sequence of changes. Whoever owns it subscribes again when told that one is missing. */
export class Follower {
  /** The last status known; it stays while a new snapshot is awaited. */
  status: Status | undefined;
  /** The last change in `status`; `undefined` while a snapshot is awaited. */
  private seq: number | undefined;
  /** Changes that came before the snapshot: the daemon may send them first. */
  private early: ModelChanged[] = [];

  /** Takes the answer of `burrow/model/subscribe`. Returns false when a change after it is missing. */
  begin(snapshot: Snapshot): boolean {
    this.status = snapshot.status;
    this.seq = snapshot.seq;
    const early = this.early;
    this.early = [];
    return early.every((changed) => this.follow(changed));
  }

  /** Takes one `burrow/model/changed`. Returns false when one before it is missing. */
  follow(changed: ModelChanged): boolean {
    if (this.seq === undefined || this.status === undefined) {
      this.early.push(changed);
      return true;
    }
    if (changed.seq <= this.seq) {
      return true; // part of the snapshot already
    }
    if (changed.seq > this.seq + 1) {
      this.seq = undefined;
      return false;
    }
    this.seq = changed.seq;
    this.status = apply(this.status, changed.change);
    return true;
  }
}

function apply(status: Status, change: ModelChange): Status {
  switch (change.kind) {
    case "workspace": {
      const others = status.workspaces.filter((workspace) => workspace.path !== change.workspace.path);
      const workspaces = [...others, change.workspace].sort((a, b) => (a.path < b.path ? -1 : 1));
      return { ...status, workspaces };
    }
    case "debug":
      return { ...status, ports: change.ports, leases: change.leases };
    case "surroundings":
      return { ...status, surroundings: change.surroundings };
  }
}
