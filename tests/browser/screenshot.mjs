// Makes the picture of a decision's page for the README: node screenshot.mjs FILE.png
// Of the newest logged route of BASE_URL (with LOGIN_LINK), or else of the mock.
import { World, launch } from "./harness.mjs";

const { browser, close } = await launch();
const world = new World(browser);
const real = Boolean(process.env.BASE_URL);
const v = await world.visitor(real ? undefined : await world.mock(), { viewport: { width: 1120, height: 900 }, colorScheme: "light" });
await v.go("decisions?kind=route", "Decisions");
await v.page.locator("tbody tr", { hasText: "entry" }).filter({ hasNotText: "<img" }).first().getByRole("link").click();
await v.page.locator("[data-verdict]").waitFor();
await v.page.screenshot({ path: process.argv[2], fullPage: true });
await world.close();
await close();
