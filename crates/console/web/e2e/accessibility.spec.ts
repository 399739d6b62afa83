import AxeBuilder from "@axe-core/playwright";
import { QUESTION, ask, expect, signIn, test } from "./console";

const PATHS = [
  "/ui/chat",
  "/ui/search?q=tie+bolts",
  "/ui/documents",
  "/ui/memories",
  "/ui/display",
  "/ui/admin/users",
  "/ui/admin/settings",
  "/ui/admin/audit",
  "/ui/admin/usage",
  "/ui/admin/models",
  "/ui/admin/feedback",
];
const SIZES = [
  { width: 360, height: 740 },
  { width: 1440, height: 900 },
];
/** Smallest side of a target, in pixels. */
const TARGET = 48;
const GLOVE_TARGET = 64;

async function findings(page: Parameters<typeof signIn>[0]) {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
  const { violations } = await new AxeBuilder({ page }).withTags(tags).analyze();
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`);
}

for (const theme of ["light", "dark", "contrast"]) {
  test(`axe finds nothing on any page in the theme ${theme}`, async ({ page }) => {
    test.slow();
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
      await page.goto(path);
      await page.waitForLoadState("networkidle");
      expect(await findings(page), path).toEqual([]);
    }
  });
}

for (const size of SIZES) {
  test(`every page fits ${size.width} pixels`, async ({ page }) => {
    await page.setViewportSize(size);
    await signIn(page, "admin");
    await ask(page, QUESTION);
    for (const path of [page.url(), ...PATHS]) {
      await page.goto(path);
      await page.waitForLoadState("networkidle");
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
