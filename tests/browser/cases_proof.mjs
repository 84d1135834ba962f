// A decision's page: the margin taken apart, the replay, and the proof that the browser checks by itself.
import { check, equal, REAL } from "./harness.mjs";

const verdict = async (page) => {
  await page.locator("[data-verdict]").waitFor();
  return page.locator("[data-verdict]").getAttribute("data-verdict");
};
const steps = (page, state) => page.locator(`.steps li.${state}`).allInnerTexts();

const tampered = (what, step) => ({
  name: `proof: a changed ${what} does not match`,
  run: async (world) => {
    const mock = await world.mock();
    mock.tamper = what;
    const v = await world.visitor(mock);
    const page = await v.go("decisions/d-000006");
    equal(await verdict(page), "mismatch", "verdict");
    await page.getByText("Does not match").waitFor();
    const bad = await steps(page, "bad");
    check(bad.length === 1 && bad[0].includes(step), `the step that fails: ${bad.join("; ")}`);
    mock.tamper = "";
    await page.getByRole("button", { name: "Check again" }).click();
    await page.locator('[data-verdict="verified"]').waitFor();
  },
});

export const cases = [
  { name: "proof: a true record is verified in the browser", run: async (world) => {
    const v = await world.visitor(await world.mock());
    for (const id of ["d-000000", "d-000006", "d-000119"]) {
      const page = await v.go(`decisions/${id}`);
      equal(await verdict(page), "verified", `verdict of ${id}`);
      equal((await steps(page, "good")).length, 6, "steps");
    }
  } },
  tampered("leaf", "leads to the root"),
  tampered("path", "leads to the root"),
  tampered("checkpoint", "is the checkpoint's"),
  tampered("signature", "signature holds"),
  { name: "proof: a rewritten log is noticed", run: async (world) => {
    const mock = await world.mock();
    const v = await world.visitor(mock);
    const whole = mock.log.checkpoint.bind(mock.log);
    mock.log.checkpoint = () => {
      const leaf = mock.log.leaves[3];
      mock.log.leaves[3] = Buffer.from("another history");
      const other = whole();
      mock.log.leaves[3] = leaf;
      return other;
    };
    const page = await v.go("decisions/d-000006");
    equal(await verdict(page), "mismatch", "verdict");
    check((await steps(page, "bad"))[0].includes("only grown"), "the step that fails");
  } },
  { name: "proof: another key is shown until somebody accepts it", run: async (world) => {
    const mock = await world.mock();
    const v = await world.visitor(mock);
    await v.page.evaluate(() => localStorage.setItem(`vane.log-key.${location.host}`, "old+00000000+AAAA"));
    const page = await v.go("decisions/d-000006");
    equal(await verdict(page), "partly", "verdict");
    await page.getByRole("button", { name: "It was set up anew: accept the key" }).click();
    await page.locator('[data-verdict="verified"]').waitFor();
  } },
  { name: "proof: a record that is not logged yet says so", run: async (world) => {
    const mock = await world.mock();
    const v = await world.visitor(mock);
    mock.decisions[5].inLog = false;
    const page = await v.go("decisions/d-000005");
    await page.getByText("This record is not in the log yet.").waitFor();
    mock.decisions[5].inLog = true;
    await page.getByRole("button", { name: "Look again" }).click();
    equal(await verdict(page), "verified", "verdict");
  } },
  { name: "decision: margin, alternatives, counterfactual, risk, replay", run: async (world) => {
    const v = await world.visitor(await world.mock());
    const page = await v.go("decisions/d-000006", "Call of checkout to gcp-a");
    const shares = await page.getByRole("table", { name: "Shares of the margin" }).locator("td.n").allInnerTexts();
    const sum = shares.reduce((t, s) => t + Number(s.replace("−", "-").replace("+", "")), 0);
    check(Math.abs(sum - 0.2393) < 1e-9, `the shares shown add up to ${sum}`);
    equal(await page.locator(".waterfall rect").count(), 7, "bars");
    await page.getByText("which is the margin").waitFor();
    await page.getByRole("row", { name: /^aws-b/ }).getByText("residency").waitFor();
    await page.getByText("Verified: deciding again with this one change").waitFor();
    await page.getByRole("heading", { name: "Risk: 3.4%" }).waitFor();
    await page.getByRole("button", { name: "Replay now" }).click();
    await page.getByText("Identical: 3 bytes, decided by version 1.").waitFor();
  } },
  { name: "decision: a change shows what it was and its proof, and nothing that it has not", run: async (world) => {
    const v = await world.visitor(await world.mock());
    const page = await v.go("decisions/d-000008", "Policy demo: version 3");
    equal(await verdict(page), "verified", "verdict");
    equal(await page.locator("main h2").allInnerTexts().then((t) => t.join()), "Proof", "cards");
    await page.getByRole("link", { name: "demo", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "demo", exact: true }).waitFor();
  } },
  { name: "decision: the newest logged one of a real server is verified", real: true, run: async (world) => {
    const v = await world.visitor(REAL ? undefined : await world.mock());
    const page = await v.go("decisions", "Decisions");
    const logged = page.locator("tbody tr", { hasText: "entry" }).first();
    await logged.waitFor();
    await logged.getByRole("link").click();
    await page.getByText("All decisions").waitFor();
    equal(await verdict(page), "verified", `verdict (${(await steps(page, "bad")).join("; ")})`);
  } },
];
