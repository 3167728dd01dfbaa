// What the extension costs a window that opens: from the entry of `activate` to its return, ten times in one window.

import { test } from "node:test";
import { ALWAYS, GO_FILES, openWindow } from "./window.js";

const TIMES = 10;
const ACTIVATED = /activated in ([\d.]+) ms/g;

test("activation", async (context) => {
  const window = await openWindow(context, { files: GO_FILES, settings: ALWAYS });
  const measured = () => [...window.outputSoFar().matchAll(ACTIVATED)].map((match) => Number(match[1]));
  for (let opened = 1; opened <= TIMES; opened++) {
    await window.until("the extension to be active", () => Promise.resolve(measured().length === opened));
    if (opened < TIMES) {
      await window.reload();
    }
  }
  const times = measured().sort((a, b) => a - b);
  const median = (times[TIMES / 2 - 1] + times[TIMES / 2]) / 2;
  console.log(`activation: median ${median.toFixed(1)} ms of ${TIMES}, ${times[0]} to ${times.at(-1)} ms`);
  console.log("  from the entry of activate() to its return, in a window that reloads, VS Code 1.99.3; a daemon runs but for the first");
});
