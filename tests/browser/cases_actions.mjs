// What people do: log in, add and end accounts, write policies, approve, pause, watch, export.
import { readFile } from "node:fs/promises";
import { check, equal } from "./harness.mjs";

const STATUS = (...codes) => new RegExp(`status of (${codes.join("|")})`);

export const cases = [
  { name: "login: the link works once, leaves no trace, and the session lasts", run: async (world) => {
    const mock = await world.mock();
    const v = await world.visitor(mock);
    const { page } = v;
    v.expect(STATUS(401));
    check(!page.url().includes("login") && !page.url().includes("#"), `the address keeps the token: ${page.url()}`);
    const cookie = (await v.context.cookies()).find((c) => c.name === "vane_session");
    check(cookie?.httpOnly && cookie.sameSite === "Strict", "the cookie is not HttpOnly and SameSite=Strict");
    equal(await page.evaluate(() => JSON.stringify([localStorage, sessionStorage])), '[{},{}]', "stored secrets");
    await page.reload();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByText("You are logged out.").waitFor();
    await page.goto(`${mock.loginLink}`);
    await page.getByRole("alert").getByText("was used, or has expired").waitFor();
    await page.getByLabel("Link or token").fill("wrong");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("alert").getByText("is not known").waitFor();
    await page.getByLabel("Link or token").fill("vane_api_token");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Overview" }).waitFor();
  } },
  { name: "login: an ended session asks to log in again", run: async (world) => {
    const mock = await world.mock();
    const v = await world.visitor(mock);
    v.expect(STATUS(401));
    mock.session = "ended";
    await v.page.getByText("Your session has ended. Log in again.").waitFor();
  } },
  { name: "accounts: add one, copy its command, see its first heartbeat", real: true, run: async (world) => {
    const mock = process.env.BASE_URL ? undefined : await world.mock();
    const v = await world.visitor(mock);
    v.expect(STATUS(400, 409));
    const page = await v.go("accounts", "Accounts");
    await page.getByRole("button", { name: "Add an account" }).click();
    await page.getByLabel("Name").fill("Not A Name!");
    await page.getByLabel("Region").fill("eu-west-1");
    await page.getByRole("button", { name: "Add and show" }).click();
    await page.getByRole("alert").waitFor();
    if (mock) equal(await page.getByLabel("Name").getAttribute("aria-invalid"), "true", "the field at fault");
    const name = `browser-${Date.now() % 1e6}`;
    await page.getByLabel("Name").fill(name);
    await page.getByRole("button", { name: "Add and show" }).click();
    const command = await page.getByLabel("Join command").innerText();
    check(command.includes("vane-agent"), `the command: ${command}`);
    await page.getByRole("button", { name: "Copy the command" }).click();
    await page.getByText("Copied").waitFor();
    equal(await page.evaluate(() => navigator.clipboard.readText()), command, "clipboard");
    await page.getByText("Waiting for the agent's first sign of life").waitFor();
    if (mock) await page.getByText(`The agent of ${name} is online`).waitFor();
    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("rowheader", { name }).waitFor();
  } },
  { name: "accounts: level, pause, and revoking with the name typed", run: async (world) => {
    const mock = await world.mock();
    const v = await world.visitor(mock);
    const page = await v.go("accounts", "Accounts");
    await page.getByRole("button", { name: "Level of aws-b" }).click();
    await page.getByRole("radio", { name: /^invoke/ }).check();
    await page.getByRole("button", { name: "Change the level" }).click();
    await page.getByText("aws-b is now at level invoke.").waitFor();
    await page.getByRole("button", { name: "Pause changes to azure-a" }).click();
    await page.getByLabel("Reason").fill("a test");
    await page.getByRole("dialog").getByRole("button", { name: "Pause", exact: true }).click();
    await page.getByRole("button", { name: "Resume changes to azure-a" }).waitFor();
    await page.getByRole("button", { name: "Revoke aws-a" }).click();
    const really = page.getByRole("button", { name: "Revoke for good" });
    check(await really.isDisabled(), "it can be revoked without typing");
    await page.getByLabel(/^Type the account's name/).fill("aws-b");
    check(await really.isDisabled(), "another name is enough");
    await page.getByLabel(/^Type the account's name/).fill("aws-a");
    await really.click();
    await page.getByText("aws-a is revoked.").waitFor();
    equal(mock.accounts.find((a) => a.name === "aws-a").state, "revoked", "at the server");
    equal(mock.accounts.find((a) => a.name === "azure-a").paused, true, "paused at the server");
  } },
  { name: "policies: an error is shown at its place, then the policy is applied", run: async (world) => {
    const v = await world.visitor(await world.mock());
    const page = await v.go("policies/demo", "demo");
    const editor = page.getByLabel("Policy document (YAML)");
    const text = await editor.inputValue();
    await editor.fill(text.replace("900", "soon").replace("tuning:", "tunnig:"));
    await page.getByRole("button", { name: "Line 5, column 19" }).waitFor();
    await page.getByText("expected a number above 0").waitFor();
    equal(await page.locator(".gutter .bad").allInnerTexts().then((t) => t.map((s) => s.trim()).join()), "5,7", "marked lines");
    equal(await editor.getAttribute("aria-invalid"), "true", "aria-invalid");
    check(await page.getByRole("button", { name: /^Check and apply/ }).isDisabled(), "a wrong policy can be applied");
    await page.getByRole("button", { name: "Line 5, column 19" }).click();
    equal(await editor.evaluate((e) => e.value.slice(e.selectionStart, e.selectionStart + 4)), "soon", "the caret's place");
    await editor.fill(text.replace("900", "750"));
    await page.getByText("No errors: this is policy “demo”.").waitFor();
    await page.getByRole("button", { name: "Check and apply as version 4" }).click();
    await page.getByText("demo is in force, version 4.").waitFor();
    await page.getByRole("rowheader", { name: "4 (in force)" }).waitFor();
  } },
  { name: "policies: compare and roll back", run: async (world) => {
    const mock = await world.mock();
    const v = await world.visitor(mock);
    const page = await v.go("policies/demo", "demo");
    await page.getByRole("button", { name: "Compare version 1 with the newest" }).click();
    await page.getByRole("heading", { name: "From version 1 to 3" }).waitFor();
    await page.getByRole("rowheader", { name: "limits.latency_slo_ms" }).waitFor();
    await page.getByRole("button", { name: "Roll back to 1" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Roll back", exact: true }).click();
    await page.getByText("demo is in force, version 4.").waitFor();
    equal(mock.policies[3].document, mock.policies[0].document, "the document in force");
  } },
  { name: "policies: a wrong document is refused in place", real: true, run: async (world) => {
    const v = await world.visitor(process.env.BASE_URL ? undefined : await world.mock());
    const page = await v.go("policies/new", "Write a policy");
    const editor = page.getByLabel("Policy document (YAML)");
    await page.getByRole("button", { name: "Check", exact: true }).click();
    await page.getByText(/^No errors: this is policy/).waitFor();
    await editor.fill("policy: browser-test\nobjektive: cost\n");
    await page.getByRole("button", { name: /^Line 2, column/ }).waitFor();
    equal(await page.locator(".gutter .bad").first().innerText().then((t) => t.trim()), "2", "marked line");
  } },
  { name: "approvals: one's own is refused by the server, another's can be rejected", run: async (world) => {
    const mock = await world.mock();
    const v = await world.visitor(mock);
    v.expect(STATUS(403));
    const page = await v.go("approvals", "Approvals");
    await page.getByRole("button", { name: "Approve checkout" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Approve", exact: true }).click();
    await page.getByRole("alert").getByText("somebody else has to approve what you proposed").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: /^Reject <img/ }).click();
    const go = page.getByRole("dialog").getByRole("button", { name: "Reject", exact: true });
    check(await go.isDisabled(), "it can be rejected without a reason");
    await page.getByLabel("Reason").fill("too risky before the sale");
    await go.click();
    await page.getByText("Rejected.").waitFor();
    equal(mock.proposals[1].state, "rejected", "at the server");
    await page.getByLabel("State").selectOption("kept");
    await page.getByText("kept: 29% cheaper").waitFor({ state: "attached" });
  } },
  { name: "pause: everything, with a reason, and back", run: async (world) => {
    const mock = await world.mock();
    const v = await world.visitor(mock);
    const { page } = v;
    for (const [verb, state] of [["Pause", true], ["Resume", false]]) {
      await page.getByRole("button", { name: `${verb} all changes` }).click();
      await page.getByLabel("Reason").fill("drill");
      await page.getByRole("dialog").getByRole("button", { name: verb, exact: true }).click();
      await page.getByText(state ? "changes paused" : "steering").waitFor();
      equal(mock.paused, state, "at the server");
    }
  } },
  { name: "decisions: live, paused, stale, live again", run: async (world) => {
    const mock = await world.mock();
    const v = await world.visitor(mock);
    v.expect(/ERR_/);
    const page = await v.go("decisions", "Decisions");
    const newest = () => page.locator("tbody tr").first().getByRole("link").getAttribute("title");
    await page.getByText("Live", { exact: true }).waitFor();
    const first = await newest();
    await page.waitForFunction((f) => document.querySelector("tbody tr a")?.title !== f, first);
    await page.getByRole("button", { name: "Pause the list" }).click();
    await page.waitForTimeout(700);
    const still = await newest();
    await page.getByText(/newer decisions are not shown/).waitFor();
    equal(await newest(), still, "the list while paused");
    await page.getByRole("button", { name: "Resume the list" }).click();
    await page.waitForFunction((f) => document.querySelector("tbody tr a")?.title !== f, still);
    const order = await page.locator("tbody tr a").evaluateAll((all) => all.map((a) => a.title));
    equal(order.join(), [...order].sort().reverse().join(), "newest first, none missing");
    equal(new Set(order).size, order.length, "no decision twice");
    mock.down = true;
    mock.cutStreams();
    await page.getByText(/^Stale since/).waitFor();
    await page.getByText(/What you see is as of/).waitFor();
    mock.down = false;
    await page.getByText("Live", { exact: true }).waitFor({ timeout: 15_000 });
  } },
  { name: "audit: the checkpoint's signature holds and an export is downloaded", run: async (world) => {
    const v = await world.visitor(await world.mock());
    const page = await v.go("audit", "Audit log");
    await page.locator(".steps li.good", { hasText: "The checkpoint's signature holds" }).waitFor();
    await page.getByLabel("From (UTC)").fill("2026-11-18T11:06:40");
    await page.getByLabel("To (UTC)").fill("2026-11-18T11:00:01");
    await page.getByText("This is not after the beginning.").waitFor();
    await page.getByLabel("To (UTC)").fill("");
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download" }).click()]);
    equal(download.suggestedFilename(), "vane-audit.jsonl", "file name");
    const line = JSON.parse(await readFile(await download.path(), "utf8"));
    equal(line.from, "1795000000000000", "from");
    equal(line.to, "", "to");
  } },
  { name: "people: add one and make a token", run: async (world) => {
    const v = await world.visitor(await world.mock());
    const page = await v.go("people", "People");
    await page.getByLabel("Name").fill("linus");
    await page.getByLabel("Role").selectOption("operator");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByText("linus is added.").waitFor();
    await page.getByRole("button", { name: "New token for grace" }).click();
    await page.getByRole("button", { name: "Make a token" }).click();
    equal(await page.getByLabel("API token", { exact: true }).innerText(), "vt1.secret", "token");
  } },
];
