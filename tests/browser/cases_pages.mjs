// What each page shows: rendered, empty, hostile names, keyboard, accessibility, narrow screens, themes.
import { axe, check, equal } from "./harness.mjs";
import { HOSTILE } from "./mock_data.mjs";

const PLAIN = [["", "Overview"], ["accounts", "Accounts"], ["functions", "Functions"], ["decisions", "Decisions"],
  ["policies", "Policies"], ["policies/new", "Write a policy"], ["approvals", "Approvals"], ["audit", "Audit log"], ["people", "People"]];
const WITH_DATA = [["functions/checkout", "checkout"], ["decisions/d-000006", "Call of checkout to gcp-a"],
  ["policies/demo", "demo"], ["decisions/d-000008", "Policy demo: version 3"], ["approvals?state=all", "Approvals"]];
const STATUS = (code) => new RegExp(`status of ${code}`);

async function noFailure(page, where) {
  const alerts = await page.getByRole("alert").allInnerTexts();
  check(alerts.length === 0, `${where} shows: ${alerts.join("; ")}`);
}

async function axeAll(world, mock, colorScheme) {
  const v = await world.visitor(mock, { colorScheme });
  for (const [route, heading] of mock && !mock.empty ? [...PLAIN, ...WITH_DATA] : PLAIN) {
    await v.go(route, heading);
    await v.page.waitForTimeout(150);
    await axe(v.page, `${heading}, ${colorScheme}`);
  }
  return v;
}

export const cases = [
  { name: "pages: each renders without an error", real: true, run: async (world) => {
    const mock = process.env.BASE_URL ? undefined : await world.mock();
    const v = await world.visitor(mock);
    for (const [route, heading] of mock ? [...PLAIN, ...WITH_DATA] : PLAIN) {
      const page = await v.go(route, heading);
      await noFailure(page, heading);
      equal(await page.title(), `${heading} · Vane`, "title");
      if (route) equal(await page.evaluate(() => document.activeElement?.tagName), "H1", `focus on ${heading}`);
    }
  } },
  { name: "pages: figures have units and plots are drawn", run: async (world) => {
    const v = await world.visitor(await world.mock());
    const page = await v.go("functions/checkout", "checkout");
    await page.getByText("$0.41 per million calls").waitFor();
    equal(await page.locator(".plot canvas").count(), 2, "plots");
    const drawn = await page.locator(".plot canvas").first().evaluate((c) => {
      const data = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
      return data.some((x, i) => i % 4 === 3 && x > 0);
    });
    check(drawn, "the plot is blank");
    await page.getByRole("cell", { name: "proposed", exact: true }).waitFor();
    await page.getByText("Azure offers one size here").waitFor();
    await v.go("", "Overview");
    await page.getByText("56.1% better than this").waitFor();
    await page.locator(".plot canvas").first().waitFor({ timeout: 15_000 });
  } },
  { name: "pages: every empty list says why and what next", run: async (world) => {
    const v = await world.visitor(await world.mock({ empty: true }));
    const wanted = [["", "No cloud account has been added yet."], ["accounts", "No account is registered yet."], ["functions", "No function is known yet."],
      ["decisions", "Nothing has been decided yet."], ["policies", "No policy has been written yet."], ["approvals", "Nothing waits for an approval."], ["audit", "The log is empty."]];
    for (const [route, why] of wanted) {
      const page = await v.go(route);
      const box = page.locator(".empty", { hasText: why });
      await box.waitFor();
      check((await box.locator("p").count()) > 1, `${why} does not say what next`);
    }
    const page = await v.go("functions/none", "none");
    v.expect(STATUS(404));
    await page.getByRole("alert").getByText("function none does not exist").waitFor();
    await v.go("nowhere/at/all", "No such page");
  } },
  { name: "pages: names that are markup stay text", run: async (world) => {
    const mock = await world.mock();
    const v = await world.visitor(mock);
    for (const route of ["accounts", "functions", "decisions/d-000007", `functions/${encodeURIComponent(HOSTILE)}`, "approvals", `functions?filter=${encodeURIComponent(HOSTILE)}`]) {
      const page = await v.go(route);
      await page.getByText(HOSTILE).first().waitFor();
      equal(await page.locator("main img").count(), 0, `images on ${route}`);
      check((await page.title()).endsWith("· Vane"), "the title was changed");
    }
  } },
  { name: "pages: functions are filtered and paged", run: async (world) => {
    const v = await world.visitor(await world.mock());
    const page = await v.go("functions", "Functions");
    await page.getByText("50 of 64 functions").waitFor();
    await page.getByRole("button", { name: "Next" }).click();
    await page.getByText("14 of 64 functions").waitFor();
    await page.getByRole("searchbox").fill("thumb");
    await page.getByText("1 of 1 functions").waitFor();
    check(page.url().endsWith("#/functions?filter=thumb"), "the filter is not in the address");
    await page.getByRole("searchbox").fill("zzz");
    await page.getByRole("button", { name: "Show all functions" }).click();
    await page.getByText("50 of 64 functions").waitFor();
  } },
  { name: "pages: a plain path leads to its page", run: async (world) => {
    const mock = await world.mock();
    const v = await world.visitor(mock);
    await v.page.route("**/decisions/d-000006", async (route) => {
      if (route.request().resourceType() !== "document") return route.fallback();
      return route.fulfill({ response: await route.fetch({ url: `${mock.url}/` }) });
    });
    await v.page.goto(`${mock.url}/decisions/d-000006`);
    await v.page.getByRole("heading", { level: 1, name: "Call of checkout to gcp-a" }).waitFor();
    equal(v.page.url(), `${mock.url}/#/decisions/d-000006`, "address");
  } },
  { name: "keyboard: skip link, help, shortcuts, focus returns", real: true, run: async (world) => {
    const v = await world.visitor(process.env.BASE_URL ? undefined : await world.mock());
    const { page } = v;
    await page.keyboard.press("Tab");
    equal(await page.evaluate(() => document.activeElement?.className), "skip", "first stop");
    await page.keyboard.press("Enter");
    equal(await page.evaluate(() => document.activeElement?.id), "main", "after the skip link");
    await page.getByRole("button", { name: "Help" }).focus();
    await page.keyboard.press("?");
    const dialog = page.getByRole("dialog", { name: "Help" });
    await dialog.waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    equal(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), "Help", "focus after the dialog");
    await page.keyboard.press("g");
    await page.keyboard.press("f");
    await page.getByRole("heading", { level: 1, name: "Functions" }).waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("a?g");
    equal(await page.getByRole("searchbox").inputValue(), "a?g", "typing is left alone");
    equal(await page.getByRole("dialog").count(), 0, "dialogs while typing");
    await v.go("", "Overview");
    await page.keyboard.press("?");
    await page.getByLabel("Single-key shortcuts").uncheck();
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    equal(await page.getByRole("dialog").count(), 0, "dialogs with shortcuts off");
  } },
  { name: "keyboard: everything that can be clicked can be reached", run: async (world) => {
    const v = await world.visitor(await world.mock());
    const page = await v.go("decisions/d-000006", "Call of checkout to gcp-a");
    await page.locator("[data-verdict]").waitFor();
    const wanted = await page.locator("a[href], button:not([disabled]), input, select, textarea, summary").count();
    const seen = new Set();
    await page.evaluate(() => document.activeElement?.blur());
    for (let i = 0; i < wanted * 2; i += 1) {
      await page.keyboard.press("Tab");
      const at = await page.evaluate(() => {
        const all = [...document.querySelectorAll("a[href], button:not([disabled]), input, select, textarea, summary")];
        const e = document.activeElement;
        const outline = e && e !== document.body ? getComputedStyle(e).outlineStyle : "none";
        return { index: all.indexOf(e), outline, name: e?.outerHTML.slice(0, 80) };
      });
      if (at.index >= 0) {
        check(at.outline !== "none", `no visible focus on ${at.name}`);
        seen.add(at.index);
      }
    }
    equal(seen.size, wanted, "reached by Tab");
  } },
  { name: "axe: all pages, light", real: true, run: async (world) => {
    await axeAll(world, process.env.BASE_URL ? undefined : await world.mock(), "light");
  } },
  { name: "axe: all pages, dark", real: true, run: async (world) => {
    await axeAll(world, process.env.BASE_URL ? undefined : await world.mock(), "dark");
  } },
  { name: "axe: empty pages, dialogs and the log-in page", run: async (world) => {
    await axeAll(world, await world.mock({ empty: true }), "light");
    const mock = await world.mock();
    const v = await world.visitor(mock, { colorScheme: "dark" });
    const page = await v.go("accounts", "Accounts");
    for (const name of ["Level of aws-b", "Revoke aws-b"]) {
      await page.getByRole("button", { name, exact: true }).click();
      await axe(page, name);
      await page.keyboard.press("Escape");
    }
    await page.getByRole("button", { name: "Add an account" }).click();
    await axe(page, "adding an account");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByRole("heading", { name: "Log in to Vane" }).waitFor();
    await axe(page, "log-in");
  } },
  { name: "narrow: at 320 pixels no page scrolls sideways", real: true, run: async (world) => {
    const mock = process.env.BASE_URL ? undefined : await world.mock();
    const v = await world.visitor(mock, { viewport: { width: 320, height: 720 } });
    for (const [route, heading] of mock ? [...PLAIN, ...WITH_DATA] : PLAIN) {
      const page = await v.go(route, heading);
      await page.waitForTimeout(120);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      equal(over, 0, `pixels too wide on ${heading}`);
    }
  } },
  { name: "theme: follows the system, can be set, is remembered", real: true, run: async (world) => {
    const v = await world.visitor(process.env.BASE_URL ? undefined : await world.mock(), { colorScheme: "dark" });
    const { page } = v;
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const dark = await ground();
    await page.getByRole("button", { name: /^Theme: system/ }).click();
    const light = await ground();
    check(light !== dark, "the theme did not change");
    await page.reload();
    await page.getByRole("button", { name: /^Theme: light/ }).waitFor();
    equal(await ground(), light, "after a reload");
    await page.emulateMedia({ colorScheme: "light" });
    await page.getByRole("button", { name: /^Theme: light/ }).click();
    equal(await ground(), dark, "set to dark");
  } },
];
