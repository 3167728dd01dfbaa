import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import {
  buildFolder,
  complete,
  dlvFlags,
  leaseEnvironment,
  ownDlv,
  reloads,
  splitArguments,
  standsAside,
  unheard,
  type Configuration,
  type GoSettings,
  type Surroundings,
} from "../src/launch";
import { parseEnvFile } from "../src/settings";

const GO: GoSettings = { delveConfig: {}, buildTags: "", toolsEnvVars: {}, testEnvVars: {}, testEnvFile: null };

function folder(context: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "burrow-launch-"));
  context.after(() => {
    rmSync(dir, { recursive: true });
  });
  mkdirSync(join(dir, "cmd/api"), { recursive: true });
  for (const file of ["cmd/api/main.go", "cmd/api/main_test.go"]) {
    writeFileSync(join(dir, file), "");
  }
  return dir;
}

const around = (dir: string, file?: string, go: Partial<GoSettings> = {}): Surroundings => ({
  folder: dir,
  file: file === undefined ? undefined : join(dir, file),
  home: "/home/ann",
  env: { TOKEN: "t" },
  go: { ...GO, ...go },
  readEnvFile: (path) => ({ FROM: path }),
  warn: (message) => assert.fail(message),
});

const launch = (more: Record<string, unknown> = {}): Configuration => ({ name: "api", request: "launch", ...more });

void test("what is debugged follows from the configuration, else from the editor", (context) => {
  const dir = folder(context);
  for (const [given, file, program, mode, why] of [
    [{}, undefined, "", "debug", "nothing said: the folder"],
    [{}, "cmd/api/main.go", "/cmd/api", "debug", "the package in the editor"],
    [{}, "cmd/api/main_test.go", "/cmd/api", "test", "a test in the editor"],
    [{ program: "cmd/api" }, undefined, "/cmd/api", "debug", "a relative path is the folder's"],
    [{ program: "./cmd/api" }, undefined, "/cmd/api", "debug", "with a dot too"],
    [{ program: join(dir, "cmd/api/main_test.go") }, undefined, "/cmd/api", "test", "a test file stands for its package"],
    [{ mode: "exec", program: "bin/api" }, "cmd/api/main_test.go", "/bin/api", "exec", "a mode that is given stays"],
    [{ program: "example.com/elsewhere/api" }, undefined, "example.com/elsewhere/api", "debug", "an import path is no file"],
  ] as const) {
    const config = complete(launch(given), around(dir, file));
    assert.deepEqual([config.program, config.mode], [program.startsWith("example") ? program : dir + program, mode], why);
  }
});

void test("the Go extension's settings count where the configuration is silent", (context) => {
  const dir = folder(context);
  const go = {
    delveConfig: { showGlobalVariables: true, hideSystemGoroutines: true, dlvFlags: ["--check-go-version=false"] },
    buildTags: "integration",
    toolsEnvVars: { A: "tools", B: "tools" },
    testEnvVars: { B: "tests", C: "tests" },
    testEnvFile: "test.env",
  };
  const config = complete(launch({ mode: "test", hideSystemGoroutines: false, env: { C: "own" } }), around(dir, undefined, go));
  assert.equal(config.showGlobalVariables, true);
  assert.equal(config.hideSystemGoroutines, false);
  assert.deepEqual(config.buildFlags, ["-tags=integration"]);
  assert.deepEqual(config.env, { A: "tools", FROM: join(dir, "test.env"), B: "tests", C: "own" });
  assert.deepEqual(dlvFlags(config), ["--check-go-version=false"]);

  const debug = complete(launch({ buildFlags: "-race -tags=mine", envFile: ["./a.env"] }), around(dir, undefined, go));
  assert.equal(debug.buildFlags, "-race -tags=mine");
  assert.deepEqual(debug.env, { A: "tools", B: "tools", FROM: join(dir, "a.env") });
  assert.equal("envFile" in debug, false);
});

void test("variables and ~ are resolved where VS Code leaves them", (context) => {
  const dir = folder(context);
  const go = {
    toolsEnvVars: { GOBIN: "${workspaceFolder}/bin", HOMED: "~/go", TOKENED: "a${env:TOKEN}b${env:NONE}" },
    testEnvVars: { DATA: "${workspaceRoot}/data", TILDE: "a~b" },
    testEnvFile: "${workspaceFolder}/test.env",
  };
  const config = complete(launch({ mode: "test", cwd: "~/x", output: "~/bin/api" }), around(dir, undefined, go));
  assert.deepEqual(config.env, {
    GOBIN: `${dir}/bin`,
    HOMED: "/home/ann/go",
    TOKENED: "atb",
    DATA: `${dir}/data`,
    TILDE: "a~b",
    FROM: `${dir}/test.env`,
  });
  assert.deepEqual([config.cwd, config.output], ["/home/ann/x", "/home/ann/bin/api"]);
});

void test("a missing go.testEnvFile is told and does no harm, a missing envFile is an error", (context) => {
  const warned: string[] = [];
  const missing = (): never => {
    throw new Error("no such file");
  };
  const given = { ...around(folder(context), undefined, { testEnvFile: "test.env" }), readEnvFile: missing, warn: (message: string) => warned.push(message) };
  assert.deepEqual(complete(launch({ mode: "test", env: { A: "1" } }), given).env, { A: "1" });
  assert.deepEqual(warned, ["go.testEnvFile is left out: no such file"]);
  assert.throws(() => complete(launch({ envFile: "own.env" }), given), /no such file/);
});

void test("what the type burrow does not do is told by name", () => {
  for (const [given, expected] of [
    [{}, []],
    [{ asRoot: true }, ["asRoot"]],
    [{ console: "externalTerminal" }, ["console"]],
    [{ logDest: "/tmp/log" }, ["logDest"]],
    [{ console: "integratedTerminal", reload: false }, []],
    [{ console: "integratedTerminal", reload: { whenStopped: "ask" }, asRoot: true }, ["asRoot", "reload"]],
  ] as const) {
    assert.deepEqual(unheard(launch(given)).map((sentence) => sentence.split("`")[1]), expected);
  }
});

void test("a lent session has the workspace's dlv unless the user chose another", () => {
  // What the Go extension makes of every configuration.
  const config = { name: "api", type: "go", dlvToolPath: "/go/bin/dlv" };
  const rows: [Record<string, unknown>[], unknown, string | undefined][] = [
    [[], undefined, undefined],
    [[{ name: "api", type: "go" }], "", undefined],
    [[{ name: "api", type: "go", dlvToolPath: "/my/dlv" }], undefined, "/my/dlv"],
    [[{ name: "other", type: "go", dlvToolPath: "/my/dlv" }], undefined, undefined],
    [[{ name: "api", type: "go", dlvToolPath: "${workspaceFolder}/dlv" }], undefined, undefined],
    [[], "dlv-mine", "/go/bin/dlv"],
  ];
  for (const [written, alternate, expected] of rows) {
    assert.equal(ownDlv({ written, alternate, config }), expected, JSON.stringify([written, alternate]));
  }
});

void test("output comes to the debug console unless a terminal has it", (context) => {
  const dir = folder(context);
  assert.equal(complete(launch(), around(dir)).outputMode, "remote");
  assert.equal(complete(launch({ console: "integratedTerminal" }), around(dir)).outputMode, "local");
  assert.deepEqual(complete(launch({ args: `-v "a b"` }), around(dir)).args, ["-v", "a b"]);
  assert.equal(complete({ name: "a", request: "attach" }, around(dir)).mode, "local");
});

void test("dlv builds in the program's folder", (context) => {
  const dir = folder(context);
  for (const [given, expected] of [
    [{ program: join(dir, "cmd/api") }, "/cmd/api"],
    [{ program: join(dir, "cmd/api/main.go") }, "/cmd/api"],
    [{ program: "example.com/elsewhere" }, ""],
    [{ program: ".", __buildDir: join(dir, "cmd/api") }, "/cmd/api"],
  ] as const) {
    assert.equal(buildFolder(launch(given), dir), dir + expected);
  }
  assert.deepEqual(leaseEnvironment(launch({ env: { A: "1", GONE: null } })), { A: "1" });
});

void test("a port is lent to the Go extension unless the configuration needs its own debug adapter", () => {
  for (const [given, lends] of [
    [{}, true],
    [{ console: "internalConsole", debugAdapter: "dlv-dap" }, true],
    [{ console: "integratedTerminal" }, false],
    [{ asRoot: true }, false],
    [{ port: 2345 }, false],
    [{ debugServer: 4711 }, false],
    [{ mode: "remote" }, false],
    [{ debugAdapter: "legacy" }, false],
    [{ logDest: "/tmp/log" }, false],
  ] as const) {
    assert.equal(standsAside(launch(given)) === undefined, lends, JSON.stringify(given));
  }
});

void test("flags and files are read as the Go extension reads them", () => {
  assert.deepEqual(dlvFlags(launch({ showLog: true, logOutput: "dap,rpc", backend: "native" })), ["--log", "--log-output=dap,rpc", "--backend=native"]);
  assert.deepEqual(parseEnvFile(`# note\nexport A=1\nB = "two\\nlines"\nC='x y'\nD=\nbad line\n`), { A: "1", B: "two\nlines", C: "x y", D: "" });
  assert.deepEqual(splitArguments(`a "b \\"c\\"" 'd e' f"g h"`), ["a", 'b "c"', "d e", "fg h"]);
});

void test("a configuration says whether it reloads, else the setting, else the daemon", () => {
  const rows: [unknown, boolean | null, boolean | null][] = [
    [true, false, true],
    [false, true, false],
    [{ whenStopped: "ask" }, false, true],
    [undefined, true, true],
    [undefined, false, false],
    [undefined, null, null],
  ];
  for (const [reload, onSave, expected] of rows) {
    const given = reload === undefined ? launch() : launch({ reload });
    assert.equal(reloads(given, onSave), expected, JSON.stringify([reload, onSave]));
  }
});
