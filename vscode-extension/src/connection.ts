// One conversation with one daemon, from `initialize` to the end of its socket.

import { connect, type Socket } from "node:net";
import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  RevealOutputChannelOn,
  WorkDoneProgress,
  type WorkDoneProgressReport,
} from "vscode-languageclient/node";
import { Follower } from "./follow";
import { PROTOCOL_VERSION } from "./generated/protocol";
import type { ClientOptions, ModelChanged, Notifications, Requests, ServerDetails, Status, ToolsSwitched } from "./generated/protocol";

const CHANGED: keyof Notifications = "burrow/model/changed";
const SWITCHED: keyof Notifications = "burrow/toolchain/switched";

/** How long a daemon may take to say its first words, in milliseconds: it may be on a cold and busy machine. */
const FIRST_WORDS = 20_000;

/** Who is told what the daemon says by itself. */
export interface Listener {
  /** A new status, from the first on. */
  changed: (details: ServerDetails, status: Status) => void;
  /** Other Go tools are active. */
  switched: (switched: ToolsSwitched) => void;
}

/** A daemon that answers. */
export class Connection {
  private readonly follower = new Follower();

  private constructor(
    private readonly client: LanguageClient,
    /** What the daemon said of itself. */
    readonly details: ServerDetails,
    /** Resolves when the daemon is gone. */
    readonly closed: Promise<void>,
    private readonly listener: Listener,
  ) {}

  /**
   * Opens a conversation. Fails when nobody listens at `path`, or when the daemon refuses.
   */
  static async open(
    path: string,
    session: { environment: Record<string, string>; cwd: string },
    output: vscode.LogOutputChannel,
    listener: Listener,
  ): Promise<Connection> {
    const socket = await dial(path);
    const closed = new Promise<void>((resolve) => socket.once("close", () => { resolve(); }));
    const options: ClientOptions = {
      protocol: PROTOCOL_VERSION,
      kind: "window",
      trusted: vscode.workspace.isTrusted,
      terminal: false,
      ...session,
    };
    const client = new LanguageClient(
      "burrow",
      "Burrow",
      () => Promise.resolve({ reader: socket, writer: socket, detached: true }),
      {
        initializationOptions: options,
        outputChannel: output,
        revealOutputChannelOn: RevealOutputChannelOn.Never,
        // What to do after an error is daemon.ts's to decide, in one place.
        initializationFailedHandler: () => false,
        errorHandler: {
          error: () => ({ action: ErrorAction.Shutdown, handled: true }),
          closed: () => ({ action: CloseAction.DoNotRestart, handled: true }),
        },
      },
    );
    socket.setTimeout(FIRST_WORDS, () => {
      socket.destroy(new Error(`The daemon at ${path} said nothing for ${FIRST_WORDS / 1000} s.`));
    });
    try {
      await client.start();
      const details = client.initializeResult?.capabilities.experimental as ServerDetails;
      const connection = new Connection(client, details, closed, listener);
      client.onNotification(CHANGED, (change: ModelChanged) => { connection.take(change); });
      client.onNotification(SWITCHED, (switched: ToolsSwitched) => { listener.switched(switched); });
      await connection.subscribe();
      socket.setTimeout(0);
      return connection;
    } catch (error) {
      socket.destroy();
      throw socket.errored ?? error;
    }
  }

  /** Whether the daemon can still be asked. */
  get isOpen(): boolean {
    return this.client.isRunning();
  }

  /** Tells how far the work called `token` is. */
  onProgress(token: string, report: (progress: WorkDoneProgressReport) => void): vscode.Disposable {
    return this.client.onProgress(WorkDoneProgress.type, token, (progress) => {
      if (progress.kind === "report") {
        report(progress);
      }
    });
  }

  /** Asks the daemon. */
  request<M extends keyof Requests>(method: M, params: Requests[M]["params"]): Promise<Requests[M]["result"]> {
    return this.client.sendRequest<Requests[M]["result"]>(method, params);
  }

  /** Says goodbye; the daemon and its work go on. */
  async close(): Promise<void> {
    if (this.client.isRunning()) {
      await this.client.stop();
    }
  }

  private async subscribe(): Promise<void> {
    let complete = false;
    while (!complete) {
      complete = this.follower.begin(await this.request("burrow/model/subscribe", {}));
    }
    this.tell();
  }

  private take(change: ModelChanged): void {
    if (this.follower.follow(change)) {
      this.tell();
    } else {
      // Fails only when the daemon is gone, which `closed` tells.
      this.subscribe().catch(() => undefined);
    }
  }

  private tell(): void {
    if (this.follower.status !== undefined) {
      this.listener.changed(this.details, this.follower.status);
    }
  }
}

function dial(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      socket.on("error", () => undefined); // "close" follows
      resolve(socket);
    });
  });
}
