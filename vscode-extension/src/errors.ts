// Errors in words for the user. The daemon's own carry a code and, where there is one, the next step.

import * as vscode from "vscode";
import { ResponseError } from "vscode-languageclient/node";
import type { ErrorData } from "./generated/protocol";

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
    const data = errorData(error);
    return [error.message, data?.code === undefined ? "" : `(${data.code})`, data?.hint ?? ""].join(" ").trim();
  }
  return error instanceof Error ? error.message : String(error);
}

/** Puts an error in front of the user, with the way to more. */
export async function showError(error: unknown, output: vscode.LogOutputChannel): Promise<void> {
  const message = describe(error);
  output.error(message);
  if ((await vscode.window.showErrorMessage(message, "Show Output")) !== undefined) {
    output.show();
  }
}
