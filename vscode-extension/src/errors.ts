// Errors in words for the user. The daemon's own carry a code and, where there is one, the next step.

import * as vscode from "vscode";
import { ErrorCodes, ResponseError } from "vscode-languageclient/node";
import { sentences } from "./summary";
import type { ErrorCode, ErrorData } from "./generated/protocol";

/** What the daemon said of an error; nothing where it is another's. */
export function errorData(error: unknown): Partial<ErrorData> | undefined {
  if (!(error instanceof ResponseError)) {
    return undefined;
  }
  const data = error.data as Partial<ErrorData> | undefined;
  return data?.code === undefined ? undefined : data;
}

/** What failed and, where the daemon says so, what to do next. */
export function describe(error: unknown): string {
  if (error instanceof ResponseError) {
    if (error.code === ErrorCodes.PendingResponseRejected) {
      return "Burrow's daemon ended before it answered.";
    }
    return sentences(error.message, errorData(error));
  }
  return error instanceof Error ? error.message : String(error);
}

/** What the daemon says where a workspace has no dlv. */
const NO_DLV: ErrorCode = "BUR505";

/** Puts an error in front of the user, with what mends it or the way to more. */
export async function showError(error: unknown, output: vscode.LogOutputChannel): Promise<void> {
  const message = describe(error);
  output.error(message);
  if (errorData(error)?.code === NO_DLV) {
    await offerRepair(message);
  } else if ((await vscode.window.showErrorMessage(message, "Show Output")) !== undefined) {
    output.show();
  }
}

/** Tells of tools that are missing, with the way to get them: of `workspace`, or of one that the user picks. */
export async function offerRepair(message: string, workspace?: string): Promise<void> {
  if ((await vscode.window.showErrorMessage(message, "Repair Go Toolchain")) !== undefined) {
    await vscode.commands.executeCommand("burrow.repairTools", ...(workspace === undefined ? [] : [{ workspace }]));
  }
}
