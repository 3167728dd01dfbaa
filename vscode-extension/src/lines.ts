// What commands printed, as a terminal shows it. Pure; knows nothing of VS Code.

import type { LogPiece } from "./generated/protocol";

const FAINT = "\u001b[2m";
const PLAIN = "\u001b[0m";

/**
 * The output of one command. Where several commands share the terminal, each line comes whole and with its command's name;
 * one alone is shown byte by byte, so that its own progress bars work.
 */
export class CommandOutput {
  private begun = "";

  /** `name`: what each line begins with; empty where the command is alone. */
  constructor(private readonly name: string) {}

  /** What to show of a piece. */
  add(piece: LogPiece): string {
    const cut = piece.cut > 0 ? this.note(`${piece.cut} bytes of the log were cut here`) : "";
    const text = piece.reads.map((read) => read.text).join("");
    if (this.name === "") {
      return cut + terminalLines(text);
    }
    const lines = (this.begun + text).split("\n");
    this.begun = lines.pop() ?? "";
    return cut + lines.map((line) => this.line(line)).join("");
  }

  /** What is left to show after the last piece. */
  finish(): string {
    const last = this.begun;
    this.begun = "";
    return last === "" ? "" : this.line(last);
  }

  private line(line: string): string {
    return `${FAINT}[${this.name}]${PLAIN} ${line.replace(/\r$/, "")}${PLAIN}\r\n`;
  }

  private note(text: string): string {
    return `${FAINT}... ${text}${PLAIN}\r\n`;
  }
}

/** Words of Burrow's own between those of the commands. */
export function remark(text: string): string {
  return `${FAINT}${terminalLines(text)}${PLAIN}\r\n`;
}

function terminalLines(text: string): string {
  return text.replaceAll(/\r?\n/g, "\r\n");
}
