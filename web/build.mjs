// Makes dist/: index.html, app.js, app.css and the icon. No option but the output folder: node build.mjs [DIR].
// Names are fixed: vaned answers with an ETag, so that a new build is seen at once without hashed names.
import { build } from "esbuild";
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? join(here, "dist"));
const MAX_GZIP_BYTES = 60 * 1024;

await mkdir(out, { recursive: true });
await build({
  entryPoints: { app: join(here, "src/main.tsx") },
  outdir: out,
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  banner: { js: "/* Vane. Includes preact and uPlot (MIT licence). */" },
  logLevel: "warning",
});
await copyFile(join(here, "src/index.html"), join(out, "index.html"));
await copyFile(join(here, "src/icon.svg"), join(out, "icon.svg"));

const size = gzipSync(await readFile(join(out, "app.js"))).length;
console.log(`web: ${out}/app.js, ${(size / 1024).toFixed(1)} KiB gzipped`);
if (size > MAX_GZIP_BYTES) {
  console.error(`web: app.js is over its budget of ${MAX_GZIP_BYTES / 1024} KiB gzipped`);
  process.exit(1);
}
