// The UI in a real browser. node run.mjs [PART OF A NAME]
// With BASE_URL and LOGIN_LINK the cases that suit any server run against that vaned, else all against the mock.
// Exit 77 means skipped: a package, a browser or the built UI is not here.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { REAL, findChromium, runAll, skip } from "./harness.mjs";
import { cases as actions } from "./cases_actions.mjs";
import { cases as pages } from "./cases_pages.mjs";
import { cases as proofs } from "./cases_proof.mjs";

const here = dirname(fileURLToPath(import.meta.url));
findChromium();
if (!existsSync(join(here, "node_modules/axe-core"))) {
  const install = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: here, stdio: "inherit" });
  if (install.status !== 0) skip("its npm packages could not be installed");
}
if (!REAL && !existsSync(join(here, "../../web/dist/index.html"))) skip("web/dist is not built");
process.exit((await runAll([...pages, ...actions, ...proofs], process.argv[2] ?? "")) ? 0 : 1);
