// The `burrow` program: which one, whether to start it, and running its commands. Knows nothing of VS Code.

import { execFile } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";

import type { ErrorCode, ErrorData } from "./generated/protocol";

/** The setting `burrow.autoStart`. */
export type AutoStart = "inContainer" | "always" | "never";

/** What `burrow` says where the user stopped the daemon. */
const STOPPED_BY_USER: ErrorCode = "BUR110";

/** What VS Code's server puts into its own environment and no child process should inherit. */
const INTERNAL = /^(ELECTRON_|VSCODE_)/;

/** Whether the daemon may be started by itself. */
export function mayStart(setting: AutoStart, env: NodeJS.ProcessEnv, exists: (path: string) => boolean = existsSync): boolean {
  switch (setting) {
    case "always":
      return true;
    case "never":
      return false;
    case "inContainer":
      return (
        exists("/.dockerenv") ||
        exists("/run/.containerenv") ||
        env.KUBERNETES_SERVICE_HOST !== undefined ||
        env.REMOTE_CONTAINERS !== undefined ||
        env.CODESPACES !== undefined
      );
  }
}

/** The program to run: the setting's, else the one in the extension, else the first on PATH. */
export function findProgram(setting: string | null, extensionPath: string, env: NodeJS.ProcessEnv): string {
  if (setting !== null) {
    if (!isAbsolute(setting) || !isExecutable(setting)) {
      throw new Error(`The setting burrow.path is ${setting}, which is no absolute path of a program.`);
    }
    return setting;
  }
  // Relative entries of PATH would look into the workspace.
  const folders = (env.PATH ?? "").split(delimiter).filter(isAbsolute);
  const candidates = [ownProgram(extensionPath), ...folders.map((folder) => join(folder, "burrow"))];
  const program = candidates.find(isExecutable);
  if (program === undefined) {
    throw new Error("There is no burrow program in this extension or on PATH. Install it, or name it in the setting burrow.path.");
  }
  return program;
}

/** Whether `findProgram` finds the program in the extension. */
export function hasOwnProgram(setting: string | null, extensionPath: string): boolean {
  return setting === null && isExecutable(ownProgram(extensionPath));
}

/** Where the extension has the program, if it does. */
export function ownProgram(extensionPath: string): string {
  return join(extensionPath, "bin", "burrow");
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The window's environment as its terminals would have it. */
export function windowEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const kept = Object.entries(env).filter((entry): entry is [string, string] => {
    return entry[1] !== undefined && !INTERNAL.test(entry[0]);
  });
  return Object.fromEntries(kept);
}

/** How a command of `burrow` ended that did not fail. */
export interface ProgramResult {
  /** It left the daemon stopped, as the user wants it. */
  stopped: boolean;
  /** What it printed. */
  stdout: string;
}

/** What `burrow --json` prints where it fails. */
type PrintedError = Pick<ErrorData, "code" | "message"> & Partial<ErrorData>;

function printedError(stdout: string): PrintedError | undefined {
  try {
    const value = JSON.parse(stdout) as Partial<ErrorData> | null;
    return value?.code !== undefined && value.message !== undefined ? { ...value, code: value.code, message: value.message } : undefined;
  } catch {
    return undefined;
  }
}

/** Runs `burrow ARGS` to its end. Fails with what it says was wrong. */
export function runProgram(program: string, args: readonly string[], env: Record<string, string>, cwd: string): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { env, cwd, timeout: 30_000 }, (error, stdout, stderr) => {
      if (error === null) {
        resolve({ stopped: false, stdout });
        return;
      }
      const printed = printedError(stdout);
      if (printed?.code === STOPPED_BY_USER || stderr.includes(STOPPED_BY_USER)) {
        resolve({ stopped: true, stdout });
        return;
      }
      const said = printed === undefined ? stderr.trim() : [`${printed.message} [${printed.code}]`, printed.hint ?? ""].join("\n").trim();
      reject(new Error(`\`burrow ${args.join(" ")}\` failed: ${said === "" ? error.message : said}`));
    });
  });
}
