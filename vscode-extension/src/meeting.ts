// A socket on which two meet that both only dial: a debug adapter in a terminal, then VS Code. Knows nothing of VS Code.
//
// A debug adapter that listens would be dialled between its `bind` and its `listen`; one that dials is there when it came.

import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** The place of one meeting, in a folder that is its user's alone. */
export class Meeting {
  /** Resolves when the first has come. Fails when it was closed before. */
  readonly first: Promise<void>;
  private fail: (reason: Error) => void = () => undefined;

  private constructor(
    /** The socket's path. */
    readonly path: string,
    private readonly server: Server,
  ) {
    this.first = new Promise((resolve, reject) => {
      this.fail = reject;
      server.once("connection", (first) => {
        first.pause(); // until there is somebody to listen
        server.once("connection", (second) => {
          couple(first, second);
          this.close();
        });
        first.once("close", () => {
          this.close();
        });
        resolve();
      });
    });
    this.first.catch(() => undefined); // who waits for it is told
  }

  /** Opens a place. */
  static open(): Promise<Meeting> {
    const path = join(mkdtempSync(join(tmpdir(), "burrow-dap-")), "socket");
    const server = createServer();
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, () => {
        resolve(new Meeting(path, server));
      });
    });
  }

  /** Lets nobody in any more. Those who have met go on. */
  close(reason?: Error): void {
    this.server.close();
    rmSync(dirname(this.path), { recursive: true, force: true });
    if (reason !== undefined) {
      this.fail(reason);
    }
  }
}

/** Bytes of one go to the other; the end of one is that of the other. */
function couple(first: Socket, second: Socket): void {
  for (const [from, to] of [
    [first, second],
    [second, first],
  ] as const) {
    from.pipe(to);
    from.on("error", () => undefined); // "close" follows
    from.once("close", () => {
      to.destroy();
    });
  }
}
