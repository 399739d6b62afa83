import type { Page } from "@playwright/test";
import { QUESTION, ask, authorizationOf, expect, signIn, test } from "./console";

/** The scripted model plans three steps, of which the last one waits for both others. */
const OBJECTIVE = "Find the torque of the bolts and how the pump is isolated, and report both.";
const SLOW = 30_000;

async function state(page: Page, text: string) {
  await expect(page.getByRole("status").filter({ hasText: text }).first()).toBeVisible({ timeout: SLOW });
}

async function begin(page: Page, objective: string, isShownFirst = true) {
  await page.getByRole("link", { name: "Goals", exact: true }).click();
  await page.getByRole("textbox", { name: "What do you want?" }).fill(objective);
  if (!isShownFirst) await page.getByRole("checkbox", { name: /^Show me the plan/ }).uncheck();
  await page.getByRole("button", { name: "Make a plan" }).click();
  await expect(page).toHaveURL(/\/ui\/goals\/[0-9a-f-]{36}$/);
}

const graph = (page: Page) => page.getByRole("region", { name: "Steps and what they wait for" });
const step = (page: Page, title: string) => page.getByRole("article", { name: title });

test("a plan is edited, approved and followed to its result", async ({ page }) => {
  test.slow();
  await signIn(page, "user");
  await begin(page, OBJECTIVE);
  await expect(page.getByRole("button", { name: "Approve" })).toBeVisible({ timeout: SLOW });
  await expect(graph(page).getByRole("listitem")).toHaveCount(3);
  await expect(step(page, "Write the report")).toContainText("after: Find the torque, Look up the isolation");

  await page.getByRole("button", { name: "Edit plan" }).click();
  const edited = page.getByRole("form", { name: "Your version of the plan" });
  await edited.getByRole("button", { name: "Add a step" }).click();
  const last = edited.getByRole("group", { name: "Step 4", exact: true });
  await last.getByRole("textbox", { name: "Title" }).fill("Check the report");
  await last.getByRole("combobox", { name: "Agent" }).selectOption("document_analyst");
  await last.getByRole("textbox", { name: "What the agent is told" }).fill("Compare the report with the manual.");
  await last.getByRole("checkbox", { name: "Write the report" }).check();
  // What waits for a step already cannot be what the step waits for.
  const report = edited.getByRole("group", { name: "Step 3", exact: true });
  await expect(report.getByRole("checkbox", { name: "Check the report" })).toHaveCount(0);
  await edited.getByRole("button", { name: "Save the plan" }).click();
  await expect(page.getByText("Version 2")).toBeVisible();
  await expect(graph(page).getByRole("listitem")).toHaveCount(4);

  await page.getByRole("button", { name: "Approve" }).click();
  await expect(step(page, "Look up the isolation")).toContainText("Running", { timeout: SLOW });
  await state(page, "Done");
  const result = page.getByRole("region", { name: "Result" });
  await result.getByRole("link", { name: /^\[1\]/ }).click();
  await expect(page.getByRole("complementary").locator("mark").first()).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("complementary")).toHaveCount(0);
  await expect(step(page, "Find the torque").getByRole("link", { name: /^\[1\]/ })).toBeVisible();

  await page.getByRole("link", { name: "Back to the list" }).click();
  const row = page.getByRole("list", { name: "Goals" }).getByRole("listitem").filter({ hasText: OBJECTIVE }).first();
  await expect(row).toContainText("4 of 4 steps done");
});

test("a plan that was changed meanwhile costs nobody an edit", async ({ page, context }) => {
  await signIn(page, "approver");
  await begin(page, OBJECTIVE);
  const title = (of: Page) => {
    return of.getByRole("group", { name: "Step 1", exact: true }).getByRole("textbox", { name: "Title" });
  };
  await page.getByRole("button", { name: "Edit plan" }).click({ timeout: SLOW });
  await title(page).fill("My own first step");

  const other = await context.newPage();
  await signIn(other, "approver", new URL(page.url()).pathname);
  await other.getByRole("button", { name: "Edit plan" }).click();
  await title(other).fill("The other first step");
  await other.getByRole("button", { name: "Save the plan" }).click();
  await expect(other.getByText("Version 2")).toBeVisible();

  await expect(page.getByRole("status").filter({ hasText: "was changed while you edited it" })).toBeVisible();
  await page.getByRole("button", { name: "Save the plan" }).click();
  await page.getByRole("button", { name: "Load the new plan" }).click();
  await expect(title(page)).toHaveValue("The other first step");
  await page.getByRole("button", { name: "Back to my edit" }).click();
  await expect(title(page)).toHaveValue("My own first step");
  await page.getByRole("button", { name: "Save the plan" }).click();
  await expect(page.getByText("Version 3")).toBeVisible();

  // The other page shows version 2 until its reader has seen the third one.
  await expect(other.getByRole("button", { name: "Approve" })).toBeDisabled();
  await other.getByRole("button", { name: "I have read it" }).click();
  await expect(other.getByRole("button", { name: "Approve" })).toBeEnabled();
  await other.getByRole("button", { name: "Cancel goal" }).click();
  await other.getByRole("dialog").getByRole("button", { name: "Cancel goal" }).click();
  await state(other, "Cancelled");
});

test("a step that failed says why and is tried three times", async ({ page }) => {
  test.slow();
  await signIn(page, "viewer");
  await begin(page, "CALCULATE something.", false);
  const failed = step(page, "Compute the sum");
  for (const tries of ["one try", "2 tries"]) {
    await expect(failed).toContainText(tries, { timeout: SLOW });
    await expect(failed.getByRole("alert")).toContainText("tool_not_used");
    await expect(step(page, "Write the report")).toContainText("dependency_failed");
    await failed.getByRole("button", { name: "Retry" }).click();
  }
  await expect(failed).toContainText("All tries are used up.", { timeout: SLOW });
  await expect(failed.getByRole("button", { name: "Retry" })).toHaveCount(0);
});

test("a step leads to the approval that it waits for, and cancelling the goal withdraws it", async ({ page }) => {
  test.slow();
  await signIn(page, "admin");
  await begin(page, "Order a SEAL.", false);
  await page.getByRole("button", { name: "Approve" }).click({ timeout: SLOW });
  const order = step(page, "Order the part");
  await expect(order).toContainText("Waits for an approval", { timeout: SLOW });
  const goal = page.url();
  await order.getByRole("link", { name: "Open the request" }).click();
  await expect(page.getByRole("heading", { name: "Create a work order: P-101A" })).toBeVisible();
  await page.goto(goal);
  await page.getByRole("button", { name: "Cancel goal" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel goal" }).click();
  await state(page, "Cancelled");
  await expect(order).toContainText("Withdrawn", { timeout: SLOW });
});

test("on a small screen the plan is a list that says what waits for what", async ({ page, request }) => {
  await signIn(page, "viewer");
  await begin(page, OBJECTIVE);
  await page.setViewportSize({ width: 360, height: 740 });
  await expect(graph(page).getByText("after: Find the torque, Look up the isolation")).toBeVisible({ timeout: SLOW });
  const node = graph(page).getByRole("link", { name: /Write the report/ });
  await node.focus();
  await page.keyboard.press("Enter");
  await expect(step(page, "Write the report")).toBeFocused();

  // Nobody else has it, whatever the role.
  const path = new URL(page.url()).pathname.replace("/ui/", "/v1/");
  expect((await request.get(path, { headers: await authorizationOf(request, "admin") })).status()).toBe(404);
});

test("another user's goal is not there", async ({ page }) => {
  await signIn(page, "user", "/ui/goals/00000000-0000-7000-8000-00000000dead");
  await expect(page.getByText("This goal does not exist, or is not yours.")).toBeVisible();
});

test("administrators add agents, which users choose in the chat", async ({ page }) => {
  const name = `seal_expert_${Date.now()}`;
  await signIn(page, "admin", "/ui/admin/agents");
  const rows = page.getByRole("list", { name: "Agents" }).getByRole("listitem");
  const row = (text: string) => rows.filter({ hasText: text });
  await row("document_analyst").getByRole("button", { name: "Look at" }).click();
  await expect(page.getByRole("dialog")).toContainText("sha256:");
  await page.keyboard.press("Escape");
  await expect(row("document_analyst").getByRole("button", { name: "Delete" })).toHaveCount(0);

  await page.getByRole("button", { name: "Add an agent" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Name" }).fill(name);
  await dialog.getByRole("textbox", { name: "What it is good at" }).fill("Knows seals.");
  await dialog.getByRole("textbox", { name: "How it works" }).fill("Name the plan of each seal.");
  await dialog.getByRole("checkbox", { name: "rag_search" }).check();
  await dialog.getByRole("button", { name: "Save" }).click();
  await row(name).getByRole("button", { name: "Change" }).click();
  await dialog.getByRole("textbox", { name: "What it is good at" }).fill("Knows mechanical seals.");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(row(name)).toContainText("Knows mechanical seals.");

  await page.goto("/ui/chat");
  await page.getByRole("combobox", { name: "Who answers" }).selectOption(name);
  const asked = page.waitForRequest((request) => request.url().endsWith("/chat") && request.method() === "POST");
  await ask(page, QUESTION);
  expect((await asked).postDataJSON()).toMatchObject({ agent: name });

  await page.goto("/ui/admin/agents");
  await row(name).getByRole("button", { name: "Delete" }).click();
  await dialog.getByRole("button", { name: "Delete" }).click();
  await expect(row(name)).toHaveCount(0);
});

test("an answer in parts tells who works on what, and a simple one does not", async ({ page }) => {
  test.slow();
  await signIn(page, "user");
  await page.getByRole("combobox", { name: "Who answers" }).selectOption("auto");
  await ask(page, QUESTION);
  const parts = page.getByRole("list", { name: "Who works on what" });
  await expect(parts).toHaveCount(0);
  const question = "Find the torque and compare it with the isolation of P-101A.";
  await page.getByRole("textbox", { name: "Message" }).fill(question);
  await page.getByRole("button", { name: "Send" }).click();
  const [first, second] = [parts.getByRole("listitem").first(), parts.getByRole("listitem").nth(1)];
  await expect(first).toContainText("document_analyst: Find the torque", { timeout: SLOW });
  await expect(second).toContainText("procedure_lookup", { timeout: SLOW });
  await expect(page.getByRole("button", { name: "Regenerate" })).toHaveCount(2, { timeout: SLOW });
  await expect(parts).toHaveCount(0);
});
