// What a user does about the Go tools: repair, update, go back. The daemon decides what that takes and does it.

import { basename } from "node:path";
import * as vscode from "vscode";
import type { Daemon } from "./daemon";
import { errorData } from "./errors";
import type { ErrorCode, StartedOperation, ToolsReport, ToolsSwitched } from "./generated/protocol";
import { pickWorkspace } from "./pick";
import { planLines, sentence, toolLine } from "./summary";

/** The Go extension's command that starts gopls anew. */
const RESTART_GOPLS = "go.languageserver.restart";

/** What the daemon says of an operation that was cancelled. */
const CANCELLED: ErrorCode = "BUR415";

/** The commands about Go tools. */
export class Toolchain {
  constructor(private readonly daemon: Daemon) {}

  /** Shows what a repair takes and, if the user agrees, does it. */
  async repair(target: unknown): Promise<void> {
    const workspace = await this.workspace(target, "Burrow: Repair Go Toolchain");
    if (workspace === undefined) {
      return;
    }
    const plan = await this.daemon.request("burrow/toolchain/plan", { workspace, locked: false, keepRollback: false });
    if (plan.actions.length === 0) {
      void vscode.window.showInformationMessage("The Go tools are in order: there is nothing to repair.");
      return;
    }
    const question = `Repair the Go tools of ${basename(workspace)}?`;
    const detail = planLines(plan.actions).join("\n");
    if ((await vscode.window.showInformationMessage(question, { modal: true, detail }, "Repair")) === "Repair") {
      const started = await this.daemon.request("burrow/toolchain/repair", { workspace, locked: false, keepRollback: false });
      await this.watch("Repairing the Go tools", workspace, started);
    }
  }

  /** Moves to the newest versions that the pins allow. */
  async update(target: unknown): Promise<void> {
    const workspace = await this.workspace(target, "Burrow: Update Go Tools");
    if (workspace !== undefined) {
      const started = await this.daemon.request("burrow/toolchain/update", { workspace, name: null, createFolder: false });
      await this.watch("Updating the Go tools", workspace, started);
    }
  }

  /** Makes the tools before the present ones active again. */
  async rollBack(target: unknown): Promise<void> {
    const workspace = await this.workspace(target, "Burrow: Roll Back Go Tools");
    if (workspace !== undefined) {
      const report = await this.daemon.request("burrow/toolchain/rollback", { workspace });
      void vscode.window.showInformationMessage(`Rolled back. ${summary(report)}`);
    }
  }

  /** The folder that a command was called for, else one that the user picks. */
  private async workspace(target: unknown, title: string): Promise<string | undefined> {
    if (typeof target === "object" && target !== null && "workspace" in target && typeof target.workspace === "string") {
      return target.workspace;
    }
    return (await pickWorkspace(this.daemon, title))?.path;
  }

  /** Shows an operation until it has ended, then how it ended. */
  private async watch(title: string, workspace: string, { operation }: StartedOperation): Promise<void> {
    const before = this.daemon.workspaces.find(({ path }) => path === workspace)?.generation ?? null;
    const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
    const result = await vscode.window.withProgress(options, async (shown, cancelled) => {
      let percentage = 0;
      const cancelling = cancelled.onCancellationRequested(() => {
        // Where it has ended meanwhile, there is nothing to cancel.
        this.daemon.request("burrow/toolchain/cancel", { workspace, operation }).catch(() => undefined);
      });
      const following = await this.daemon.onProgress(operation, (progress) => {
        const now = progress.percentage ?? percentage;
        shown.report({ message: progress.message ?? "", increment: now - percentage });
        percentage = now;
      });
      try {
        return await this.daemon.request("burrow/toolchain/await", { workspace, operation });
      } catch (error) {
        if (errorData(error)?.code === CANCELLED) {
          return undefined;
        }
        throw error;
      } finally {
        following.dispose();
        cancelling.dispose();
      }
    });
    if (result === undefined) {
      void vscode.window.showInformationMessage("Cancelled. The Go tools are as they were.");
      return;
    }
    const { report, notes, reasons } = result;
    // What has no code is a state of the tools, which the summary has.
    const wrong = reasons.filter(({ code }) => code !== null).map(({ message }) => sentence(message));
    const message = [summary(report), ...wrong, ...notes.map(sentence)].join(" ");
    const canGoBack = before !== null && report.generation !== before;
    const chosen = await vscode.window.showInformationMessage(message, ...(canGoBack ? ["Roll Back"] : []));
    if (chosen !== undefined) {
      await this.rollBack({ workspace });
    }
  }
}

/** Has the Go extension start gopls anew where another one is active now: it holds on to the old binary otherwise. */
export async function restartGopls({ tools }: ToolsSwitched, output: vscode.LogOutputChannel): Promise<void> {
  // The command is there only while the Go extension runs.
  if (tools.includes("gopls") && (await vscode.commands.getCommands(true)).includes(RESTART_GOPLS)) {
    output.info("another gopls is active: the Go extension starts it anew");
    await vscode.commands.executeCommand(RESTART_GOPLS);
  }
}

function summary(report: ToolsReport): string {
  return `Go tools: ${report.tools.map(toolLine).map(({ name, state }) => `${name} ${state}`).join("; ")}.`;
}
