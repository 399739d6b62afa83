import { readFile } from "node:fs/promises";
import { MANUAL, QUESTION, ask, expect, signIn, test } from "./console";

/** An id of nothing. */
const MISSING = "00000000-0000-7000-8000-00000000dead";

test("an answer streams, and its citation opens the page with the passage marked", async ({ page }) => {
  await signIn(page, "user");
  await ask(page, QUESTION);
  const answer = page.getByRole("article", { name: "Assistant" });
  await expect(answer).toContainText("480 N·m");
  const citation = page.getByRole("link", { name: /^\[1\]/ });
  await expect(citation).toContainText(`${MANUAL}, page 25`);
  await citation.click();
  const panel = page.getByRole("complementary", { name: MANUAL });
  await expect(panel.getByRole("textbox", { name: "Page" })).toHaveValue("25");
  await expect(panel.locator("mark").first()).toBeVisible();
  expect(await panel.locator("mark").allTextContents()).not.toEqual([]);
  const href = await citation.getAttribute("href");
  expect(href).toMatch(/^\/ui\/documents\/[\w-]+\?page=25#passage=/);
  await page.goto(href ?? "");
  await expect(page.getByRole("textbox", { name: "Page" })).toHaveValue("25");
  await expect(page.locator("mark").first()).toBeVisible();
});

test("Stop ends an answer and keeps what was written", async ({ page }) => {
  await signIn(page, "user");
  await page.getByRole("textbox", { name: "Message" }).fill("Answer SLOWLY please");
  await page.getByRole("button", { name: "Send" }).click();
  await expect(page.getByText("piece 1")).toBeVisible();
  await page.getByRole("button", { name: "Stop" }).click();
  await expect(page.getByText("Stopped")).toBeVisible();
  await expect(page.getByRole("button", { name: "Send" })).toBeVisible();
  await expect(page.getByText("piece 1")).toBeVisible();
  await expect(page.getByText("the end.")).toHaveCount(0);
});

test("an answer is read on after the connection dropped, and after a reload", async ({ page, context }) => {
  await signIn(page, "user");
  await page.getByRole("textbox", { name: "Message" }).fill("Answer SLOWLY please");
  await page.getByRole("button", { name: "Send" }).click();
  await expect(page.getByText("piece 1")).toBeVisible();
  await context.setOffline(true);
  await page.waitForTimeout(500);
  await context.setOffline(false);
  await expect(page.getByText("piece 3")).toBeVisible();
  await page.reload();
  await expect(page.getByText("the end.")).toBeVisible({ timeout: 20_000 });
  await expect(page.getByText("piece 1 piece 2 piece 3")).toBeVisible();
});

test("Edit and Regenerate make versions to choose from", async ({ page }) => {
  await signIn(page, "user");
  await ask(page, "The first wording");
  await page.getByRole("button", { name: "Regenerate" }).click();
  await expect(page.getByText("2 of 2")).toBeVisible();
  await page.getByRole("button", { name: "Edit" }).click();
  await page.getByRole("textbox", { name: "Changed question" }).fill("The second wording");
  await page.getByRole("button", { name: "Ask again" }).click();
  await expect(page.getByRole("article", { name: "You" })).toHaveText(/The second wording/);
  await expect(page.getByText("The first wording")).toHaveCount(0);
  await expect(page.getByRole("button", { name: "Regenerate" })).toBeVisible();
  await page.getByRole("button", { name: "Previous version" }).click();
  await expect(page.getByRole("article", { name: "You" })).toHaveText(/The first wording/);
});

test("a conversation is renamed, rated, exported, archived and found", async ({ page }) => {
  await signIn(page, "user");
  await ask(page, QUESTION);
  await page.getByRole("button", { name: "Good answer" }).click();
  await expect(page.getByRole("button", { name: "Good answer" })).toHaveAttribute("aria-pressed", "true");
  await page.getByRole("button", { name: "Bad answer" }).click();
  await page.getByRole("textbox", { name: "What is wrong" }).fill("It names no tool.");
  await page.getByRole("button", { name: "Submit" }).click();

  const title = `Tie bolts ${Date.now()}`;
  await page.getByRole("button", { name: "Rename" }).click();
  await page.getByRole("textbox", { name: "Title" }).fill(title);
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("heading", { name: title })).toBeVisible();
  await expect(page.getByRole("link", { name: title })).toBeVisible();

  const downloading = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export" }).click();
  const download = await downloading;
  expect(download.suggestedFilename()).toMatch(/\.md$/);
  expect(await readFile(await download.path(), "utf8")).toContain(QUESTION);

  await page.getByRole("button", { name: "Archive" }).click();
  await expect(page.getByRole("link", { name: title })).toHaveCount(0);
  await page.getByRole("checkbox", { name: "Show archived" }).check();
  await page.getByRole("searchbox", { name: "Find in conversations" }).fill(title);
  await expect(page.getByRole("link", { name: title })).toBeVisible();
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect(page.getByRole("link", { name: title })).toHaveCount(0);
});

test("what an answer suggests to remember is accepted or declined in the chat", async ({ page }) => {
  test.slow();
  await signIn(page, "user");
  const [kept, declined] = [`I work in area ${Date.now()}`, `I like short answers ${Date.now()}`];
  const suggested = page.getByRole("region", { name: "Suggested" });
  for (const [fact, button] of [
    [kept, "Accept"],
    [declined, "Decline"],
  ] as const) {
    await ask(page, `Remember that ${fact}.`);
    const suggestion = suggested.getByRole("listitem").filter({ hasText: fact });
    await suggestion.getByRole("button", { name: button }).click({ timeout: 30_000 });
    await expect(suggestion).toHaveCount(0);
  }
  await page.goto("/ui/memories");
  const memory = page.getByRole("listitem").filter({ hasText: kept });
  await expect(memory.getByRole("button", { name: "Accept" })).toHaveCount(0);
  await expect(page.getByRole("listitem").filter({ hasText: declined })).toHaveCount(0);
  await memory.getByRole("button", { name: "Delete" }).click();
  await expect(memory).toHaveCount(0);
});

test("an answer that breaks off can be retried", async ({ page }) => {
  await signIn(page, "user");
  const problem = { code: "model_unavailable", detail: "The language model is not available." };
  const events = [
    { event: "run.started", data: { run_id: MISSING, message_id: MISSING, model: "fast" } },
    { event: "message.delta", data: { text: "It begins" } },
    { event: "error", data: { problem } },
  ];
  const body = events.map(({ event, data }, id) => `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join("");
  await page.route("**/chat", (route) => route.fulfill({ contentType: "text/event-stream", body }), { times: 1 });
  await page.getByRole("textbox", { name: "Message" }).fill(QUESTION);
  await page.getByRole("button", { name: "Send" }).click();
  await expect(page.getByRole("alert")).toContainText(problem.detail);
  await expect(page.getByText("It begins")).toBeVisible();
  await page.getByRole("button", { name: "Retry" }).click();
  await expect(page.getByRole("link", { name: /^\[1\]/ })).toBeVisible();
});

test("hostile text in an answer does nothing", async ({ page }) => {
  await signIn(page, "user");
  await ask(page, "Show me the HOSTILE text");
  const answer = page.getByRole("article", { name: "Assistant" });
  await expect(answer).toContainText("look at this");
  await expect(answer.locator("img, script, iframe, form, [onerror], [onclick], a[href^=http], a[href^=javascript]")).toHaveCount(0);
  expect(await page.evaluate(() => "pwned" in window)).toBe(false);
});

test("a first question and its source stay within the ten requests a minute of a viewer", async ({ page }) => {
  const requests: string[] = [];
  page.on("request", (request) => {
    if (new URL(request.url()).pathname.startsWith("/v1/")) requests.push(`${request.method()} ${request.url()}`);
  });
  await signIn(page, "viewer");
  const before = requests.filter((request) => request.includes("/v1/development/")).length;
  await ask(page, QUESTION);
  await page.getByRole("link", { name: /^\[1\]/ }).click();
  await expect(page.locator("mark").first()).toBeVisible();
  await expect(page.getByRole("heading", { name: "Untitled" })).toHaveCount(0);
  expect(requests.length - before, requests.join("\n")).toBeLessThanOrEqual(10);
});

test("a question is asked on one Mbit/s", async ({ page }) => {
  test.slow();
  const network = await page.context().newCDPSession(page);
  await network.send("Network.enable");
  const bytesPerSecond = 1_000_000 / 8;
  const conditions = { offline: false, latency: 100, downloadThroughput: bytesPerSecond, uploadThroughput: bytesPerSecond };
  await network.send("Network.emulateNetworkConditions", conditions);
  const start = Date.now();
  await page.goto("/ui/chat");
  await expect(page.getByRole("button", { name: /^tunde/i })).toBeVisible({ timeout: 15_000 });
  expect(Date.now() - start, "milliseconds until the console is there").toBeLessThan(10_000);
  await page.getByRole("button", { name: /^tunde/i }).click();
  await ask(page, QUESTION);
  await expect(page.getByRole("link", { name: /^\[1\]/ })).toBeVisible();
});

test("the chat is loaded with at most 300 KB", async ({ page }) => {
  let bytes = 0;
  page.on("response", async (response) => {
    if (!response.url().includes("/ui/")) return;
    // Responses come at the same time: the sum is read only once the size is known.
    const { responseBodySize } = await response.request().sizes();
    bytes += responseBodySize;
  });
  await signIn(page, "user");
  await page.waitForLoadState("networkidle");
  await expect.poll(() => bytes).toBeGreaterThan(50_000);
  expect(bytes).toBeLessThan(300 * 1_024);
});
