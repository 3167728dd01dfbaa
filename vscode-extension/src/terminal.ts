// A debug session whose program has a terminal to be typed to: dlv runs there. A terminal is the window's, not the daemon's.

import * as vscode from "vscode";
import { dlvFlags, leaseEnvironment, type Configuration } from "./launch";
import { Meeting } from "./meeting";

/** What stands below the program's last words. */
const OVER = "The session is over. Enter closes this terminal.";

/**
 * What the terminal runs: dlv, and where that ended well it waits. VS Code takes away the terminal of a process that has
 * ended, and with it the program's last words. `-m`: dlv gives the terminal to its program, and the shell takes it back.
 */
const SHELL = ["-m", "-c", String.raw`"$@" && printf '\n\033[2m%s\033[0m' '${OVER}' && read -r answer`, "burrow"];

/** The terminals of debug sessions. */
export class Terminals {
  /** By the name of the configuration: the terminal whose session is over. */
  private readonly over = new Map<string, vscode.Terminal>();

  /** Starts `dlv` in `cwd` in a terminal of its own, and says where it can be spoken to. */
  async start(session: vscode.DebugSession, config: Configuration, dlv: string, cwd: string): Promise<vscode.DebugAdapterDescriptor> {
    this.over.get(config.name)?.dispose();
    const meeting = await Meeting.open();
    const terminal = vscode.window.createTerminal({
      name: config.name,
      cwd,
      env: { ...leaseEnvironment(config), PWD: cwd },
      shellPath: "/bin/sh",
      shellArgs: [...SHELL, dlv, "dap", `--client-addr=unix:${meeting.path}`, ...dlvFlags(config)],
    });
    terminal.show(true);
    const watching = vscode.Disposable.from(
      vscode.window.onDidCloseTerminal((closed) => {
        if (closed === terminal) {
          watching.dispose();
          this.over.delete(config.name);
          meeting.close(new Error(`dlv ended in its terminal before it could be spoken to (${dlv}).`));
          void vscode.debug.stopDebugging(session);
        }
      }),
      vscode.debug.onDidTerminateDebugSession(({ id }) => {
        if (id === session.id) {
          watching.dispose();
          this.over.set(config.name, terminal);
        }
      }),
    );
    await meeting.first;
    return new vscode.DebugAdapterNamedPipeServer(meeting.path);
  }
}
