// The restart of a session whose output comes through the debug adapter (`outputMode: remote`).
//
// dlv's own restart forgets that mode: what the program prints afterwards would reach nobody (Delve 1.27.1,
// `onRestartRequest` in service/dap/server.go). So VS Code is told that dlv has no restart, and starts another dlv in the same session.

import type * as vscode from "vscode";

/** What is read of a message of the debug adapter protocol. */
interface Message {
  type?: string;
  command?: string;
  arguments?: { restart?: boolean };
  body?: Record<string, unknown>;
}

/** Watches over one debug adapter: `begins` is called when it is to end for a restart, `again` once it has. */
export function restartByVsCode(begins: () => void, again: () => void): vscode.DebugAdapterTracker {
  let restarts = false;
  return {
    onWillReceiveMessage: ({ command, arguments: given }: Message) => {
      if (command === "disconnect" && given?.restart === true) {
        restarts = true;
        begins();
      }
    },
    onDidSendMessage: (message: Message) => {
      if (message.type !== "response") {
        return;
      }
      if (message.command === "initialize" && message.body !== undefined) {
        message.body.supportsRestartRequest = false;
      }
      if (message.command === "disconnect" && restarts) {
        again();
      }
    },
  };
}
