// Where the daemon is: the state directory, and daemon.json in it. Knows nothing of VS Code.

import { lstat, readFile, stat } from "node:fs/promises";
import { readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Rendezvous } from "./generated/protocol";

/** Written by the Feature: whose daemon the container has. */
const FEATURE = "/etc/burrow/feature.json";

/** Why a state directory or a socket is not used. The daemon's own code for it is BUR105. */
export class UnsafeStateDirectory extends Error {
  constructor(dir: string, reason: string) {
    super(`${dir} is not safe to use: ${reason} (BUR105)`);
    this.name = "UnsafeStateDirectory";
  }
}

/**
 * The state directory of the daemon of `uid`, by the same rule as the daemon's. A command line of root's joins the daemon of
 * the Feature's remote user instead; a window does not: its environment would be another user's to read.
 */
export function stateDirectory(env: NodeJS.ProcessEnv, uid: number): string {
  const given = env.BURROW_STATE_DIR;
  if (given !== undefined && given !== "") {
    return given;
  }
  const prepared = `/var/lib/burrow/${uid}`;
  const isDirectory = statSync(prepared, { throwIfNoEntry: false })?.isDirectory() ?? false;
  return isDirectory ? prepared : `/var/tmp/burrow-${uid}`;
}

/**
 * What daemon.json in `dir` says, or `undefined` where there is none.
 *
 * Whoever may write that directory chooses whom this window talks to, so it must be the user's alone.
 */
export async function readRendezvous(dir: string, uid: number): Promise<Rendezvous | undefined> {
  const found = await orMissing(lstat(dir));
  if (found === undefined) {
    return undefined;
  }
  if (!found.isDirectory()) {
    throw new UnsafeStateDirectory(dir, "it is a link or no directory");
  }
  if (found.uid !== uid) {
    throw new UnsafeStateDirectory(dir, `it belongs to user ${found.uid}, not to ${uid}`);
  }
  const mode = found.mode & 0o777;
  if (mode !== 0o700) {
    throw new UnsafeStateDirectory(dir, `its mode is ${mode.toString(8)}, not 700`);
  }
  const text = await orMissing(readFile(join(dir, "daemon.json"), "utf8"));
  return text === undefined ? undefined : parseRendezvous(text);
}

/** Whose daemon this container has where a Feature says so. */
export function featureUser(path = FEATURE): string | undefined {
  try {
    const { remoteUser } = JSON.parse(readFileSync(path, "utf8")) as { remoteUser?: unknown };
    return typeof remoteUser === "string" && remoteUser !== "root" ? remoteUser : undefined;
  } catch {
    return undefined; // there is no Feature
  }
}

/**
 * Checks that none but `uid` and root can listen at `socket`: who does gets this window's whole environment, and Node cannot
 * ask who that is. A socket that is not there is the caller's to notice.
 */
export async function checkSocket(socket: string, uid: number): Promise<void> {
  const found = await orMissing(lstat(socket));
  if (found === undefined) {
    return;
  }
  if (!found.isSocket() || found.uid !== uid || (found.mode & 0o077) !== 0) {
    throw new UnsafeStateDirectory(socket, `it is no socket of user ${uid} alone`);
  }
  const folder = await stat(dirname(socket));
  const isSticky = (folder.mode & 0o1000) !== 0;
  if ((folder.uid !== uid && folder.uid !== 0) || ((folder.mode & 0o022) !== 0 && !isSticky)) {
    throw new UnsafeStateDirectory(socket, "others may replace it, as they may write its folder");
  }
}

/** A file of another format is as good as none: the daemon that wrote it is not ours to talk to. */
function parseRendezvous(text: string): Rendezvous | undefined {
  const value = JSON.parse(text) as Partial<Rendezvous> | null;
  return typeof value?.socket === "string" && value.socket.startsWith("/") ? (value as Rendezvous) : undefined;
}

/** The value, or `undefined` where the file is missing. */
async function orMissing<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (isCode(error, "ENOENT")) {
      return undefined;
    }
    throw error;
  }
}

/** Whether `error` is the system error `code`. */
export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
