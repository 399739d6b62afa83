import { describe, expect, it } from "vitest";
import { formatTags, parseTags } from "./tags";

describe("the tags of a connector", () => {
  const pressure = { tag: "PIT-1001", address: "ns=2;s=PIT-1001", unit: "bar", description: "Suction", equipment: "P-101" };
  const counter = { tag: "FQ-2", address: "holding:40", data_type: "uint32" as const, scale: 0.1 };

  it("are the same after they were written as text and read", () => {
    expect(parseTags(formatTags([pressure, counter]))).toEqual({ tags: [pressure, counter], errors: [] });
    expect(formatTags([{ tag: "A", address: "input:1" }])).toBe("A | input:1");
  });

  it("are read as a spreadsheet copies them", () => {
    expect(parseTags("PIT-1001\tns=2;s=PIT-1001\tbar\tSuction\tP-101\r\n\r\nFQ-2\tholding:40\t\t\t\tuint32\t0.1\r\n")).toEqual({
      tags: [pressure, counter],
      errors: [],
    });
  });

  it("keep the limits that the text does not show", () => {
    const limits = { alarm_high: 9 };
    expect(parseTags("PIT-1001\tns=2;s=X", [{ ...pressure, limits }]).tags).toEqual([
      { tag: "PIT-1001", address: "ns=2;s=X", limits },
    ]);
  });

  it("name the lines that cannot be read", () => {
    const text = ["A\tholding:1", "", "B", "C\tholding:2\t\t\t\tint99", "D\tholding:3\t\t\t\t\tmuch", "A\tholding:4"].join("\n");
    expect(parseTags(text)).toEqual({
      tags: [{ tag: "A", address: "holding:1" }],
      errors: [
        { line: 3, reason: "address" },
        { line: 4, reason: "dataType" },
        { line: 5, reason: "scale" },
        { line: 6, reason: "duplicate" },
      ],
    });
  });
});
