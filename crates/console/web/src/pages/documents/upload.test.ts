import { expect, it } from "vitest";
import type { Document } from "@/api/types";
import { replacing } from "./revision-form";
import { uploadForm } from "./upload";

const document = { id: "d1", classification: "confidential", tags: ["pump", "unit, 100"], doc_type: "manual" } as unknown as Document;
const file = new File(["x"], "b.pdf");

it("a new revision has what the document has, and says what it replaces", () => {
  const form = uploadForm(file, replacing(document, " C ", "2030-01-31"));
  expect([...form.keys()]).toEqual(["classification", "tags", "doc_type", "supersedes", "revision", "effective_from", "file"]);
  expect(form.get("tags")).toBe('["pump","unit, 100"]');
  expect([form.get("supersedes"), form.get("revision"), form.get("effective_from")]).toEqual(["d1", "C", "2030-01-31"]);
});

it("what is not known is not sent", () => {
  expect([...uploadForm(file, replacing(document, " ", "")).keys()]).not.toContain("revision");
  expect([...uploadForm(file, { classification: "internal", tags: " " }).keys()]).toEqual(["classification", "file"]);
});
