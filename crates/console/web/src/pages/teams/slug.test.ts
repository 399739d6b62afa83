import { describe, expect, it } from "vitest";
import { suggestedSlug } from "./slug";

describe("suggestedSlug", () => {
  it("is what the API takes", () => {
    expect(suggestedSlug("Turnaround 2027, phase 2")).toBe("turnaround-2027-phase-2");
    expect(suggestedSlug(" Größenprüfung Süd ")).toBe("grossenprufung-sud");
    expect(suggestedSlug("検査")).toBe("");
    expect(suggestedSlug(`${"a".repeat(63)} b`)).toBe("a".repeat(63));
  });
});
