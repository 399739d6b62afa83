// Plant systems: connectors, measured values, channels and the maintenance system. A test of what the server lacks is
// skipped.

import type { Locator, Page } from "@playwright/test";
import { expect, hasResource, signIn, test } from "./console";

/** How long a simulated plant may take until it has values. */
const VALUES_WITHIN_MS = 60_000;

/** A simulated plant, which brings its own tags. Only one test adds it: names of tags are unique in a plant. */
const SIMULATOR = "simulated-plant";

test.describe.configure({ mode: "serial" });

/** Modbus has no list of tags, so the platform's answer is made up; what is chosen is really added. */
async function addOfferedTags(page: Page, connector: Locator, name: string) {
  await connector.getByRole("button", { name: "Browse" }).click();
  const dialog = page.getByRole("dialog", { name: `Tags that “${name}” offers` });
  await expect(dialog).toContainText("This protocol has no list of tags.", { timeout: VALUES_WITHIN_MS });
  await dialog.getByRole("button", { name: "Close" }).click();
  const offered = ["A", "B", "C"].map((letter, index) => ({
    tag: `${name}-${letter}`,
    address: `holding:${index + 1}`,
    unit: "bar",
    description: `Pressure “${letter}”, raw`,
    data_type: "int16",
  }));
  await page.route("**/browse?**", (route) => route.fulfill({ json: { supported: true, tags: offered } }), { times: 1 });
  await connector.getByRole("button", { name: "Browse" }).click();
  const tags = dialog.getByRole("list", { name: "Offered tags" }).getByRole("listitem");
  await expect(tags).toHaveCount(3);
  await expect(tags.first()).toContainText("already there");
  await expect(dialog.getByRole("checkbox", { name: `${name}-A` })).toBeDisabled();
  await dialog.getByRole("searchbox").fill("pressure “c”");
  await expect(tags).toHaveCount(1);
  await dialog.getByRole("searchbox").fill("");
  await dialog.getByRole("checkbox", { name: `${name}-B` }).check();
  await dialog.getByRole("button", { name: "Add one tag" }).click();
  await expect(dialog).toHaveCount(0);
  await expect(connector).toContainText("2 tags");
}

async function importTags(page: Page, connector: Locator, name: string) {
  await connector.getByRole("button", { name: "Import CSV" }).click();
  const dialog = page.getByRole("dialog", { name: `Import tags into “${name}”` });
  const choose = (lines: string[]) => {
    const file = { name: "tags.csv", mimeType: "text/csv", buffer: Buffer.from(lines.join("\n")) };
    return dialog.locator("input[type=file]").setInputFiles(file);
  };
  await choose(["tag;address;data_type", `${name}-D;holding:4;int99`, `${name}-E;;int16`]);
  await expect(dialog.getByRole("alert")).toContainText("line 2");
  await expect(dialog.getByRole("alert")).toContainText("line 3");
  await choose(["tag;address;data_type;alarm_high", `${name}-D;holding:4;int16;9.5`, `${name}-E;holding:5;int16;`]);
  await expect(dialog.getByRole("status")).toContainText("2 tags were imported. The connector has 4 tags now.");
  await dialog.getByRole("button", { name: "Close" }).click();
  await expect(connector).toContainText("4 tags");
}

test("a connector is added, checked and changed", async ({ page }) => {
  await signIn(page, "admin", "/ui/admin/connectors");
  test.skip(!(await hasResource(page, "admin/connectors")), "the server has no connectors");
  const rows = page.getByRole("list", { name: "Connectors" }).getByRole("listitem");
  await page.getByRole("button", { name: "Add a connector" }).click();
  const form = page.getByRole("dialog", { name: "Add a connector" });
  await form.getByRole("textbox", { name: "Name", exact: true }).fill(SIMULATOR);
  await form.getByRole("combobox", { name: "Protocol" }).selectOption("simulator");
  await expect(form.getByRole("textbox", { name: "Address" })).toHaveCount(0);
  await form.getByRole("textbox", { name: "Settings of the protocol" }).fill("[");
  await expect(form.getByText("not a JSON object")).toBeVisible();
  await expect(form.getByRole("button", { name: "Save" })).toBeDisabled();
  await form.getByRole("textbox", { name: "Settings of the protocol" }).fill("{}");
  await form.getByRole("button", { name: "Save" }).click();
  const simulator = rows.filter({ hasText: SIMULATOR });
  await expect(simulator).toContainText("Simulated plant");
  await simulator.getByRole("button", { name: "Check" }).click();
  await expect(simulator.getByText("Values can be read.")).toBeVisible({ timeout: VALUES_WITHIN_MS });

  const name = `plc-${Date.now()}`;
  await page.getByRole("button", { name: "Add a connector" }).click();
  await form.getByRole("textbox", { name: "Name", exact: true }).fill(name);
  await form.getByRole("combobox", { name: "Protocol" }).selectOption("modbus");
  await form.getByRole("textbox", { name: "Address" }).fill("modbus://127.0.0.1:9");
  await form.getByRole("textbox", { name: "Tags" }).fill(`${name}-A | holding:1 | bar | Pressure | P-1 | int16 | 0.1`);
  await form.getByRole("button", { name: "Save" }).click();
  const plc = rows.filter({ hasText: name });
  await expect(plc).toContainText("one tag");
  await plc.getByRole("button", { name: "Check" }).click();
  await expect(plc.getByRole("alert")).toContainText("No values can be read.", { timeout: VALUES_WITHIN_MS });
  await addOfferedTags(page, plc, name);
  await importTags(page, plc, name);
  await plc.getByRole("button", { name: "Change" }).click();
  const changed = page.getByRole("dialog", { name: `Change “${name}”` });
  await changed.getByRole("checkbox", { name: "In use" }).uncheck();
  await changed.getByRole("button", { name: "Save" }).click();
  await expect(plc).toContainText("Not in use");
  await plc.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect(plc).toHaveCount(0);
});

test("a connector's secret is never shown", async ({ page }) => {
  await signIn(page, "admin", "/ui/admin/connectors");
  test.skip(!(await hasResource(page, "admin/connectors")), "the server has no connectors");
  const name = `broker-${Date.now()}`;
  await page.getByRole("button", { name: "Add a connector" }).click();
  const form = page.getByRole("dialog", { name: "Add a connector" });
  await form.getByRole("textbox", { name: "Name", exact: true }).fill(name);
  await form.getByRole("combobox", { name: "Protocol" }).selectOption("mqtt");
  await form.getByRole("textbox", { name: "Address" }).fill("mqtt://127.0.0.1:9");
  await form.getByLabel("Secret").fill("never-shown-again");
  await form.getByRole("button", { name: "Save" }).click();
  const broker = page.getByRole("list", { name: "Connectors" }).getByRole("listitem").filter({ hasText: name });
  await expect(broker).toBeVisible();
  expect(await page.content()).not.toContain("never-shown-again");
  await broker.getByRole("button", { name: "Change" }).click();
  const changed = page.getByRole("dialog", { name: `Change “${name}”` });
  await expect(changed.getByLabel("Secret")).toHaveValue("");
  await changed.getByRole("button", { name: "Save" }).click();
  await broker.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect(broker).toHaveCount(0);
});

test("users find tags with their values, and viewers without", async ({ page }) => {
  await signIn(page, "user", "/ui/plant/tags");
  test.skip(!(await hasResource(page, "admin/connectors")), "the server has no connectors");
  await page.getByRole("searchbox", { name: "Name of a tag" }).fill("pressure");
  await page.getByRole("button", { name: "Find" }).click();
  const tags = page.getByRole("list", { name: "Measured values" }).getByRole("listitem");
  await expect(tags.first()).toBeVisible();
  await expect(tags.first()).toContainText(/\d.* old/, { timeout: VALUES_WITHIN_MS });
  await tags.first().getByRole("button", { name: /^Trend/ }).click();
  await expect(tags.first().getByRole("combobox", { name: "Period" })).toBeVisible();
  await tags.first().getByRole("link").click();
  await expect(page.getByText("Measured", { exact: true })).toBeVisible();
  await page.getByRole("button", { name: "Sign out" }).click();

  await signIn(page, "viewer", "/ui/plant/tags?q=pressure");
  await expect(tags.first()).toBeVisible();
  await expect(page.getByText("Viewers find tags, but see no values.")).toBeVisible();
  await expect(page.getByRole("button", { name: /^Trend/ })).toHaveCount(0);
});

test("a value that an answer cites is told with its quality and age, apart from documents", async ({ page }) => {
  await signIn(page, "user");
  const id = "00000000-0000-7000-8000-00000000dead";
  const at = new Date(Date.now() - 90_000).toISOString();
  const reading = { n: 2, kind: "reading", tag: "PIT-1001", value: 4.625, unit: "bar", quality: "uncertain", at, source: "simulator:demo" };
  const events = [
    { event: "run.started", data: { run_id: id, message_id: id, model: "fast" } },
    { event: "message.delta", data: { text: "The suction pressure is 4.625 bar [2]." } },
    { event: "citation", data: reading },
    { event: "error", data: { problem: { code: "model_unavailable", detail: "Enough." } } },
  ];
  const body = events.map(({ event, data }, number) => `id: ${number}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join("");
  await page.route("**/chat", (route) => route.fulfill({ contentType: "text/event-stream", body }), { times: 1 });
  await page.getByRole("textbox", { name: "Message" }).fill("What is the suction pressure?");
  await page.getByRole("button", { name: "Send" }).click();
  const values = page.getByRole("region", { name: "Measured values" });
  const citation = values.getByRole("link", { name: /^\[2\]/ });
  await expect(citation).toContainText("PIT-1001: 4.625 bar");
  await expect(citation).toContainText("Uncertain quality");
  await expect(citation).toContainText(/1 min \d+ sec old/);
  await expect(page.getByRole("region", { name: "Sources" })).toHaveCount(0);
  await citation.click();
  await expect(page.getByRole("complementary", { name: "PIT-1001" })).toBeVisible();
});

test("a channel is added, tested and deleted, and its secret is never shown", async ({ page }) => {
  await signIn(page, "admin", "/ui/admin/channels");
  test.skip(!(await hasResource(page, "admin/channels")), "the server has no channels");
  const name = `hook-${Date.now()}`;
  await page.getByRole("button", { name: "Add a channel" }).click();
  const form = page.getByRole("dialog", { name: "Add a channel" });
  await form.getByRole("textbox", { name: "Name" }).fill(name);
  await form.getByRole("combobox", { name: "Kind" }).selectOption("webhook");
  // Nothing listens there.
  await form.getByRole("textbox", { name: "Address" }).fill("http://127.0.0.1:9/hook");
  const secret = `whsec_${Buffer.from("0123456789abcdef0123456789abcdef").toString("base64")}`;
  await form.getByLabel("Secret").fill(secret);
  await form.getByRole("button", { name: "Save" }).click();
  const channel = page.getByRole("list", { name: "Channels" }).getByRole("listitem").filter({ hasText: name });
  await expect(channel).toContainText("http://127.0.0.1:9/hook");
  expect(await page.content()).not.toContain(secret);
  await channel.getByRole("button", { name: "Test" }).click();
  await expect(channel.getByRole("alert")).toBeVisible({ timeout: 30_000 });
  await channel.getByRole("button", { name: "Deliveries" }).click();
  await expect(page.getByRole("dialog", { name: `Deliveries of “${name}”` })).toBeVisible();
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  await channel.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect(channel).toHaveCount(0);
});

test("the maintenance system is the platform's own list unless another is set", async ({ page }) => {
  await signIn(page, "admin", "/ui/admin/maintenance");
  test.skip(!(await hasResource(page, "admin/maintenance-system")), "the server has no maintenance systems");
  const system = page.getByRole("region", { name: "Maintenance system" });
  const kind = system.getByRole("combobox", { name: "System" });
  await expect(kind).toHaveValue("builtin");
  await expect(system.getByLabel("Secret")).toHaveCount(0);
  await kind.selectOption("maximo");
  await expect(system.getByRole("textbox", { name: "Site" })).toBeVisible();
  await kind.selectOption("builtin");
  await system.getByRole("button", { name: "Save" }).click();
  await expect(system.getByRole("status")).toHaveText("Saved.");
});
