import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import { test } from "node:test";
import { Meeting } from "../src/meeting";

void test("two who dial hear each other, also what was said before the other came", async () => {
  const meeting = await Meeting.open();
  const adapter = connect(meeting.path);
  adapter.write("early");
  await meeting.first;
  const editor = connect(meeting.path);
  assert.equal(String((await once(editor, "data"))[0]), "early");
  editor.write("answer");
  assert.equal(String((await once(adapter, "data"))[0]), "answer");
  assert.equal(existsSync(dirname(meeting.path)), false, "nothing is left in the file system");

  editor.destroy();
  await once(adapter, "close");
});

void test("nobody waits for one who will not come", async () => {
  const meeting = await Meeting.open();
  meeting.close(new Error("it ended"));
  await assert.rejects(meeting.first, { message: "it ended" });
});
