import { expect, it } from "vitest";
import { differences } from "./differences";
import type { SettingsView } from "./fields";

it("differences name what was set, changed and taken away", () => {
  const before = { language: "german", quotas: { documents: 5 }, clearance: { viewer: null }, role_mappings: {} };
  const after = { language: null, quotas: { documents: 6 }, clearance: { viewer: null }, role_mappings: { "g:ops": "user" } };
  expect(differences(before as unknown as SettingsView, after as unknown as SettingsView)).toEqual([
    { name: "language", before: "german", after: undefined },
    { name: "quotas.documents", before: "5", after: "6" },
    { name: "role_mappings.g:ops", before: undefined, after: "user" },
  ]);
});
