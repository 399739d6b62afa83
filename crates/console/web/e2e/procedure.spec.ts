import { MANUAL, documentPath, expect, signIn, test } from "./console";

const PROCEDURE = "LOTO-002";

test("the steps of a procedure are printed with boxes, in ink on white paper in every theme", async ({ page }) => {
  await page.addInitScript(() => localStorage.setItem("console.theme", "dark"));
  await signIn(page, "viewer");
  await page.goto(await documentPath(page, PROCEDURE));
  await page.getByRole("link", { name: "Print steps" }).click();
  const sheet = page.getByRole("article", { name: "Steps to print" });
  await expect(sheet).toContainText("Uncontrolled copy");
  await expect(sheet).toContainText("Nobody at Northfield Works shall be hurt");

  await page.getByRole("combobox", { name: "Section" }).selectOption({ label: "☐ 5 Locking out in eight steps" });
  await page.getByRole("checkbox", { name: "Only steps and warnings" }).check();
  await expect(page).toHaveURL(/steps=only/);
  await expect(sheet.getByRole("checkbox")).toHaveCount(8);
  await expect(sheet.getByRole("checkbox", { name: "Step 4 done" })).toBeVisible();
  await expect(sheet.getByText("WARNING: A selector switch")).toBeVisible();
  await expect(sheet).not.toContainText("Nobody at Northfield Works");

  await page.emulateMedia({ media: "print" });
  await expect(sheet.getByText("Lock and tag")).toBeVisible();
  for (const control of ["Print", "Section"]) await expect(page.getByText(control, { exact: true })).toBeHidden();
  await expect(page.getByRole("link", { name: "Chat", exact: true })).toBeHidden();
  const colour = await sheet.evaluate((element) => getComputedStyle(element).color);
  expect(colour).toBe("rgb(0, 0, 0)");
});

test("the steps of a PDF file are found, and Print opens the browser's dialog", async ({ page }) => {
  await page.addInitScript(() => {
    window.print = () => document.body.setAttribute("data-printed", "yes");
  });
  await signIn(page, "viewer");
  await page.goto(`${await documentPath(page, MANUAL)}/steps?steps=only`);
  const sheet = page.getByRole("article", { name: "Steps to print" });
  await expect(sheet.getByRole("checkbox").first()).toBeVisible({ timeout: 30_000 });
  await page.getByRole("button", { name: "Print" }).click();
  await expect(page.locator("body")).toHaveAttribute("data-printed", "yes");
});

test("a document that is not there says so", async ({ page }) => {
  await signIn(page, "viewer", "/ui/documents/00000000-0000-7000-8000-00000000dead/steps");
  await expect(page.getByRole("alert")).toBeVisible();
  await expect(page.getByRole("link", { name: "Back to the document" })).toBeVisible();
});

test("hostile text of a document is text", async ({ page }) => {
  await signIn(page, "user", "/ui/documents");
  const name = `hostile-${Date.now()}.md`;
  const content = [
    `# ${name}`,
    '1. <img src="https://evil.example/a.png" onerror="window.pwned=1"> Close the valve.',
    "> WARNING: <script>window.pwned=1</script> [here](https://evil.example/b)",
  ].join("\n\n");
  await page.locator("input[type=file]").setInputFiles({ name, mimeType: "text/markdown", buffer: Buffer.from(content) });
  const row = page.getByRole("listitem").filter({ hasText: name }).filter({ hasText: "Ready" });
  await expect(row).toBeVisible({ timeout: 30_000 });
  await page.goto(`${await documentPath(page, name)}/steps`);
  const sheet = page.getByRole("article", { name: "Steps to print" });
  await expect(sheet).toContainText("<img src=");
  await expect(sheet.locator("img, script, a")).toHaveCount(0);
  expect(await page.evaluate(() => "pwned" in window)).toBe(false);
});
