// Packs the extension into ../dist/. With ../dist/burrow there, the program goes into it, for its platform alone.
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";

const program = "../dist/burrow";
const args = ["package", "--no-dependencies", "--skip-license", "--out", "../dist/"];

rmSync("bin", { recursive: true, force: true });
if (existsSync(program)) {
  mkdirSync("bin");
  copyFileSync(program, "bin/burrow");
  chmodSync("bin/burrow", 0o755);
  args.push("--target", `linux-${process.arch}`);
} else {
  console.error("package: there is no dist/burrow, so the extension uses the setting burrow.path or PATH");
}
mkdirSync("../dist", { recursive: true });
for (const old of readdirSync("../dist").filter((name) => name.endsWith(".vsix"))) {
  rmSync(`../dist/${old}`);
}
rmSync("out", { recursive: true, force: true });
execFileSync(process.execPath, ["build.mjs"], { stdio: "inherit" });
execFileSync("node_modules/.bin/vsce", args, { stdio: "inherit" });
