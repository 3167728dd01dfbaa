// What a lease for a debug client is asked with. Pure; knows nothing of VS Code.

import type { LeaseParams } from "./generated/protocol";

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
