// What a user does about hooks: see a run's output, run again what failed, pass one over, end one.

import * as vscode from "vscode";
import type { Daemon } from "./daemon";
import type { HookName, HookStatus, RunSummary, WorkspaceStatus } from "./generated/protocol";
import type { HookLogs } from "./hookLog";
import { pick, pickWorkspace } from "./pick";
import { hookLine, runLine } from "./summary";

/** A hook that a command is for: what links, notifications and the tree hand over. */
export interface HookTarget {
  workspace: string;
  hook: HookName;
  /** One command of it, where one is meant. */
  command?: string | null;
  /** Its run, where one is meant. */
  runId?: string | null;
}

/** Whether a command was called for one hook, rather than from the palette. */
export function isHookTarget(value: unknown): value is HookTarget {
  return typeof value === "object" && value !== null && "workspace" in value && "hook" in value;
}

/** The commands about hooks. */
export class Hooks {
  constructor(
    private readonly daemon: Daemon,
    private readonly logs: HookLogs,
  ) {}

  /** Opens the output of a run: the target's, else one that the user picks of those on record. */
  async showLog(target: unknown): Promise<void> {
    const run = isHookTarget(target) ? await this.runOf(target) : await this.pickRun();
    if (run !== undefined) {
      const { runId, hook, commands, workspace } = run;
      this.logs.show({ workspace, runId, title: `Burrow: ${hook}`, commands });
    }
  }

  /** Runs again what did not succeed: of one hook or command, else of all. */
  async retry(target: unknown): Promise<void> {
    if (isHookTarget(target)) {
      const { workspace, hook, command = null } = target;
      await this.daemon.request("burrow/hooks/retry", { workspace, hook, command });
      return;
    }
    const failed = this.daemon.required().filter((workspace) => workspace.hooks.some(({ canRetry }) => canRetry));
    for (const { path } of failed) {
      await this.daemon.request("burrow/hooks/retry", { workspace: path, hook: null, command: null });
    }
    if (failed.length === 0) {
      void vscode.window.showInformationMessage("There is no hook to retry: none has failed or was cancelled.");
    }
  }

  /** Counts a hook or a command of it as done without running it; asks why. */
  async skip(target: unknown): Promise<void> {
    const chosen = isHookTarget(target) ? target : await this.pickUnfinished();
    if (chosen === undefined) {
      return;
    }
    const { workspace, hook, command = null } = chosen;
    const reason = await vscode.window.showInputBox({
      title: `Burrow: Skip ${[hook, command ?? ""].filter((word) => word !== "").join("/")}`,
      prompt: "It counts as done, and what waited for it goes on. Why, for the record?",
      placeHolder: "Enter skips it, also without a reason",
    });
    if (reason !== undefined) {
      await this.daemon.request("burrow/hooks/skip", { workspace, hook, command, reason: reason === "" ? null : reason });
    }
  }

  /** Runs what is due, in every folder of this window. */
  async runDue(): Promise<void> {
    for (const { path } of this.daemon.required()) {
      await this.daemon.request("burrow/hooks/up", { workspace: path });
    }
  }

  /** Ends a run, or one command of it. */
  async cancel(target: unknown): Promise<void> {
    if (isHookTarget(target) && typeof target.runId === "string") {
      const { workspace, runId, command = null } = target;
      await this.daemon.request("burrow/hooks/cancel", { workspace, runId, command });
    }
  }

  private async runs(workspace: string, hook: HookName | null): Promise<readonly (RunSummary & { workspace: string })[]> {
    const { runs } = await this.daemon.request("burrow/hooks/runs", { workspace, hook });
    return runs.map((run) => ({ ...run, workspace }));
  }

  private async runOf({ workspace, hook, runId }: HookTarget): Promise<(RunSummary & { workspace: string }) | undefined> {
    const runs = await this.runs(workspace, hook);
    const found = typeof runId === "string" ? runs.find((run) => run.runId === runId) : runs[0];
    if (found === undefined) {
      void vscode.window.showInformationMessage(`${hook} has not run yet.`);
    }
    return found;
  }

  private async pickRun(): Promise<(RunSummary & { workspace: string }) | undefined> {
    const workspace = await pickWorkspace(this.daemon, "Burrow: Show Hook Log");
    if (workspace === undefined) {
      return undefined;
    }
    const runs = await this.runs(workspace.path, null);
    if (runs.length === 0) {
      void vscode.window.showInformationMessage("No hook has run yet.");
      return undefined;
    }
    return pick("Burrow: Show Hook Log", runs, (run) => {
      const { icon, name, state } = runLine(run);
      return { label: `$(${icon}) ${name}`, description: state, detail: run.runId };
    });
  }

  private async pickUnfinished(): Promise<HookTarget | undefined> {
    const workspace = await pickWorkspace(this.daemon, "Burrow: Skip Hook");
    const hooks = workspace?.hooks.filter(({ canSkip }) => canSkip) ?? [];
    if (workspace !== undefined && hooks.length === 0) {
      void vscode.window.showInformationMessage("There is no hook to skip: all are done, or running.");
    }
    const hook = await pick("Burrow: Skip Hook", hooks, (candidate) => {
      const { icon, name, state } = hookLine(candidate);
      return { label: `$(${icon}) ${name}`, description: state };
    });
    return hook === undefined || workspace === undefined ? undefined : hookTarget(workspace, hook);
  }
}

/** What a command about `hook` is called with. */
export function hookTarget(workspace: WorkspaceStatus, hook: HookStatus): HookTarget {
  return { workspace: workspace.path, hook: hook.name, runId: hook.runId };
}
