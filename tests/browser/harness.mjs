// Starts Chromium and a server (the mock, or the vaned that BASE_URL and LOGIN_LINK name), runs cases, counts.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Mock } from "./mock.mjs";

const here = dirname(fileURLToPath(import.meta.url));
export const REAL = Boolean(process.env.BASE_URL && process.env.LOGIN_LINK);
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--disable-lcd-text"];

export const skip = (why) => {
  console.log(`browser.ui: skipped, ${why}`);
  process.exit(77);
};

export function findChromium() {
  const names = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
  return names.find((n) => n && existsSync(n)) ?? skip("no Chromium is installed (apt-get install chromium)");
}

export async function launch() {
  const { chromium } = await import("playwright-core");
  const profile = mkdtempSync(join(tmpdir(), "vane-browser-"));
  const executablePath = findChromium();
  const browser = await chromium.launch({ executablePath, headless: true, args: FLAGS, env: { ...process.env, HOME: profile } });
  return { browser, close: async () => { await browser.close(); rmSync(profile, { recursive: true, force: true }); } };
}

export function check(ok, what) {
  if (!ok) throw new Error(what);
}
export function equal(got, wanted, what) {
  if (got !== wanted) throw new Error(`${what}: got ${JSON.stringify(got)}, wanted ${JSON.stringify(wanted)}`);
}

const axeSource = () => readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** No accessibility violation on the page as it stands. */
export async function axe(page, where) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axeSource());
  const result = await page.evaluate((tags) => window.axe.run(document, {
    runOnly: { type: "tag", values: tags }, rules: { "target-size": { enabled: true } },
  }), AXE_TAGS);
  const told = result.violations.map((v) =>
    `${v.id} (${v.help}): ${v.nodes.slice(0, 3).map((n) => `${n.target.join(" ")} ${n.failureSummary ?? ""}`).join(" | ")}`);
  check(result.violations.length === 0, `axe, ${where}: ${told.join("; ")}`);
  check(result.passes.length > 10, `axe, ${where}: it looked at nothing`);
}

/** One visitor: a context of its own, whose console errors and CSP violations are kept. */
export class Visitor {
  constructor(context, base) {
    Object.assign(this, { context, base, problems: [], expected: [] });
  }
  async open() {
    await this.context.addInitScript(() => {
      window.addEventListener("securitypolicyviolation", (e) =>
        console.error(`CSP violation: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
    });
    this.page = await this.context.newPage();
    this.page.setDefaultTimeout(8000);
    this.page.on("pageerror", (e) => this.problems.push(`uncaught: ${e.message}`));
    this.page.on("console", (m) => { if (m.type() === "error" || m.type() === "warning") this.problems.push(`${m.type()}: ${m.text()}`); });
    return this.page;
  }
  /** Lets answers with these statuses pass: the browser writes each to the console by itself. */
  expect(...patterns) {
    this.expected.push(...patterns);
  }
  async go(route, heading) {
    await this.page.evaluate((r) => { location.hash = `#/${r}`; }, route);
    const wanted = heading ? this.page.getByRole("heading", { level: 1, name: heading, exact: true }) : this.page.locator("h1");
    await wanted.waitFor();
    await this.page.waitForFunction(() => !document.querySelector("main")?.textContent?.includes("Loading…"));
    return this.page;
  }
  close() {
    const bad = this.problems.filter((p) => !this.expected.some((e) => e.test(p)));
    check(bad.length === 0, `the console has ${bad.length} problems: ${bad.slice(0, 4).join("; ")}`);
    return this.context.close();
  }
}

let realState; // a link works once, so the session of a real server is shared by all cases

export class World {
  constructor(browser) {
    Object.assign(this, { browser, mocks: [], visitors: [] });
  }
  async mock(options = {}) {
    const mock = await new Mock(options).start();
    this.mocks.push(mock);
    return mock;
  }
  /** A visitor who is logged in; `mock` is left out for a real server. */
  async visitor(mock, options = {}) {
    const base = mock ? mock.url : process.env.BASE_URL;
    const context = await this.browser.newContext({
      viewport: { width: 1280, height: 900 }, permissions: ["clipboard-read", "clipboard-write"], ignoreHTTPSErrors: true,
      acceptDownloads: true, storageState: mock ? undefined : realState, ...options,
    });
    const visitor = new Visitor(context, base);
    this.visitors.push(visitor);
    const page = await visitor.open();
    await page.goto(mock ? mock.loginLink : realState ? base : process.env.LOGIN_LINK);
    await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    if (!mock && !realState) realState = await context.storageState();
    return visitor;
  }
  async close() {
    try {
      for (const v of this.visitors) await v.close();
    } finally {
      for (const m of this.mocks) await m.stop();
    }
  }
}

export async function runAll(cases, pattern) {
  const chosen = cases.filter((c) => (!REAL || c.real) && c.name.includes(pattern));
  const { browser, close } = await launch();
  let failed = 0;
  for (const c of chosen) {
    const world = new World(browser);
    const began = Date.now();
    let problem = null;
    try {
      await c.run(world);
    } catch (e) {
      problem = e;
      const page = world.visitors[world.visitors.length - 1]?.page;
      if (process.env.SCREENSHOTS && page) await page.screenshot({ path: join(process.env.SCREENSHOTS, `${c.name.replace(/\W+/g, "_")}.png`) }).catch(() => {});
    }
    try {
      await world.close();
    } catch (e) {
      problem ??= e;
    }
    if (problem) failed += 1;
    console.log(`${problem ? "not ok" : "ok"} - ${c.name} (${Date.now() - began} ms)${problem ? `\n    ${problem.message}` : ""}`);
  }
  await close();
  console.log(`browser.ui: ${chosen.length - failed} of ${chosen.length} passed against ${REAL ? process.env.BASE_URL : "the mock"}`);
  return failed === 0 && chosen.length > 0;
}
