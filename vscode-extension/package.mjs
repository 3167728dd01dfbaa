// Packs the extension into ../dist/. With ../dist/burrow there, the program goes into it: one package for each platform of
// VSIX_TARGETS (else the one of this machine) that it runs on. With none there, one package without it.
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";

const program = "../dist/burrow";
/** Who installs it gets all of it at once. */
const MAX_BYTES = 5 * 1024 * 1024;

const given = (process.env.VSIX_TARGETS ?? "").split(/\s+/).filter((target) => target !== "");
const own = [`linux-${process.arch}`, `alpine-${process.arch}`];
const wrong = given.filter((target) => !own.includes(target));
if (wrong.length > 0) {
  throw new Error(`package: this machine builds for ${own.join(" and ")}, not for ${wrong.join(", ")}`);
}

checkLinks();
rmSync("bin", { recursive: true, force: true });
rmSync("out", { recursive: true, force: true });
mkdirSync("../dist", { recursive: true });
for (const old of readdirSync("../dist").filter((name) => name.endsWith(".vsix"))) {
  rmSync(`../dist/${old}`);
}
execFileSync(process.execPath, ["build.mjs"], { stdio: "inherit" });
if (existsSync(program)) {
  // The extension takes its own version for the program's.
  const { version } = JSON.parse(readFileSync("package.json", "utf8"));
  const said = execFileSync(program, ["--version"], { encoding: "utf8" }).trim();
  if (said !== `burrow ${version}`) {
    throw new Error(`package: this is extension ${version}, and ${program} says it is ${said}`);
  }
  mkdirSync("bin");
  copyFileSync(program, "bin/burrow");
  chmodSync("bin/burrow", 0o755);
  for (const target of given.length > 0 ? given : own.slice(0, 1)) {
    pack("--target", target);
  }
} else {
  console.error("package: there is no dist/burrow, so the extension uses the setting burrow.path or PATH");
  pack();
}
for (const name of readdirSync("../dist").filter((file) => file.endsWith(".vsix"))) {
  const { size } = statSync(`../dist/${name}`);
  console.log(`dist/${name}: ${size} bytes`);
  if (size > MAX_BYTES) {
    throw new Error(`package: dist/${name} has more than ${MAX_BYTES} bytes`);
  }
}

function pack(...more) {
  const args = ["package", "--no-dependencies", "--skip-license", "--out", "../dist/", ...links(), ...more];
  execFileSync("node_modules/.bin/vsce", args, { stdio: "inherit" });
}

/** Where README.md's relative links lead: vsce takes them for the repository's root, and this folder is below it. */
function links() {
  const { repository } = JSON.parse(readFileSync("package.json", "utf8"));
  const at = (kind) => `${repository.url.replace(/\.git$/, "")}/${kind}/HEAD/${repository.directory}`;
  return ["--baseImagesUrl", at("raw"), "--baseContentUrl", at("blob")];
}

/** Fails where README.md leads to a file that is not in this folder: in the package such a link would be broken. */
function checkLinks() {
  for (const [, target] of readFileSync("README.md", "utf8").matchAll(/\]\(([^)#]+)/g)) {
    if (!target.startsWith("https://") && !existsSync(target)) {
      throw new Error(`package: README.md leads to ${target}, which is not there`);
    }
  }
}
