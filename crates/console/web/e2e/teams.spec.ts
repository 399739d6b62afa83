import type { APIRequestContext, Page } from "@playwright/test";
import { type Role, USERS, ask, authorizationOf, expect, signIn, test } from "./console";

async function idOf(request: APIRequestContext, role: Role): Promise<string> {
  const me = await request.get("/v1/me", { headers: await authorizationOf(request, role) });
  return ((await me.json()) as { id: string }).id;
}

/** Creates a team and opens it. Its name is unique. */
async function createTeam(page: Page): Promise<string> {
  const name = `Turnaround ${Date.now()}`;
  await page.getByRole("link", { name: "Teams", exact: true }).click();
  await page.getByRole("button", { name: "Create a team" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Name", exact: true }).fill(name);
  await expect(dialog.getByRole("textbox", { name: "Short name" })).toHaveValue(name.toLowerCase().replace(" ", "-"));
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("heading", { level: 1, name })).toBeVisible();
  return name;
}

const members = (page: Page) => page.getByRole("list", { name: "Members" }).getByRole("listitem");

test("a team shares all with its members alone", async ({ page, request, browser, baseURL }) => {
  test.slow();
  await signIn(page, "approver");
  const name = await createTeam(page);
  const team = new URL(page.url()).pathname;
  await page.getByRole("button", { name: "Add a member" }).click();
  await page.getByRole("dialog").getByRole("textbox", { name: "User id" }).fill(await idOf(request, "viewer"));
  await page.getByRole("dialog").getByRole("button", { name: "Add" }).click();
  await expect(members(page)).toHaveCount(2);

  await page.getByRole("link", { name: "Files of the team" }).click();
  await expect(page.getByRole("combobox", { name: "Space" }).locator("option:checked")).toHaveText(name);
  const file = `note-${Date.now()}.md`;
  const content = `# Strainer X-77\n\nThe strainer X-77 of ${name} is cleaned every 9 days.\n`;
  const note = { name: file, mimeType: "text/markdown", buffer: Buffer.from(content) };
  await page.locator("input[type=file]").setInputFiles(note);
  const row = page.getByRole("listitem").filter({ hasText: file }).filter({ hasText: "Ready" });
  await expect(row).toBeVisible({ timeout: 30_000 });

  // The search is in the same space, which is in the address.
  await page.getByRole("link", { name: "Search", exact: true }).click();
  await expect(page).toHaveURL(/[?&]team=/);
  await page.getByRole("searchbox", { name: "Words or a question" }).fill("How often is strainer X-77 cleaned?");
  await page.getByRole("button", { name: "Find" }).click();
  await expect(page.getByRole("region", { name: "Results" })).toContainText("every 9 days");
  await page.getByRole("combobox", { name: "Space" }).selectOption({ index: 0 });
  await expect(page.getByRole("region", { name: "Results" })).not.toContainText("every 9 days");

  await page.goto(team);
  await page.getByRole("link", { name: "Conversations of the team" }).click();
  await ask(page, "How often is strainer X-77 cleaned?");
  const conversation = page.url();
  expect(conversation).toContain("team=");

  const reader = await (await browser.newContext({ baseURL })).newPage();
  await signIn(reader, "viewer", new URL(conversation).pathname);
  const question = reader.getByRole("article", { name: USERS.approver });
  await expect(question).toContainText("How often is strainer X-77 cleaned?");
  await expect(question.getByRole("button", { name: "Edit" })).toHaveCount(0);
  await expect(reader.getByRole("textbox", { name: "Message" })).toHaveCount(0);
  await expect(reader.getByText("You only read in this team.")).toBeVisible();
  await reader.goto(team);
  await expect(members(reader)).toHaveCount(2);
  await expect(reader.getByRole("button", { name: "Delete the team" })).toHaveCount(0);
  await reader.getByRole("button", { name: "Leave the team" }).click();
  await reader.getByRole("dialog").getByRole("button", { name: "Leave the team" }).click();
  await expect(reader).toHaveURL(/\/ui\/teams$/);
  await expect(reader.getByRole("link", { name })).toHaveCount(0);
  await reader.context().close();

  const admin = await (await browser.newContext({ baseURL })).newPage();
  await signIn(admin, "admin", team);
  await expect(admin.getByText("This team does not exist, or you do not belong to it.")).toBeVisible();
  await admin.context().close();
});

test("an owner renames a team, changes roles, deletes it and brings it back", async ({ page }) => {
  await signIn(page, "admin");
  const name = await createTeam(page);
  await expect(page.getByRole("button", { name: "Leave the team" })).toBeDisabled();
  await page.getByRole("button", { name: "Add a member" }).click();
  await page.getByRole("dialog").getByRole("combobox", { name: "Person" }).selectOption({ label: USERS.user });
  await page.getByRole("dialog").getByRole("button", { name: "Add" }).click();
  const member = members(page).filter({ hasText: USERS.user });
  await member.getByRole("combobox").selectOption("owner");
  await expect(page.getByRole("button", { name: "Leave the team" })).toBeEnabled();
  await member.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await expect(members(page)).toHaveCount(1);

  await page.getByRole("button", { name: "Change name" }).click();
  await page.getByRole("dialog").getByRole("textbox", { name: "Name", exact: true }).fill(`${name}, phase 2`);
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("heading", { level: 1, name: `${name}, phase 2` })).toBeVisible();

  await page.getByRole("button", { name: "Delete the team" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect(page.getByText("Marked for deletion")).toBeVisible();
  await page.getByRole("button", { name: "Restore the team" }).click();
  await expect(members(page)).toHaveCount(1);
});

test("an owner invites a guest and learns nothing of the other plant", async ({ page }) => {
  await signIn(page, "admin");
  await createTeam(page);
  await page.getByRole("button", { name: "Invite a guest" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Short name of the other plant" }).fill("no-such-plant");
  await dialog.getByRole("textbox", { name: "E-mail" }).fill("nobody@other.example");
  await dialog.getByRole("button", { name: "Invite" }).click();
  // Whether this plant has guests is a setting of its administrators.
  await expect(dialog.getByRole("status").getByText(/invitation was made/).or(dialog.getByRole("alert"))).toBeVisible();
});

test("a guest accepts one invitation, declines another and is told what guests see", async ({ page }) => {
  await signIn(page, "user", "/ui/teams");
  const invitations = page.getByRole("list", { name: "Invitations for you" }).getByRole("listitem");
  await expect(invitations).toHaveCount(2);
  await invitations.filter({ hasText: "Joint stores" }).getByRole("button", { name: "Decline" }).click();
  await expect(invitations).toHaveCount(1);
  await invitations.filter({ hasText: "Joint shutdown" }).getByRole("button", { name: "Accept" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Joint shutdown" })).toBeVisible();
  await expect(page.getByRole("region", { name: "You are a guest" })).toContainText("never more than at home");
  await expect(members(page).filter({ hasText: USERS.user })).toContainText("Guest");
  await page.getByRole("link", { name: "Conversations of the team" }).click();
  await expect(page.getByRole("textbox", { name: "Message" })).toBeVisible();
  await page.getByRole("link", { name: "Teams", exact: true }).click();
  await expect(page.getByRole("link", { name: "Joint stores" })).toHaveCount(0);
});

test("a viewer creates no team", async ({ page }) => {
  await signIn(page, "guest", "/ui/teams");
  await expect(page.getByText("You belong to no team yet.")).toBeVisible();
  await expect(page.getByRole("button", { name: "Create a team" })).toHaveCount(0);
});
