// The status in words: the lines that the hover and "Show Status" have in common. Pure; knows nothing of VS Code.

import type {
  ActionCost,
  CommandStatus,
  ErrorCode,
  HookState,
  HookStatus,
  PortState,
  PortStatus,
  RepairAction,
  RunSummary,
  ServerDetails,
  Status,
  ToolState,
  ToolStatus,
  WorkspaceState,
  WorkspaceStatus,
} from "./generated/protocol";

/** One hook or tool: an icon's name, what it is, how it stands. */
export interface Line {
  icon: string;
  name: string;
  state: string;
}

const HOOKS: Record<HookState, { icon: string; words: string; bad: boolean }> = {
  pending: { icon: "circle-outline", words: "due", bad: false },
  blocked: { icon: "debug-pause", words: "held back", bad: false },
  running: { icon: "sync~spin", words: "running", bad: false },
  succeeded: { icon: "pass", words: "succeeded", bad: false },
  failed: { icon: "error", words: "failed", bad: true },
  timedOut: { icon: "watch", words: "timed out", bad: true },
  cancelled: { icon: "circle-slash", words: "cancelled", bad: true },
  interrupted: { icon: "question", words: "interrupted", bad: true },
  external: { icon: "link-external", words: "run by another tool, result unknown", bad: false },
  skipped: { icon: "debug-step-over", words: "skipped", bad: false },
};

const TOOLS: Record<ToolState, { icon: string; words: string; bad: boolean }> = {
  verified: { icon: "verified", words: "verified", bad: false },
  missing: { icon: "circle-outline", words: "missing", bad: true },
  drifted: { icon: "warning", words: "drifted", bad: true },
  installing: { icon: "sync~spin", words: "installing", bad: false },
  failed: { icon: "error", words: "could not be installed", bad: true },
  unverified: { icon: "unverified", words: "unverified", bad: false },
};

const PORTS: Record<PortState, { icon: string; words: string }> = {
  free: { icon: "circle-outline", words: "free" },
  leased: { icon: "watch", words: "leased, nobody connected" },
  connected: { icon: "debug-alt", words: "connected" },
  foreign: { icon: "lock", words: "taken by another process" },
};

const COSTS: Record<ActionCost, string> = {
  links: "at once",
  reading: "seconds",
  network: "a download",
  building: "minutes, with all processors",
};

/** The costs, the least first. */
const ORDER = Object.keys(COSTS);

/** What the daemon says of a folder without Go. */
const NO_MODULE: ErrorCode = "BUR206";

const SEVERITY: Record<WorkspaceState, number> = { ready: 0, working: 1, attention: 2 };

/** The workspaces of this window: a daemon may have those of other windows as well. */
export function ownWorkspaces(details: ServerDetails, status: Status): WorkspaceStatus[] {
  return status.workspaces.filter((workspace) => details.workspaces.includes(workspace.path));
}

/** Whether there is anything to tell of it: a folder with neither Go nor hooks is left in peace. */
export function isOfInterest({ hooks, tools, reasons }: WorkspaceStatus): boolean {
  return hooks.length > 0 || tools.length > 0 || reasons.length === 0 || reasons.some(({ code }) => code !== NO_MODULE);
}

/** The one that most needs to be looked at. */
export function worstOf(workspaces: readonly WorkspaceStatus[]): WorkspaceStatus | undefined {
  return [...workspaces].sort((a, b) => SEVERITY[b.state] - SEVERITY[a.state])[0];
}

/** What a workspace is at, or what is the matter with it, in two or three words. */
export function headline(workspace: WorkspaceStatus): string {
  switch (workspace.state) {
    case "ready":
      return "ready";
    case "working": {
      const hook = workspace.hooks.find((hook) => hook.state === "running");
      const tool = workspace.tools.find((tool) => tool.state === "installing");
      if (hook !== undefined || tool !== undefined) {
        return hook?.name ?? `installing ${tool?.name}`;
      }
      // They are verified, or built for the other platforms of the lock file.
      return workspace.tools.length > 0 ? "Go tools" : "working";
    }
    case "attention": {
      const hook = workspace.hooks.find((hook) => HOOKS[hook.state].bad);
      const tool = workspace.tools.find((tool) => TOOLS[tool.state].bad);
      if (hook !== undefined) {
        return `${hook.name} ${HOOKS[hook.state].words}`;
      }
      return tool === undefined ? "needs attention" : `${tool.name} ${TOOLS[tool.state].words}`;
    }
  }
}

/** Whether it is worth telling somebody: it ended without success, and not because the user ended it. */
export function hasFailed({ state }: { state: HookState }): boolean {
  return state === "failed" || state === "timedOut" || state === "interrupted";
}

/** One hook. */
export function hookLine(hook: HookStatus): Line {
  const held = hook.blockedBy === null ? [] : [`by ${hook.blockedBy}`];
  const name = hook.origin === "devcontainer" ? hook.name : `${hook.name} (${hook.origin})`;
  return { icon: HOOKS[hook.state].icon, name, state: outcome(hook, held) };
}

/** One command of a hook that has several. */
export function commandLine(command: CommandStatus): Line {
  return { icon: HOOKS[command.state].icon, name: command.name, state: outcome(command, []) };
}

/** One run on record. */
export function runLine({ hook, state, startedAt }: RunSummary): Line {
  const began = startedAt === null ? "" : `, ${startedAt.slice(0, 19).replace("T", " ")}`;
  return { icon: HOOKS[state].icon, name: hook, state: HOOKS[state].words + began };
}

function outcome(of: HookStatus | CommandStatus, more: readonly string[]): string {
  const facts = [HOOKS[of.state].words];
  if (of.reason !== null) {
    facts.push(of.reason);
  } else if (of.exitCode !== null && of.exitCode !== 0) {
    facts.push(`exit code ${of.exitCode}`);
  } else if (of.signal !== null) {
    facts.push(`signal ${of.signal}`);
  }
  facts.push(...more);
  if (of.durationMs !== null) {
    facts.push(duration(of.durationMs));
  }
  return facts.join(", ");
}

/** One debug port; with its age where it is looked at now, in milliseconds, and not later. */
export function portLine({ port, state, holder, pid, since }: PortStatus, now?: number): Line {
  const { icon, words } = PORTS[state];
  const facts = [words];
  if (holder !== null) {
    facts.push(holder);
  }
  if (pid !== null && state === "foreign") {
    facts.push(`process ${pid}`);
  }
  if (since !== null && now !== undefined) {
    facts.push(`for ${duration(Math.max(0, now - Date.parse(since)))}`);
  }
  return { icon, name: String(port), state: facts.join(", ") };
}

/** One tool. */
export function toolLine(tool: ToolStatus): Line {
  const { icon, words } = TOOLS[tool.state];
  return { icon, name: `${tool.name} ${tool.version}`, state: `${words}, ${tool.why}` };
}

/** What a repair does: a line a tool, with why it is touched and what takes longest. */
export function planLines(actions: readonly RepairAction[]): string[] {
  const tools = [...new Set(actions.map(({ tool }) => tool))];
  return tools.flatMap((tool) => {
    const [first, ...rest] = actions.filter((action) => action.tool === tool);
    if (first === undefined) {
      return [];
    }
    const verbs = [first, ...rest].map(({ verb }) => verb).join(", ");
    const what = [verbs, tool, first.version].filter((word) => word !== null).join(" ");
    const cost = rest.reduce((most, { cost }) => (ORDER.indexOf(cost) > ORDER.indexOf(most) ? cost : most), first.cost);
    return [`${what}: ${first.why} (${COSTS[cost]})`];
  });
}

/** Whether a tool waits for a repair. */
export function isWanting({ state }: ToolStatus): boolean {
  return TOOLS[state].bad;
}

/** An error of the daemon's as sentences: what failed with its code, then what to do about it. */
export function sentences(message: string, data: { code?: string; hint?: string | null } | undefined): string {
  const what = data?.code === undefined ? message : `${message.replace(/\.$/, "")} (${data.code})`;
  return [what, data?.hint ?? ""].filter((part) => part !== "").map(sentence).join(" ");
}

/** Words of the daemon's as a sentence. */
export function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

/** A duration for people: `340 ms`, `1.2 s`, `2 min 5 s`. */
export function duration(milliseconds: number): string {
  if (milliseconds < 1000) {
    return `${milliseconds} ms`;
  }
  if (milliseconds < 60_000) {
    return `${(milliseconds / 1000).toFixed(1)} s`;
  }
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/**
 * The daemon's words as Markdown: code in backticks stays code, nothing else becomes a link, a picture or an icon.
 * (VS Code's own `appendText` makes every space one that does not wrap.)
 */
export function markdown(text: string): string {
  const parts = text.replaceAll("\n", " ").split(/(`[^`]+`)/);
  // `split` gives what it split by at the odd places.
  return parts.map((part, at) => (at % 2 === 1 ? part : part.replaceAll(/[!-/:-@[-`{-~]/g, String.raw`\$&`))).join("");
}
