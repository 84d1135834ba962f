// Bundles each test (node 18 does not read TypeScript) and runs it with node's own test runner.
// Exit 77 means skipped: esbuild is not installed here.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
let esbuild;
try {
  esbuild = await import("esbuild");
} catch {
  console.log("web.unit: skipped, esbuild is not installed (npm ci in web/)");
  process.exit(77);
}
const out = mkdtempSync(join(tmpdir(), "vane-web-test-"));
const names = readdirSync(here).filter((f) => f.endsWith(".test.ts"));
await esbuild.build({
  entryPoints: names.map((f) => join(here, f)), outdir: out, outExtension: { ".js": ".mjs" }, bundle: true, platform: "node",
  format: "esm", target: "node18", logLevel: "warning", jsx: "automatic", jsxImportSource: "preact",
});
const data = process.env.VANE_DATA || process.env.VANE_DATA_DEFAULT || join(here, "../../tests/data");
const run = spawnSync(process.execPath, ["--test", ...names.map((f) => join(out, f.replace(/\.ts$/, ".mjs")))], {
  stdio: "inherit", env: { ...process.env, VANE_DATA: data },
});
rmSync(out, { recursive: true, force: true });
process.exit(run.status ?? 1);
