// Notices a daemon that comes while nobody tries to reach one. Knows nothing of VS Code.

import { existsSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import type { Rendezvous } from "./generated/protocol";
import { readRendezvous } from "./rendezvous";

/** The daemons of one state directory: which was tried, and whether there is another by now. */
export class Arrivals {
  private tried = "";

  constructor(
    /** The state directory: another one, once the container's start has made that. */
    private readonly directory: () => string,
    private readonly uid: number,
    /** Is told why the directory cannot be watched. */
    private readonly warn: (message: string) => void,
  ) {}

  /** Takes note of what daemon.json said when a daemon was last looked for: that one is no news. */
  note(rendezvous: Rendezvous | undefined): void {
    this.tried = name(rendezvous);
  }

  /** The same for the daemon that is there now. */
  async noteCurrent(): Promise<void> {
    this.note(await this.read());
  }

  /**
   * Calls `told` when there is another daemon than the one that was noted, or the user stopped one. Looks once at what
   * came before the call. Gives what ends the watch.
   */
  watch(told: () => void): () => void {
    const stop = this.watchDirectory((file) => {
      if (file === "daemon.json") {
        void this.look(told);
      } else {
        told();
      }
    });
    void this.look(told);
    return stop;
  }

  private async look(told: () => void): Promise<void> {
    const found = name(await this.read());
    if (found !== "" && found !== this.tried) {
      told();
    }
  }

  /** What is wrong with the directory is told by the next attempt. */
  private read(): Promise<Rendezvous | undefined> {
    return readRendezvous(this.directory(), this.uid).catch(() => undefined);
  }

  /** Calls `changed` with the file. Before a daemon's first start there is only the parent to watch. */
  private watchDirectory(changed: (file: string) => void): () => void {
    const directory = this.directory();
    const exists = existsSync(directory);
    const names = exists ? ["daemon.json", "stopped"] : [basename(directory)];
    try {
      const watcher = watch(exists ? directory : dirname(directory), (_event, file) => {
        if (file !== null && names.includes(file)) {
          changed(file);
        }
      });
      watcher.on("error", () => undefined); // the directory went away; the user's button is left
      return () => {
        watcher.close();
      };
    } catch (error) {
      this.warn(`cannot watch ${directory}: ${String(error)}`);
      return () => undefined;
    }
  }
}

/** One start of a daemon; empty for none. */
function name(rendezvous: Rendezvous | undefined): string {
  return rendezvous === undefined ? "" : `${rendezvous.pid} ${rendezvous.startedAt}`;
}
