import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { QUESTION, ask, documentPath, expect, goalPath, signIn, teamPath, test } from "./console";

const PATHS = [
  "/ui/chat",
  "/ui/search?q=tie+bolts",
  "/ui/documents",
  "/ui/approvals",
  "/ui/approvals?status=all&role=requester",
  "/ui/goals",
  "/ui/teams",
  "/ui/plant/work-orders",
  "/ui/plant/tags?q=pressure",
  "/ui/memories",
  "/ui/display",
  "/ui/tokens",
  "/ui/admin/users",
  "/ui/admin/tokens",
  "/ui/admin/settings",
  "/ui/admin/ingestion",
  "/ui/admin/approval-policies",
  "/ui/admin/channels",
  "/ui/admin/plant-mode",
  "/ui/admin/connectors",
  "/ui/admin/mcp-servers",
  "/ui/admin/agents",
  "/ui/admin/maintenance",
  "/ui/admin/audit",
  "/ui/admin/usage",
  "/ui/admin/usage?by=user&show=errors",
  "/ui/admin/models",
  "/ui/admin/feedback",
];
/** What is a target on a page; answers and texts have links of the size of their line. */
const TARGETS =
  ":is(main, header) :is(a, button, select, summary, textarea, input:not([type=checkbox], [type=radio], [type=file])):not(.prose *)";
const SIZES = [
  { width: 360, height: 740 },
  { width: 1440, height: 900 },
  { width: 2560, height: 1440 },
];
/** Smallest side of a target, in pixels. */
const TARGET = 48;
const GLOVE_TARGET = 64;

async function findings(page: Page) {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
  const { violations } = await new AxeBuilder({ page }).withTags(tags).analyze();
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`);
}

/** Opens a page and waits until all of it is there. The events of a goal keep their connection open. */
async function open(page: Page, path: string) {
  await page.goto(path);
  if (!path.includes("/goals/")) return page.waitForLoadState("networkidle");
  await expect(page.getByRole("button", { name: "Approve" })).toBeVisible({ timeout: 30_000 });
}

for (const theme of ["light", "dark", "contrast"]) {
  test(`axe finds nothing on any page in the theme ${theme}`, async ({ page }) => {
    test.setTimeout(300_000);
    await page.addInitScript((name) => localStorage.setItem("console.theme", name), theme);
    await page.goto("/ui/");
    await expect(page.getByRole("button", { name: /^ana/i })).toBeVisible();
    expect(await findings(page), "the sign-in page").toEqual([]);
    await signIn(page, "admin");
    await ask(page, QUESTION);
    expect(await findings(page), "an answer").toEqual([]);
    await page.getByRole("link", { name: /^\[1\]/ }).click();
    await expect(page.locator("mark").first()).toBeVisible();
    expect(await findings(page), "a document beside it").toEqual([]);
    for (const path of PATHS) {
      await open(page, path);
      expect(await findings(page), path).toEqual([]);
    }
    const steps = `${await documentPath(page, "LOTO-002")}/steps`;
    await page.goto(steps);
    await expect(page.getByText("Lock and tag")).toBeVisible();
    expect(await findings(page), steps).toEqual([]);
    await page.goto("/ui/tokens");
    await page.getByRole("button", { name: "Create a token" }).click();
    expect(await findings(page), "the form of a token").toEqual([]);
    await page.goto("/ui/admin/users");
    await page.getByRole("button", { name: "Sessions" }).first().click();
    await expect(page.getByRole("dialog")).toBeVisible();
    expect(await findings(page), "the sessions of a user").toEqual([]);
  });

  test(`axe finds nothing on a goal and a team in the theme ${theme}`, async ({ page, request }) => {
    await page.addInitScript((name) => localStorage.setItem("console.theme", name), theme);
    await signIn(page, "admin");
    await open(page, await goalPath(request, "admin"));
    expect(await findings(page), "a plan").toEqual([]);
    await page.getByRole("button", { name: "Edit plan" }).click();
    expect(await findings(page), "the form of a plan").toEqual([]);
    await open(page, await teamPath(request, "admin"));
    expect(await findings(page), "a team").toEqual([]);
  });

  test(`axe finds nothing on the plants in the theme ${theme}`, async ({ page }) => {
    await page.addInitScript((name) => localStorage.setItem("console.theme", name), theme);
    await signIn(page, "platform", "/ui/admin/plants");
    const plant = page.getByRole("region", { name: "Plants" }).getByRole("link").first();
    await expect(plant).toBeVisible();
    expect(await findings(page), "the list").toEqual([]);
    await plant.click();
    await expect(page.getByRole("heading", { name: "History" })).toBeVisible();
    expect(await findings(page), "one of them").toEqual([]);
  });
}

for (const size of SIZES) {
  test(`every page fits ${size.width} pixels`, async ({ page, request }) => {
    test.slow();
    await page.setViewportSize(size);
    await signIn(page, "admin");
    await ask(page, QUESTION);
    const [goal, team] = [await goalPath(request, "admin"), await teamPath(request, "admin")];
    for (const path of [page.url(), goal, team, `/ui/chat?team=${team.split("/").at(-1)}`, ...PATHS]) {
      await open(page, path);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      expect(overflow, path).toBeLessThanOrEqual(0);
    }
  });
}

test("buttons and links of the bar are large enough for gloves", async ({ page }) => {
  await signIn(page, "user");
  await ask(page, QUESTION);
  const smallest = () =>
    page.locator("header :is(a, button), form button, article > div:not(.prose) button, article a").evaluateAll((elements) => {
      const boxes = elements.map((element) => element.getBoundingClientRect()).filter(({ width }) => width > 0);
      return Math.min(...boxes.map(({ width, height }) => Math.min(width, height)));
    });
  expect(await smallest()).toBeGreaterThanOrEqual(TARGET);
  await page.evaluate(() => localStorage.setItem("console.gloves", "on"));
  await page.reload();
  await expect(page.getByRole("button", { name: "Regenerate" })).toBeVisible();
  expect(await smallest()).toBeGreaterThanOrEqual(GLOVE_TARGET);
});

for (const { gloves, size } of [
  { gloves: false, size: TARGET },
  { gloves: true, size: GLOVE_TARGET },
]) {
  test(`every target of every page has ${size} pixels${gloves ? " with gloves" : ""}`, async ({ page, request }) => {
    test.slow();
    if (gloves) await page.addInitScript(() => localStorage.setItem("console.gloves", "on"));
    await signIn(page, "admin");
    const steps = `${await documentPath(page, "LOTO-002")}/steps`;
    for (const path of [...PATHS, steps, await goalPath(request, "admin"), await teamPath(request, "admin")]) {
      await open(page, path);
      const small = await page.locator(TARGETS).evaluateAll((elements, least) => {
        const boxes = elements.map((element) => ({ element, box: element.getBoundingClientRect() }));
        const tooSmall = boxes.filter(({ box }) => box.width > 0 && Math.min(box.width, box.height) < least - 0.5);
        return tooSmall.map(({ element, box }) => `${element.textContent} ${box.width} × ${box.height}`);
      }, size);
      expect(small, path).toEqual([]);
    }
  });
}

test("a question is asked and its source opened with the keyboard alone", async ({ page }) => {
  await signIn(page, "user");
  await page.keyboard.press("/");
  await page.keyboard.type(QUESTION);
  await page.keyboard.press("Enter");
  const citation = page.getByRole("link", { name: /^\[1\]/ });
  await expect(page.getByRole("button", { name: "Regenerate" })).toBeVisible();
  await citation.focus();
  await page.keyboard.press("Enter");
  await expect(page.locator("mark").first()).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("complementary")).toHaveCount(0);
  await page.keyboard.press("Alt+n");
  await expect(page).toHaveURL(/\/ui\/chat$/);
});

test("the whole conversation is printed, without the controls", async ({ page }) => {
  await signIn(page, "user");
  await ask(page, QUESTION);
  await page.emulateMedia({ media: "print" });
  await expect(page.getByText("480 N·m").first()).toBeVisible();
  await expect(page.getByRole("textbox", { name: "Message" })).toBeHidden();
  await expect(page.getByRole("link", { name: "Chat", exact: true })).toBeHidden();
});
