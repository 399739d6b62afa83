import type { Page } from "@playwright/test";
import { MANUAL, QUESTION, USERS, ask, expect, signIn, test } from "./console";

async function openDocument(page: Page, name: string) {
  await page.getByRole("listitem").filter({ hasText: name }).getByRole("link").first().click();
}

test("search finds a passage and opens it", async ({ page }) => {
  await signIn(page, "viewer", "/ui/search");
  await page.getByRole("searchbox", { name: "Words or a question" }).fill("tie bolts casing torque");
  await page.getByRole("button", { name: "Find" }).click();
  const result = page.getByRole("region", { name: "Results" }).getByRole("link").filter({ hasText: "page 25" }).first();
  await result.click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("P-101");
  await expect(page.locator("mark").first()).toBeVisible();
});

test("a file is uploaded, watched, reprocessed and deleted", async ({ page }) => {
  await signIn(page, "user", "/ui/documents");
  const name = `note-${Date.now()}.md`;
  const choosing = page.waitForEvent("filechooser");
  await page.getByRole("button", { name: "Upload" }).click();
  const content = `# Note ${name}\n\nThe strainer of X-9001 is cleaned every 14 days.\n`;
  await (await choosing).setFiles({ name, mimeType: "text/markdown", buffer: Buffer.from(content) });
  const row = page.getByRole("listitem").filter({ hasText: name }).filter({ hasText: "Ready" });
  await expect(row).toBeVisible({ timeout: 30_000 });
  await page.getByRole("region", { name: "Add files" }).getByRole("link", { name }).click();
  await expect(page.getByText("cleaned every 14 days")).toBeVisible();
  await page.getByRole("button", { name: "Reprocess" }).click();
  await expect(page.getByRole("region", { name: "Properties" })).toContainText("Ready", { timeout: 30_000 });
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect(page).toHaveURL(/\/ui\/documents$/);
});

test("a file that cannot be read tells why", async ({ page }) => {
  await signIn(page, "user", "/ui/documents");
  const name = `broken-${Date.now()}.pdf`;
  const buffer = Buffer.from(`%PDF-1.7\n${name}\nnot a document`);
  await page.locator("input[type=file]").setInputFiles({ name, mimeType: "application/pdf", buffer });
  const row = page.getByRole("listitem").filter({ hasText: name }).filter({ hasText: "Failed" });
  await expect(row).toBeVisible({ timeout: 30_000 });
  await expect(row.getByRole("button", { name: "Reprocess" })).toBeVisible();
});

test("a page can be turned and a DOCX file is shown as text", async ({ page }) => {
  await signIn(page, "user", "/ui/documents");
  await openDocument(page, MANUAL);
  await expect(page.getByText("of 31")).toBeVisible();
  await page.getByRole("button", { name: "Next page" }).click();
  await expect(page.getByRole("textbox", { name: "Page" })).toHaveValue("2");
  await expect(page.getByText(MANUAL)).toBeVisible();
  await page.goto("/ui/documents");
  await openDocument(page, "LOTO-002");
  await expect(page.getByText("Nobody at Northfield Works shall be hurt")).toBeVisible();
});

test("memories are kept and deleted", async ({ page }) => {
  await signIn(page, "viewer", "/ui/memories");
  const text = `I work in area 200 (${Date.now()})`;
  await page.getByRole("textbox", { name: "Something to remember" }).fill(text);
  await page.getByRole("button", { name: "Add" }).click();
  const row = page.getByRole("listitem").filter({ hasText: text });
  await row.getByRole("button", { name: "Delete" }).click();
  await expect(row).toHaveCount(0);
});

test("administrators manage users, settings, audit and usage", async ({ page }) => {
  await signIn(page, "admin", "/ui/chat");
  await ask(page, QUESTION);
  await page.getByRole("link", { name: "Admin" }).click();
  await page.getByRole("link", { name: "Users" }).click();
  const subject = `new-${Date.now()}`;
  await page.getByRole("button", { name: "Add a person" }).click();
  await page.getByRole("textbox", { name: "Id at the issuer" }).fill(subject);
  await page.getByRole("textbox", { name: "E-mail" }).fill(`${subject}@plant.example`);
  await page.getByRole("button", { name: "Save" }).click();
  const row = page.getByRole("listitem").filter({ hasText: subject });
  await row.getByRole("combobox").selectOption("user");
  await row.getByRole("button", { name: "Deactivate" }).click();
  await expect(row.getByText("Inactive")).toBeVisible();

  await page.getByRole("link", { name: "Settings" }).click();
  const days = page.getByRole("spinbutton", { name: "Access tokens last" });
  await expect(page.getByRole("button", { name: "Save" })).toBeDisabled();
  await days.fill("90");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Saved.")).toBeVisible();
  await expect(days).toHaveValue("90");
  const change = page.getByRole("row").filter({ hasText: "access_token_max_days" }).first();
  await expect(change.getByRole("cell")).toHaveText(["not set", "90"]);
  const versions = page.getByRole("region", { name: "History" }).getByRole("listitem");
  await expect(versions.filter({ hasText: "access_token_max_days" }).first()).toContainText(`by ${USERS.admin}`);

  await page.getByRole("link", { name: "Audit" }).click();
  await page.getByRole("textbox", { name: "Event" }).fill("admin.user_created");
  await page.getByRole("button", { name: "Apply" }).click();
  await expect(page.getByText("admin.user_created").first()).toBeVisible();

  await page.getByRole("link", { name: "Usage" }).click();
  await expect(page.getByText("Tokens read")).toBeVisible();
  const report = page.getByRole("region", { name: "Tokens" });
  await page.getByRole("combobox", { name: "Period" }).selectOption("week");
  await report.getByText("As a table").click();
  await expect(report.getByRole("row")).toHaveCount(8);
  await page.getByRole("combobox", { name: "By" }).selectOption("user");
  await page.getByRole("combobox", { name: "Shown" }).selectOption("calls");
  await expect(page).toHaveURL(/by=user/);
  await expect(report).toBeVisible();
  await expect(page.getByRole("region", { name: "Quotas of the plant" })).toContainText("Documents");

  await page.getByRole("link", { name: "Models" }).click();
  await expect(page.getByRole("region", { name: "Models" }).getByText("Working")).toBeVisible();
});

test("two administrators do not overwrite each other's settings", async ({ page, context }) => {
  await signIn(page, "admin", "/ui/admin/settings");
  const answers = (of: Page) => of.getByRole("textbox", { name: "How the assistant answers" });
  await answers(page).fill("Answer in short sentences.");
  const other = await context.newPage();
  await signIn(other, "admin", "/ui/admin/settings");
  await other.getByRole("button", { name: "Add a row" }).first().click();
  const value = `g:lab-${Date.now()}`;
  const rows = other.getByRole("textbox", { name: /^Value/ });
  await rows.last().fill(value);
  await other.getByRole("button", { name: "Save" }).click();
  await expect(other.getByText("Saved.")).toBeVisible();

  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("alert")).toContainText("Somebody else has changed the settings");
  await page.getByRole("button", { name: "Load again" }).click();
  await expect(page.getByRole("textbox", { name: /^Value/ }).last()).toHaveValue(value);
  await answers(page).fill("Answer in short sentences.");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Saved.")).toBeVisible();
});

test("an administrator sees who can see a document", async ({ page }) => {
  await signIn(page, "admin", "/ui/documents");
  await openDocument(page, MANUAL);
  await page.getByRole("button", { name: "Who can see this" }).click();
  const dialog = page.getByRole("dialog", { name: "Who can see this" });
  const viewer = dialog.getByRole("listitem").filter({ hasText: USERS.viewer }).first();
  await expect(viewer).toContainText("May read");
  await expect(dialog.getByRole("status")).toContainText("may read it");
  await viewer.getByText(USERS.viewer).click();
  await expect(viewer.getByText("Rights of the role")).toBeVisible();
  await dialog.getByRole("searchbox", { name: "Find a person" }).fill("nobody of that name");
  await expect(dialog.getByText("Nothing was found.")).toBeVisible();
});

test("the console speaks German", async ({ page }) => {
  await signIn(page, "user", "/ui/display");
  await page.getByRole("combobox", { name: "Language" }).selectOption("de");
  await expect(page.getByRole("link", { name: "Dokumente" })).toBeVisible();
  await expect(page.locator("html")).toHaveAttribute("lang", "de");
});

test("an unknown address and an unknown document say so", async ({ page }) => {
  await signIn(page, "user", "/ui/nowhere");
  await expect(page.getByRole("heading", { name: "No such page" })).toBeVisible();
  await page.goto("/ui/documents/00000000-0000-7000-8000-00000000dead");
  await expect(page.getByRole("alert")).toBeVisible();
});
