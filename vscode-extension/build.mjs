// Bundles the extension into out/main.js, with the schema of what it validates; with --tests, the unit tests into out/test/.
import { build } from "esbuild";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const common = {
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20",
  sourcemap: true,
  logLevel: "warning",
};

if (process.argv.includes("--tests")) {
  rmSync("out/test", { recursive: true, force: true });
  const tests = readdirSync("test").filter((name) => name.endsWith(".test.ts"));
  await build({ ...common, entryPoints: tests.map((name) => `test/${name}`), outdir: "out/test" });
} else {
  await build({
    ...common,
    entryPoints: ["src/main.ts"],
    outfile: "out/main.js",
    external: ["vscode"],
    minify: true,
    // The module form first: it leaves out what is not used.
    mainFields: ["module", "main"],
  });
  writeSchema();
}

/** The schema of `customizations.burrow`, for devcontainer.json as a whole: of the rest it says nothing. */
function writeSchema() {
  const { $schema, definitions, ...settings } = JSON.parse(readFileSync("../protocol/schema/settings.schema.json", "utf8"));
  const customizations = { type: "object", properties: { burrow: settings } };
  mkdirSync("out", { recursive: true });
  writeFileSync("out/devcontainer.schema.json", JSON.stringify({ $schema, properties: { customizations }, definitions }));
}
