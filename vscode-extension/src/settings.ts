// Values of the Go extension's settings, read as it reads them. Pure; knows nothing of VS Code.

import { basename, join } from "node:path";

/** What stands behind the variables of a setting. */
export interface Variables {
  /** The workspace folder. */
  folder: string;
  /** The user's home. */
  home: string;
  env: NodeJS.ProcessEnv;
}

/** A setting's value with its variables: `${workspaceFolder}`, `${env:NAME}` and a leading `~`. VS Code itself resolves none. */
export function resolveSetting(value: string, { folder, home, env }: Variables): string {
  const resolved = value
    .replaceAll(/\$\{env:([^}]+)\}/g, (_all, name: string) => env[name.trim()] ?? "")
    .replaceAll(/\$\{(?:workspaceFolder|workspaceRoot)\}/g, () => folder)
    .replaceAll("${workspaceFolderBasename}", () => basename(folder));
  return inHome(resolved, home);
}

/** A path with a leading `~`. */
export function inHome(path: string, home: string): string {
  return /^~(?=\/|$)/.test(path) ? join(home, path.slice(1)) : path;
}

/** The lines `NAME=value` of an environment file, as the Go extension reads them. */
export function parseEnvFile(content: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const line of content.replace(/^\uFEFF/, "").split("\n")) {
    const [, name, value] = /^\s*(?:export\s+)?([\w.-]+)\s*=\s*(.*)?\s*$/.exec(line) ?? [];
    if (name !== undefined) {
      found[name] = unquote((value ?? "").trim());
    }
  }
  return found;
}

function unquote(value: string): string {
  const quoted = /^(['"])(.*)\1$/.exec(value);
  if (quoted === null) {
    return value;
  }
  const inside = quoted[2] ?? "";
  return quoted[1] === '"' ? inside.replaceAll(String.raw`\n`, "\n") : inside;
}
