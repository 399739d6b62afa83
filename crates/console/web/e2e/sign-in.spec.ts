import { QUESTION, USERS, expect, signIn, stored, test } from "./console";

/** The beginning of every JWT. */
const TOKEN = /eyJ[\w-]+\.eyJ/;

test("the development list signs in and out, and no token is stored", async ({ page }) => {
  await page.goto("/");
  await expect(page).toHaveURL(/\/ui\/$/);
  for (const name of Object.values(USERS)) {
    await expect(page.getByRole("button", { name: new RegExp(`^${name}`, "i") })).toBeVisible();
  }
  await signIn(page, "user");
  expect(await stored(page)).not.toMatch(TOKEN);
  await page.reload();
  await expect(page.getByRole("textbox", { name: "Message" })).toBeVisible();
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page.getByRole("heading", { name: /choose a user/ })).toBeVisible();
  await page.reload();
  await expect(page.getByRole("heading", { name: /choose a user/ })).toBeVisible();
});

test("each role has its links", async ({ page }) => {
  await signIn(page, "viewer", "/ui/documents");
  for (const name of ["Chat", "Search", "Documents"]) {
    await expect(page.getByRole("link", { name, exact: true })).toBeVisible();
  }
  await expect(page.getByRole("link", { name: "Admin" })).toHaveCount(0);
  await expect(page.getByRole("button", { name: "Upload" })).toHaveCount(0);
  await page.goto("/ui/admin/users");
  await expect(page.getByText("for administrators and auditors")).toBeVisible();
});

test("auditors and administrators of the platform have only their pages", async ({ page }) => {
  await signIn(page, "auditor", "/ui/admin");
  const pages = page.getByRole("navigation", { name: "Administration" }).getByRole("link");
  await expect(pages).toHaveText(["Audit", "Usage"]);
  await page.getByRole("button", { name: "Sign out" }).click();
  await signIn(page, "platform", "/ui/admin");
  await expect(pages).toHaveText(["Plants"]);
  await page.goto("/ui/admin/users");
  await expect(page).toHaveURL(/\/ui\/admin\/plants$/);
});

test("a refused token asks to sign in again and keeps the draft", async ({ page }) => {
  await signIn(page, "user");
  const message = page.getByRole("textbox", { name: "Message" });
  await message.fill("half a question");
  await page.route("**/v1/search", (route) => route.fulfill({ status: 401, json: { code: "invalid_token" } }));
  await page.route("**/v1/conversations", (route) =>
    route.request().method() === "POST" ? route.fulfill({ status: 401, json: { code: "invalid_token" } }) : route.continue(),
  );
  await page.getByRole("button", { name: "Send" }).click();
  const dialog = page.getByRole("dialog", { name: "Sign in again" });
  await expect(dialog).toBeVisible();
  await page.unroute("**/v1/conversations");
  await dialog.getByRole("button", { name: new RegExp(`^${USERS.user}`, "i") }).click();
  await expect(dialog).toBeHidden();
  await expect(message).toHaveValue("half a question");
  await message.fill(QUESTION);
  await page.getByRole("button", { name: "Send" }).click();
  await expect(page.getByRole("link", { name: /^\[1\]/ })).toBeVisible();
});

test("an unused console locks, and hides what it showed", async ({ page }) => {
  await page.clock.install();
  await signIn(page, "user");
  await page.evaluate(() => localStorage.setItem("console.lock", "5"));
  await page.reload();
  await page.getByRole("textbox", { name: "Message" }).fill("a draft");
  await page.clock.fastForward("06:00");
  await page.clock.runFor(6_000);
  await expect(page.getByRole("dialog", { name: "Sign in again" })).toBeVisible();
  await expect(page.getByRole("textbox", { name: "Message" })).toBeHidden();
  await page.getByRole("button", { name: new RegExp(`^${USERS.user}`, "i") }).click();
  await expect(page.getByRole("textbox", { name: "Message" })).toHaveValue("a draft");
});

test("a lock hides dialogs, and reloading does not undo it", async ({ page }) => {
  await page.clock.install();
  await signIn(page, "user", "/ui/tokens");
  await page.getByRole("button", { name: "Create a token" }).click();
  const form = page.getByRole("dialog", { name: "Create a token" });
  await form.getByRole("textbox", { name: "What it is for" }).fill("historian");
  await page.clock.fastForward("31:00");
  await page.clock.runFor(6_000);
  await expect(page.getByRole("dialog", { name: "Sign in again" })).toBeVisible();
  await expect(page.getByText("What it is for")).toBeHidden();
  await expect(page).not.toHaveTitle(/Access tokens/);
  await page.reload();
  await expect(page.getByText("The console was locked")).toBeVisible();
  await expect(page.getByRole("link", { name: "Chat", exact: true })).toHaveCount(0);
  await page.getByRole("button", { name: new RegExp(`^${USERS.user}`, "i") }).click();
  await page.getByRole("button", { name: "Create a token" }).click();
  await expect(form.getByRole("textbox", { name: "What it is for" })).toHaveValue("historian");
});

test("the issuer signs in with code and PKCE", async ({ page, watched }) => {
  const issuer = process.env.OIDC_ISSUER ?? "";
  watched.allowedOrigins.push(new URL(issuer).origin);
  await page.goto("/ui/documents");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.locator("input[name=login]").fill("alice");
  await page.locator("input[name=password]").fill("x");
  await page.getByRole("button", { name: /sign-in/i }).click();
  await page.getByRole("button", { name: /continue/i }).click();
  await expect(page.getByRole("heading", { name: "Documents" })).toBeVisible();
  expect(await stored(page)).not.toMatch(TOKEN);
  await page.reload();
  // The provider knows the user, and asks for consent alone.
  await page.getByRole("button", { name: /continue/i }).click();
  await expect(page.getByRole("heading", { name: "Documents" })).toBeVisible();
});
