// The output of hooks' runs, each in a terminal of its own: from its first byte on, and live while it runs.
//
// The terminal only reads. The run is the daemon's and goes on when the terminal is closed, the window reloads or the
// daemon is started anew; then reading goes on at the byte where it was.

import * as vscode from "vscode";
import type { Daemon } from "./daemon";
import { describe, errorData } from "./errors";
import type { ErrorCode } from "./generated/protocol";
import { CommandOutput, remark } from "./lines";
import { hookLine } from "./summary";

/** One run: which, and what it consists of. */
export interface Run {
  workspace: string;
  runId: string;
  /** What the terminal is called. */
  title: string;
  commands: readonly string[];
}

/** How long one question for output may wait; then it is asked anew. */
const WAIT_MS = 30_000;

/** What the daemon says of a run that was queued and then held back. */
const RUN_UNKNOWN: ErrorCode = "BUR304";

/** The terminals with output; one a run. */
export class HookLogs implements vscode.Disposable {
  private readonly terminals = new Map<string, vscode.Terminal>();
  private readonly closing = vscode.window.onDidCloseTerminal((closed) => {
    for (const [key, terminal] of this.terminals) {
      if (terminal === closed) {
        this.terminals.delete(key);
      }
    }
  });

  constructor(private readonly daemon: Daemon) {}

  dispose(): void {
    this.closing.dispose();
  }

  /** Shows the output of `run`. */
  show(run: Run): void {
    const key = `${run.workspace}\n${run.runId}`;
    const terminal = this.terminals.get(key) ?? this.create(run);
    this.terminals.set(key, terminal);
    terminal.show();
  }

  private create(run: Run): vscode.Terminal {
    const icon = new vscode.ThemeIcon("output");
    return vscode.window.createTerminal({ name: run.title, pty: new RunTerminal(this.daemon, run), iconPath: icon });
  }
}

/** The inside of one terminal. */
class RunTerminal implements vscode.Pseudoterminal {
  private readonly writes = new vscode.EventEmitter<string>();
  readonly onDidWrite = this.writes.event;
  private isClosed = false;

  constructor(
    private readonly daemon: Daemon,
    private readonly run: Run,
  ) {}

  open(): void {
    void this.follow();
  }

  close(): void {
    this.isClosed = true;
  }

  private async follow(): Promise<void> {
    const { commands, runId } = this.run;
    await Promise.all(commands.map((command) => this.followCommand(command, commands.length > 1)));
    this.write(remark(`\n${runId}: ${await this.outcome()}`));
  }

  private async followCommand(command: string, isOneOfSeveral: boolean): Promise<void> {
    const output = new CommandOutput(isOneOfSeveral ? command : "");
    const { workspace, runId } = this.run;
    let offset = 0;
    let attempt = 0; // the first that is kept
    let ended = false;
    while (!ended && !this.isClosed) {
      try {
        const params = { workspace, runId, command, offset, waitMs: WAIT_MS, attempt, untilReady: false };
        const piece = await this.daemon.request("burrow/hooks/readLog", params);
        this.write(output.add(piece));
        offset = piece.next;
        attempt = piece.attempt;
        ended = piece.ended;
      } catch (error) {
        const code = errorData(error)?.code;
        if (code === undefined) {
          await this.daemon.connected(); // the run goes on without a daemon
        } else {
          ended = true;
          this.write(code === RUN_UNKNOWN ? "" : remark(describe(error)));
        }
      }
    }
    this.write(output.finish());
  }

  /** How the run ended, as the daemon has it; asked, since its last change of the status may still be under way. */
  private async outcome(): Promise<string> {
    const { workspace, runId } = this.run;
    const hook = runId.slice(runId.indexOf("-") + 1);
    try {
      const status = await this.daemon.request("burrow/model/status", {});
      const hooks = status.workspaces.find(({ path }) => path === workspace)?.hooks ?? [];
      const found = hooks.find((candidate) => candidate.runId === runId);
      return found === undefined ? `${hook} has run again since` : hookLine(found).state;
    } catch (error) {
      return describe(error);
    }
  }

  private write(text: string): void {
    if (text !== "" && !this.isClosed) {
      this.writes.fire(text);
    }
  }
}
