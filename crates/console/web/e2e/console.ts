// What all tests share: a page that watches what it must never do, and the users of the demo tenant.

import { type APIRequestContext, type Page, test as base, expect } from "@playwright/test";

export { expect };

/** The users that the platform for the tests has, by their role or grant. `guest` is a viewer whose logins may be ended. */
export const USERS = {
  admin: "ana",
  user: "tunde",
  viewer: "kim",
  guest: "sam",
  auditor: "olu",
  approver: "ines",
  platform: "root-of-the-platform",
} as const;
export type Role = keyof typeof USERS;

export const MANUAL = "MAN-P101-feedwater-pump-manual.pdf";
/** The scripted model answers this one with a citation of the manual. */
export const QUESTION = "What torque do the casing tie bolts of P-101A get?";

interface Watched {
  /** Origins besides the platform's that a test expects requests to, such as an issuer. */
  allowedOrigins: string[];
}

/** A test whose page may not violate its security policy, ask another server, or throw. */
export const test = base.extend<{ watched: Watched }>({
  watched: [
    async ({ page, baseURL }, use) => {
      const watched: Watched = { allowedOrigins: [new URL(baseURL ?? "").origin] };
      const problems: string[] = [];
      page.on("console", (message) => {
        if (/Content Security Policy/i.test(message.text())) problems.push(message.text());
      });
      page.on("pageerror", (error) => problems.push(String(error)));
      page.on("request", (request) => {
        const { origin, protocol } = new URL(request.url());
        // What the pages of a provider load is their own affair.
        const isOurs = request.frame().url().startsWith(baseURL ?? "") || request.isNavigationRequest();
        if (isOurs && protocol !== "data:" && protocol !== "blob:" && !watched.allowedOrigins.includes(origin)) {
          problems.push(`request to ${request.url()}`);
        }
      });
      await page.addInitScript(() => {
        addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
          console.error(`Content Security Policy: ${violatedDirective} ${blockedURI}`),
        );
      });
      await use(watched);
      expect(problems).toEqual([]);
    },
    { auto: true },
  ],
});

/** Signs in as one of the users in the development list. */
export async function signIn(page: Page, role: Role, path = "/ui/chat") {
  await page.goto(path);
  await page.getByRole("button", { name: new RegExp(`^${USERS[role]}`, "i") }).click();
  await expect(page.getByRole("link", { name: "Chat", exact: true })).toBeVisible();
}

/** Asks in the open conversation and waits for the whole answer. */
export async function ask(page: Page, question: string) {
  const answers = page.getByRole("button", { name: "Regenerate" });
  const before = await answers.count();
  await page.getByRole("textbox", { name: "Message" }).fill(question);
  await page.getByRole("button", { name: "Send" }).click();
  await expect(answers).toHaveCount(before + 1);
}

/** The address of a document in the list, whose name has these words. */
export async function documentPath(page: Page, words: string): Promise<string> {
  await page.goto("/ui/documents");
  const link = page.getByRole("listitem").filter({ hasText: words }).getByRole("link").first();
  return (await link.getAttribute("href")) ?? "";
}

/** Headers of a request as one of the users, who signs in for it now. */
export async function authorizationOf(request: APIRequestContext, role: Role): Promise<{ authorization: string }> {
  const { data } = (await (await request.get("/v1/development/users")).json()) as { data: { id: string; name: string }[] };
  const user = data.find(({ name }) => name === USERS[role]);
  const issued = await request.post(`/v1/development/users/${user?.id}/token`);
  const { access_token } = (await issued.json()) as { access_token: string };
  return { authorization: `Bearer ${access_token}` };
}

/** States a goal as one of the users, and returns the path of its page. */
export async function goalPath(request: APIRequestContext, role: Role): Promise<string> {
  const headers = await authorizationOf(request, role);
  const created = await request.post("/v1/goals", { headers, data: { objective: "Report the torque of the bolts." } });
  return `/ui/goals/${((await created.json()) as { id: string }).id}`;
}

/** Creates a team as one of the users, and returns the path of its page. */
export async function teamPath(request: APIRequestContext, role: Role): Promise<string> {
  const headers = await authorizationOf(request, role);
  const data = { name: "Accessible", slug: `accessible-${Date.now()}` };
  const created = await request.post("/v1/teams", { headers, data });
  return `/ui/teams/${((await created.json()) as { id: string }).id}`;
}

/** Whether the server has a resource of the API, such as `admin/channels`. */
export async function hasResource(page: Page, name: string): Promise<boolean> {
  const settings = await page.locator('meta[name="console-settings"]').getAttribute("content");
  return (JSON.parse(settings ?? "{}") as { resources?: string[] }).resources?.includes(name) ?? false;
}

/** All that the browser keeps of the page. */
export async function stored(page: Page): Promise<string> {
  const storages = await page.evaluate(async () => {
    const databases = (await indexedDB.databases()).map(({ name }) => name);
    return JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), document.cookie, databases]);
  });
  return storages + JSON.stringify(await page.context().cookies());
}
