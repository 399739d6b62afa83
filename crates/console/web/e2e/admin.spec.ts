// The pages of administrators and of access tokens. What other tests look at (settings, the logins of their users) stays
// as it is: files of tests run at the same time.

import { readFile } from "node:fs/promises";
import type { Page } from "@playwright/test";
import { USERS, expect, hasResource, signIn, stored, test } from "./console";

/** How long a token or a session that was ended may still work. */
const REFUSED_WITHIN_MS = 20_000;
/** How long a broken file takes until it is given up. */
const FAILED_WITHIN_MS = 60_000;

async function createToken(page: Page, name: string, resource: string, operation: string): Promise<string> {
  await page.getByRole("button", { name: "Create a token" }).click();
  const form = page.getByRole("dialog", { name: "Create a token" });
  await form.getByRole("textbox", { name: "What it is for" }).fill(name);
  await expect(form.getByRole("button", { name: "Create a token" })).toBeDisabled();
  await form.getByRole("group", { name: resource, exact: true }).getByRole("checkbox", { name: operation }).check();
  await form.getByRole("button", { name: "Create a token" }).click();
  const shown = page.getByRole("dialog", { name: "The token was created" });
  const secret = await shown.getByRole("textbox", { name: "Secret" }).inputValue();
  await page.keyboard.press("Escape");
  await expect(shown).toBeVisible();
  await shown.getByRole("button", { name: "I have stored it" }).click();
  return secret;
}

function row(page: Page, text: string) {
  return page.getByRole("listitem").filter({ hasText: text });
}

test("an access token is shown once, works, and is revoked by its user", async ({ page, playwright, baseURL }) => {
  await signIn(page, "viewer", "/ui/display");
  await page.getByRole("link", { name: "Access tokens" }).click();
  const name = `historian ${Date.now()}`;
  const secret = await createToken(page, name, "Account", "read");
  expect(secret).toMatch(/^plantpat_/);
  expect(await page.content()).not.toContain(secret);
  expect(await stored(page)).not.toContain(secret);

  const program = await playwright.request.newContext({ baseURL, extraHTTPHeaders: { authorization: `Bearer ${secret}` } });
  expect((await program.get("/v1/me")).status()).toBe(200);
  expect((await program.get("/v1/documents")).status()).toBe(403);
  await row(page, name).getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await expect(row(page, name)).toContainText("Revoked");
  await expect(row(page, name).getByRole("button", { name: "Revoke" })).toHaveCount(0);
  await expect.poll(async () => (await program.get("/v1/me")).status(), { timeout: REFUSED_WITHIN_MS }).toBe(401);
  await program.dispose();
});

test("an administrator revokes the token of another user", async ({ page }) => {
  await signIn(page, "user", "/ui/tokens");
  const name = `script ${Date.now()}`;
  await createToken(page, name, "Search", "read");
  await page.getByRole("button", { name: "Sign out" }).click();
  await signIn(page, "admin", "/ui/admin/tokens");
  await expect(row(page, name)).toContainText(`of ${USERS.user}`);
  await row(page, name).getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await expect(row(page, name)).toContainText("Revoked");
});

test("an administrator ends the sessions of another user, who must sign in again", async ({ page, browser, baseURL }) => {
  const context = await browser.newContext({ baseURL });
  const guest = await context.newPage();
  await signIn(guest, "guest", "/ui/memories");
  await expect(guest.getByRole("heading", { name: "Memories" })).toBeVisible();

  await signIn(page, "admin", "/ui/admin/users");
  await row(page, USERS.guest).first().getByRole("button", { name: "Sessions" }).click();
  const dialog = page.getByRole("dialog", { name: `Sessions of ${USERS.guest}` });
  await expect(dialog.getByRole("button", { name: /^End/ }).first()).toBeVisible();
  const all = dialog.getByRole("button", { name: "End all of them" });
  if ((await all.count()) > 0) await all.click();
  else await dialog.getByRole("button", { name: "End this login" }).click();
  await expect(dialog.getByText("Not signed in anywhere.")).toBeVisible();

  const again = guest.getByRole("dialog", { name: "Sign in again" });
  const memory = guest.getByRole("textbox", { name: "Something to remember" });
  await expect(async () => {
    if (await again.isVisible()) return;
    await memory.fill("that I was signed out", { timeout: 1_000 });
    await guest.getByRole("button", { name: "Add" }).click({ timeout: 1_000 });
    await expect(again).toBeVisible({ timeout: 1_000 });
  }).toPass({ timeout: REFUSED_WITHIN_MS });
  await context.close();
});

test("a document that failed is in the queue and can be retried", async ({ page }) => {
  test.slow();
  await signIn(page, "admin", "/ui/documents");
  const name = `damaged-${Date.now()}.pdf`;
  const buffer = Buffer.from(`%PDF-1.7\n${name}\nnot a document`);
  await page.locator("input[type=file]").setInputFiles({ name, mimeType: "application/pdf", buffer });
  await expect(row(page, name).filter({ hasText: "Failed" })).toBeVisible({ timeout: FAILED_WITHIN_MS });
  await page.goto("/ui/admin/ingestion");
  const failed = page.getByRole("region", { name: /^Failed/ });
  // Its title is the name without the ending.
  const document = failed.getByRole("listitem").filter({ hasText: name.replace(".pdf", "") });
  await expect(document).toBeVisible();
  const queued = page.waitForResponse((response) => response.url().endsWith("/reprocess"));
  await document.getByRole("button", { name: "Retry" }).click();
  expect((await queued).status()).toBe(202);
  await expect(document).toBeVisible({ timeout: FAILED_WITHIN_MS });
  for (const state of ["Being processed", "Waiting"]) {
    await expect(page.getByRole("region", { name: new RegExp(`^${state}`) })).toBeVisible();
  }
});

test("an auditor verifies the chain, exports the log and sees why something was refused", async ({ page }) => {
  await signIn(page, "auditor", "/ui/admin/audit");
  await page.getByRole("button", { name: "Check the chain" }).click();
  await expect(page.getByText(/^Intact: [\d,]+ rows/)).toBeVisible({ timeout: 30_000 });
  await expect(page.getByText("Signatures were not checked")).toBeVisible();

  const downloading = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download the log" }).click();
  const lines = (await readFile(await (await downloading).path(), "utf8")).trim().split("\n");
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ type: "event", seq: 1 });
  const exporting = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download for a SIEM" }).click();
  expect((await exporting).suggestedFilename()).toBe("audit.ocsf.ndjson");

  // Users may not be listed by an auditor: the console does not ask, so this test does.
  const token = page.waitForRequest((request) => request.url().includes("/v1/audit"));
  await page.reload();
  const { authorization = "" } = (await token).headers();
  expect((await page.request.get("/v1/admin/users", { headers: { authorization } })).status()).toBe(403);
  const today = new Date().toLocaleDateString("sv-SE");
  await page.getByLabel("From").fill(today);
  await page.getByLabel("To", { exact: true }).fill(today);
  await page.getByRole("textbox", { name: "Event" }).fill("policy.denied");
  await page.getByRole("button", { name: "Apply" }).click();
  await expect(page).toHaveURL(/event_type=policy\.denied/);
  await page.getByRole("listitem").filter({ hasText: "policy.denied" }).first().getByText("policy.denied").first().click();
  await page.getByRole("button", { name: "Why was it refused?" }).first().click();
  await expect(page.getByRole("list", { name: "Rules in order" }).getByText("Rights of the role")).toBeVisible();
  await page.getByRole("button", { name: "All of this operation" }).first().click();
  await expect(page.getByRole("textbox", { name: "Operation id" })).not.toHaveValue("");
});

test("a changed log is found out", async ({ page }) => {
  await signIn(page, "auditor", "/ui/admin/audit");
  await page.route("**/v1/audit/export", async (route) => {
    const response = await route.fetch();
    const body = (await response.text()).replace('"phase":"intent"', '"phase":"outcome"');
    await route.fulfill({ response, body });
  });
  await page.getByRole("button", { name: "Check the chain" }).click();
  const alert = page.getByRole("alert").filter({ hasText: "One finding" });
  await expect(alert).toContainText("The row was changed after it was written.", { timeout: 30_000 });
});

test("the administrator of the platform adds a plant, limits it and deactivates it", async ({ page }) => {
  await signIn(page, "platform");
  await page.getByRole("link", { name: "Admin" }).click();
  await page.getByRole("button", { name: "Add a plant" }).click();
  const slug = `plant-${Date.now()}`;
  const form = page.getByRole("dialog", { name: "Add a plant" });
  await form.getByRole("textbox", { name: "Name of the plant" }).fill(`Works ${slug}`);
  await form.getByRole("textbox", { name: "Short name" }).fill(slug);
  await form.getByRole("button", { name: "Save" }).click();
  await page.getByRole("link", { name: `Works ${slug}` }).click();

  await page.getByRole("textbox", { name: "Name of the plant" }).fill(`Renamed ${slug}`);
  await page.getByRole("button", { name: "Rename" }).click();
  await expect(page.getByRole("heading", { name: `Renamed ${slug}` })).toBeVisible();

  const claim = `claim-${slug}`;
  await page.getByRole("textbox", { name: "Issuer" }).fill(process.env.OIDC_ISSUER ?? "");
  await page.getByRole("textbox", { name: "Value of the claim" }).fill(claim);
  await page.getByRole("button", { name: "Add a value" }).click();
  await expect(row(page, claim)).toBeVisible();
  await page.getByRole("button", { name: `Remove ${claim}` }).click();
  await expect(row(page, claim)).toHaveCount(0);

  await page.getByRole("spinbutton", { name: "Documents", exact: true }).fill("25");
  await page.getByRole("spinbutton", { name: "User: per minute" }).fill("20");
  await page.getByRole("spinbutton", { name: "User: per hour" }).fill("200");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Saved.")).toBeVisible();
  const change = page.getByRole("row").filter({ hasText: "quotas.documents" });
  await expect(change.getByRole("cell")).toHaveText(["not set", "25"]);

  await page.getByRole("button", { name: "Deactivate" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Deactivate" }).click();
  await expect(page.getByText("Inactive")).toBeVisible();
  await page.getByRole("button", { name: "Activate", exact: true }).click();
  await expect(page.getByText("Inactive")).toHaveCount(0);
});

test("each list says that it failed, and loads again", async ({ page }) => {
  await signIn(page, "admin");
  const lists = [
    { path: "/ui/tokens", url: /\/v1\/tokens/ },
    { path: "/ui/admin/tokens", url: /\/v1\/tokens/ },
    { path: "/ui/admin/ingestion", url: /\/v1\/documents\?status=failed/ },
    { path: "/ui/admin/audit", url: /\/v1\/audit\?/ },
    { path: "/ui/admin/usage", url: /\/v1\/usage/ },
    { path: "/ui/admin/settings", url: /\/v1\/admin\/settings$/ },
  ];
  const problem = { code: "policy_denied", detail: "That is not for you today.", status: 403 };
  for (const { path, url } of lists) {
    await page.route(url, (route) => route.fulfill({ status: 403, json: problem }));
    await page.goto(path);
    await expect(page.getByRole("alert").filter({ hasText: problem.detail }).first(), path).toBeVisible();
    await page.unroute(url);
    await page.getByRole("button", { name: "Try again" }).first().click();
    await expect(page.getByRole("alert").filter({ hasText: problem.detail }), path).toHaveCount(0);
  }
});

test("a tool of an MCP server is allowed as it was read, and read again if it changed meanwhile", async ({ page }) => {
  await signIn(page, "admin", "/ui/admin/mcp-servers");
  test.skip(!(await hasResource(page, "admin/mcp-servers")), "the server has no MCP servers");
  const name = `cmms${Date.now() % 1_000_000}`;
  await page.getByRole("button", { name: "Add an MCP server" }).click();
  const form = page.getByRole("dialog", { name: "Add an MCP server" });
  await form.getByRole("textbox", { name: "Name" }).fill(name);
  // Nothing listens there.
  await form.getByRole("textbox", { name: "Address" }).fill("http://127.0.0.1:9/mcp");
  await form.getByLabel("Secret").fill("never-shown-again");
  await form.getByRole("button", { name: "Save" }).click();
  const dialog = page.getByRole("dialog", { name: `Tools of “${name}”` });
  await expect(dialog).toContainText("The server could not be asked", { timeout: 30_000 });
  await dialog.getByRole("button", { name: "Close" }).click();
  expect(await page.content()).not.toContain("never-shown-again");

  // What a server that answers would show, and later something else.
  let version = 1;
  const decided: { tools: { allow: boolean; digest: string }[] }[] = [];
  let id = "";
  const shown = () => {
    const description = `Version ${version} <img src=x>`;
    const definition = { description, input_schema: { type: "object" }, digest: `sha256:${String(version).repeat(64)}` };
    const rule = { allow: false, write: false, classification: "internal", state: "new" };
    const tools = [{ name: "find_ticket", callable_as: `${name}__find_ticket`, ...rule, definition }];
    return { id, name, url: "http://127.0.0.1:9/mcp", auth: null, tools, reachable: true, detail: null };
  };
  await page.route(/\/v1\/admin\/mcp-servers\/[0-9a-f-]{36}$/, async (route) => {
    const request = route.request();
    id = new URL(request.url()).pathname.split("/").at(-1) ?? "";
    if (request.method() === "GET") return route.fulfill({ json: shown() });
    if (request.method() !== "PATCH") return route.fallback();
    decided.push(request.postDataJSON());
    if (decided.length > 1) return route.fulfill({ json: shown() });
    version = 2;
    const problem = { code: "definition_changed", detail: "The tool find_ticket has another definition.", status: 409 };
    return route.fulfill({ status: 409, json: problem });
  });
  await row(page, name).getByRole("button", { name: "Tools" }).click();
  const tool = dialog.getByRole("group", { name: "find_ticket" });
  await expect(tool).toContainText("Version 1 <img src=x>");
  await tool.getByRole("checkbox", { name: "May be called" }).check();
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog.getByRole("alert")).toContainText("another definition");
  await dialog.getByRole("button", { name: "Read again" }).click();
  await expect(tool).toContainText("Version 2");
  await expect(tool.getByRole("checkbox", { name: "May be called" })).not.toBeChecked();
  await tool.getByRole("checkbox", { name: "May be called" }).check();
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog).toHaveCount(0);
  expect(decided.map(({ tools: [first] }) => [first?.allow, first?.digest])).toEqual([
    [true, `sha256:${"1".repeat(64)}`],
    [true, `sha256:${"2".repeat(64)}`],
  ]);
  await page.unrouteAll();
  await row(page, name).getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect(row(page, name)).toHaveCount(0);
});
