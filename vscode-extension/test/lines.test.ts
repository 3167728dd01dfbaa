import assert from "node:assert/strict";
import { test } from "node:test";
import type { LogPiece } from "../src/generated/protocol";
import { CommandOutput } from "../src/lines";

const piece = (text: string, cut = 0): LogPiece => ({
  reads: text === "" ? [] : [{ time: "", stream: "stdout", offset: 0, text }],
  next: text.length,
  cut,
  ended: false,
  attempt: 1,
});

const plain = (text: string): string => text.replaceAll(/\p{Cc}\[\d+m/gu, "");

void test("a command alone is shown as it printed, with a terminal's line ends", () => {
  const output = new CommandOutput("");
  assert.equal(output.add(piece("10%\r20%\nred \u001b[31mtext\u001b[0m\r\nop")), "10%\r20%\r\nred \u001b[31mtext\u001b[0m\r\nop");
  assert.equal(output.add(piece("en")), "en");
  assert.equal(output.finish(), "");
});

void test("of several commands each line comes whole and with its name", () => {
  const output = new CommandOutput("api");
  assert.equal(plain(output.add(piece("one\r\ntw"))), "[api] one\r\n");
  assert.equal(plain(output.add(piece("o\n"))), "[api] two\r\n");
  assert.equal(plain(output.add(piece("end"))), "");
  assert.equal(plain(output.finish()), "[api] end\r\n");
  assert.equal(output.finish(), "");
});

void test("what the log has lost is told", () => {
  assert.match(plain(new CommandOutput("").add(piece("x", 12))), /^\.\.\. 12 bytes of the log were cut here\r\nx$/);
});
