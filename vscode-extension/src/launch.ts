// What a launch configuration means: what the user left open is filled in as the Go extension does it, so that a change of
// the type is the whole migration. Pure but for a look whether a path is there; knows nothing of VS Code.

import { existsSync, statSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { inHome, resolveSetting, type Variables } from "./settings";

/** A launch configuration: the attributes of the debug type `go`. */
export type Configuration = Record<string, unknown> & { name: string; request: string };

/** The Go extension's settings that count for a debug session. */
export interface GoSettings {
  delveConfig: Record<string, unknown>;
  buildTags: string;
  toolsEnvVars: Record<string, string>;
  testEnvVars: Record<string, string>;
  testEnvFile: string | null;
}

/** What a configuration is completed from. */
export interface Surroundings extends Variables {
  /** The file in the editor. */
  file: string | undefined;
  go: GoSettings;
  /** Reads a file of environment variables. */
  readEnvFile: (path: string) => Record<string, string>;
  /** Is told what was left out. */
  warn: (message: string) => void;
}

/** What `go.delveConfig` has a say in. */
const DELVE_CONFIG = ["showRegisters", "showGlobalVariables", "substitutePath", "hideSystemGoroutines", "showPprofLabels", "showLog", "logOutput", "dlvFlags"];

/** The configuration as dlv gets it. */
export function complete(given: Configuration, around: Surroundings): Configuration {
  const config: Configuration = { ...given };
  for (const name of DELVE_CONFIG) {
    config[name] ??= around.go.delveConfig[name];
  }
  if (config.request === "attach") {
    config.mode ??= "local";
    return config;
  }
  const program = absolute(inHome(text(config.program) ?? defaultProgram(around), around.home), around.folder);
  const mode = modeOf(config, program, around.file);
  config.mode = mode;
  config.program = mode === "test" && program.endsWith("_test.go") ? dirname(program) : program;
  for (const name of ["cwd", "output"]) {
    const value = text(config[name]);
    if (value === undefined) {
      Reflect.deleteProperty(config, name);
    } else {
      config[name] = absolute(inHome(value, around.home), around.folder);
    }
  }
  config.args = typeof config.args === "string" ? splitArguments(config.args) : config.args;
  config.buildFlags = withTags(config.buildFlags, around.go.buildTags);
  config.env = environment(config, mode, around);
  Reflect.deleteProperty(config, "envFile");
  // The program's output comes through the debug adapter, unless a terminal has it; then the console would hide that.
  const hasTerminal = config.console === "integratedTerminal";
  config.outputMode ??= hasTerminal ? "local" : "remote";
  if (hasTerminal) {
    config.internalConsoleOptions ??= "neverOpen";
  }
  return config;
}

/** The folder in which dlv builds: it must lie in the program's module. */
export function buildFolder(config: Configuration, folder: string): string {
  const given = text(config.dlvCwd) ?? text(config.__buildDir);
  if (given !== undefined) {
    return given;
  }
  const program = absolute(text(config.program) ?? ".", folder);
  const found = statSync(program, { throwIfNoEntry: false });
  if (found === undefined) {
    return folder;
  }
  return found.isDirectory() ? program : dirname(program);
}

/** The environment of dlv itself. */
export function leaseEnvironment({ env }: Configuration): Record<string, string> {
  const entries = typeof env === "object" && env !== null ? Object.entries(env) : [];
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}

/** Command line flags of dlv that a configuration asks for. */
export function dlvFlags(config: Configuration): string[] {
  const flags = Array.isArray(config.dlvFlags) ? config.dlvFlags.map(String) : [];
  if (config.showLog === true) {
    flags.push("--log");
    const output = text(config.logOutput);
    flags.push(...(output === undefined ? [] : [`--log-output=${output}`]));
  }
  const backend = text(config.backend);
  return [...flags, ...(backend === undefined ? [] : [`--backend=${backend}`])];
}

/**
 * Whether the program is built and restarted when its files change; nothing where devcontainer.json decides. An object says
 * how, and dlv's relay reads that from the launch itself.
 */
export function reloads({ reload }: Configuration, onSave: boolean | null): boolean | null {
  return reload === undefined ? onSave : reload !== false && reload !== null;
}

/** What a configuration of the type `go` may ask for and the type `burrow` does not do, a sentence each. */
export function unheard(config: Configuration): string[] {
  const sentences = [
    [config.asRoot === true, "`asRoot` does nothing with the type burrow: its dlv runs as you"],
    [config.console === "externalTerminal", "`console` is externalTerminal, which the type burrow does not have: the debug console is used"],
    [text(config.logDest) !== undefined, "`logDest` does nothing with the type burrow: `burrow debug log` shows what dlv says"],
    [
      config.console === "integratedTerminal" && config.reload !== undefined && config.reload !== false && config.reload !== null,
      "`reload` does nothing for a program in a terminal",
    ],
  ] as const;
  return sentences.filter(([applies]) => applies).map(([, sentence]) => sentence);
}

/**
 * The dlv that a user chose for a session of the Go extension: by `dlvToolPath` in launch.json, whose configurations are
 * `written`, or by `alternate`, the setting `go.alternateTools.dlv`, which that extension has resolved into `config`.
 */
export function ownDlv({ written, alternate, config }: { written: readonly Record<string, unknown>[]; alternate: unknown; config: Record<string, unknown> }): string | undefined {
  const own = written.find(({ name, type }) => name === config.name && type === config.type)?.dlvToolPath;
  if (typeof own === "string" && isAbsolute(own)) {
    return own;
  }
  return text(alternate) === undefined ? undefined : text(config.dlvToolPath);
}

/** Why the Go extension is left to find a port of its own; nothing where one is lent. */
export function standsAside(config: Configuration): string | undefined {
  if (config.port !== undefined || config.debugServer !== undefined) {
    return "the configuration names the debug adapter's port itself";
  }
  if (config.mode === "remote") {
    return "the configuration connects to a remote debug adapter";
  }
  if (config.debugAdapter === "legacy") {
    return "the legacy debug adapter takes no port";
  }
  if (config.asRoot === true) {
    return "`asRoot` needs a debug adapter that the Go extension starts";
  }
  if (config.console !== undefined && config.console !== "internalConsole") {
    return `\`console\` is ${JSON.stringify(config.console)}, for which the Go extension starts the debug adapter in a terminal`;
  }
  if (text(config.logDest) !== undefined) {
    return "`logDest` needs a debug adapter that the Go extension starts";
  }
  return undefined;
}

/** A command line as words; quotes hold a word together. */
export function splitArguments(line: string): string[] {
  const words = line.match(/(?:[^\s"']+|"(?:\\.|[^"\\])*"|'[^']*')+/g) ?? [];
  return words.map((word) => word.replaceAll(/"((?:\\.|[^"\\])*)"|'([^']*)'/g, (_all, double?: string, single?: string) => {
    return double === undefined ? (single ?? "") : double.replaceAll(/\\(.)/g, "$1");
  }));
}

function environment(config: Configuration, mode: string, around: Surroundings): Record<string, unknown> {
  const { go, folder, home, readEnvFile } = around;
  const files = (Array.isArray(config.envFile) ? config.envFile : [config.envFile]).map(text);
  const read = (file: string | undefined): Record<string, string> => {
    return file === undefined ? {} : readEnvFile(absolute(inHome(file, home), folder));
  };
  const tests = mode === "test" ? { ...testEnvFile(around), ...resolveAll(go.testEnvVars, around) } : {};
  const own = typeof config.env === "object" ? config.env : {};
  return Object.assign({}, resolveAll(go.toolsEnvVars, around), tests, ...files.map(read), own) as Record<string, unknown>;
}

/** The variables of `go.testEnvFile`: a file for all tests, which a folder may not have. */
function testEnvFile(around: Surroundings): Record<string, string> {
  const given = text(around.go.testEnvFile);
  if (given === undefined) {
    return {};
  }
  const file = absolute(resolveSetting(given, around), around.folder);
  try {
    return resolveAll(around.readEnvFile(file), around);
  } catch (error) {
    around.warn(`go.testEnvFile is left out: ${error instanceof Error ? error.message : String(error)}`);
    return {};
  }
}

function resolveAll(values: Record<string, string>, around: Surroundings): Record<string, string> {
  // The Go extension takes a value that is no text as it is.
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, typeof value === "string" ? resolveSetting(value, around) : value]));
}

function modeOf(config: Configuration, program: string, file: string | undefined): string {
  const mode = text(config.mode) ?? "auto";
  const decides = program.endsWith(".go") ? program : file;
  return mode === "auto" ? (decides?.endsWith("_test.go") === true ? "test" : "debug") : mode;
}

function defaultProgram({ folder, file }: Surroundings): string {
  return file?.endsWith(".go") === true && file.startsWith(`${folder}/`) ? dirname(file) : folder;
}

function withTags(given: unknown, tags: string): unknown {
  const flags = Array.isArray(given) ? given.map(String) : splitArguments(text(given) ?? "");
  const has = flags.some((flag) => /^--?tags\b/.test(flag));
  if (tags === "" || has) {
    return given;
  }
  return [...flags, `-tags=${tags}`];
}

/** A path of the folder; a package's import path stays as it is. */
function absolute(path: string, folder: string): string {
  const inFolder = join(folder, path);
  const isImportPath = /^[\w-]+(\.[\w-]+)+\//.test(path) && !existsSync(inFolder);
  return isAbsolute(path) || isImportPath ? path : inFolder;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
