// Leases for debug clients: what one is asked with, and what it gives. Pure; knows nothing of VS Code.

import type { LeaseParams, LeaseStatus } from "./generated/protocol";

/** Where leased ports are. */
export const HOST = "127.0.0.1";

/** Where a launch configuration keeps the lease that was lent to it. */
export const LEASE = "__burrowLease";

/** The port of a lease. */
export function portOf({ endpoint }: LeaseStatus): number {
  if ("port" in endpoint) {
    return endpoint.port;
  }
  throw new Error("The daemon lent no port.");
}

/** A lease for one debug client in `workspace`: the first free port and the workspace's dlv, unless `more` says otherwise. */
export function dapLease(workspace: string, more: Partial<LeaseParams>): LeaseParams {
  return {
    workspace,
    kind: "dap",
    port: null,
    anyPort: false,
    wait: false,
    program: null,
    purpose: "VS Code",
    cwd: null,
    env: {},
    headless: null,
    to: null,
    follow: false,
    reload: null,
    dlv: null,
    flags: [],
    ...more,
  };
}
